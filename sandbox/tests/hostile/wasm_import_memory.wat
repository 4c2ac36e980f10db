;; Asks for the host's memory.
;; expect: refused an import `host.memory`
(module
  (import "host" "memory" (memory 1))
  (export "memory" (memory 0))
  (func (export "sojourn_call")))
