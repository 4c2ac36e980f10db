;; Asks for what a C library would.
;; expect: refused an import `env.system`
(module
  (import "env" "system" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
