"""Gas: executed instructions, counted the same way every time, here and on a server."""

import json

import pytest

from server import Function, Server, eventually


@pytest.fixture
def counted(guest):
    return guest("cwa-work", limits={"gas": "50000000"})


def gas_of(function, target):
    answer = function.get(target)
    assert answer.status == 200, answer
    return function.run(answer.run)["gas"]


def test_the_same_work_costs_the_same(counted):
    """Whatever the time it takes and whoever else runs."""
    first = [gas_of(counted, f"/?calls={n}") for n in (0, 100, 200)]
    again = [gas_of(counted, f"/?calls={n}") for n in (0, 100, 200)]
    assert first == again
    # The length of a number in the query costs something, too; each call costs the same.
    per_call = (first[2] - first[1]) / 100
    assert 1 <= per_call < 100 and first[0] < first[1] < first[2]


def test_here_as_there(counted, cli, guests):
    answer = counted.get("/?calls=50")
    there = counted.run(answer.run)["gas"]
    done = cli("run", "--json", "--gas", "50000000", "--cgi", "GET /?calls=50", guests / "cwa-work.wasm")
    assert json.loads(done.err.splitlines()[-1])["gas"] == there


def test_the_limit_ends_it(guest, cli):
    looping = guest("cwa-loop", limits={"gas": "1000000"})
    answer, record = looping.failure()
    assert answer.status == 504 and answer.error == "gas_limit"
    assert record["cause"] == "gas_limit"
    assert 0 < record["gas"] <= 1000000 and record["cpu_us"] < 1000000
    assert any("gas" in line["text"] for line in looping.logs())
    assert "gas" in cli("runs", "show", record["id"]).out


def test_a_version_of_its_own_kind(server, guest, cli):
    """A plain and a counting version of the same module live side by side."""
    function = guest("cwa-work", limits={"gas": "40000000"})
    version = server.api_json(f"{function.path}/versions/live")
    assert version["kind"] == "fuel" and version["limits"]["gas"] == "40000000"
    images = {path.name for path in (server.data / "images").glob(f"*/*/{version['digest']}*")}
    assert f"{version['digest']}.fuel" in images
    plain = server.api.post(f"{function.path}/versions", json={"limits": {"gas": None}, "check": "none"})
    assert plain.status_code == 201 and plain.json()["version"]["kind"] == "plain"
    answer = function.get("/?calls=1")
    assert answer.status == 200 and function.run(answer.run)["gas"] == 0
    assert gas_of(guest("cwa-work", limits={"gas": "50000000"}), "/?calls=1") > 0


@pytest.mark.parametrize("value", ["-1", "lots", "1e3", "99999999999999999999999"])
def test_bad_limits(server, guest, value):
    function = guest("cwa-work")
    answer = server.api.post(f"{function.path}/versions", json={"limits": {"gas": value}})
    assert answer.status_code == 422 and "limits.gas" in answer.json()["fields"], answer.text


def test_timing(guest):
    """Server-Timing: in the head of an answer that is complete when it leaves, else behind its body."""
    at_once = guest("wasi-hello", timing=True, response="text").get()
    parts = at_once.get("Server-Timing").split(", ")
    assert [part.split(";")[0] for part in parts] == ["cpu", "wall"]
    assert all(float(part.split("dur=")[1]) > 0 for part in parts)
    streamed = guest("wasi-sse", timing=True).get()
    assert streamed.get("Server-Timing") is None and len(streamed.chunks) == 3
    (name, value), = streamed.trailers
    assert name == "server-timing" and float(value.split("wall;dur=")[1]) > 100
    assert guest("wasi-hello", response="text").get().get("Server-Timing") is None
    assert guest("wasi-sse").get().trailers == []


def test_a_node_may_count_all(tmp_path, guests):
    """The operator's limit makes live versions count from the next start on: their images are made."""
    server = Server(tmp_path)
    server.deploy("work", guests / "cwa-work.wasm")
    function = Function(server, "work", None)
    assert gas_of(function, "/?calls=5") == 0
    server.stop()
    server = Server(tmp_path, limits="gas=50000000")
    try:
        function = Function(server, "work", None)
        assert eventually(lambda: function.get("/?calls=5").status == 200)
        assert gas_of(function, "/?calls=5") > 0
        version = server.api_json(f"{function.path}/versions/live")
        assert version["kind"] == "fuel" and version["limits"] == {}
    finally:
        server.stop()
