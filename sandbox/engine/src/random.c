// `Math.random` with a seed: the same call gives the same numbers. Generator: xorshift64* (Vigna, "An
// experimental exploration of Marsaglia's xorshift generators, scrambled", 2016), seeded through
// splitmix64's finaliser so that neighbouring seeds do not give neighbouring numbers.
#include "engine.h"

static uint64_t state = 1;

void seed_random(uint64_t seed) {
  uint64_t z = seed + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  state = z ? z : 1;
}

static JSValue random_number(JSContext *ctx, JSValueConst this, int count, JSValueConst *given) {
  (void)this;
  (void)count;
  (void)given;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return JS_NewFloat64(ctx, (double)((state * 0x2545f4914f6cdd1du) >> 11) * 0x1p-53);
}

void install_random(JSValueConst global) {
  JSValue math = JS_GetPropertyStr(context, global, "Math");
  JS_DefinePropertyValueStr(context, math, "random", JS_NewCFunction(context, random_number, "random", 0),
                            JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
  JS_FreeValue(context, math);
}
