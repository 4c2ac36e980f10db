;; Many tables.
;; expect: refused more than one table
(module
  (table 1 funcref) (table 1 funcref) (table 1 funcref)
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
