;; Asks for a global of the host.
;; expect: refused an import `host.budget`
(module
  (import "host" "budget" (global (mut i64)))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
