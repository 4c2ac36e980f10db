;; Asks for files.
;; expect: refused an import `wasi_snapshot_preview1.path_open`
(module
  (import "wasi_snapshot_preview1" "path_open" (func (result i32)))
  (memory (export "memory") 1)
  (func (export "sojourn_call")))
