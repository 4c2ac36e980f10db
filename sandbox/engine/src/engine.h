// What the parts of the engine share.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "quickjs.h"

#define EXPORT(name) __attribute__((export_name(name)))

// The one runtime and context of an instance; made when engine.wasm is pre-initialised.
extern JSRuntime *runtime;
extern JSContext *context;

// Microseconds since 1970 that `Date` shows; fixed for the whole call.
extern int64_t now_us;

// engine.c: fetches `length` announced bytes, NUL-terminated; free() it. NULL when out of memory.
char *take_announced(uint32_t length);

// calls.c: the functions that the prelude is given, in its parameter order.
#define PRELUDE_ARGUMENTS 3
void make_prelude_arguments(JSValue arguments[PRELUDE_ARGUMENTS]);
// Runs jobs and operations until `promise` settles. Frees it; 0 stores its value, 1 its error was reported.
int await_settled(JSValue promise, JSValue *value);

// random.c
void seed_random(uint64_t seed);
void install_random(JSValueConst global);

// report.c: both hand the outcome to the host and consume their argument.
int report_error(JSValue error);
int report_result(JSValue result);
static inline int report_exception(void) { return report_error(JS_GetException(context)); }
