// Calls from JavaScript to the host: blocking, in parallel, and to the log.
#include <stdlib.h>
#include "engine.h"
#include "host.h"

// Calls that may be under way at once.
#define MAX_OPERATIONS 64

struct operation {
  uint32_t number;
  JSValue resolve, reject;
  JSValue error;  // made where the call was, so that a rejection names the skill's line
};
static struct operation operations[MAX_OPERATIONS];
static int operation_count;

// The name and arguments of a call as text.
struct request {
  const char *name, *args;
  size_t name_length, args_length;
};

static void free_request(JSContext *ctx, struct request *request) {
  if (request->name) JS_FreeCString(ctx, request->name);
  if (request->args) JS_FreeCString(ctx, request->args);
}

static int read_request(JSContext *ctx, JSValueConst *given, struct request *request) {
  *request = (struct request){0};
  JSValue json = JS_JSONStringify(ctx, given[1], JS_UNDEFINED, JS_UNDEFINED);
  if (JS_IsException(json)) return -1;
  request->name = JS_ToCStringLen(ctx, &request->name_length, given[0]);
  request->args = JS_ToCStringLen(ctx, &request->args_length, json);
  JS_FreeValue(ctx, json);
  if (request->name && request->args) return 0;
  free_request(ctx, request);
  return -1;
}

// The announced answer: a JSON value, or an error message as a JSON string.
static JSValue take_answer(host_answer answer) {
  uint32_t length = answer_length(answer);
  char *text = take_announced(length);
  if (!text) return JS_ThrowOutOfMemory(context);
  JSValue value = JS_ParseJSON(context, text, length, "<host>");
  free(text);
  return value;
}

static void set_message(JSValueConst error, JSValue message) {
  JS_DefinePropertyValueStr(context, error, "message", message, JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
}

static JSValue new_error_here(JSContext *ctx) {
  JSValue thrown = JS_ThrowPlainError(ctx, "call failed");
  (void)thrown;
  return JS_GetException(ctx);
}

static JSValue call_host(JSContext *ctx, JSValueConst this, int count, JSValueConst *given) {
  (void)this;
  (void)count;
  struct request request;
  if (read_request(ctx, given, &request)) return JS_EXCEPTION;
  host_answer answer = host_call(request.name, request.name_length, request.args, request.args_length);
  free_request(ctx, &request);
  JSValue value = take_answer(answer);
  if (!answer_is_error(answer) || JS_IsException(value)) return value;
  JSValue error = new_error_here(ctx);
  set_message(error, value);
  return JS_Throw(ctx, error);
}

static JSValue start_host(JSContext *ctx, JSValueConst this, int count, JSValueConst *given) {
  (void)this;
  (void)count;
  if (operation_count == MAX_OPERATIONS)
    return JS_ThrowRangeError(ctx, "more than %d calls at once; await some of them first", MAX_OPERATIONS);
  struct request request;
  if (read_request(ctx, given, &request)) return JS_EXCEPTION;
  JSValue settle[2];
  JSValue promise = JS_NewPromiseCapability(ctx, settle);
  if (!JS_IsException(promise)) {
    uint32_t number = host_start(request.name, request.name_length, request.args, request.args_length);
    operations[operation_count++] = (struct operation){number, settle[0], settle[1], new_error_here(ctx)};
  }
  free_request(ctx, &request);
  return promise;
}

static JSValue log_host(JSContext *ctx, JSValueConst this, int count, JSValueConst *given) {
  (void)this;
  (void)count;
  uint32_t level = 0;
  if (JS_ToUint32(ctx, &level, given[0])) return JS_EXCEPTION;
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, given[1]);
  if (!text) return JS_EXCEPTION;
  host_log(level, text, length);
  JS_FreeCString(ctx, text);
  return JS_UNDEFINED;
}

void make_prelude_arguments(JSValue made[PRELUDE_ARGUMENTS]) {
  made[0] = JS_NewCFunction(context, call_host, "call", 2);
  made[1] = JS_NewCFunction(context, start_host, "start", 2);
  made[2] = JS_NewCFunction(context, log_host, "log", 2);
}

// Settles the promise of the operation that the host has just answered.
static void settle(host_answer answer) {
  uint32_t number = answer_operation(answer);
  for (int i = 0; i < operation_count; i++) {
    struct operation operation = operations[i];
    if (operation.number != number) continue;
    operations[i] = operations[--operation_count];

    JSValue value = take_answer(answer);
    int failed = answer_is_error(answer);
    if (JS_IsException(value)) {
      failed = 1;
      value = JS_GetException(context);
    } else if (failed) {
      set_message(operation.error, value);
      value = JS_DupValue(context, operation.error);
    }
    JS_FreeValue(context, JS_Call(context, failed ? operation.reject : operation.resolve, JS_UNDEFINED, 1, &value));
    JS_FreeValue(context, value);
    JS_FreeValue(context, operation.resolve);
    JS_FreeValue(context, operation.reject);
    JS_FreeValue(context, operation.error);
    return;
  }
}

static int run_jobs(void) {
  JSContext *ran_in;
  int status;
  while ((status = JS_ExecutePendingJob(runtime, &ran_in)) > 0) {}
  return status;
}

int await_settled(JSValue promise, JSValue *value) {
  if (JS_IsException(promise)) return report_exception();
  for (;;) {
    if (run_jobs() < 0) {
      JS_FreeValue(context, promise);
      return report_exception();
    }
    JSPromiseStateEnum state = JS_PromiseState(context, promise);
    if (state == JS_PROMISE_NOT_A_PROMISE) {
      *value = promise;
      return 0;
    }
    if (state != JS_PROMISE_PENDING) {
      JSValue result = JS_PromiseResult(context, promise);
      JS_FreeValue(context, promise);
      if (state == JS_PROMISE_REJECTED) return report_error(result);
      *value = result;
      return 0;
    }
    if (operation_count == 0) {
      JS_FreeValue(context, promise);
      JS_ThrowPlainError(context, "the skill awaits a promise that nothing will ever settle");
      return report_exception();
    }
    settle(host_wait());
  }
}
