;; A 64-bit memory.
;; expect: refused memory64
(module
  (memory (export "memory") i64 1)
  (func (export "sojourn_call")))
