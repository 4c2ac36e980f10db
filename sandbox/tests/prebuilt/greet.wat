;; What `greet.rs` does, written by hand: polishes "Hello, you!".
(module
  (import "host" "invocation" (func $invocation (param i32) (result i32)))
  (import "host" "take" (func $take (param i32)))
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "host" "finish" (func $finish (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "polish")
  (data (i32.const 16) "{\"text\":\"Hello, \"}")
  (data (i32.const 64) "{\"name\":\"ToolError\",\"message\":")

  ;; The invocation ends with `"args":["…"],"checked":false}`: what stands between the last quotes before that.
  (func $name (param $end i32) (result i32)
    (local $at i32)
    (local.set $at (i32.sub (local.get $end) (i32.const 19)))
    (loop $back
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $back (i32.ne (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (i32.const 34))))
    (local.get $at))

  (func (export "sojourn_call")
    (local $length i32) (local $name i32) (local $args i32) (local $answer i64)
    (local.set $length (call $invocation (i32.const 1024)))
    (call $take (i32.const 2048))
    (local.set $name (call $name (i32.add (i32.const 2048) (local.get $length))))
    ;; {"text":"Hello, …!"}
    (memory.copy (i32.const 512) (i32.const 16) (i32.const 16))
    (local.set $length
      (i32.sub (i32.add (i32.const 2048) (i32.sub (local.get $length) (i32.const 19))) (local.get $name)))
    (memory.copy (i32.const 528) (local.get $name) (local.get $length))
    (local.set $args (i32.add (i32.const 528) (local.get $length)))
    (i32.store8 (local.get $args) (i32.const 33))
    (i32.store8 offset=1 (local.get $args) (i32.const 34))
    (i32.store8 offset=2 (local.get $args) (i32.const 125))
    (local.set $answer
      (call $call (i32.const 0) (i32.const 6) (i32.const 512)
        (i32.add (i32.sub (local.get $args) (i32.const 512)) (i32.const 3))))
    (call $take (i32.const 94))
    (if (i64.eqz (i64.and (local.get $answer) (i64.const 0x100000000)))
      (then (call $finish (i32.const 0) (i32.const 94) (i32.wrap_i64 (local.get $answer))))
      (else
        (i32.store8 (i32.add (i32.const 94) (i32.wrap_i64 (local.get $answer))) (i32.const 125))
        (call $finish (i32.const 1) (i32.const 64) (i32.add (i32.const 31) (i32.wrap_i64 (local.get $answer))))))))
