"""Exact ledgers: 10,000 known runs by 64 clients at once add up to the last byte.

What each run uses is decided here, from its number; the counters of a function must then be the sum
over its runs, and every record must say what its run used: here all are kept."""

import random
import threading

import pytest

from server import Server, binary

CLIENTS = 64
RUNS = 1536 if "asan" in str(binary()) else 10_048  # instrumented, a run costs ten times as much
HEAD = len("Content-Type: text/plain\n\n")
PAGE = 65536


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("exact"), limits="receipts=1000000")
    yield server
    server.stop()


class Work:
    """A run of cwa-work: its request, and what its record has to say."""

    function = "cwa-work"

    def __init__(self, number):
        r = random.Random(number)
        calls, lines, opens = r.randrange(40), r.choice((0, 0, 0, 1, 3)), r.choice((0, 0, 1, 2))
        out, at_once, pages = r.randrange(3000), r.choice((100, 1000)), r.choice((0, 0, 1, 5))
        size, most = r.randrange(2000), r.choice((0, 500, 1 << 20))
        status, refused = r.choice((0, 0, 0, 0, 0, 0, 0, 3)), r.choice((0, 0, 0, 1, 4))
        self.body = b"x" * size
        self.target = (f"/{number}?calls={calls}&read={most}&out={out}&at-once={at_once}&log={lines}"
                       f"&opens={opens}&refused={refused}&pages={pages}&status={status}")
        self.status = 200
        read = min(size, most)
        reads = 0 if not most else 1 if size == 0 or size >= most else 2  # a second one finds the end
        writes = -(-out // at_once)
        self.host_calls = {key: n for key, n in {
            "cwa.env_get": 9, "cwa.time_now": calls, "cwa.io_get_stdin": reads, "cwa.resource_read": reads,
            "cwa.resource_open": opens + refused, "cwa.resource_close": opens, "cwa.log_write": lines,
            "cwa.io_get_stdout": 1 + writes, "cwa.resource_write": 1 + writes}.items() if n}
        self.record = {
            "cause": "exit_status" if status else "ok", "exit_status": status, "status": 200, "method": "POST",
            "path": f"/{number}", "bytes_in": read, "bytes_out": HEAD + out, "request_bytes": size,
            "log_lines": lines + 4 * refused, "log_lost": 0, "pages": pages,  # what refuses says it in four lines
            "calls": sum(self.host_calls.values()), "opens": opens, "refused": refused, "uses_lost": 0}
        self.answer = bytes(97 + i % at_once % 26 for i in range(out))


class Echo:
    function = "cwa-echo"

    def __init__(self, number):
        size = random.Random(number).choice((0, 1, 10, 1000, 4000))
        self.body = self.answer = b"%d" % number * size
        self.body = self.answer = self.body[:size]
        self.target, self.status = f"/{number}", 200
        reads = 2 if size else 1
        self.host_calls = {"cwa.io_get_stdin": reads, "cwa.resource_read": reads,
                           "cwa.io_get_stdout": reads, "cwa.resource_write": reads}
        self.record = {
            "cause": "ok", "exit_status": 0, "status": 200, "method": "POST", "path": f"/{number}",
            "bytes_in": size, "bytes_out": size + len("Content-Type: application/octet-stream\n\n"),
            "request_bytes": size, "log_lines": 0, "log_lost": 0, "calls": sum(self.host_calls.values()),
            "opens": 0, "refused": 0}


class Wasi:
    function = "wasi-same"

    def __init__(self, number):
        self.body = b"x" * (number % 7 * 300)
        self.target, self.status, self.answer, self.host_calls = f"/{number}", 200, None, None
        self.record = {
            "cause": "ok", "exit_status": 0, "status": 200, "method": "POST", "path": f"/{number}",
            "bytes_in": len(self.body), "request_bytes": len(self.body), "log_lines": 2, "log_lost": 0, "opens": 4,
            "refused": 0}


class Trap:
    function = "cwa-trap"

    def __init__(self, number):
        self.body, self.target, self.status, self.answer = b"", f"/{number}", 502, None
        self.host_calls = {"cwa.env_get": 1}
        self.record = {
            "cause": "trap", "exit_status": 0, "status": 502, "method": "POST", "path": f"/{number}", "bytes_in": 0,
            "bytes_out": 0, "request_bytes": 0, "log_lost": 0, "calls": 1, "opens": 0,
            "refused": 0}


def deployed(own, guests, name):
    """The function of this name; what the policy of cwa-work refuses doesn't end it."""
    return own.guest(guests, name, **({"policy": {"on_violation": "error"}} if name == "cwa-work" else {}))


def kinds():
    """What each run is: mostly work, of every kind."""
    r = random.Random("kinds")
    return [r.choices((Work, Echo, Wasi, Trap), (6, 4, 2, 1))[0](number) for number in range(RUNS)]


def ask_all(own, functions, runs):
    """Every run once, by 64 clients on kept connections: run id -> run."""
    asked, failures, lock = {}, [], threading.Lock()
    queue = iter(runs)

    def client():
        try:
            with own.wire() as wire:
                while True:
                    with lock:
                        run = next(queue, None)
                    if run is None or failures:
                        return
                    answer = wire.ask(run.target, "POST", body=run.body, host=functions[run.function].host)
                    assert answer.status == run.status, (run.target, answer)
                    assert run.answer is None or answer.body == run.answer, (run.target, answer)
                    with lock:
                        asked[answer.run] = run
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    return asked


def test_ten_thousand_known_runs(own, guests):
    functions = {name: deployed(own, guests, name) for name in ("cwa-work", "cwa-echo", "wasi-same", "cwa-trap")}
    first = functions["cwa-work"].run(functions["cwa-work"].get("/").run)
    before = {name: function.counters for name, function in functions.items()}
    runs = kinds()
    asked = ask_all(own, functions, runs)
    assert len(asked) == RUNS, "every run has its own id"

    counters = {name: function.counters for name, function in functions.items()}  # which drains what edges hold
    records = {name: {run["id"]: run for run in function.runs(limit=100)} for name, function in functions.items()}
    for name, function in functions.items():
        mine = [run for run in runs if run.function == name]
        kept = {run_id: record for run_id, record in records[name].items() if run_id in asked}
        for run_id, record in kept.items():
            exact(asked[run_id], record, first["memory_peak"])
        after, was = counters[name], before[name]
        grown = {key: after[key] - was[key] for key in after if isinstance(after[key], int)}
        assert grown["runs"] == len(mine)
        assert grown["failed"] == sum(run.record["cause"] != "ok" for run in mine)
        for counter, key in ("bytes_in", "request_bytes"), ("log_lost", "log_lost"):  # an edge counts bodies
            assert grown[counter] == sum(run.record[key] for run in mine), key
        if name in ("cwa-work", "cwa-echo"):
            assert grown["bytes_out"] == sum(run.record["bytes_out"] for run in mine)
        # Every record is kept here: what nobody can foretell must add up as well.
        assert len(kept) == len(mine) and grown["receipts_lost"] == 0
        for counter, key in (("cpu_us", "cpu_us"), ("wall_us", "wall_us"), ("bytes_out", "bytes_out"),
                             ("log_lines", "log_lines")):
            assert grown[counter] == sum(record[key] for record in kept.values()), counter


def exact(run, record, memory):
    """This record is that run's."""
    wanted = dict(run.record)
    pages = wanted.pop("pages", None)
    got = {key: record[key] for key in wanted}
    assert got == wanted, record
    refusals = [(row["url"], row["times"]) for row in record["refusals"]]
    assert refusals == ([("https://example.com/forbidden?…", record["refused"])] if record["refused"] else [])
    if run.host_calls is not None:
        assert record["host_calls"] == run.host_calls, record
    assert sum(record["host_calls"].values()) == record["calls"]
    if pages is not None:
        assert record["memory_peak"] == memory + pages * PAGE
    assert record["response_bytes"] == record["bytes_out"]


def test_a_known_run_of_each_kind(own, guests):
    """The expectations above, one by one: where they are wrong, this says so first."""
    memory = None
    for kind in Work, Echo, Wasi, Trap:
        function = deployed(own, guests, kind.function)
        base = function.run(function.get("/").run)["memory_peak"]
        memory = base if kind is Work else memory
        for number in range(12):
            run = kind(number)
            answer = function.post(run.target, body=run.body)
            assert answer.status == run.status
            exact(run, function.run(answer.run), memory)
