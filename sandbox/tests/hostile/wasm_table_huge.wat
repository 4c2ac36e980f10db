;; A table of four billion elements.
;; expect: refused a table of 4294967295 elements
(module
  (table 4294967295 funcref)
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
