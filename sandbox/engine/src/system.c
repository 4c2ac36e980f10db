// The operating system as the engine sees it: a clock that the call fixes, UTC, and nothing else. With
// these in place the C library needs no import of its own.
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include "engine.h"

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  time->tv_sec = now_us / 1000000;
  time->tv_usec = now_us % 1000000;
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  (void)clock;
  time->tv_sec = now_us / 1000000;
  time->tv_nsec = (long)(now_us % 1000000) * 1000;
  return 0;
}

struct tm *localtime_r(const time_t *restrict time, struct tm *restrict parts) {
  (void)time;
  memset(parts, 0, sizeof *parts);  // only the offset from UTC is ever read
  return parts;
}

_Noreturn void abort(void) { __builtin_trap(); }
_Noreturn void __assert_fail(const char *text, const char *file, int line, const char *function) {
  (void)text, (void)file, (void)line, (void)function;
  __builtin_trap();
}

// Nothing is ever printed; these keep the C library's streams out of the link.
int fprintf(FILE *restrict stream, const char *restrict format, ...) { (void)stream, (void)format; return 0; }
int printf(const char *restrict format, ...) { (void)format; return 0; }
int fputc(int c, FILE *stream) { (void)stream; return c; }
int putchar(int c) { return c; }
int fputs(const char *restrict text, FILE *restrict stream) { (void)text, (void)stream; return 0; }
int fflush(FILE *stream) { (void)stream; return 0; }
size_t __stdio_write(FILE *stream, const unsigned char *bytes, size_t n) { (void)stream, (void)bytes; return n; }
size_t __stdout_write(FILE *stream, const unsigned char *bytes, size_t n) { (void)stream, (void)bytes; return n; }
off_t __stdio_seek(FILE *stream, off_t offset, int whence) { (void)stream, (void)offset, (void)whence; return -1; }
int __stdio_close(FILE *stream) { (void)stream; return 0; }
int __isatty(int descriptor) { (void)descriptor; return 0; }
