;; Keeps refused calls, whose answers quote a name of 8 MiB.
;; expect: value "cut"
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "start" (func $start (param i32 i32 i32 i32) (result i32)))
  (import "host" "wait" (func $wait (result i64)))
  (import "host" "log" (func $log (param i32 i32 i32)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 160)
  (data (i32.const 9000000) "\"cut\"{}")
  (func (export "sojourn_call") (local $n i32)
    (loop
      (drop (call $start (i32.const 0) (i32.const 8388608) (i32.const 9000005) (i32.const 2)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $n) (i32.const 190))))
    ;; The length of an answer, without its flag.
    (br_if 0 (i32.gt_u (i32.wrap_i64 (call $wait)) (i32.const 1000)))
    (call $finish (i32.const 0) (i32.const 9000000) (i32.const 5))))
