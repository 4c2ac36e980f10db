;; A memory that threads share.
;; expect: refused threads
(module
  (memory (export "memory") 1 1 shared)
  (func (export "sojourn_call")))
