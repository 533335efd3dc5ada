"""Isolation, seen from outside and from inside: what an exec process is, and what it can't do."""

import os
import re

import pytest

from server import Server, eventually, files_below, status_of


@pytest.fixture(scope="module")
def own(tmp_path_factory, guests):
    server = Server(tmp_path_factory.mktemp("isolation"), edges=1)
    assert server.api.post("/v1/projects", json={"name": "other"}).status_code == 201
    server.loops = [server.deploy("mine", guests / "cwa-loop.wasm", limits={"cpu": "200ms"}),
                    server.deploy("theirs", guests / "cwa-loop.wasm", limits={"cpu": "200ms"}, project="other")]
    for loop in server.loops:
        assert loop.get().error == "cpu_limit"
    yield server
    server.stop()


def test_execs_are_locked_down(own):
    pids = own.execs()
    assert len(pids) >= 2
    for pid in pids:
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            if capabilities != "CapBnd" or os.geteuid() == 0:
                assert int(status[capabilities], 16) == 0, capabilities
        if os.geteuid() == 0:
            assert set(status["Uid"].split()) != {"0"}, "an exec runs as root"


def test_other_roles_are_locked_down_too(own):
    for pid in own.role("edge") + own.role("control"):
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and int(status["CapEff"], 16) == 0


def test_execs_have_namespaces_of_their_own(own):
    if os.geteuid() != 0:
        return  # the kernel lets nobody else look; the escape attempts below look from inside
    for pid in own.execs():
        for kind in ("net", "mnt", "ipc", "uts"):
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
        assert os.listdir(f"/proc/{pid}/root") == [] or not os.path.exists(f"/proc/{pid}/root/etc")


def test_nothing_is_writable_and_executable_at_once(own):
    if os.geteuid() != 0:
        return  # as above
    for pid in own.execs() + own.role("edge") + own.role("control"):
        with open(f"/proc/{pid}/maps") as file:
            both = [line for line in file if re.search(r" .w.?x", line[:60]) or " rwx" in line]
        assert not both, both


def test_descriptors_of_an_exec(own):
    if os.geteuid() != 0:
        return  # as above
    for pid in own.execs():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert not re.search(r"\.sqlite|keys|token|routes|spool|/etc|/home|/root", target), target


def test_two_projects_never_share_an_exec(own):
    mine, theirs = (own.busiest(loop, "exec") for loop in own.loops)
    assert mine != theirs
    assert (own.busiest(own.loops[0], "exec"), own.busiest(own.loops[1], "exec")) == (mine, theirs)


def test_functions_of_one_project_share_one(own, guests):
    second = own.deploy("second", guests / "cwa-loop.wasm", limits={"cpu": "200ms"})
    assert own.busiest(second, "exec") == own.busiest(own.loops[0], "exec")


def test_idle_execs_end(serve, guests):
    server = serve(limits="exec-idle=500ms", edges=1)
    bare = server.guest(guests, "cwa-bare")
    blank = set(server.execs())
    assert bare.get().status == 200
    assert eventually(lambda: not blank <= set(server.role("exec"))), "the one that was taken ends"
    assert bare.get().status == 200


def test_execs_end_after_their_runs(serve, guests):
    server = serve(limits="exec-runs=20", edges=1)
    bare = server.guest(guests, "cwa-bare")
    seen = set()
    with bare.wire() as wire:
        for _ in range(100):
            assert wire.ask().text == "hello world\n"
            seen |= set(server.role("exec"))
    assert len(seen) >= 5


def test_no_canary_is_found(own, guests):
    canary = own.guest(guests, "cwa-canary")
    with canary.wire() as wire:
        for _ in range(20):
            for _ in range(50):
                wire.request()
            assert {wire.answer().text for _ in range(50)} == {"clean\n"}


def test_no_secret_is_in_a_command_line_or_environment(own, guests):
    function = own.deploy("secretive", guests / "wasi-env.wasm", env={"PASSWORD": "canary-7f3a"})
    assert "PASSWORD=canary-7f3a" in function.get().text
    for pid, words in own.descendants().items():
        assert "canary-7f3a" not in " ".join(words) and own.token not in " ".join(words)
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                assert b"canary-7f3a" not in file.read()
        except OSError:
            assert os.geteuid() != 0
    for path, content in files_below(own.data):
        assert b"canary-7f3a" not in content, path


def test_files_of_the_server_are_nobody_elses(own):
    assert own.data.stat().st_mode & 0o077 == 0
    for path in [*own.data.glob("keys/*"), own.data / "operator.token"]:
        assert path.stat().st_mode & 0o077 == 0, path
