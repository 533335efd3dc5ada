"""Modules as other toolchains make them, byte by byte: the first Dagger modules, which run, and those
built for other worlds, which are told how to be built instead."""

import subprocess

import pytest

I32, I64 = 0x7F, 0x7E


def leb(n):
    out = b""
    while True:
        n, low = n >> 7, n & 0x7F
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out


def vector(items):
    return leb(len(items)) + b"".join(items)


def name(text):
    return leb(len(text.encode())) + text.encode()


def section(number, body):
    return bytes([number]) + leb(len(body)) + body


def module(*, types=(((), (I32,)),), imports=(), exports=("main",), code=b"\x41\x00", data=b""):
    """One function of its own, the last, which all of `exports` name; a memory that no one exports."""
    kinds = [b"\x60" + vector([bytes([t]) for t in p]) + vector([bytes([t]) for t in r]) for p, r in types]
    body = b"\x00" + code + b"\x0b"
    return b"\0asm\1\0\0\0" + b"".join([
        section(1, vector(kinds)),
        section(2, vector([name(m) + name(n) + b"\0" + leb(t) for m, n, t in imports])),
        section(3, vector([leb(0)])),
        section(5, b"\1\0\1"),
        section(7, vector([name(n) + b"\0" + leb(len(imports)) for n in exports])),
        section(10, vector([leb(len(body)) + body])),
        section(11, vector([b"\0\x41\xc8\1\x0b" + leb(len(data)) + data])) if data else b"",  # at 200
    ])


@pytest.fixture
def command(program, tmp_path):
    def run(verb, bytes_):
        (tmp_path / "module.wasm").write_bytes(bytes_)
        return subprocess.run([program, verb, tmp_path / "module.wasm"], capture_output=True, timeout=60,
                              env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL)
    return run


@pytest.mark.parametrize("kind", [I32, I64])
def test_first_dagger_modules(command, kind):
    """open, write and flush as in 2018, in both dialects; the memory is not exported. The status is
    10 × the descriptor + what flush said."""
    const, add, multiply = (b"\x41", b"\x6a", b"\x6c") if kind == I32 else (b"\x42", b"\x7c", b"\x7e")
    wrap = b"" if kind == I32 else b"\xa7"
    code = (const + b"\xc8\1" + const + b"\0" + b"\x10\0" + const + b"\x0a" + multiply  # open(200, 0) * 10
            + const + b"\1" + const + b"\xc8\1" + const + b"\7" + b"\x10\1" + b"\x1a"  # write(1, 200, 7)
            + const + b"\1" + b"\x10\2" + add + wrap)  # + flush(1)
    types = [((), (I32,)), ((kind,) * 2, (kind,)), ((kind,) * 3, (kind,)), ((kind,), (kind,))]
    imports = [("dagger", "open", 1), ("dagger", "write", 2), ("dagger", "flush", 3)]
    done = command("run", module(types=types, imports=imports, code=code, data=b"null://\0"))
    assert (done.returncode, done.stdout) == (40, b"null://"), done.stderr


ELSEWHERE = {
    "Go for browsers": (module(imports=[("gojs", "runtime.wasmExit", 0)], exports=["run"]), "GOOS=wasip1"),
    "Go before 1.21": (module(imports=[("go", "debug", 0)], exports=["run"]), "GOOS=wasip1"),
    "TinyGo for browsers": (module(imports=[("env", "runtime.ticks", 0)], exports=["_start"]), "-target=wasip1"),
    "Emscripten": (module(imports=[("env", "emscripten_resize_heap", 0)]), "-sSTANDALONE_WASM"),
    "Emscripten, made small": (module(imports=[("a", "a", 0)], exports=["c"]), "-sSTANDALONE_WASM"),
    "wasm-bindgen": (module(imports=[("wbg", "__wbg_log_1", 0)]), "wasm32-wasip1"),
    "preview 2": (module(imports=[("wasi:cli/stdout@0.2.0", "get-stdout", 0)]), "preview 1"),
    "a component": (b"\0asm\x0d\0\1\0", "component"),
    "threads": (module(imports=[("wasi", "thread-spawn", 0)]), "without threads"),
    "a reactor": (module(exports=["_initialize", "handle_it"]), "reactor"),
    "a library": (module(exports=["add"]), "no entry point"),
    "an import of another type": (module(imports=[("cwa", "resource_open", 0)]), "wanted is (i32 i32) -> i32"),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_elsewhere(command, what):
    bytes_, remedy = ELSEWHERE[what]
    for verb in "validate", "run":
        done = command(verb, bytes_)
        assert (done.returncode, remedy in done.stderr.decode()) == (126, True), done.stderr.decode()
