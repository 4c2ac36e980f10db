;; Asks for a host function that there is not.
;; expect: refused an import `host.exec`
(module
  (import "host" "exec" (func))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
