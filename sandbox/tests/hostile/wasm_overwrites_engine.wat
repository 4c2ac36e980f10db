;; Would overwrite the engine's memory instead of loading: its code is never run.
;; expect: value "ours"
(module
  (import "engine" "memory" (memory 1))
  (import "engine" "sk_alloc" (func (param i32) (result i32)))
  (import "engine" "sk_load_bc" (func (param i32 i32) (result i32)))
  (func (export "load") (result i32)
    (memory.fill (i32.const 1048576) (i32.const 255) (i32.const 100000))
    (i32.const 0))
  (@custom "sojourn.source" "function main() { return 'ours' }")
  (@custom "sojourn.entry" "main")
  (@custom "sojourn.engine" "0000"))
