;; Calls whose answers are always there at once, with 8 MiB to read each: no waiting, almost no instructions.
;; expect: limit wall
;; limits: {"wall": 0.05, "host_calls": 4000000000}
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "start" (func $start (param i32 i32 i32 i32) (result i32)))
  (import "host" "wait" (func $wait (result i64)))
  (import "host" "log" (func $log (param i32 i32 i32)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 160)
  (func (export "sojourn_call")
    (loop (drop (call $call (i32.const 0) (i32.const 8388608) (i32.const 0) (i32.const 8388608))) (br 0))))
