/* Faults of the system, for `cargo xtask faults`: preloaded into a program, it makes calls of the C library fail as the
   variables FAULT_* say. FAULT_PATH: only files whose path contains this. FAULT_AFTER: this many writes and syncs succeed first.
   FAULT_TIMES: this many fail then. FAULT_ERRNO: the error. CLOCK_JUMP_S: the wall clock is off by this many seconds, from
   CLOCK_JUMP_AFTER_MS after the start of the process on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static long calls;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

/* Whether this call on the file is one that fails; sets errno. */
static int fails(int file) {
    const char *part = getenv("FAULT_PATH");
    if (!part) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, part)) return 0;
    long call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST), after = number("FAULT_AFTER", 0);
    if (call <= after || call > after + number("FAULT_TIMES", 1L << 40)) return 0;
    errno = (int)number("FAULT_ERRNO", EIO);
    return 1;
}

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count) { return fails(file) ? -1 : NEXT(write)(file, bytes, count); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return fails(file) ? -1 : NEXT(pwrite)(file, bytes, count, at); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { return fails(file) ? -1 : NEXT(pwrite64)(file, bytes, count, at); }
int fsync(int file) { return fails(file) ? -1 : NEXT(fsync)(file); }
int fdatasync(int file) { return fails(file) ? -1 : NEXT(fdatasync)(file); }
int ftruncate64(int file, off64_t length) { return fails(file) ? -1 : NEXT(ftruncate64)(file, length); }

static long jump(void) {
    static struct timespec begun;
    long seconds = number("CLOCK_JUMP_S", 0);
    if (!seconds) return 0;
    struct timespec now;
    NEXT(clock_gettime)(CLOCK_MONOTONIC, &now);
    if (!begun.tv_sec) begun = now;
    long elapsed = (now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000;
    return elapsed >= number("CLOCK_JUMP_AFTER_MS", 0) ? seconds : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = NEXT(clock_gettime)(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int result = NEXT(gettimeofday)(time, zone);
    if (result == 0) time->tv_sec += jump();
    return result;
}
