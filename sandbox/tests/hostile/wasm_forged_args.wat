;; Arguments that are no JSON.
;; expect: value true
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "start" (func $start (param i32 i32 i32 i32) (result i32)))
  (import "host" "wait" (func $wait (result i64)))
  (import "host" "log" (func $log (param i32 i32 i32)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "place{\"wher\ff true")
  (func (export "sojourn_call")
    (if (i64.eqz (i64.shr_u (call $call (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 8)) (i64.const 32)))
      (then unreachable))
    (call $finish (i32.const 0) (i32.const 13) (i32.const 4))))
