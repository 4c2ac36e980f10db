;; Bytecode that is no bytecode, with a source that is fine: the source counts.
;; expect: value "ours"
(module
  (import "engine" "memory" (memory 1))
  (import "engine" "sk_alloc" (func (param i32) (result i32)))
  (import "engine" "sk_load_bc" (func (param i32 i32) (result i32)))
  (func (export "load") (result i32) (drop (call 0 (i32.const 4))) (call 1 (i32.const 65536) (i32.const 4)))
  (data "\ff\ff\ff\ff")
  (@custom "sojourn.source" "function main() { return 'ours' }")
  (@custom "sojourn.entry" "main")
  (@custom "sojourn.engine" "0000"))
