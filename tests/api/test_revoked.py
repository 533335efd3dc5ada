"""What lasts longer than a moment ends with what allowed it: the token, the function. A client is told why
where the answer has room for words, and else sees it cut."""

import json
import re

import httpx
import pytest

from cli import read_line
from server import eventually
from wire import Cut, Wire, head


@pytest.fixture
def token(server):
    """token("logs", …): a new token as the server shows it, with its text."""
    def make(*scopes, **more):
        answer = server.api.post("/v1/tokens", json={"name": "lasting", "scopes": list(scopes)} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()
    return make


def revoke(server, made):
    assert server.api.delete(f"/v1/tokens/{made['id']}").status_code == 204


def follow(server, made, path, then):
    """The last lines of a stream: it is opened, `then` happens, and it has to end. None if the token
    has expired before."""
    with server.client(made["token"]) as client, client.stream("GET", path, timeout=60) as answer:
        if answer.status_code == 401:
            return None
        assert answer.status_code == 200
        then()
        return list(answer.iter_lines())[-3:]


def problem_of(lines):
    assert lines[0] == "event: problem" and lines[1].startswith("data: ") and not lines[2:3][0], lines
    return json.loads(lines[1][6:])


@pytest.mark.parametrize("what, scope", [("logs", "logs"), ("runs", "read")])
def test_a_follower(server, guest, token, what, scope):
    made = token(scope)
    path = f"/v1/projects/default/{what}?follow=true"
    problem = problem_of(follow(server, made, path, lambda: revoke(server, made)))
    assert problem["code"] == "unauthorized" and problem["status"] == 401 and "revoked" in problem["detail"]


def test_a_follower_whose_token_expires(server, guest, token):
    for seconds in (1, 2, 4, 8, 16):  # the first in which this machine opens a stream
        made = token("logs", expires_in=seconds)
        if lines := follow(server, made, "/v1/projects/default/logs?follow=true", lambda: None):
            break
    problem = problem_of(lines)
    assert problem["code"] == "unauthorized" and "expired" in problem["detail"]


def test_a_follower_of_what_is_deleted(server, guests, token):
    log = server.deploy("followed-to-its-end", guests / "cwa-log.wasm")
    made = token("logs")
    problem = problem_of(follow(server, made, f"{log.path}/logs?follow=true",
                                lambda: server.api.delete(log.path)))
    assert problem["code"] == "not_found" and "followed-to-its-end" in problem["detail"]


def test_logs_f(server, cli, guest, token):
    log, made = guest("cwa-log"), token("logs", "read")
    cli.env["WASMCLOUD_TOKEN"] = made["token"]
    process = cli.start("logs", log.name, "-f")
    log.get()
    assert read_line(process.stdout)
    revoke(server, made)
    said = process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 4 and "revoked" in said, said


def test_an_upload(server, guests, token):
    """Its token counts no more before its last bytes come."""
    made, path = token("deploy"), "/v1/projects/default/modules"
    module, seen = (guests / "cwa-echo.wasm").read_bytes(), len(server.log())
    with server.platform_wire() as wire:
        wire.send(head(path, "POST", [("Authorization", f"Bearer {made['token']}"), ("Content-Type", "application/wasm"),
                                      ("Content-Length", len(module)), ("Expect", "100-continue")], host=wire.host))
        assert wire.head().status == 100  # the token was good
        wire.send(module[:-1])
        revoke(server, made)
        assert eventually(lambda: re.search(f" request_cut .*path={path}", server.log()[seen:]))
        answer = wire.answer()
        assert answer.status == 401 and "revoked" in answer.text


def test_an_invocation(server, guest, token):
    """The run ends with it, and its record says that nobody waited any more."""
    echo, made = guest("cwa-echo"), token("invoke")
    host = httpx.URL(server.url).netloc.decode()
    with Wire(server.platform_address, host=host) as wire:
        wire.send((f"POST {echo.path}/invoke HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
                   f"Authorization: Bearer {made['token']}\r\n\r\n6\r\nfirst\n\r\n").encode())
        while b"first" not in wire.buffer:
            assert wire.more()
        revoke(server, made)
        with pytest.raises(Cut) as cut:
            wire.answer()
    assert cut.value.response.body == b"first\n"
    assert echo.run(cut.value.response.run)["cause"] == "cancelled"
