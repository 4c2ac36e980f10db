// What a call came to, handed to the host as JSON.
#include <string.h>
#include "engine.h"
#include "host.h"

static void finish_text(uint32_t status, const char *text) { host_finish(status, text, strlen(text)); }

static void copy_field(JSValueConst to, JSValueConst from, const char *name) {
  JSValue value = JS_GetPropertyStr(context, from, name);
  if (JS_IsException(value)) {
    JS_FreeValue(context, JS_GetException(context));
    return;
  }
  JSValue text = JS_IsUndefined(value) ? JS_UNDEFINED : JS_ToString(context, value);
  JS_FreeValue(context, value);
  if (JS_IsException(text)) {
    JS_FreeValue(context, JS_GetException(context));
    return;
  }
  JS_DefinePropertyValueStr(context, to, name, text, JS_PROP_C_W_E);
}

// {"name", "message", "stack"}; something other than an object was thrown when only "message" is there.
static JSValue describe(JSValue error) {
  JSValue description = JS_NewObjectProto(context, JS_NULL);
  if (JS_IsObject(error)) {
    copy_field(description, error, "name");
    copy_field(description, error, "message");
    copy_field(description, error, "stack");
  } else if (JS_IsNull(error) || JS_IsUninitialized(error)) {
    // What QuickJS throws when there is no room even for the error.
    JS_DefinePropertyValueStr(context, description, "name", JS_NewString(context, "InternalError"), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(context, description, "message", JS_NewString(context, "out of memory"), JS_PROP_C_W_E);
  } else {
    JS_DefinePropertyValueStr(context, description, "message", JS_ToString(context, error), JS_PROP_C_W_E);
  }
  return description;
}

int report_error(JSValue error) {
  JS_SetMemoryLimit(runtime, (size_t)-1);  // the report itself has to fit; the memory's own limit still holds
  JSValue description = describe(error);
  JS_FreeValue(context, error);
  JSValue json = JS_JSONStringify(context, description, JS_UNDEFINED, JS_UNDEFINED);
  JS_FreeValue(context, description);
  size_t length;
  const char *text = JS_IsException(json) ? NULL : JS_ToCStringLen(context, &length, json);
  if (text) host_finish(1, text, length);
  else finish_text(1, "{\"name\":\"InternalError\",\"message\":\"out of memory\"}");
  if (text) JS_FreeCString(context, text);
  JS_FreeValue(context, json);
  return 1;
}

int report_result(JSValue result) {
  JSValue json = JS_JSONStringify(context, result, JS_UNDEFINED, JS_UNDEFINED);
  JS_FreeValue(context, result);
  if (JS_IsException(json)) return report_exception();
  if (JS_IsUndefined(json)) {
    finish_text(0, "null");
    return 0;
  }
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, json);
  JS_FreeValue(context, json);
  if (!text) return report_exception();
  host_finish(0, text, length);
  JS_FreeCString(context, text);
  return 0;
}
