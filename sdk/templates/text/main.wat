;; {{name}}: answers each request with a greeting. What it writes is the body of the answer, for
;; function.yaml says `response: text`.
(module
  ;; fd_write(descriptor, list of (address, length) pairs, how many, where to put the bytes written)
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00") ;; the pair: address 16 …
  (data (i32.const 16) "Hello from {{name}}\n\00")

  ;; bytes before the NUL
  (func $length (param $at i32) (result i32)
    (local $n i32)
    (block $end
      (loop $next
        (br_if $end (i32.eqz (i32.load8_u (i32.add (local.get $at) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))

  (func (export "_start")
    (i32.store (i32.const 4) (call $length (i32.const 16))) ;; … and length
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
