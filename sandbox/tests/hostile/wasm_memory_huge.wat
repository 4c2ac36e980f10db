;; A memory of four gibibytes to begin with.
;; expect: refused a memory of 4294967296 bytes
(module
  (memory (export "memory") 65536)
  (func (export "sojourn_call")))
