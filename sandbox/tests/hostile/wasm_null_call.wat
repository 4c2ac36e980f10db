;; Calls a function through an empty place of its table.
;; expect: trap a function that does not exist
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "start" (func $start (param i32 i32 i32 i32) (result i32)))
  (import "host" "wait" (func $wait (result i64)))
  (import "host" "log" (func $log (param i32 i32 i32)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (func (export "sojourn_call") (call_indirect (i32.const 0))))
