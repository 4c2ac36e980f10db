;; A `sojourn_call` that cannot be called.
;; expect: refused not a function
(module
  (memory (export "memory") 1)
  (global (export "sojourn_call") i32 (i32.const 0)))
