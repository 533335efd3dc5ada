"""Runs: finding them, following them, exporting them."""

import json

import pytest

from test_logs import events, export  # noqa: F401


@pytest.fixture(scope="module")
def mixed(shared_server, guests):
    """A function with runs of several kinds: (function, {kind: id})."""
    leave = shared_server.deploy("mixed", guests / "cwa-exit.wasm")
    asked = {"good": leave.get("/a/b?status=0&after=1").run, "posted": leave.post("/a/c?status=0&after=1", body=b"x").run,
             "failed": leave.get("/z?status=3").run}
    leave.counters
    return leave, asked


def test_filters(server, mixed):
    leave, asked = mixed

    def found(**query):
        return {run["id"] for run in leave.runs(**query)}

    assert found() == set(asked.values())
    assert found(failed="true") == found(cause="exit_status") == found(status="5xx") == found(status="502") == {asked["failed"]}
    assert found(status="2xx") == found(cause="ok") == {asked["good"], asked["posted"]}
    assert found(method="POST") == {asked["posted"]}
    assert found(path="/a") == {asked["good"], asked["posted"]} and found(path="/a/b") == {asked["good"]}
    assert found(version=1) == set(asked.values()) and found(version=2) == set()
    assert found(slower="60s") == set() and found(slower="1us") == set(asked.values())
    assert found(since="1h") == set(asked.values()) and found(until="1h") == set()
    assert found(path="/a", method="POST", limit=1) == {asked["posted"]}
    for query in {"status": "6xx"}, {"cause": "bad luck"}, {"slower": "fast"}, {"version": "0"}, {"since": "x"}, {"no": "1"}:
        answer = server.api.get(leave.path + "/runs", params=query)
        assert answer.status_code == 422 and list(query)[0] in answer.json()["fields"], answer.text


def test_export_and_command_line(server, mixed, cli):
    leave, asked = mixed
    lines = export(server, leave.path + "/runs")
    assert lines == leave.runs()
    assert [json.loads(line) for line in cli("runs", "mixed", "--export").lines] == lines
    assert export(server, "/v1/projects/default/runs", cause="exit_status", path="/z") == leave.runs(failed="true")
    rows = [line.split("\t") for line in cli("runs", "mixed", "--status", "5xx", "--path", "/z").lines]
    assert [row[7] for row in rows] == [asked["failed"]]
    assert len(cli("runs", "mixed", "--lines", "2").lines) == 2


def test_following(server, guests, events):  # noqa: F811
    leave = server.deploy("followed-runs", guests / "cwa-exit.wasm")
    first = [leave.get("/?status=0&after=1").run for _ in range(3)]
    leave.counters
    with server.client(server.token) as client:
        stream = events(client, leave.path + "/runs?follow=1&limit=3")
        assert {next(stream)[1]["id"] for _ in range(3)} == set(first)
        third = leave.get("/?status=4").run
        at, run = next(stream)
        assert (run["id"], run["cause"]) == (third, "exit_status")
        stream.close()
    later = [leave.get(f"/?after={int(i == 0)}&status={i}").run for i in (0, 5, 0, 6)]
    with server.client(server.token) as client:
        again = events(client, leave.path + "/runs?follow=1&failed=true", after=at)
        assert {next(again)[1]["id"] for _ in range(2)} == {later[1], later[3]}, "each once, none missed"
        again.close()


def test_follow_on_the_command_line(server, guests, cli):
    from cli import read_line
    leave = server.deploy("followed-here", guests / "cwa-exit.wasm")
    process = cli.start("runs", "followed-here", "-f", "--json")
    try:
        run = leave.get("/?status=2").run
        assert json.loads(read_line(process.stdout))["id"] == run
    finally:
        process.kill()
        process.communicate()
