// The engine's life: it is initialised once, when engine.wasm is built; each instance then either compiles
// one source, or loads one skill and calls it.
#include "engine.h"
#include <stdlib.h>
#include <string.h>
#include "host.h"
#include "prelude.h"

// Stack that JavaScript may use before it gets a RangeError; wasm's own stack is larger.
#define SCRIPT_STACK_BYTES (256u << 10)
// Collecting rarely is right for instances that live for milliseconds.
#define GC_THRESHOLD_BYTES (4u << 20)
#define SOURCE_NAME "skill.js"

JSRuntime *runtime;
JSContext *context;
int64_t now_us;

static JSValue install_bindings;  // from the prelude: (invocation) => arguments
static JSValue arguments;         // of the call, an array
static JSValue entry;             // the skill's function

// A skill's module, which brings its bytecode along, asks for room with this.
EXPORT("sk_alloc") void *sk_alloc(uint32_t size) { return malloc(size ? size : 1); }

char *take_announced(uint32_t length) {
  char *bytes = malloc((size_t)length + 1);
  if (!bytes) return NULL;
  host_take(bytes);
  bytes[length] = 0;
  return bytes;
}

static JSContext *new_context(void) {
  JSContext *made = JS_NewContextRaw(runtime);
  if (!made) return NULL;
  JS_AddIntrinsicBaseObjects(made);
  JS_AddIntrinsicDate(made);
  JS_AddIntrinsicRegExp(made);
  JS_AddIntrinsicJSON(made);
  JS_AddIntrinsicProxy(made);
  JS_AddIntrinsicMapSet(made);
  JS_AddIntrinsicTypedArrays(made);
  JS_AddIntrinsicPromise(made);
  JS_AddIntrinsicBigInt(made);
  return made;
}

// The prelude, compiled in a context of its own, so that the one skills live in never knew how to
// evaluate text: there, `Function("...")` throws.
static JSValue load_prelude(void) {
  JSContext *compiler = new_context();
  if (!compiler) return JS_EXCEPTION;
  JS_AddIntrinsicEval(compiler);
  JSValue compiled = JS_Eval(compiler, (const char *)PRELUDE, PRELUDE_LENGTH, "<prelude>",
                             JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  size_t size = 0;
  uint8_t *bytecode = JS_WriteObject(compiler, &size, compiled, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
  JS_FreeValue(compiler, compiled);
  if (!bytecode) return JS_EXCEPTION;
  JSValue program = JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE);
  js_free(compiler, bytecode);
  JS_FreeContext(compiler);
  return JS_IsException(program) ? program : JS_EvalFunction(context, program);
}

static int stop_requested(JSRuntime *unused_runtime, void *unused) {
  (void)unused_runtime;
  (void)unused;
  return host_should_stop();
}

// The linker's; naming it keeps the linker from running it around every export.
extern void __wasm_call_ctors(void);

// Called once, by the build, before the snapshot is taken. Returns 0 when all is well.
EXPORT("sk_init") int sk_init(void) {
  __wasm_call_ctors();
  runtime = JS_NewRuntime();
  if (!runtime) return 1;
  JS_SetMaxStackSize(runtime, SCRIPT_STACK_BYTES);
  JS_SetGCThreshold(runtime, GC_THRESHOLD_BYTES);
  context = new_context();
  if (!context) return 2;

  JSValue prelude = load_prelude();
  if (!JS_IsFunction(context, prelude)) return 3;
  JSValue given[PRELUDE_ARGUMENTS];
  make_prelude_arguments(given);
  install_bindings = JS_Call(context, prelude, JS_UNDEFINED, PRELUDE_ARGUMENTS, given);
  for (int i = 0; i < PRELUDE_ARGUMENTS; i++) JS_FreeValue(context, given[i]);
  JS_FreeValue(context, prelude);
  if (!JS_IsFunction(context, install_bindings)) return 4;

  JSValue global = JS_GetGlobalObject(context);
  install_random(global);
  JS_FreeValue(context, global);
  arguments = entry = JS_UNDEFINED;
  JS_SetInterruptHandler(runtime, stop_requested, NULL);
  JS_RunGC(runtime);
  return 0;
}

// What the instance is for, as text; its settings take effect. NULL when out of memory.
static char *begin(uint32_t *length) {
  struct settings settings;
  *length = host_invocation(&settings);
  JS_SetMemoryLimit(runtime, settings.heap_bytes);
  JS_UpdateStackTop(runtime);
  seed_random(settings.seed);
  now_us = settings.now_ms * 1000;
  return take_announced(*length);
}

static int report_no_memory(void) {
  JS_ThrowOutOfMemory(context);
  return report_exception();
}

// Compiles the announced source and finishes with its bytecode.
EXPORT("sk_compile") int sk_compile(void) {
  uint32_t length;
  char *source = begin(&length);
  if (!source) return report_no_memory();
  JS_AddIntrinsicEval(context);
  JSValue module = JS_Eval(context, source, length, SOURCE_NAME, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  free(source);
  if (JS_IsException(module)) return report_exception();
  if (JS_ResolveModule(context, module) < 0) return report_exception();
  size_t size;
  uint8_t *bytecode = JS_WriteObject(context, &size, module, JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
  JS_FreeValue(context, module);
  if (!bytecode) return report_exception();
  host_finish(0, bytecode, size);
  js_free(context, bytecode);
  return 0;
}

// Puts the bindings in place and takes the arguments over. 0, or 1 with the error reported.
static int begin_call(void) {
  uint32_t length;
  char *text = begin(&length);
  if (!text) return report_no_memory();
  JSValue invocation = JS_ParseJSON(context, text, length, "<invocation>");
  free(text);
  if (JS_IsException(invocation)) return report_exception();
  arguments = JS_Call(context, install_bindings, JS_UNDEFINED, 1, &invocation);
  JS_FreeValue(context, invocation);
  return JS_IsException(arguments) ? report_exception() : 0;
}

// Loads a skill's bytecode, as its own module hands it in, and runs its top level.
EXPORT("sk_load_bc") int sk_load_bc(const uint8_t *bytecode, uint32_t size) {
  if (begin_call()) return 1;
  JSValue module = JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(module)) return report_exception();
  if (JS_VALUE_GET_TAG(module) != JS_TAG_MODULE) {
    JS_FreeValue(context, module);
    JS_ThrowTypeError(context, "the skill is not a module");
    return report_exception();
  }
  if (JS_ResolveModule(context, module) < 0) {
    JS_FreeValue(context, module);
    return report_exception();
  }

  JSModuleDef *definition = JS_VALUE_GET_PTR(module);
  JSValue value;
  if (await_settled(JS_EvalFunction(context, module), &value)) return 1;
  JS_FreeValue(context, value);
  JSValue namespace = JS_GetModuleNamespace(context, definition);
  entry = JS_GetPropertyStr(context, namespace, "default");
  JS_FreeValue(context, namespace);
  if (JS_IsException(entry)) return report_exception();
  if (JS_IsFunction(context, entry)) return 0;
  JS_ThrowTypeError(context, "the skill's entry is not a function");
  return report_exception();
}

// Calls the loaded skill and finishes with its result as JSON.
EXPORT("sk_call") int sk_call(void) {
  uint32_t count = 0;
  JSValue length = JS_GetPropertyStr(context, arguments, "length");
  JS_ToUint32(context, &count, length);
  JSValue *list = malloc(sizeof *list * (count ? count : 1));
  if (!list) return report_no_memory();
  for (uint32_t i = 0; i < count; i++) list[i] = JS_GetPropertyUint32(context, arguments, i);
  JSValue value = JS_Call(context, entry, JS_UNDEFINED, (int)count, list);
  for (uint32_t i = 0; i < count; i++) JS_FreeValue(context, list[i]);
  free(list);
  if (await_settled(value, &value)) return 1;
  return report_result(value);
}
