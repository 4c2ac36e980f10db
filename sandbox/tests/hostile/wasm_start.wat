;; A start function.
;; expect: refused a start function
(module
  (import "host" "should_stop" (func (result i32)))
  (memory (export "memory") 1)
  (func (export "sojourn_call"))
  (func $start (drop (call 0)))
  (start $start))
