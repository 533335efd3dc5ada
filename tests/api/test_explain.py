"""What a user is told when something goes wrong, here and deployed: what happened, where, and one
line of what to do. Deployed, it is the run's text."""

import json
import os
import subprocess

import pytest

# A crash, and what its explanation has to name.
CRASHES = {
    "far": ("outside of its memory", "at write_far", "at main", "pointer"),
    "divide": ("divided an integer by zero", "at divide", "at main"),
    "null": ("null function pointer", "at call_null", "at main"),
    "deep": ("outside of its memory", "at recurse", "over and over", "recursion", "stack-size"),
    "abort": ("unreachable instruction", "at abort", "at main", "its log may say why"),
}


@pytest.fixture
def here(program, guests, tmp_path_factory):
    """here("cwa-trap", …): what `run` says on standard error about that guest, and its status."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    def run(name, *arguments, flags=(), stdin=""):
        done = subprocess.run([program, "run", *flags, guests / f"{name}.wasm", *arguments], capture_output=True,
                              input=stdin, text=True, env=environment, timeout=60)
        return done.stderr, done.returncode

    return run


@pytest.mark.parametrize("how", CRASHES)
def test_a_crash_in_c(guest, here, how):
    said, status = here("wasi-crash", how)
    crash = guest("wasi-crash")
    answer, run = crash.failure("/?" + how)
    assert (status, answer.status, answer.error, run["cause"]) == (134, 502, "trap", "trap")
    for text in said, run["text"]:
        for part in CRASHES[how]:
            assert part in text, text
        assert "last host call: wasi.fd_write(2, " in text
        assert "hint: " in text
    assert "about to " + how in said and "about to " + how in [line["text"] for line in run["logs"]]


def test_a_panic_in_rust(guest, here):
    said, status = here("rust-panic")
    panic = guest("rust-panic")
    run = panic.run(panic.get().run)
    assert status == 134
    for text in said, run["text"]:
        assert "at panic::kitchen::Machine::brew (0x" in text, "names are demangled"
        assert "last host call: wasi.fd_write(2, " in text
    assert "out of coffee" in said
    assert any("out of coffee" in line["text"] for line in run["logs"])


def test_a_recursion_without_an_end(guest, here):
    said, status = here("cwa-recurse")
    recurse = guest("cwa-recurse")
    run = recurse.run(recurse.get().run)
    assert (status, run["cause"]) == (139, "stack_overflow")
    for text in said, run["text"]:
        assert "at down" in text and "over and over" in text and "recursion" in text


def test_bad_arguments(guest, here):
    for name, cause, parts in (
            ("cwa-pointer", "bad_pointer",
             ("16 bytes at 2147483632", "last host call: cwa.resource_write(1, 2147483632, 16)")),
            ("cwa-descriptor", "bad_descriptor", ("descriptor 77", "last host call: cwa.resource_close(77)"))):
        said, _ = here(name)
        function = guest(name)
        _, run = function.failure()
        assert run["cause"] == cause
        for text in said, run["text"]:
            for part in parts + ("hint: ", "at cwa_main"):
                assert part in text, text


def test_a_limit_names_its_flag(guest, here):
    said, _ = here("cwa-loop", flags=("--cpu=100ms",))
    loop = guest("cwa-loop", limits={"cpu": "100ms"})
    run = loop.run(loop.get().run)
    assert run["cause"] == "cpu_limit"
    for text in said, run["text"]:
        assert "--limit cpu=" in text and "100 ms" in text, text


def test_an_import_of_another_type(server, cli, guests):
    """The import, what was found, what is wanted; the same by every road."""
    wanted = '"log_write" from "cwa" with the type (i64 i32 i32) -> (), wanted is (i32 i32 i32) -> ()'
    for words, status in ((("deploy", guests / "cwa-wrong-import.wasm"), 126),
                          (("validate", guests / "cwa-wrong-import.wasm"), 126),
                          (("run", guests / "cwa-wrong-import.wasm"), 126)):
        assert wanted in cli(*words, status=status).err
    unknown = cli("deploy", guests / "cwa-unknown-import.wasm", status=126).err
    assert '"make_coffee" from "cwa"' in unknown and "not offered" in unknown


def test_output_that_is_no_answer(guest, cli):
    raw = guest("cwa-raw")
    run = raw.run(raw.get("/?hello%20there").run)
    assert run["cause"] == "bad_cgi"
    log = " ".join(line["text"] for line in run["logs"])
    assert "hello there" in run["text"] + log, "the first bytes that were printed"
    assert "response" in run["text"] + log and "text" in run["text"] + log, "both remedies"


def test_a_refused_url_names_its_rule(server, guests, here, tmp_path):
    policy = {"allow": ["https://api.example.com/**"], "disallow": ["https://api.example.com/admin/**"]}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    url = "https://api.example.com/admin/users"
    function = server.deploy("refused", guests / "cwa-same.wasm", policy=policy)
    _, run = function.failure("/", method="POST", body=f"open {url}\n".encode())
    said, status = here("cwa-same", flags=("--policy", tmp_path / "policy.json"), stdin=f"open {url}\n")
    assert (status, run["cause"]) == (159, "policy")
    for text in said, "\n".join(line["text"] for line in run["logs"]):
        assert "vibe check failed: URL forbidden by policy" in text and url in text
        assert "decided by: disallow https://api.example.com/admin/**" in text, text
