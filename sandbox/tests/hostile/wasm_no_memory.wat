;; No memory to pass texts in.
;; expect: refused exported memory
(module
  (func (export "sojourn_call")))
