"""Under load: deploys that nobody notices, slow clients that harm nobody, a rush on a cold function."""

import os
import resource
import threading

import pytest

from load import Load
from server import Server, eventually, resident
from wire import head

MIB = 1 << 20


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("load"), limits="header-time=120s,body-idle=120s")
    yield server
    server.stop()


def test_deploys_under_load(own, guests):
    bare = own.guest(guests, "cwa-bare")
    with Load(bare) as load:
        kept = [own.wire("changing.localhost") for _ in range(4)]  # on all edges, whichever took them
        for number in range(30):
            changing = own.deploy("changing", guests / "cwa-env.wasm", env={"NUMBER": str(number)})
            for wire in kept:  # when the answer is out, everyone gets the new version
                assert wire.ask("/?NUMBER").text == str(number)
            assert changing.version["version"]["number"] == number + 1
        for wire in kept:
            wire.close()
    assert not load.failed and load.cuts == 0


def test_delete_and_undelete_under_load(own, guests):
    bare = own.guest(guests, "cwa-bare")
    path = "/v1/projects/default/functions/coming"
    with Load(bare) as load, own.wire("coming.localhost") as wire:
        own.deploy("coming", guests / "cwa-bare.wasm")
        for _ in range(5):
            assert wire.ask().status == 200
            assert own.api.delete(path).status_code == 204
            assert wire.ask().error == "no_function"
            assert own.api.post(path + "/undelete").status_code == 200
    assert not load.failed and load.cuts == 0


def test_slow_clients_harm_nobody(own, guests):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    bare, raw = own.guest(guests, "cwa-bare"), own.guest(guests, "cwa-raw")
    assert raw.get("/?Content-Type:a/b%0A%0A").status == 200
    beginnings = [b"", b"G", head(host=bare.host)[:-2],
                  head("/", "POST", [("Content-Length", 1000)], host=raw.host) + b"Content-Type: a/b\n\n"]
    roles = own.edges() + own.execs()
    before = sum(map(resident, roles))
    slow = [own.wire() for _ in range(1200)]
    for number, wire in enumerate(slow):
        wire.send(beginnings[number % 4])
    for _ in range(100):
        assert bare.get().text == "hello world\n"
        assert raw.get("/?Content-Type:a/b%0A%0Ahi").text == "hi"
    grown = sum(map(resident, roles)) - before
    assert grown < 64 * MIB, f"{grown / MIB:.1f} MiB for 1,200 slow clients"
    for wire in slow[2::4]:  # they were slow, not wrong
        wire.send(b"\r\n")
    for wire in slow[2::4]:
        assert wire.answer().text == "hello world\n"
    for wire in slow[3::4]:
        wire.send(b"x" * (1000 - len(b"Content-Type: a/b\n\n")))
    assert {wire.answer().status for wire in slow[3::4]} == {200}
    for wire in slow:
        wire.close()
    for edge in own.edges():
        assert eventually(lambda: open_files(edge) < 100)


def open_files(pid):
    """Descriptors of a process; of another user's only root learns them."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def test_a_rush_on_a_cold_function(own, guests):
    for name in ("cold-one", "cold-two"):
        cold = own.deploy(name, guests / "wasi-hello.wasm")
        wires = [cold.wire() for _ in range(200)]
        for wire in wires:
            wire.request()
        assert [wire.answer().text for wire in wires] == ["hello world\n"] * 200
        for wire in wires:
            wire.close()
        assert cold.counters["runs"] == 200


def test_more_than_there_are_places(serve, guests):
    """Ten times as many as may run: every one is answered, well or with 429, and soon all is well again."""
    server = serve(edges=1, limits="queue=8,queue-wait=30s")
    sleeper = server.deploy("sleeper", guests / "cwa-sleep.wasm", limits={"concurrency": "4"})
    answers, lock = [], threading.Lock()

    def client():
        with sleeper.wire() as wire:
            for _ in range(5):
                answer = wire.ask("/?before=20&ms=0")
                with lock:
                    answers.append((answer.status, answer.error))

    threads = [threading.Thread(target=client) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert set(answers) <= {(200, None), (429, "busy")}
    assert answers.count((200, None)) >= 20
    for _ in range(5):
        assert sleeper.get("/?ms=0").status == 200
