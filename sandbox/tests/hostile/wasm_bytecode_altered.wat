;; Claims to be compiled by this very engine, and is not.
;; expect: refused altered
(module
  (import "engine" "memory" (memory 1))
  (import "engine" "sk_alloc" (func (param i32) (result i32)))
  (import "engine" "sk_load_bc" (func (param i32 i32) (result i32)))
  (func (export "load") (result i32) (i32.const 0))
  (data "\00\01\02")
  (@custom "sojourn.source" "function main() { return 'ours' }")
  (@custom "sojourn.entry" "main")
  (@custom "sojourn.engine" "{ENGINE}"))
