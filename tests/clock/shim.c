// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD shim: a wall clock that jumps when a test says so.
 *
 *   cc -O2 -shared -fPIC -o shim.so shim.c -ldl
 *   CLOCK_CONTROL=/path   a file of sizeof(struct control) bytes, shared
 *
 * What is added to the clocks lies in that file and is read at every call,
 * so one store makes the clock of all processes jump at once.  The monotonic
 * clock is left as it is, unless a test wants to make hours pass.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL

static struct control {
    int64_t wall_ns; /* added to the wall clock */
    int64_t mono_ns; /* added to the monotonic clock; never made less */
} *ctl;

__attribute__((constructor)) static void init(void)
{
    const char *path = getenv("CLOCK_CONTROL");
    int fd;
    void *map;

    if (!path)
        return;
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    map = mmap(NULL, sizeof *ctl, PROT_READ, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map != MAP_FAILED)
        ctl = map;
}

static void shift(struct timespec *t, const int64_t *by)
{
    int64_t add = __atomic_load_n(by, __ATOMIC_SEQ_CST);

    t->tv_sec += add / NS;
    t->tv_nsec += add % NS;
    if (t->tv_nsec >= NS) {
        t->tv_sec++;
        t->tv_nsec -= NS;
    } else if (t->tv_nsec < 0) {
        t->tv_sec--;
        t->tv_nsec += NS;
    }
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    static __typeof__(clock_gettime) *real;
    int failed;

    if (!real)
        real = (__typeof__(real))dlsym(RTLD_NEXT, "clock_gettime");
    failed = real(clock, t);
    if (failed || !ctl)
        return failed;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        shift(t, &ctl->wall_ns);
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        shift(t, &ctl->mono_ns);
    }
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
