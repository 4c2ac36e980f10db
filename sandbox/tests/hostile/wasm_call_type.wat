;; A `sojourn_call` that wants something.
;; expect: refused with parameters or results
(module
  (memory (export "memory") 1)
  (func (export "sojourn_call") (param i32)))
