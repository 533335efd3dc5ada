"""Log lines as people search them: filters, pages, export and following, and what is said where
some were lost."""

import json
import threading
import uuid

import pytest

from server import eventually


@pytest.fixture
def events():
    """events(client, path, after=…): a generator of (id, object) of a stream of server-sent events."""
    def follow(client, path, after=None):
        fields = {"Last-Event-ID": str(after)} if after is not None else {}
        with client.stream("GET", path, headers=fields, timeout=30) as answer:
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            at = None
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    at = int(line[4:])
                elif line.startswith("data: "):
                    yield at, json.loads(line[6:])
    return follow


def export(server, url, **query):
    """The JSON lines of an export."""
    with server.api.stream("GET", url, params=query | {"format": "jsonl"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/jsonl")
        return [json.loads(line) for line in answer.iter_lines()]


def test_filters(server, guests):
    log = server.deploy("filters", guests / "cwa-log.wasm")
    runs = [log.get().run for _ in range(3)]
    log.counters
    lines = log.logs()
    assert len(lines) == 3 * 7 and [int(line["id"]) for line in lines] == sorted(int(line["id"]) for line in lines)
    assert {line["level"] for line in log.logs(level="error")} == {"error"} and len(log.logs(level="error")) == 3
    assert len(log.logs(level="warning")) == 6
    assert {line["run"] for line in log.logs(run=runs[1])} == {runs[1]} and len(log.logs(run=runs[1])) == 7
    assert [line["text"] for line in log.logs(run=runs[1], text="second")] == ["and its second line"]
    assert len(log.logs(text="an error")) == 3 and log.logs(text="AN ERROR") == []
    assert len(log.logs(since="1h")) == 21 and log.logs(until="1h") == []
    middle = log.logs(run=runs[1])[0]["at"]
    assert len(log.logs(since=middle)) + len(log.logs(until=middle)) == 21
    assert [line["id"] for line in log.logs(limit=2, level="error")] != []
    for query in ({"level": "loud"}, {"since": "soon"}, {"run": "7"}, {"run": str(uuid.UUID(int=0))},
                  {"text": "x" * 129}, {"unknown": "1"}):
        answer = server.api.get(log.path + "/logs", params=query)
        assert answer.status_code == 422 and list(query)[0] in answer.json()["fields"], answer.text


def test_pages_go_back_without_a_gap(server, guests):
    log = server.deploy("pages", guests / "cwa-log.wasm", limits={"log-lines": "1000"})
    log.get("/?lines=95")
    log.counters
    seen, cursor = [], {}
    while True:
        page = server.api_json(log.path + "/logs", limit=20, **cursor)
        seen = page["items"] + seen
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == 95 and [int(line["id"]) for line in seen] == sorted(int(line["id"]) for line in seen)


def test_the_lines_of_a_project(server, guests):
    api = server.api
    api.post("/v1/projects", json={"name": "loud"})
    for name in "loud-one", "loud-two":
        server.deploy(name, guests / "cwa-log.wasm", project="loud")
        server.wire(f"{name}.localhost:{server.port}").ask("/?lines=2")
    lines = server.api_list("/v1/projects/loud/logs")
    assert sorted(line["function"] for line in lines) == ["loud-one"] * 2 + ["loud-two"] * 2
    assert export(server, "/v1/projects/loud/logs") == lines
    run = lines[0]["run"]
    assert server.api_list("/v1/projects/default/logs", run=run) == [], "another project's run"


def test_export_is_all_of_it(server, guests, cli):
    log = server.deploy("exported", guests / "cwa-log.wasm", limits={"log-lines": "10000", "log-bytes": "4MiB"})
    for _ in range(3):
        log.get("/?lines=3000&length=300")
    assert log.counters["log_lines"] == 9000
    lines = export(server, log.path + "/logs")
    assert len(lines) == 9000 and len({line["id"] for line in lines}) == 9000
    assert [int(line["id"]) for line in lines] == sorted(int(line["id"]) for line in lines)
    assert export(server, log.path + "/logs", level="error") == []
    accept = server.api.get(log.path + "/logs", headers={"Accept": "application/jsonl"})
    assert len(accept.text.splitlines()) == 9000
    assert [json.loads(line) for line in cli("logs", "exported", "--export").lines] == lines


def test_following_what_matches(server, guests, events):
    log = server.deploy("followed-lines", guests / "cwa-log.wasm")
    log.get()
    log.counters
    with server.client(server.token) as client:
        stream = events(client, log.path + "/logs?follow=1&level=error&limit=1")
        first = next(stream)[1]
        assert first["text"] == "an error"
        run = log.get().run
        at, line = next(stream)
        assert (line["run"], line["level"]) == (run, "error")
        stream.close()
    with server.client(server.token) as client:
        last = log.get().run
        again = events(client, log.path + "/logs?follow=1&level=error", after=at)
        assert next(again)[1]["run"] == last, "exactly the next one"
        again.close()


def test_followers_see_each_line_once_across_a_crash(serve, guests, events):
    server = serve(expect_errors=(".*",))
    log = server.deploy("crash", guests / "cwa-log.wasm", limits={"log-lines": "1000"})
    seen, after, stop = [], 0, threading.Event()

    def follow():
        nonlocal after
        while not stop.is_set():
            try:
                with server.client(server.token) as client:
                    for after, line in events(client, log.path + "/logs?follow=1&since=1h", after=after):
                        seen.append(line["text"])
                        if len(seen) == 150:
                            return
            except Exception:
                stop.wait(0.1)

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        for i in range(1, 11):
            log.get(f"/?lines=15&length={i}")
            if i in (4, 8):
                server.kill_role("control")
        reader.join(60)
        assert len(seen) == 150
    finally:
        stop.set()
    assert sorted(map(len, seen)) == sorted(list(range(1, 11)) * 15), "none twice, none missing"


def test_lost_lines_are_said_where_they_were_lost(guest, cli):
    log = guest("cwa-log", limits={"log-lines": "3"})
    run = log.get("/?lines=10").run
    assert eventually(lambda: log.counters["log_lost"] == 7)
    said = [line for line in log.logs() if "lost" in line]
    assert [(line["lost"], line["source"], line["level"]) for line in said] == [(7, "platform", "warning")]
    assert "7 log lines were lost here" in said[0]["text"] and "log-lines" in said[0]["text"]
    of_run = log.server.api_json(log.path + "/logs", run=run)
    assert of_run["lost"] == 7 and len(of_run["items"]) == 3
    assert "7 log lines were lost here" in cli("logs", log.name).out
    assert "7 lines of this run were lost" in cli("logs", log.name, "--run", run).err


def test_old_and_many_lines_go(serve, guests):
    server = serve(limits="log-stored=20KiB")
    log = server.deploy("small", guests / "cwa-log.wasm", limits={"log-lines": "1000"})
    for _ in range(4):
        log.get("/?lines=60&length=100")
    log.counters
    assert eventually(lambda: len(log.logs(limit=1000)) == 20480 // 164)
    server.stop()
    server = serve(data=server.data, limits="log-age=1s,run-age=1s")
    assert eventually(lambda: server.api_list(log.path + "/logs") == [])
    assert eventually(lambda: server.api_list(log.path + "/runs") == [])


def test_the_command_line(guest, cli):
    log = guest("cwa-log")
    run = log.get().run
    log.counters
    found = cli("logs", log.name, "--run", run, "--grep", "second").lines
    assert [line.split("\t")[3:] for line in found] == [["and its second line"]]
    assert "an error" in cli("logs", "--grep", "an error", "--lines", "5").out, "of all functions"
    assert cli("logs", log.name, "--level", "error", "--run", run, "--json").json["items"][0]["text"] == "an error"
    assert cli("logs", log.name, "--until", "1d").out == ""
    coloured = cli.on_terminal("logs", log.name, "--run", run, env={"NO_COLOR": None}).out
    assert "\033[31m" in coloured and "\033[31m" not in cli("logs", log.name, "--run", run, env={"NO_COLOR": None}).out


def test_the_head_of_a_stream_is_all(server):
    """HEAD of what would never end: the connection is free for the next request at once."""
    fields = [("Authorization", f"Bearer {server.token}")]
    with server.platform_wire() as wire:
        for path in ("/v1/projects/default/logs?follow=true", "/v1/projects/default/runs?follow=true",
                     "/v1/projects/default/logs?format=jsonl", "/v1/backup"):
            answer = wire.ask(path, "HEAD", fields)
            assert answer.status == 200 and answer.body == b"", path
        assert wire.ask("/healthz").status == 200
