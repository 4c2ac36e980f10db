;; Calls a tool it was not granted, from code: an error message comes back, which it returns.
;; expect: value "`sell` is not granted to this skill"
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "start" (func $start (param i32 i32 i32 i32) (result i32)))
  (import "host" "wait" (func $wait (result i64)))
  (import "host" "log" (func $log (param i32 i32 i32)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "sell{}")
  (func (export "sojourn_call") (local $length i32)
    (local.set $length
      (i32.wrap_i64 (call $call (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 2))))
    (call $take (i32.const 100))
    (call $finish (i32.const 0) (i32.const 100) (local.get $length))))
