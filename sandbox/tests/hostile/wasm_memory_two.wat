;; Two memories.
;; expect: refused multiple memories
(module
  (memory (export "memory") 1)
  (memory 1)
  (func (export "sojourn_call")))
