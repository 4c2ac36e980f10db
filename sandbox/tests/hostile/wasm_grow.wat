;; Grows its memory and its table until that is refused, and beyond.
;; expect: value 7
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
  (data (i32.const 0) "7")
  (func (export "sojourn_call")
    (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
    (call $finish (i32.const 0) (i32.const 0) (i32.const 1))))
