// SPDX-License-Identifier: MIT
// The floor: the system calls of a no-op job's life, and nothing else.
// Usage: floor DIR JOBS PROCESSES [unlink]
// Each process claims its share by rename, reads it, and files it by rename
// (or unlinks it).  Prints jobs per second.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"incoming", "active", "done"};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void open_all(const char *root, int fds[3])
{
    char path[4096];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        mkdir(path, 0700);
        fds[i] = open(path, O_RDONLY | O_DIRECTORY);
        if (fds[i] < 0) {
            perror(path);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: floor DIR JOBS PROCESSES [unlink]\n");
        return 2;
    }
    const char *root = argv[1];
    int jobs = atoi(argv[2]), processes = atoi(argv[3]), unlinks = argc > 4;
    int fds[3];
    char name[64], active[96], data[4096];
    memset(data, 'x', sizeof data);
    mkdir(root, 0700);
    open_all(root, fds);
    for (int i = 0; i < jobs; i++) {
        snprintf(name, sizeof name, "4.%020d,noop.job", i);
        int fd = openat(fds[0], name, O_CREAT | O_EXCL | O_WRONLY, 0640);
        if (fd < 0 || write(fd, data, 120) != 120) {
            perror(name);
            return 1;
        }
        close(fd);
    }
    double start = now();
    for (int p = 0; p < processes; p++)
        if (fork() == 0) {
            int own[3];
            open_all(root, own);
            for (int i = p; i < jobs; i += processes) {
                snprintf(name, sizeof name, "4.%020d,noop.job", i);
                snprintf(active, sizeof active,
                         "4.%020d.a1.c0123456789abcdef0123456,noop.job", i);
                renameat2(own[0], name, own[1], active, 0);
                int fd = openat(own[1], active,
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
                struct stat status;
                fstat(fd, &status);
                if (read(fd, data, sizeof data) < 0)
                    _exit(1);
                close(fd);
                if (unlinks) {
                    unlinkat(own[1], active, 0);
                    continue;
                }
                snprintf(name, sizeof name, "4.%020d.a1.vok.r20,noop.job", i);
                renameat2(own[1], active, own[2], name, 1);
            }
            _exit(0);
        }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    printf("%.0f\n", jobs / (now() - start));
    return failed ? 1 : 0;
}
