// What the engine asks of the host: the imports of module `host`.
//
// Texts are UTF-8, given as address and length. The host never calls back into the engine and never
// allocates in its memory: it announces how long its answer is, the engine makes room and fetches it
// with `host_take`. A function may also not return at all: the host then ends the whole instance, which
// nothing inside can catch.
#pragma once
#include <stdint.h>

#define HOST_IMPORT(name) __attribute__((import_module("host"), import_name(name)))

// A packed answer: its length in bytes (low 32 bits), whether it is an error message (bit 32), and for
// `host_wait` which operation it belongs to (from bit 33).
typedef uint64_t host_answer;

static inline uint32_t answer_length(host_answer answer) { return (uint32_t)answer; }
static inline int answer_is_error(host_answer answer) { return (int)(answer >> 32) & 1; }
static inline uint32_t answer_operation(host_answer answer) { return (uint32_t)(answer >> 33); }

// What an instance may use and sees.
struct settings {
  uint64_t seed;        // of Math.random
  int64_t now_ms;       // since 1970; what Date shows, throughout
  uint32_t heap_bytes;  // for JavaScript's values
};

// Announces what the instance is for, a source to compile or a call's bindings and arguments as JSON, and
// returns its length.
HOST_IMPORT("invocation") extern uint32_t host_invocation(struct settings *settings);

// Calls a binding and waits for it. `args` is a JSON object.
HOST_IMPORT("call")
extern host_answer host_call(const char *name, uint32_t name_length, const char *args, uint32_t args_length);

// Starts a call to a binding; returns the operation's number.
HOST_IMPORT("start")
extern uint32_t host_start(const char *name, uint32_t name_length, const char *args, uint32_t args_length);

// Waits for the operation that was started first among those not yet waited for.
HOST_IMPORT("wait") extern host_answer host_wait(void);

// Copies what was announced last to `destination`.
HOST_IMPORT("take") extern void host_take(char *destination);

// A line for the log; level 0 is debug, 4 is error.
HOST_IMPORT("log") extern void host_log(uint32_t level, const char *text, uint32_t length);

// Whether to stop now because a budget is used up.
HOST_IMPORT("should_stop") extern int32_t host_should_stop(void);

// Hands over what a compilation or a call came to: 0 a result, 1 an error as JSON.
HOST_IMPORT("finish") extern void host_finish(uint32_t status, const void *data, uint32_t length);
