"""Canaries: planted as secrets and variables of one project, looked for wherever they must not be.

The database with its log and shared memory, a backup, spools, the route table, logs, answers, the
command line and environment of every process, and the memory of the execs of another project, of
blank execs, of compile jobs, of master and egress. The exec that runs them has them: so the search
finds what is there."""

import os
import pathlib
import signal
import threading

import pytest

from cli import Cli
from memory import found_in
from server import Function, Server, end_process, files_below

P = "/v1/projects/default"
SECRET, VARIABLE = b"canary-secret-5f0b1c9a", b"canary-variable-e81a63f0"
# A signal saves the registers on its stack, and with them the end of what was copied last: this is more.
FORMER = b"canary-former-77d2e4b8" + 4 * b"-longer-than-a-register"
ALL = [SECRET, FORMER, VARIABLE]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of other processes")


def clean(data, what):
    for canary in ALL:
        assert canary not in data, f"{canary.decode()} in {what}"


def put(server, name, value):
    answer = server.api.put(f"{P}/secrets/{name}", json={"value": value.decode()})
    assert answer.status_code == 200
    clean(answer.content, "an answer")


@pytest.fixture(scope="module")
def planted(guests, tmp_path_factory):
    """A server whose project `default` has them and whose project `other` has not; both are in use."""
    own = Server(tmp_path_factory.mktemp("canary"), edges=1, log_level="debug")
    put(own, "KEY", FORMER)
    function = own.deploy("holder", guests / "wasi-echo.wasm", env={"V": VARIABLE.decode()},
                          secrets=["KEY"], capture="all", timing=True)
    failing = own.deploy("failing", guests / "wasi-crash.wasm", env={"V": VARIABLE.decode()},
                         secrets=["KEY"], capture="all")
    for _ in range(20):
        function.post(body=b"hello")
        failing.get()
    put(own, "KEY", SECRET)
    for _ in range(20):
        function.post(body=b"hello")
        failing.get()
    # What is refused says nothing either.
    for body in (b'{"value": "' + SECRET, b'{"valeu": "' + SECRET + b'"}', b'{"value": ["' + SECRET + b'"]}'):
        answer = own.api.put(f"{P}/secrets/KEY", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        clean(answer.content, "a refusal")
    own.api.post("/v1/projects", json={"name": "other"})
    own.deploy("stranger", guests / "cwa-loop.wasm", project="other", limits={"cpu": "200ms"})
    yield own
    own.stop()


def test_files(planted, tmp_path):
    """Everything below the data folder while it is in use, and a backup of it."""
    names = set()
    for path, content in files_below(planted.data):
        names.add(path.relative_to(planted.data).parts[0])
        clean(content, path)
    assert {"db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "spool", "routes", "blobs", "images"} <= names
    Cli(tmp_path, planted)("backup", tmp_path / "whole.backup")
    clean((tmp_path / "whole.backup").read_bytes(), "a backup")
    clean(planted.log().encode(), "the platform's log")


def test_answers(planted):
    """Nothing that reads shows the value of a secret; a variable is only in its version."""
    for path in ("/secrets", "/functions", "/functions/holder", "/functions/holder/runs", "/runs",
                 "/functions/holder/logs", "/functions/failing/logs"):
        answer = planted.api.get(P + path)
        assert answer.status_code == 200
        clean(answer.content, path)
    versions = planted.api.get(f"{P}/functions/holder/versions").content
    assert VARIABLE in versions and SECRET not in versions and FORMER not in versions


def test_command_lines_and_environments(planted):
    for pid in planted.descendants() | {planted.pid: []}:
        for file in ("cmdline", "environ"):
            try:
                data = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
            except OSError:
                assert os.geteuid() != 0 or not os.path.exists(f"/proc/{pid}")
                continue
            clean(data, f"{file} of {pid}")
            assert planted.token.encode() not in data


@needs_root
def test_memory(planted):
    stranger = Function(planted, "stranger", {})
    other = planted.busiest(stranger, "exec")
    found = {pid: found_in(pid, ALL) for pid in planted.execs()}
    holders = [pid for pid, counts in found.items() if counts and any(counts.values())]
    assert len(holders) == 1 and other not in holders and len(found) >= 3, found
    # The positive control: what is in use is there, what was replaced is gone.
    assert found[holders[0]][SECRET] > 0 and found[holders[0]][VARIABLE] > 0
    assert found[holders[0]][FORMER] == 0, found
    for pid in [planted.pid, *planted.role("egress")]:
        assert not any(found_in(pid, ALL).values()), (pid, planted.descendants().get(pid))


@needs_root
def test_compile_jobs(planted, guests):
    """A job that stands still while its memory is looked through."""
    seen, done = [], threading.Event()

    def look():
        while not done.is_set() and not seen:
            for pid in planted.role("compile"):
                if not end_process(pid, signal.SIGSTOP):
                    continue  # it was quicker
                if counts := found_in(pid, ALL):
                    seen.append(counts)
                end_process(pid, signal.SIGCONT)

    for name in ("wasi-conform", "wasi-devices", "wasi-same", "wasi-http", "weather"):
        looker = threading.Thread(target=look)
        looker.start()
        try:
            planted.deploy(name, guests / f"{name}.wasm", project="other")
        finally:
            done.set()
            looker.join()
        if seen:
            break
        done.clear()
    assert seen and not any(any(counts.values()) for counts in seen)
