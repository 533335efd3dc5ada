"""The platform's own log: every line of a server's life can be parsed, as text and as JSON."""

import json
import re

import pytest

from server import eventually

PAIR = re.compile(r' ([a-z0-9_]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"|[^\s"\\=]+)')
HEAD = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (error|warning|info|debug) ([a-z0-9_]+)")


def from_text(line):
    head = HEAD.match(line)
    assert head, line
    event, at = dict(zip(("at", "level", "event"), head.groups())), head.end()
    while at < len(line):
        pair = PAIR.match(line, at)
        assert pair, line
        assert pair[1] not in event, line
        event[pair[1]], at = pair[2], pair.end()
    return event


def from_json(line):
    def closed(pairs):
        assert len(dict(pairs)) == len(pairs), line
        return dict(pairs)
    return json.loads(line, object_pairs_hook=closed)


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_of_a_life(serve, guests, form):
    server = serve(log_level="debug", log_format=form, limits="exec-blank=1", edges=1, expect_errors=[".*"])
    function = server.deploy("one", guests / "cwa-hello.wasm")
    server.deploy("two", guests / "cwa-unknown-import.wasm", expect=422)
    assert function.get().status == 200
    trap = server.deploy("trap", guests / "cwa-trap.wasm")
    assert trap.get().status == 502
    server.api.get("/v1/projects/default/functions/no%22such%3D%5Cname")
    server.kill_role("exec")
    assert eventually(lambda: "exec_died" in server.log()), "the edge says so before it is killed"
    killed = {role: server.kill_role(*role) for role in (("control",), ("edge", "0"))}
    for role, old in killed.items():
        assert server.replaced(old, *role)
    assert eventually(lambda: server.api.get("/readyz").status_code == 200)
    assert eventually(lambda: function.get().status == 200)
    server.stop()
    lines = server.log().splitlines()
    events = [(from_text if form == "text" else from_json)(line) for line in lines]
    assert {"ready", "role_ended", "draining", "store_migrated"} <= {e["event"] for e in events}
    assert {"master", "control", "edge-platform", "edge-0"} <= {e["role"] for e in events}
    assert all({"at", "level", "event", "role", "pid"} <= e.keys() for e in events)
    if form == "json":
        assert all(isinstance(e["pid"], int) for e in events)
