"""Limits: each one's status, its name in the answer, and its name in the run's record."""

import threading
import time

import pytest

from server import eventually
from wire import Cut, chunked, head

PAGE = 65536
MIB = 1 << 20


def failed(function, target, status, cause, **kw):
    """Asks for a run that ends before its head: the answer, the cause in it and in the record."""
    answer = function.ask(target, **kw)
    assert (answer.status, answer.error) == (status, cause), answer
    record = function.run(answer.run)
    assert (record["cause"], record["status"]) == (cause, status), record
    return record


def cut(function, target, cause, **kw):
    """Asks for a run that ends after its head: the connection is cut."""
    with function.wire() as wire:
        wire.request(target, **kw)
        with pytest.raises(Cut) as caught:
            wire.answer()
        assert wire.ended() == b""
    record = function.run(caught.value.response.run)
    assert (record["cause"], record["status"]) == (cause, 200), record
    return caught.value.response, record


def test_cpu(guest):
    loop = guest("cwa-loop", limits={"cpu": "200ms"})
    record = failed(loop, "/", 504, "cpu_limit")
    assert 195_000 <= record["cpu_us"] < 1_000_000
    answer, record = cut(loop, "/?after=1", "cpu_limit")
    assert answer.body == b"before the end\n"
    assert any("CPU" in line["text"] for line in eventually(lambda: loop.logs(run=record["id"])))


def test_cpu_is_not_wall(guest):
    sleeper = guest("cwa-sleep", limits={"cpu": "50ms"})
    answer = sleeper.get("/?ms=300")
    assert answer.text == "one\ntwo\n"
    record = sleeper.run(answer.run)
    assert record["cpu_us"] < 50_000 and record["wall_us"] >= 300_000


def test_a_loop_does_not_hold_up_others(guest):
    loop, bare = guest("cwa-loop", limits={"cpu": "2s"}), guest("cwa-bare")
    wires = [loop.wire() for _ in range(4)]
    for wire in wires:
        wire.request("/?after=1")
    for wire in wires:
        wire.head()  # all of them run now
    with bare.wire() as wire:
        for _ in range(5):
            assert wire.ask().text == "hello world\n"
    for wire in wires:
        wire.close()


def test_wall_to_the_head(guest):
    sleeper = guest("cwa-sleep", limits={"wall": "300ms"})
    began = time.monotonic()
    record = failed(sleeper, "/?before=60000", 504, "wall_limit")
    assert time.monotonic() - began >= 0.3 and record["wall_us"] < 60_000_000
    patient = guest("cwa-sleep", limits={"wall": "2s"})
    assert patient.get("/?before=1&ms=2100").text == "one\ntwo\n"  # after the head, another limit counts


def test_wall_does_not_count_waiting_for_the_client(guest):
    raw, clock = guest("cwa-raw", limits={"wall": "2s"}), guest("cwa-sleep")
    body = b"Content-Type: text/plain\n\nbody"
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", len(body))], host=raw.host) + body[:10])
        assert clock.get("/?ms=2100").status == 200  # that much time has passed
        assert wire.send(body[10:]).answer().text == "body"


def test_wall_between_two_outputs(guest):
    answer, _ = cut(guest("cwa-sleep", limits={"stream-idle": "300ms"}), "/?ms=60000", "wall_limit")
    assert answer.body == b"one\n"


def test_wall_of_a_stream(guest):
    cut(guest("cwa-flood", limits={"stream-total": "500ms", "response-body": "0", "cpu": "30s"}), "/", "wall_limit")


def test_memory(guest):
    grow = guest("cwa-grow", limits={"memory": "4MiB"})
    answer = grow.get("/?pages=1")
    assert answer.status == 200
    record = grow.run(answer.run)
    assert (record["cause"], record["memory_peak"]) == ("ok", 4 * MIB)
    first = 4 * MIB // PAGE - int(answer.text.split()[0])
    assert 1 <= first <= 8, "pages it began with"
    record = grow.run(grow.get("/?pages=1&trap=1").run)
    assert record["cause"] in ("trap", "memory_limit") and "memory" in record["text"]


def test_memory_of_a_grower_is_given_back(guest):
    grow = guest("cwa-grow", limits={"memory": "64MiB"})
    for _ in range(20):  # 1.25 GiB in all
        assert grow.get("/?pages=64").status == 200


def test_memory_to_begin_with(server, guests):
    module = (guests / "cwa-huge-memory.wasm").read_bytes()
    answer = server.api.put("/v1/projects/default/functions/huge/module", content=module,
                            headers={"Content-Type": "application/wasm"})
    assert answer.status_code == 422 and "memory" in answer.json()["detail"]


def test_memory_below_what_the_module_begins_with(server, guests):
    """The module is fine, the version's own limit is too small for it: refused, not promoted."""
    api = server.api
    module = (guests / "cwa-bare.wasm").read_bytes()  # two pages
    digest = api.post("/v1/projects/default/modules", content=module,
                      headers={"Content-Type": "application/wasm"}).json()["digest"]
    api.post("/v1/projects/default/functions", json={"name": "tight"})
    refused = api.post("/v1/projects/default/functions/tight/versions",
                       json={"digest": digest, "limits": {"memory": "64KiB"}})
    assert refused.status_code == 422 and refused.json()["code"] == "module_limit"
    assert '"memory"' in refused.json()["detail"]
    assert api.get("/v1/projects/default/functions/tight").json()["state"] == "no_version"


def test_recursion(guest):
    recurse = guest("cwa-recurse")
    with recurse.wire() as wire:
        for _ in range(3):  # and the process that ran it is as good as before
            assert (wire.ask().error, wire.ask().status) == ("stack_overflow", 502)
    failed(recurse, "/", 502, "stack_overflow")


def test_bad_pointers(guest):
    pointer = guest("cwa-pointer")
    failed(pointer, "/", 502, "bad_pointer")
    failed(pointer, "/?wrap=1", 502, "bad_pointer")


def test_output(guest):
    flood = guest("cwa-flood", limits={"response-body": "1MiB"})
    assert len(flood.get(f"/?bytes={MIB}").body) == MIB
    answer, record = cut(flood, f"/?bytes={MIB + 1}", "output_limit")
    answer, record = cut(flood, "/", "output_limit")
    assert len(answer.body) <= MIB + PAGE, "ended by the frame that went over it"
    assert record["bytes_out"] < 3 * MIB


def test_request_body(guest):
    raw = guest("cwa-raw", limits={"request-body": "4KiB"})
    text = b"Content-Type: text/plain\n\n"
    assert raw.post(body=text.ljust(4096, b"x")).status == 200
    answer = raw.post(body=text.ljust(4097, b"x"))
    assert answer.status == 413
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Transfer-Encoding", "chunked")], host=raw.host) + chunked(text.ljust(4096, b"x")))
        assert wire.answer().status == 200
    assert raw.counters["status"]["2xx"] == 2


def test_concurrency_queue_and_busy(serve, guests):
    server = serve(edges=1, limits="queue=1,queue-wait=30s")
    sleeper = server.deploy("sleeper", guests / "cwa-sleep.wasm", limits={"concurrency": "1"})
    running = sleeper.wire()
    running.request("/?ms=60000")
    assert running.head().status == 200  # it holds the only place
    answers = []

    def ask():
        answers.append(sleeper.get("/?ms=0"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: len(answers) == 2)
    assert running.chunk() == b"one\n"
    running.close()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200, 429, 429]  # one place in the queue
    for answer in answers:
        if answer.status == 429:
            assert answer.error == "busy" and int(answer.get("retry-after")) >= 1
    assert answers[-1].status == 200, "the one in the queue waited for its place"


def test_waiting_too_long_in_the_queue(serve, guests):
    server = serve(edges=1, limits="queue-wait=300ms")
    sleeper = server.deploy("sleeper", guests / "cwa-sleep.wasm", limits={"concurrency": "1"})
    with sleeper.wire() as running:
        running.request("/?ms=60000")
        assert running.head().status == 200
        answer = sleeper.get("/?ms=0")
        assert (answer.status, answer.error) == (429, "busy")
    assert eventually(lambda: sleeper.get("/?ms=0").status == 200)  # its place is free again


def test_a_project_has_a_concurrency_of_its_own(serve, guests):
    server = serve(edges=1, limits="project-concurrency=2,queue-wait=300ms")
    one, two = (server.deploy(name, guests / "cwa-sleep.wasm") for name in ("one", "two"))
    with one.wire() as first, two.wire() as second:
        for wire in (first, second):
            wire.request("/?ms=60000")
            assert wire.head().status == 200
        assert (one.get("/?ms=0").error, two.get("/?ms=0").error) == ("busy", "busy")


def test_slow_uploads_hold_no_slot(serve, guests):
    server = serve(edges=1, limits="queue-wait=30s,body-idle=120s")
    raw = server.deploy("raw", guests / "cwa-raw.wasm", limits={"concurrency": "4"})
    wires = [raw.wire() for _ in range(16)]
    for wire in wires:
        wire.send(head("/", "POST", [("Content-Length", 100)], host=raw.host) + b"Content-Type: a/b\n\n")
    for _ in range(10):
        assert raw.get("/?Content-Type:%20a/b%0A%0Ahi").text == "hi"
    for wire in wires:
        wire.send(b"x" * 81)
    assert [wire.answer().status for wire in wires] == [200] * 16
    for wire in wires:
        wire.close()


def test_log_lines(guest):
    log = guest("cwa-log", limits={"log-lines": "100"})
    record = log.run(log.get("/?lines=250&length=20").run)
    assert (record["log_lines"], record["log_lost"], record["cause"]) == (100, 150, "ok")
    lines = eventually(lambda: (found := log.logs(run=record["id"])) and len(found) >= 100 and found)
    assert len([line for line in lines if line["text"] == "abcdefghijklmnopqrst"]) == 100
    counters = log.counters
    assert (counters["log_lines"], counters["log_lost"]) == (100, 150)


def test_log_bytes(guest):
    log = guest("cwa-log", limits={"log-bytes": "4KiB"})
    record = log.run(log.get("/?lines=100&length=100").run)
    assert record["log_lines"] + record["log_lost"] == 100
    assert 3500 <= record["log_lines"] * 100 <= 4096


def test_a_long_log_line(guest):
    log = guest("cwa-log")
    record = log.run(log.get("/?lines=1&length=40000").run)
    assert record["log_lines"] == 1
    kept, _, note = log.logs(run=record["id"])[0]["text"].partition(" ")
    assert len(kept) == 16_384 and str(40_000 - 16_384) in note


def test_log_levels(guest):
    log = guest("cwa-log")
    run = log.get().run
    lines = eventually(lambda: (found := log.logs(run=run)) and len(found) == 7 and found)
    levels = {line["text"]: line["level"] for line in lines}
    assert (levels["an error"], levels["a warning"], levels["an information"]) == ("error", "warning", "info")
    other = next(text for text in levels if "of another level" in text)
    assert "9" in other and levels[other] == "info"
    assert {"from stderr", "and its second line", "unfinished"} <= set(levels)
    assert {line["run"] for line in lines} == {run}


def test_a_limit_above_its_maximum_is_refused(server, guests):
    digest = server.guest(guests, "cwa-bare").record()["digest"]
    path = "/v1/projects/default/functions/cwa-bare/versions"
    for limits in ({"memory": "2GiB"}, {"cpu": "31s"}, {"nonsense": "1"}, {"cpu": "soon"}, {"stack": "1MiB"}):
        answer = server.api.post(path, json={"digest": digest, "check": "none", "limits": limits})
        assert answer.status_code == 422, limits
        assert next(iter(limits)) in answer.text


def test_twenty_hostile_runs_in_a_row_leave_the_server_as_it_was(serve, guests):
    server = serve(edges=1)
    hostile = [(server.guest(guests, name), "/")
               for name in ("cwa-trap", "cwa-recurse", "cwa-pointer", "cwa-exit", "wasi-exit")]
    before = server.execs(), server.edges()
    for _ in range(4):
        for function, target in hostile:
            assert function.get(target).status == 502
    assert server.edges() == before[1]
    assert set(before[0]) <= set(server.role("exec")), "an exec died of its guests"
