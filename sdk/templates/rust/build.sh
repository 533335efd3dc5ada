# Compiles main.rs. The target wasm32-wasip1 was called wasm32-wasi until Rust 1.78.
set -eu
command -v rustc >/dev/null || {
    echo "rustc is not installed: https://rustup.rs, then rustup target add wasm32-wasip1" >&2
    exit 127
}
for target in wasm32-wasip1 wasm32-wasi; do
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        exec rustc --edition 2021 --target "$target" -O -C strip=debuginfo -o {{name}}.wasm main.rs
    fi
done
echo "rustc lacks its library for WebAssembly: rustup target add wasm32-wasip1" >&2
exit 1
