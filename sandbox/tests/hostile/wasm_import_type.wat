;; Asks for a host function under another type.
;; expect: refused an import `host.call` of another type
(module
  (import "host" "call" (func (param i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
