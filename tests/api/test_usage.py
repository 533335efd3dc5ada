"""Usage: exact sums by day and function, whatever crashes, and what they would cost."""

import datetime
import sqlite3
import threading

import pytest

from server import Server, eventually
from test_clock import Clock, clock  # noqa: F401
from wire import Cut

PRICES = "requests=0.20/1000000,cpu-ms=0.000002,gb-s=0.0166667/1000,outbound-gb=0.09,response-gb=0.01,log-gb=0.5,currency=EUR"


def usage(server, **query):
    return server.api_json("/v1/projects/default/usage", **query)


def shift(server, days):
    """Makes what was counted so far something of an earlier day. The server must be stopped."""
    db = sqlite3.connect(server.data / "db.sqlite")
    db.execute("UPDATE usage_days SET day = day - ?", (days,))
    db.commit()
    db.close()


def nano(text):
    whole, fraction = text.split(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def test_two_days_crashes_and_a_deleted_function(serve, guests, clock):  # noqa: F811
    clock.set_to_noon()
    server = serve(wrap=clock.wrap, prices=PRICES, edges=2)
    data = server.data
    echo = server.deploy("echo", guests / "cwa-echo.wasm")
    leave = server.deploy("leave", guests / "cwa-exit.wasm")
    for i in range(20):
        echo.post(body=b"x" * i)
    for _ in range(5):
        leave.get()
    assert eventually(lambda: usage(server)["total"]["counters"]["runs"] == 25)
    first = usage(server)
    server.stop()
    shift(server, 1)

    server = serve(wrap=clock.wrap, data=data, prices=PRICES, edges=2, expect_errors=(".*",))
    echo.server = leave.server = server
    echo.host = f"echo.localhost:{server.port}"
    stop, answered, cut = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                (answered if echo.post(body=b"y" * 10).status == 200 else cut).append(1)
            except (OSError, EOFError, Cut):
                cut.append(1)  # the edge was killed under it

    client = threading.Thread(target=ask)
    client.start()
    try:
        for _ in range(5):
            want = len(answered) + 20
            assert eventually(lambda: len(answered) >= want, every=0.001)
            old = {role: server.kill_role(*role) for role in (("control",), ("edge", "0"))}
            assert all(server.replaced(pids, *role) for role, pids in old.items())
    finally:
        stop.set()
        client.join()
    assert eventually(lambda: server.api.get("/readyz").status_code == 200)
    # What is counted a run is answered, or was cut by a kill after its end.
    runs = eventually(lambda: usage(server)["items"][1]["counters"]["runs"])
    assert len(answered) <= runs <= len(answered) + len(cut)
    two = usage(server)
    days = two["items"]
    assert len(days) == 2 and days[0]["counters"] == first["total"]["counters"], "yesterday is as it was"
    assert days[0]["amounts"] == first["total"]["amounts"]
    by_function = {item["function"]: item for item in usage(server, by="function", **{"from": days[0]["day"]})["items"]}
    assert by_function["leave"]["counters"]["failed"] == 5
    assert by_function["echo"]["counters"]["runs"] == 20 + runs
    for name in ("runs", "failed", "cpu_us", "wall_us", "memory_mib_us", "bytes_in", "bytes_out", "log_bytes", "calls"):
        assert sum(item["counters"][name] for item in days) == sum(
            item["counters"][name] for item in by_function.values()) == two["total"]["counters"][name]
    assert server.api.get(echo.path).json()["counters"]["runs"] == by_function["echo"]["counters"]["runs"]

    assert server.api.delete(leave.path).status_code in (200, 204)
    again = usage(server, **{"from": days[0]["day"]})
    assert again["total"]["counters"] == two["total"]["counters"], "deleted functions still count"
    assert {item["function"]: item["deleted"] for item in usage(server, by="function", **{"from": days[0]["day"]})["items"]} == {
        "echo": False, "leave": True}


@pytest.fixture(scope="module")
def priced(tmp_path_factory, guests):
    clock = Clock()
    clock.set_to_noon()
    server = Server(tmp_path_factory.mktemp("priced"), wrap=clock.wrap, prices=PRICES)
    yield server
    server.stop()
    clock.remove()


def test_amounts_are_exact(priced, guests):
    log = priced.deploy("log", guests / "cwa-log.wasm", limits={"memory": "8MiB"})
    for _ in range(30):
        log.get()
    assert log.counters["runs"] == 30
    line = usage(priced)["total"]
    c = line["counters"]
    assert c["status"]["2xx"] == c["runs"] == 30 and c["log_bytes"] > 0
    expected = {
        "requests": (c["runs"] * 200_000_000 * 2 + 1_000_000) // 2_000_000,
        "cpu-ms": (c["cpu_us"] * 2000 * 2 + 1000) // 2000,
        "gb-s": (c["memory_mib_us"] * 2**20 * 16666700 * 2 + 10**18) // (2 * 10**18),
        "outbound-gb": 0,
        "response-gb": (c["bytes_out"] * 10_000_000 * 2 + 10**9) // (2 * 10**9),
        "log-gb": (c["log_bytes"] * 500_000_000 * 2 + 10**9) // (2 * 10**9),
    }
    assert {name: nano(text) for name, text in line["amounts"].items()} == expected
    assert nano(line["amount"]) == sum(expected.values()) and usage(priced)["currency"] == "EUR"
    assert line["cpu_ms"] == f"{c['cpu_us'] // 1000}.{c['cpu_us'] % 1000:03}"


def test_questions_that_make_no_sense(priced):
    for query in {"from": "yesterday"}, {"from": "2026-02-31"}, {"by": "hour"}, {"to": "2026-1-1"}, {
            "from": "2020-01-01", "to": "2021-06-01"}, {"from": "2026-01-02", "to": "2026-01-01"}:
        answer = priced.api.get("/v1/projects/default/usage", params=query)
        assert answer.status_code == 422 and answer.json()["fields"], answer.text
    assert priced.api.get("/v1/projects/default/usage", params={"function": "nobody"}).status_code == 404


def test_the_command_line(server, guests, cli, bare_cli):
    server.deploy("used", guests / "cwa-bare.wasm").get()
    rows = [line.split("\t") for line in cli("usage", "--by", "function").lines]
    assert rows[-1][0] == "total" and "used" in {row[0] for row in rows} and rows[-1][8] == "-"
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    assert cli("usage", "used", "--from", yesterday.strftime("%Y-%m-%d"), "--json").json["total"]["counters"]["runs"] >= 1
    cli("usage", "--by", "hour", status=2)
    for text, part in (("requests=1/0", "requests is an amount"), ("cpu-s=1", "did you mean"), ("gb-s=0.0000000001", "nine decimals"),
                       ("currency=euro", "capital letters"), ("requests", "NAME=AMOUNT")):
        assert part in bare_cli("serve", "--prices", text, status=2).err


def test_top(server, guests, cli):
    bare = server.deploy("busy", guests / "cwa-bare.wasm")
    stop = threading.Event()

    def ask():
        with bare.wire() as wire:
            while not stop.is_set():
                wire.ask()

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        rows = [line.split("\t") for line in cli("top", "--once", "--interval", "1").lines]
        busy = next(row for row in rows if row[0] == "busy")
        assert float(busy[1]) > 0 and busy[3].endswith("%")
        assert next(item for item in cli("top", "--json", "--interval", "1").json["items"] if item["function"] == "busy")["requests_s"] > 0
    finally:
        stop.set()
        asker.join()
