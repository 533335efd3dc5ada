# Read by the scripts (`. tools/env.sh`, at the root of the tree): finds what tools/setup installed.
#
# Tools that are newer than the machine's own live in a cache folder that every checkout shares.
# Nothing here fails when one of them is missing: tools/setup asks these same functions to learn
# what it has to fetch.

export WASMCLOUD_CACHE="${WASMCLOUD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/wasmcloud}"

RUST_LEAST=1.95  # Wasmtime's own minimum
GO_LEAST=1.24    # the first whose wasip1 library is complete enough for net/http/cgi
GO_PINNED=1.26.6

# at_least HAVE WANT: are these dotted numbers in order?
at_least() {
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version that a tool prints, or nothing if the tool isn't there.
cargo_version() {
    "$1" --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'
}
go_version() {
    GOTOOLCHAIN=local "$1" version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

# Prints the first cargo that is new enough.
find_cargo() {
    for tool in ${CARGO:+"$CARGO"} cargo "${HOME:-/root}/.cargo/bin/cargo" /usr/bin/cargo; do
        if at_least "$(cargo_version "$tool")" $RUST_LEAST; then
            command -v "$tool"
            return
        fi
    done
    return 1
}

# Prints the first go that is new enough.
find_go() {
    for tool in ${GO:+"$GO"} go /usr/local/go/bin/go "$WASMCLOUD_CACHE/go-$GO_PINNED"/lib/python3*/site-packages/go/bin/go; do
        if at_least "$(go_version "$tool")" $GO_LEAST; then
            command -v "$tool"
            return
        fi
    done
    return 1
}

# The folder of the Rust compiler for the test programs: see rust_wasm in tools/setup.
rust_wasm_dir=$WASMCLOUD_CACHE/rust-wasm

# The virtual environment of the tests; a change of the requirements makes a new one.
test_python_dir=$WASMCLOUD_CACHE/tests-$(sha256sum tests/requirements.txt | cut -c1-12)

# The wasmtime command line that tools/bench compares with: see wasmtime_cli in tools/setup.
wasmtime_version=$(sed -n '/^name = "wasmtime"$/{n;s/^version = "\(.*\)"$/\1/p;}' wasmtime/Cargo.lock)
wasmtime_cli_dir=$WASMCLOUD_CACHE/wasmtime-cli-$wasmtime_version

CARGO=$(find_cargo) || CARGO=cargo
GO=$(find_go) || GO=go
export CARGO GO
export GOTOOLCHAIN=local CGO_ENABLED=0 GOCACHE="$WASMCLOUD_CACHE/go-build"
# cargo starts the rustc beside it, whatever else is first on the path.
case $CARGO in */*) PATH=$(dirname "$CARGO"):$PATH ;; esac
export PATH="$test_python_dir/bin:$PATH"
