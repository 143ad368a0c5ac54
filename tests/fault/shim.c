// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD shim: every call that touches files below one directory, made
 * by any process of a run, is counted, and one of them can be made to fail,
 * to do half of its work, or to be the last thing its process, the daemon,
 * or all of them ever do.
 *
 *   cc -O2 -shared -fPIC -o shim.so shim.c -ldl
 *   FAULT_CONTROL=/path   a file of sizeof(struct control) bytes, shared
 *
 * The rule lies in that file and is read at every call, so that it can be
 * changed, and lifted, while the run goes on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { CHANGE = 1, OPEN = 2, READ = 4 };
enum { COUNT, KILL_BEFORE, KILL_AFTER, ERROR, SHORT };
enum { CALLER, DAEMON, ALL };
#define PIDS 128

static struct control {
    long count;      /* matching calls so far */
    long fired;      /* how often the rule struck */
    long at;         /* strike at this call; 0: only count */
    long action;
    long number;     /* errno of ERROR */
    long sticky;     /* ERROR: all calls from `at' on */
    long target;     /* whom KILL_* kills */
    long daemon;     /* pid */
    long mask;       /* classes of calls that match */
    long npids;
    long pids[PIDS]; /* of the processes that made a matching call */
    char root[512];  /* calls below this directory match; empty: none */
    char what[1024]; /* the call that was struck first */
} *ctl;

static char mark[600];
static int trace = -1;

__attribute__((constructor)) static void init(void)
{
    const char *path = getenv("FAULT_CONTROL");
    const char *to = getenv("FAULT_TRACE");
    int fd;
    void *map;

    if (!path)
        return;
    snprintf(mark, sizeof mark, "FAULT_CONTROL=%s", path);
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    map = mmap(0, sizeof *ctl, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map != MAP_FAILED)
        ctl = map;
    if (to)
        trace = syscall(SYS_openat, AT_FDCWD, to,
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* Whether a pid still is a process of this run: numbers change hands. */
static int is_ours(long pid)
{
    static char data[1 << 17];
    char path[64];
    long size = 0, got, fd, length = strlen(mark), i;

    snprintf(path, sizeof path, "/proc/%ld/environ", pid);
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (size < (long)sizeof data && (got = syscall(
            SYS_read, fd, data + size, sizeof data - size)) > 0)
        size += got;
    syscall(SYS_close, fd);
    for (i = 0; i + length < size; i++)
        if ((!i || !data[i - 1]) && !memcmp(data + i, mark, length)
            && !data[i + length])
            return 1;
    return 0;
}

static void die(void)
{
    long self = syscall(SYS_getpid), i;

    if (ctl->target == DAEMON) {
        if (ctl->daemon > 1 && is_ours(ctl->daemon))
            syscall(SYS_kill, ctl->daemon, SIGKILL);
        if (ctl->daemon != self)
            return;
    }
    if (ctl->target == ALL)
        for (i = 0; i < ctl->npids && i < PIDS; i++)
            if (ctl->pids[i] > 1 && ctl->pids[i] != self
                && is_ours(ctl->pids[i]))
                syscall(SYS_kill, ctl->pids[i], SIGKILL);
    syscall(SYS_kill, self, SIGKILL);
    for (;;)
        syscall(SYS_pause);
}

static void enlist(long pid)
{
    long i;

    for (i = 0; i < ctl->npids && i < PIDS; i++)
        if (ctl->pids[i] == pid)
            return;
    i = __atomic_fetch_add(&ctl->npids, 1, __ATOMIC_SEQ_CST);
    if (i < PIDS)
        ctl->pids[i] = pid;
}

static void link_of(char *out, size_t size, const char *link)
{
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, out, size - 1);

    out[n > 0 ? n : 0] = 0;
}

/* The path a call means, from its directory descriptor and name. */
static void resolve(char *out, size_t size, int dir, const char *name)
{
    char link[64], base[1024];
    const char *rest;

    if (name && !strncmp(name, "/proc/self/fd/", 14)) {
        rest = strchr(name + 14, '/');
        dir = atoi(name + 14);
        name = rest ? rest + 1 : NULL;
    }
    if (name && name[0] == '/') {
        snprintf(out, size, "%s", name);
        return;
    }
    if (dir == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    link_of(base, sizeof base, link);
    snprintf(out, size, name ? "%s/%s" : "%s", base, name);
}

/* 0 go on, 1 fail, 2 kill afterwards, 3 half of it */
static int hit(int class, const char *call, int dir, const char *name)
{
    char path[2048], line[2300];
    long n, root, pid;

    if (!ctl || !(ctl->mask & class) || !(root = strlen(ctl->root)))
        return 0;
    resolve(path, sizeof path, dir, name);
    if (strncmp(path, ctl->root, root) || (path[root] && path[root] != '/'))
        return 0;
    pid = syscall(SYS_getpid);
    enlist(pid);
    n = __atomic_add_fetch(&ctl->count, 1, __ATOMIC_SEQ_CST);
    if (trace >= 0) {
        int k = snprintf(line, sizeof line, "%ld %ld %s %s\n", n, pid, call,
                         path + root);
        syscall(SYS_write, trace, line, k);
    }
    if (!ctl->at || (n != ctl->at && !(ctl->sticky && n > ctl->at)))
        return 0;
    if (!__atomic_fetch_add(&ctl->fired, 1, __ATOMIC_SEQ_CST))
        snprintf(ctl->what, sizeof ctl->what, "%s %s", call, path + root);
    switch (ctl->action) {
    case KILL_BEFORE:
        die();
        return 0;
    case KILL_AFTER:
        return 2;
    case ERROR:
        errno = ctl->number;
        return 1;
    case SHORT:
        return 3;
    }
    return 0;
}

#define NEXT(f) static __typeof__(f) *real; \
    if (!real) real = (__typeof__(f) *)dlsym(RTLD_NEXT, #f)
#define WRAP(f, params, args, call, dir, name) \
    int f params { NEXT(f); int h = hit(CHANGE, call, dir, name), v, e; \
        if (h == 1) return -1; \
        v = real args; e = errno; if (h == 2) die(); errno = e; return v; }
#define W AT_FDCWD

WRAP(rename, (const char *a, const char *b), (a, b), "rename", W, a)
WRAP(renameat, (int d, const char *a, int e_, const char *b),
     (d, a, e_, b), "rename", d, a)
WRAP(renameat2, (int d, const char *a, int e_, const char *b, unsigned f),
     (d, a, e_, b, f), "renameat2", d, a)
WRAP(link, (const char *a, const char *b), (a, b), "link", W, b)
WRAP(linkat, (int d, const char *a, int e_, const char *b, int f),
     (d, a, e_, b, f), "link", e_, b)
WRAP(symlink, (const char *a, const char *b), (a, b), "symlink", W, b)
WRAP(symlinkat, (const char *a, int d, const char *b), (a, d, b),
     "symlink", d, b)
WRAP(unlink, (const char *a), (a), "unlink", W, a)
WRAP(unlinkat, (int d, const char *a, int f), (d, a, f),
     f & AT_REMOVEDIR ? "rmdir" : "unlink", d, a)
WRAP(mkdir, (const char *a, mode_t m), (a, m), "mkdir", W, a)
WRAP(mkdirat, (int d, const char *a, mode_t m), (d, a, m), "mkdir", d, a)
WRAP(rmdir, (const char *a), (a), "rmdir", W, a)
WRAP(fsync, (int d), (d), "fsync", d, NULL)
WRAP(fdatasync, (int d), (d), "fsync", d, NULL)
WRAP(syncfs, (int d), (d), "syncfs", d, NULL)
WRAP(ftruncate, (int d, off_t n), (d, n), "ftruncate", d, NULL)
WRAP(ftruncate64, (int d, off64_t n), (d, n), "ftruncate", d, NULL)
WRAP(fchmod, (int d, mode_t m), (d, m), "fchmod", d, NULL)
WRAP(chmod, (const char *a, mode_t m), (a, m), "chmod", W, a)
WRAP(fchmodat, (int d, const char *a, mode_t m, int f), (d, a, m, f),
     "chmod", d, a)
WRAP(fchown, (int d, uid_t u, gid_t g), (d, u, g), "fchown", d, NULL)

int bind(int s, const struct sockaddr *a, socklen_t n)
{
    NEXT(bind);
    int h = 0, v;

    if (a->sa_family == AF_UNIX
        && ((const struct sockaddr_un *)a)->sun_path[0])
        h = hit(CHANGE, "bind", W, ((const struct sockaddr_un *)a)->sun_path);
    if (h == 1)
        return -1;
    v = real(s, a, n);
    if (h == 2)
        die();
    return v;
}

int flock(int d, int how)
{
    NEXT(flock);
    if (!(how & LOCK_UN) && hit(OPEN, "flock", d, NULL) == 1)
        return -1;
    return real(d, how);
}

/* Not standard input, output and error: what a job writes is its own. */
static int is_file(int fd)
{
    struct stat s;

    return ctl && fd > 2 && !fstat(fd, &s) && S_ISREG(s.st_mode);
}

#define WRITE(f, more, args) \
    ssize_t f(int d, const void *b, size_t n more) { NEXT(f); int h = 0, e; \
        ssize_t v; if (is_file(d)) h = hit(CHANGE, "write", d, NULL); \
        if (h == 1) return -1; \
        if (h == 3 && n > 1) n /= 2; \
        v = real(d, b, n args); e = errno; if (h == 2) die(); errno = e; \
        return v; }
#define READS(f, more, args) \
    ssize_t f(int d, void *b, size_t n more) { NEXT(f); int h = 0; \
        if (ctl && ctl->mask & READ && is_file(d)) \
            h = hit(READ, "read", d, NULL); \
        if (h == 1) return -1; \
        if (h == 3 && n > 1) n /= 2; \
        return real(d, b, n args); }
#define COMMA ,
WRITE(write, , )
WRITE(pwrite, COMMA off_t o, COMMA o)
WRITE(pwrite64, COMMA off64_t o, COMMA o)
READS(read, , )
READS(pread, COMMA off_t o, COMMA o)
READS(pread64, COMMA off64_t o, COMMA o)

#define MAKES(fl) ((fl) & O_CREAT || ((fl) & O_TMPFILE) == O_TMPFILE)
#define OPENS(f, params, args, dir) \
    int f params { NEXT(f); mode_t m = 0; int h, v, e; \
        if (MAKES(fl)) { \
            va_list l; va_start(l, fl); m = va_arg(l, mode_t); va_end(l); } \
        if (MAKES(fl) || fl & O_TRUNC) h = hit(CHANGE, "create", dir, p); \
        else h = hit(OPEN, "open", dir, p); \
        if (h == 1) return -1; \
        v = real args; e = errno; if (h == 2) die(); errno = e; return v; }
OPENS(open, (const char *p, int fl, ...), (p, fl, m), W)
OPENS(open64, (const char *p, int fl, ...), (p, fl, m), W)
OPENS(openat, (int d, const char *p, int fl, ...), (d, p, fl, m), d)
OPENS(openat64, (int d, const char *p, int fl, ...), (d, p, fl, m), d)
