"""Faults: any role may be killed at any time; what was acknowledged stays, the rest comes back.

Killing an exec fails the requests inside it, an edge its connections, control no function request at
all. Master's own death ends everything at once and a new start brings all back.
"""

import os
import pathlib
import random
import signal
import socket
import subprocess
import threading

import httpx
import pytest

from load import Load
from server import STOP_SECONDS, Server, binary, end_process, eventually
from wire import Cut

# A role that was killed is an error of that moment, said once by master.
KILLED = ("role_ended", "role_died", "exec_ended", "exec_died", "exec_failed", "compile_ended", "compile_failed",
          "run_failed", "check_failed", "join", "leash_.*")


@pytest.fixture
def own(serve):
    return serve(expect_errors=KILLED)


def test_kill_exec_under_load(serve, guests):
    own = serve(edges=1, expect_errors=KILLED)
    assert own.api.post("/v1/projects", json={"name": "other"}).status_code == 201
    bare, sleeper = own.guest(guests, "cwa-bare"), own.guest(guests, "cwa-sleep")
    loop = own.guest(guests, "cwa-loop", limits={"cpu": "200ms"})
    neighbour = own.deploy("neighbour", guests / "cwa-bare.wasm", project="other")
    assert neighbour.get().status == 200
    victim = own.busiest(loop, "exec")
    with Load(bare) as load, Load(neighbour, 2) as quiet, sleeper.wire() as begun, sleeper.wire() as waiting:
        begun.request("/?ms=60000")
        run = begun.head().run
        assert begun.chunk() == b"one\n"
        waiting.request("/?before=60000")
        load.wait_for(50)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(Cut):
            drain(begun)
        answer = waiting.answer()
        assert (answer.status, answer.error) == (502, "exec_died")
        load.wait_for(100)
    assert {answer[:2] for answer in load.failed} <= {(502, "exec_died")}
    assert len(load.failed) + load.cuts <= 4, "only what was inside failed"
    assert not quiet.failed and not quiet.cuts, "the neighbour notices nothing"
    assert sleeper.run(run)["cause"] == "exec_died"
    assert bare.get().text == "hello world\n"
    assert own.busiest(loop, "exec") != victim


def drain(wire):
    """Reads chunks until the connection is cut."""
    try:
        while wire.chunk():
            pass
    except EOFError:
        raise Cut(None) from None


def test_kill_edge_under_load(own, guests):
    bare = own.guest(guests, "cwa-bare")
    with Load(bare, 8) as load:
        for number in [own.descendants()[edge][2] for edge in own.edges()]:
            assert own.replaced(own.kill_role("edge", number), "edge", number)
            load.wait_for(50)
    assert not load.failed, "whoever was answered was answered well"
    assert load.cuts <= 8 * 2 + 8, "connections of that edge, and what waited for it"
    assert eventually(lambda: own.api.get("/healthz").status_code == 200)
    # What the dead edges had counted lies in their mapped spools; only what was just then inside may differ.
    counters = bare.counters
    answered = len(load.answers)
    assert answered - 16 <= counters["runs"] <= answered + 32


def test_kill_the_platform_edge(own, guests):
    bare = own.guest(guests, "cwa-bare")
    with Load(bare) as load:
        assert own.replaced(own.kill_role("edge", "platform"), "edge", "platform")
        load.wait_for(50)
    assert not load.failed and load.cuts == 0
    assert eventually(lambda: own.api.get("/v1/whoami").status_code == 200)


def test_kill_control_under_load(own, guests):
    bare = own.guest(guests, "cwa-bare")
    with Load(bare, 8) as load:
        for _ in range(3):
            assert own.replaced(own.kill_role("control"), "control")
            load.wait_for(50)
            assert eventually(lambda: own.api.get("/readyz").status_code == 200)
    assert not load.failed and load.cuts == 0, "no function request notices"
    assert bare.counters["runs"] == len(load.answers)
    assert own.deploy("after", guests / "cwa-bare.wasm").get().text == "hello world\n"


def test_the_api_answers_while_control_is_away(own, guests):
    own.guest(guests, "cwa-bare")
    own.kill_role("control")
    while True:
        answer = own.api.get("/v1/projects/default/functions/cwa-bare")
        if answer.status_code == 200:
            break
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["code"] == "unavailable"


def test_what_was_acknowledged_outlives_kill_of_control(own, guests):
    made = []
    for i in range(5):
        made.append(own.deploy(f"kept-{i}", guests / "cwa-bare.wasm"))
        old = own.kill_role("control")  # right after the answer
        assert made[-1].get().status == 200
        assert own.replaced(old, "control")
        assert eventually(lambda: own.api.get("/readyz").status_code == 200)
    names = {function["name"] for function in own.api_list("/v1/projects/default/functions")}
    assert names >= {function.name for function in made}


def test_kill_a_compile_job(own, guests):
    module = (guests / "go-cgi.wasm").read_bytes()  # takes its time
    answers = []

    def upload():
        answers.append(own.api.put("/v1/projects/default/functions/big/module", params={"check": "none"},
                                   content=module, headers={"Content-Type": "application/wasm"}))

    thread = threading.Thread(target=upload)
    thread.start()
    job = eventually(lambda: own.role("compile"), every=0)
    assert job and end_process(job[0])
    thread.join()
    assert answers[0].status_code in (422, 503), answers[0].text
    assert answers[0].headers["content-type"].startswith("application/problem+json")
    assert own.deploy("big", guests / "cwa-bare.wasm").get().text == "hello world\n"


def test_kill_the_blank_execs(own, guests):
    blank = own.kill_role("exec")
    assert own.guest(guests, "cwa-bare").get().text == "hello world\n"
    assert own.replaced(blank, "exec")


def test_a_stopped_role_is_replaced(own, guests):
    """A process that hangs sends no heartbeat: master ends it."""
    bare = own.guest(guests, "cwa-bare")
    own.expect_errors.append("role_hangs")
    old = own.role("control")
    os.kill(old[0], signal.SIGSTOP)
    assert bare.get().text == "hello world\n"
    assert own.replaced(old, "control")
    assert eventually(lambda: own.api.get("/readyz").status_code == 200)


def test_kill_master(serve, guests):
    server = serve()
    bare = server.guest(guests, "cwa-bare")
    for _ in range(10):
        assert bare.get().status == 200
    server.kill()  # asserts that nothing is left behind
    again = Server(server.folder, data=server.data)
    try:
        found = again.api_json("/v1/projects/default/functions/cwa-bare")
        assert found["counters"]["runs"] == 10
        with again.wire("cwa-bare.localhost") as wire:
            assert wire.ask().text == "hello world\n"
        assert again.token == server.token
    finally:
        again.stop()


def test_random_kills_lose_nothing(own, guests):
    dice = random.Random(12)
    bare = own.guest(guests, "cwa-bare")
    kept = set()
    for i in range(12):
        try:
            if own.api.post("/v1/projects/default/functions", json={"name": f"made-{i}"}).status_code == 201:
                kept.add(f"made-{i}")
        except httpx.HTTPError:
            pass  # it was not acknowledged
        end_process(dice.choice(sorted(own.descendants())))
        assert eventually(lambda: bare.get().text == "hello world\n")
    assert eventually(lambda: own.api.get("/readyz").status_code == 200)
    assert {f["name"] for f in own.api_list("/v1/projects/default/functions")} >= kept


# Ends and starts

def test_sigterm_lets_running_requests_finish(serve, guests):
    server = serve()
    sleeper = server.guest(guests, "cwa-sleep")
    with sleeper.wire() as wire, sleeper.wire() as idle:
        assert idle.ask("/?ms=0").status == 200
        wire.request("/?ms=1500")
        assert wire.head().status == 200
        assert wire.chunk() == b"one\n"
        os.kill(server.pid, signal.SIGTERM)
        assert idle.ended() == b""  # an idle connection is closed at once
        assert eventually(lambda: refuses(server))
        assert wire.chunk() == b"two\n"
        assert wire.chunk() == b""
    assert server.process.wait(STOP_SECONDS) == 0
    server.stop()


def refuses(server):
    try:
        socket.create_connection(server.address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_does_not_wait_forever(serve, guests):
    server = serve(limits="drain=1s")
    sleeper = server.guest(guests, "cwa-sleep")
    with sleeper.wire() as wire:
        wire.request("/?ms=120000")
        assert wire.head().status == 200
        os.kill(server.pid, signal.SIGTERM)
        with pytest.raises(Cut):
            wire.chunk()
            drain(wire)
    assert server.process.wait(STOP_SECONDS) == 0
    server.stop()


def test_sigterm_in_the_middle_of_a_deploy(serve, guests):
    """Who asked for it is gone when it ends; control doesn't stumble over that."""
    server = serve(limits="drain=1s")
    sleeper = server.guest(guests, "cwa-sleep")
    asked = [
        threading.Thread(target=give_up, args=[server, f"{sleeper.path}/versions",
                                               {"check": "GET /?before=60000", "env": {"A": "b"}}]),
        threading.Thread(target=give_up, args=[server, f"{sleeper.path}/invoke?path=/%3Fbefore=60000", None])]
    for thread in asked:
        thread.start()
    assert eventually(lambda: len(server.api_list(f"{sleeper.path}/versions")) == 2)
    server.stop()
    for thread in asked:
        thread.join()


def give_up(server, path, body):
    with server.client(server.token) as api:
        try:
            api.post(path, json=body)
        except httpx.HTTPError:
            pass


def test_restart_keeps_everything(serve, guests, tmp_path):
    first = serve()
    log = first.deploy("kept", guests / "cwa-log.wasm", env={"A": "b"}, limits={"log-lines": "5"})
    plain = first.deploy("plain", guests / "cwa-raw.wasm", response="text")
    run = log.get("/?lines=7&length=4").run
    first.deploy("gone", guests / "cwa-bare.wasm")
    assert first.api.delete("/v1/projects/default/functions/gone").status_code == 204
    record = log.run(run)
    before = log.record()
    first.stop()
    second = serve(data=first.data)
    assert second.api_json(log.path) | {"url": None} == before | {"url": None}  # but for the port
    assert second.api_json(f"/v1/projects/default/runs/{run}") == record
    with second.wire("kept.localhost") as wire:
        assert wire.ask("/?lines=1").text == "logged\n"
    with second.wire("plain.localhost") as wire:
        assert wire.ask(method="POST", body=b"no head").text == "no head"
    with second.wire("gone.localhost") as wire:
        assert wire.ask().error == "no_function"
    assert second.api_json(log.path)["counters"]["runs"] == 2
    assert plain.version


def failing_serve(folder, *options, wrap=()):
    done = subprocess.run([*wrap, binary(), "serve", *options], capture_output=True, text=True, timeout=60, cwd=folder,
                          env={k: v for k, v in os.environ.items() if not k.startswith("WASMCLOUD_")} | {"HOME": str(folder)})
    return done.returncode, done.stderr


ANY_PORT = ("--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0")


def test_a_second_server_on_the_same_data_is_refused(serve, guests):
    server = serve()
    status, text = failing_serve(server.folder, "--data", str(server.data), *ANY_PORT)
    assert status == 1 and str(server.data) in text and "another" in text.lower() or "already" in text.lower()
    assert server.guest(guests, "cwa-bare").get().status == 200


def test_a_busy_port(serve, tmp_path):
    server = serve()
    for option in ("--listen-platform", "--listen-functions"):
        taken = server.platform_address if "platform" in option else server.address
        others = [other for other in ANY_PORT if not other.startswith(option)]
        status, text = failing_serve(tmp_path, "--data", str(tmp_path / "data"), f"{option}=127.0.0.1:{taken[1]}", *others)
        assert status == 1 and str(taken[1]) in text and "in use" in text and option in text


def test_a_data_folder_that_is_not_writable(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    status, text = failing_serve(tmp_path, "--data", str(blocked), *ANY_PORT)
    assert status == 1 and str(blocked) in text
    status, text = failing_serve(tmp_path, "--data", "/proc/data", *ANY_PORT)
    assert status == 1 and "/proc/data" in text


def test_a_read_only_data_folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    script = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
    wrap = [*unshare(), "sh", "-c", script, "sh", str(folder)]
    status, text = failing_serve(tmp_path, "--data", str(folder), *ANY_PORT, wrap=wrap)
    assert status == 1 and str(folder) in text and "ead-only" in text


def unshare():
    """A mount namespace of its own; who isn't root becomes root of a user namespace."""
    return ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]


def test_a_full_disk(tmp_path, guests):
    folder = tmp_path / "data"
    folder.mkdir()
    script = 'mount -t tmpfs -o size=220m none "$1" && shift && exec "$@"'
    server = Server(tmp_path, wrap=[*unshare(), "sh", "-c", script, "sh", str(folder)],
                    expect_errors=["store_.*", "disk_full", "blob_.*", "request_failed", "api_.*"])
    try:
        inside = pathlib.Path(f"/proc/{server.pid}/root{folder}")  # the folder as the server sees it
        bare = server.guest(guests, "cwa-bare")
        assert bare.get().status == 200
        filler = inside / "filler"
        fill(filler)
        module = (guests / "rust-cgi.wasm").read_bytes()
        answer = server.api.put("/v1/projects/default/functions/late/module", params={"check": "none"},
                                content=module, headers={"Content-Type": "application/wasm"})
        assert answer.status_code == 507, answer.text
        assert answer.json()["code"] == "disk_full"
        for _ in range(20):
            assert bare.get().text == "hello world\n"
        filler.unlink()
        late = eventually(lambda: server.deploy("late", guests / "rust-cgi.wasm"))
        assert late.get("/x").text == "hello from GET /x\n"
        assert bare.get().text == "hello world\n"
    finally:
        server.stop()


def fill(path):
    """Writes until the file system is full, to the last page."""
    with open(path, "wb", buffering=0) as file:
        size = 1 << 20
        while size >= 512:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
