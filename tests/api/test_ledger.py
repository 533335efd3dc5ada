"""The ledger: what each run used, exact sums under load, and the same numbers by every road."""

import json
import os
import random
import signal
import subprocess
import threading

import pytest

from server import eventually

HELLO = len("Status: 200 OK\nContent-Type: text/plain\n\nhello world\n")
TEXT_HEAD = len("Content-Type: text/plain\n\n")
BINARY_HEAD = len("Content-Type: application/octet-stream\n\n")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    from server import Server
    server = Server(tmp_path_factory.mktemp("ledger"))
    yield server
    server.stop()


def cli(server, *words, expect=0):
    """Runs a command of the program as the user of this server would."""
    from server import binary
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60, env=server.env)
    assert done.returncode == expect, done.stderr
    return done.stdout


def test_a_known_program(own, guests):
    bare = own.guest(guests, "cwa-bare")
    answer = bare.get("/path?query=secret")
    run = bare.run(answer.run)
    expected = {
        "id": answer.run, "function": "cwa-bare", "version": 1, "method": "GET", "path": "/path", "client": "127.0.0.0/24",
        "status": 200, "cause": "ok", "exit_status": 0, "bytes_in": 0, "bytes_out": HELLO, "calls": 2,
        "host_calls": {"cwa.io_get_stdout": 1, "cwa.resource_write": 1}, "log_lines": 0, "log_lost": 0,
    }
    got = {name: run[name] for name in expected}
    got["client"] = expected["client"] if run["client"].startswith("127.0.0.0") else run["client"]
    assert got == expected
    assert run["memory_peak"] % 65536 == 0 and run["memory_peak"] >= 65536
    assert 0 < run["cpu_us"] <= run["wall_us"] or run["cpu_us"] <= 20
    assert run["started_at"].endswith("Z") and run["logs"] == []
    assert "secret" not in json.dumps(run), "records keep the path without its query"


def test_bytes_in_and_out(own, guests):
    echo = own.guest(guests, "cwa-echo")
    body = b"x" * 200_000
    run = echo.run(echo.post(body=body).run)
    assert (run["bytes_in"], run["bytes_out"]) == (len(body), len(body) + BINARY_HEAD)
    assert run["method"] == "POST"
    bare = own.guest(guests, "cwa-bare")
    assert bare.run(bare.post(body=body).run)["bytes_in"] == 0, "nobody read it"


def test_waiting_costs_no_cpu(own, guests):
    sleeper = own.guest(guests, "cwa-sleep")
    run = sleeper.run(sleeper.get("/?ms=300").run)
    assert run["wall_us"] >= 300_000 and run["cpu_us"] < 30_000
    assert run["host_calls"]["cwa.runtime_msleep"] == 2


def test_computing_costs_cpu(own, guests):
    loop = own.guest(guests, "cwa-loop", limits={"cpu": "300ms"})
    run = loop.run(loop.get().run)
    assert run["cause"] == "cpu_limit" and 290_000 <= run["cpu_us"] < 1_500_000


def test_memory(own, guests):
    grow = own.guest(guests, "cwa-grow", limits={"memory": "8MiB"})
    assert grow.run(grow.get("/?pages=1").run)["memory_peak"] == 8 << 20


def test_memory_of_small_programs_counts(own, guests):
    """Less than a MiB, and for less than a millisecond: the sum is of the runs, to half a MiB × µs each."""
    small = own.deploy("small-memory", guests / "cwa-bare.wasm")
    runs = [small.run(small.get().run) for _ in range(5)]
    assert 0 < runs[0]["memory_peak"] < 1 << 20
    assert small.counters["memory_mib_us"] == sum((r["memory_peak"] * r["wall_us"] + (1 << 19)) >> 20 for r in runs)


def test_calls_of_wasi(own, guests):
    hello = own.guest(guests, "wasi-hello")
    run = hello.run(hello.get().run)
    assert run["bytes_out"] == TEXT_HEAD + len("hello world\n")
    assert run["host_calls"]["wasi.fd_write"] >= 1
    assert sum(run["host_calls"].values()) == run["calls"]


def test_failures_are_all_kept(own, guests):
    leave = own.deploy("failures", guests / "cwa-exit.wasm")
    asked = {leave.get(f"/?status={i % 7 + 1}").run for i in range(150)}  # more than the sample of successes
    leave.counters  # reading them drains the spool
    kept = leave.runs(limit=100)
    assert {run["id"] for run in kept} == asked
    assert {run["cause"] for run in kept} == {"exit_status"}
    assert leave.counters["failed"] == 150
    assert {run["id"] for run in leave.runs(failed="true")} == asked


def test_runs_are_listed_latest_first(own, guests):
    bare = own.guest(guests, "cwa-bare")
    asked = [bare.get(f"/{i}").run for i in range(5)]
    bare.run(asked[-1])
    assert [run["id"] for run in bare.runs()][:5] == asked[::-1]
    page = own.api_json(bare.path + "/runs", limit=2)
    assert [run["id"] for run in page["items"]] == asked[:2:-1] and page["next"]
    page = own.api_json(bare.path + "/runs", limit=2, cursor=page["next"])
    assert [run["id"] for run in page["items"]] == asked[2:0:-1]


def test_counters_are_exact_under_load(own, guests):
    echo = own.deploy("counted", guests / "cwa-echo.wasm")
    connections, each = 16, 188
    sizes = [[random.Random(i).randint(0, 3000) for _ in range(each)] for i in range(connections)]
    failures = []

    def client(sizes):
        try:
            with echo.wire() as wire:
                for size in sizes:
                    body = b"x" * size
                    answer = wire.ask(method="POST", body=body)
                    assert (answer.status, answer.body) == (200, body)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=client, args=(part,)) for part in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    runs, total = connections * each, sum(map(sum, sizes))
    counters = echo.counters
    assert {name: counters[name] for name in ("runs", "failed", "bytes_in", "bytes_out", "log_lines", "log_lost")} == {
        "runs": runs, "failed": 0, "bytes_in": total, "bytes_out": total + runs * BINARY_HEAD, "log_lines": 0, "log_lost": 0}
    assert counters["status"] == {"1xx": 0, "2xx": runs, "3xx": 0, "4xx": 0, "5xx": 0}
    assert counters["cpu_us"] > 0 and counters["wall_us"] > 0
    kept = len(echo.runs(limit=100))
    assert kept > 0 and kept + counters["receipts_lost"] == runs, "what is not kept is counted"
    print(f"{kept} receipts of {runs} kept, {counters['cpu_us'] / runs:.0f} µs CPU a run")


def test_a_full_spool_loses_lines_and_counts_them(serve, guests):
    server = serve(edges=1, spool_size=1 << 20)
    log = server.deploy("log", guests / "cwa-log.wasm", limits={"log-lines": "10000", "log-bytes": "4MiB"})
    assert log.get("/?lines=1").status == 200  # its exec is there
    [control] = server.role("control")
    os.kill(server.pid, signal.SIGSTOP)  # master, which would end a role that stands still for long
    os.kill(control, signal.SIGSTOP)  # nobody drains the spool
    try:
        answers = [log.get("/?lines=9000&length=200") for _ in range(2)]
        assert [answer.text for answer in answers] == ["logged\n"] * 2
        assert [log.get("/?lines=1").status for _ in range(3)] == [200] * 3
    finally:
        os.kill(control, signal.SIGCONT)
        os.kill(server.pid, signal.SIGCONT)
    counters = log.counters
    assert counters["runs"] == 6
    assert counters["log_lines"] + counters["log_lost"] == 1 + 2 * 9000 + 3
    assert 1000 < counters["log_lines"] < 9000
    lines = log.logs(limit=100)
    assert len([line for line in lines if "lost" not in line]) == counters["log_lines"]
    assert sum(line.get("lost", 0) for line in lines) == counters["log_lost"], "the log says where lines are missing"
    assert len(log.runs()) + counters["receipts_lost"] == 6


def test_counters_of_statuses(own, guests):
    raw = own.deploy("statuses", guests / "cwa-raw.wasm")
    for status in (200, 204, 302, 404, 418, 500, 503):
        assert raw.get(f"/?Status:{status}%0A%0A").status == status
    assert raw.get("/?garbage").status == 502
    counters = raw.counters
    assert counters["status"] == {"1xx": 0, "2xx": 2, "3xx": 1, "4xx": 2, "5xx": 3}
    assert (counters["runs"], counters["failed"]) == (8, 1)


def test_logs_by_api(own, guests):
    log = own.deploy("logged", guests / "cwa-log.wasm")
    first, second = log.get().run, log.get("/?lines=3&length=5").run
    lines = eventually(lambda: (found := log.logs()) and len(found) >= 10 and found)
    assert {line["function"] for line in lines} == {"logged"}
    assert [line["text"] for line in log.logs(run=second)] == ["abcde"] * 3
    assert {line["level"] for line in log.logs(level="error")} == {"error"}
    assert len({line["id"] for line in lines}) == len(lines) == 10
    assert len(log.run(first)["logs"]) == 7
    one_by_one = log.logs(limit=1)
    assert sorted(line["id"] for line in one_by_one) == sorted(line["id"] for line in lines)


def test_logs_are_followed(own, guests):
    log = own.deploy("followed", guests / "cwa-log.wasm")
    log.get("/?lines=1&length=3")
    with own.api.stream("GET", log.path + "/logs", params={"follow": "1"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        log.get("/?lines=1&length=7")  # asked while the stream is open
        for line in stream.iter_lines():
            if line.startswith("data:") and "abcdefg" in line:
                break
        else:
            pytest.fail("the stream ended")


def test_the_command_line_shows_the_same(own, guests):
    bare = own.guest(guests, "cwa-bare")
    run = bare.run(bare.get().run)
    shown = json.loads(cli(own, "runs", "show", run["id"], "--json"))
    assert shown == own.api_json(f"/v1/projects/default/runs/{run['id']}")
    listed = json.loads(cli(own, "runs", "cwa-bare", "--json"))
    assert run["id"] in json.dumps(listed)
    log = own.guest(guests, "cwa-log")
    written = log.get("/?lines=2&length=4").run
    log.run(written)
    assert cli(own, "logs", "cwa-log", "--run", written).count("abcd") == 2
    got = json.loads(cli(own, "get", "cwa-bare", "--json"))
    assert got["counters"] == bare.counters


def test_an_injected_run_is_counted(own, guests):
    echo = own.deploy("injected", guests / "cwa-echo.wasm")
    answer = own.api.post(echo.path + "/invoke", content=b"by the API")
    assert (answer.status_code, answer.content) == (200, b"by the API")
    run = echo.run(answer.headers["Wasmcloud-Run"])
    assert (run["cause"], run["bytes_in"], run["method"]) == ("ok", 10, "POST")
    assert answer.headers["Wasmcloud-Status"] == "200"
    assert echo.counters["runs"] == 1
    leave = own.guest(guests, "cwa-exit")
    answer = own.api.post(leave.path + "/invoke")
    assert answer.headers["Wasmcloud-Error"] == "exit_status"
