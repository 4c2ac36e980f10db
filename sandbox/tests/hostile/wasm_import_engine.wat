;; Wants the JavaScript engine's functions and its own way in.
;; expect: refused an import `engine.sk_alloc`
(module
  (import "engine" "sk_alloc" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
