/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int drop(const char *spool, const char *name, const char *data)
{
    char from[4096], to[4096];
    ssize_t size = strlen(data);
    snprintf(from, sizeof from, "%s/tmp/%s", spool, name);
    snprintf(to, sizeof to, "%s/incoming/%s", spool, name);
    int fd = open(from, O_CREAT | O_EXCL | O_WRONLY, 0640);
    return fd < 0 || fchmod(fd, 0640) || write(fd, data, size) != size ||
           fsync(fd) || rename(from, to) || fsync(fd) || close(fd);
}

int main(int argc, char **argv)
{
    return argc != 2 ||
           drop(argv[1], "from-c.job", "Handler: greet\nArg: Ann\n\n") ||
           drop(argv[1], "from-c.txt", "a few words\n");
}
