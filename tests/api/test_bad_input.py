"""Bad input gets a clear error and loses nothing: modules, requests, programs, options.

A full disk, a busy port and a data folder in use are in test_kill.py."""

import os
import random
import subprocess

import pytest

from cli import Cli
from server import Function, binary, eventually
from wire import Cut

JUDGED = {"not_a_module", "unknown_import", "import_type", "no_entry_point", "no_memory", "module_limit",
          "compile_limit", "compile"}


def upload(server, data):
    answer = server.api.post("/v1/projects/default/modules", content=data,
                             headers={"Content-Type": "application/wasm"})
    assert answer.status_code in (201, 413, 422), answer.text
    return answer


# modules


def test_truncated_modules(server, guests):
    module = (guests / "wasi-hello.wasm").read_bytes()
    for n in {len(module) * i // 12 for i in range(1, 12)} | {1, 4, 7, 8, 9, len(module) - 1}:
        answer = upload(server, module[:n])
        assert answer.status_code == 422 and answer.json()["code"] in JUDGED, (n, answer.text)


def test_random_modules(server, guests):
    chance = random.Random(20261122)
    module = (guests / "cwa-echo.wasm").read_bytes()
    for _ in range(8):
        assert upload(server, chance.randbytes(chance.randrange(1, 5000))).status_code == 422
        assert upload(server, b"\0asm\1\0\0\0" + chance.randbytes(chance.randrange(1, 5000))).status_code == 422
    for _ in range(24):
        changed = bytearray(module)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(8, len(changed))] = chance.randrange(256)
        answer = upload(server, bytes(changed))
        assert answer.status_code == 201 or answer.json()["code"] in JUDGED


@pytest.mark.parametrize("data,said", [
    (b'{"name": "app", "version": 1}', "JSON"), (b"(module)", "text"), (b"", ""), (b"\0asm\x0d\0\1\0", "component"),
    (b"\x7fELF" + bytes(60), "")])
def test_no_modules_at_all(server, data, said):
    answer = server.api.put("/v1/projects/default/functions/mistaken/module", content=data,
                            headers={"Content-Type": "application/wasm"})
    problem = answer.json()
    assert answer.status_code in (400, 422) and said.lower() in problem["detail"].lower(), problem
    assert server.api.get("/v1/projects/default/functions/mistaken").status_code == 404


@pytest.mark.parametrize("guest,code,said", [
    ("cwa-unknown-import", "unknown_import", ["make_coffee"]),
    ("cwa-wrong-import", "import_type", ["log_write", "i64", "i32"]),
    ("cwa-reactor", "no_entry_point", ["_initialize"]),
    ("cwa-huge-memory", "module_limit", ["memory"])])
def test_refusals_name_the_rule(server, guests, guest, code, said):
    problem = upload(server, (guests / f"{guest}.wasm").read_bytes()).json()
    assert problem["code"] == code and all(word in problem["detail"] for word in said), problem


def test_a_module_that_wants_5_gb(server):
    """(module (memory (export "memory") i64 81920) (func (export "_start"))): 64-bit addresses."""
    module = bytes.fromhex("0061736d01000000 010401600000 03020100 05050104808005"
                           "0713 02 066d656d6f7279 0200 065f7374617274 0000 0a040102000b")
    assert upload(server, module).status_code == 422


def test_a_module_over_the_limit(serve, guests, tmp_path):
    server = serve(limits="module=100KiB")
    cli = Cli(tmp_path, server)
    (tmp_path / "large.wasm").write_bytes(b"\0asm\1\0\0\0" + bytes(20 << 20))
    for words in (["large.wasm"], ["large.wasm", "--env", "A=1"]):  # in one request, and in two
        assert "limit" in cli("deploy", *words, status=5).err
    with open(tmp_path / "large.wasm", "rb") as file:
        assert "limit" in cli("deploy", "-", "--name", "piped", stdin=file.read(), status=5).err
    project = "/v1/projects/default"
    fields = {"Content-Type": "application/wasm"}
    large = (guests / "cwa-bare.wasm").read_bytes() + bytes(200 << 10)

    def pieces():
        for at in range(0, len(large), 8192):
            yield large[at:at + 8192]

    for content in (large, pieces()):  # with a length, and without
        answer = server.api.post(f"{project}/modules", content=content, headers=fields)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "limit" in answer.json()["detail"]
    server.deploy("small", guests / "cwa-bare.wasm")
    assert Function(server, "small", None).get().status == 200


# requests


def test_an_unknown_host(server):
    with server.wire(host=f"nobody.localhost:{server.port}") as wire:
        answer = wire.ask("/")
    assert (answer.status, answer.error) == (404, "no_function") and len(answer.body) < 4096
    with server.wire(host=f"nobody.localhost:{server.port}") as wire:
        page = wire.ask("/", fields=[("Accept", "text/html")])
    assert page.get("Content-Type").startswith("text/html") and b"<html" in page.body.lower()


def test_a_body_over_the_limit(guest):
    echo = guest("cwa-echo", limits={"request-body": "64KiB"})
    assert echo.post(body=bytes(65536)).body == bytes(65536)
    answer = echo.post(body=bytes(65537))
    assert (answer.status, answer.error) == (413, "too_large")
    assert echo.post(body=b"still here").body == b"still here"


# programs, deployed unasked


@pytest.mark.parametrize("name,target,status,cause", [
    ("cwa-raw", "/?garbage without a head", 502, "bad_cgi"),
    ("cwa-raw", "/?Content-Type: text/plain%0Ahalf a header", 502, "bad_cgi"),
    ("cwa-raw", "/?Content-Type: text/pl", 502, "bad_cgi"),
    ("cwa-raw", "/?", 502, "bad_cgi"),
    ("cwa-exit", "/", 502, "exit_status"),
    ("cwa-trap", "/", 502, "trap"),
    ("cwa-recurse", "/", 502, "stack_overflow"),
    ("cwa-pointer", "/", 502, "bad_pointer"),
    ("cwa-descriptor", "/?close=1", None, "bad_descriptor")])  # after its head: the answer is cut
def test_programs_that_fail(guest, name, target, status, cause):
    function = guest(name)
    try:
        answer = function.get(target.replace(" ", "%20"))
    except Cut as cut:
        answer = cut.response
    record = function.run(answer.run)
    assert record["cause"] == cause
    if status:
        assert (answer.status, answer.error, record["status"]) == (status, cause, status)
    lines = [line["text"] for line in eventually(lambda: function.logs(run=answer.run))]
    assert lines, "the reason is in the log"


def test_a_program_that_loops(guest):
    function = guest("cwa-loop", limits={"cpu": "50ms"})
    answer = function.get()
    assert (answer.status, answer.error) == (504, "cpu_limit")


def test_bad_cgi_names_the_remedies(guest):
    function = guest("cwa-raw")
    answer = function.get("/?hello%20there")
    text = "\n".join(line["text"] for line in eventually(lambda: function.logs(run=answer.run)))
    assert "hello there" in text and "response: text" in text and "empty line" in text


# the machine


def refused(*words, status=None):
    """`serve` that ends by itself: what it said."""
    done = subprocess.run([binary(), "serve", *map(str, words)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL,
                          env={k: v for k, v in os.environ.items() if not k.startswith("WASMCLOUD_")})
    assert done.returncode not in (0, None) and done.returncode > 0, done
    return done.stdout + done.stderr


FREE = ("--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0")


def test_a_data_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/data", "/proc/wasmcloud-data"):
        assert str(folder) in refused("--data", folder, *FREE)


def test_unknown_options(tmp_path):
    assert "did you mean" in refused("--data", tmp_path / "data", "--lisen-platform=127.0.0.1:0")
    assert refused("--data", tmp_path / "data", *FREE, "--limits=memroy=1MiB")

