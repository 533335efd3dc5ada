"""Bodies of every wrong shape, to every operation that takes one: refused by name, nothing changed.

The operations, and what is wrong for each of their members, come from the API's own description,
so that a new route is tried as soon as it is there.
"""

import json

import pytest

from contract import contract_of
from server import binary
from wire import head

DEEP = 5000
SAMPLES = [None, True, 0, -1, 1.5, 1 << 62, 1e300, "", "x", "x" * 5000, "\N{SNOWMAN}", [], [[]], [None], ["x" * 200],
           {}, {"": 1}, {"x": {"x": {}}}]
NO_JSON = {
    "nothing but a brace": b"{", "cut off": b'{"name": "a', "a list": b"[]", "null": b"null", "a number": b"1",
    "a text": b'"x"', "two values": b"{} {}", "words": b"name=x", "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}', "half a surrogate": b'{"name": "\\ud800"}',
    "a NUL": b'{"name": "a\\u0000b"}', "a NUL byte": b'{"name": "a\0b"}', "a NUL in a name": b'{"na\\u0000me": 1}',
    "a member twice": b'{"name": "a", "name": "b"}', "a huge number": b'{"name": ' + b"9" * 400 + b"}",
    "a huge exponent": b'{"name": 1e99999}', "deep lists": b'{"name": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"name": ' * DEEP + b"1" + b"}" * DEEP, "forty lists": b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}",
    "a byte order mark": b"\xef\xbb\xbf{}", "a comment": b"{} // x", "a trailing comma": b'{"name": "a",}',
    "single quotes": b"{'name': 'a'}", "NaN": b'{"name": NaN}',
}


@pytest.fixture(scope="module")
def contract(shared_server):
    return contract_of(shared_server.url, binary())


@pytest.fixture(scope="module")
def target(shared_server, guests):
    return shared_server.deploy("bad-bodies", guests / "cwa-bare.wasm")


def operations(contract, media_type):
    found = [(method, contract.fill(path, project="default", function="bad-bodies"), operation)
             for method, path, operation in contract.operations()
             if media_type in operation.get("requestBody", {}).get("content", {})]
    assert found
    return found


def state(server, target):
    """All that such a request might have changed."""
    found = {path: server.api_list(path) for path in (
        "/v1/tokens", "/v1/projects", "/v1/projects/default/functions", "/v1/projects/default/secrets",
        f"{target.path}/versions")}
    found["tag"] = server.api.get(target.path).headers["ETag"]
    return found


def schema_of(contract, operation):
    return contract.resolve(operation["requestBody"]["content"]["application/json"]["schema"])


def names_field(answer, field):
    fields = list(answer.json()["fields"])
    return any(f == field or f.startswith((field + ".", field + "[")) for f in fields)


@pytest.mark.parametrize("case", NO_JSON)
def test_what_is_no_object(server, contract, target, case):
    before = state(server, target)
    for method, path, _ in operations(contract, "application/json"):
        answer = server.api.request(method, path, content=NO_JSON[case], headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), (method, path, answer.text)
        assert answer.json()["detail"], path
    assert state(server, target) == before


def test_members_of_wrong_types(server, contract, target):
    before, tried = state(server, target), 0
    for method, path, operation in operations(contract, "application/json"):
        for name, member in schema_of(contract, operation)["properties"].items():
            validator = contract.validator(member)
            for sample in SAMPLES:
                if validator.is_valid(sample):
                    continue
                answer = server.api.request(method, path, json={name: sample})
                assert answer.status_code == 422, (method, path, name, sample, answer.text)
                assert names_field(answer, name), (method, path, name, sample, answer.text)
                tried += 1
    assert tried > 200 and state(server, target) == before


def test_members_that_are_not_there(server, contract, target):
    before = state(server, target)
    for method, path, operation in operations(contract, "application/json"):
        schema = schema_of(contract, operation)
        for name in ["nothing-like-it", "", "\N{SNOWMAN}", "x" * 3000, "__proto__"]:
            answer = server.api.request(method, path, json={name: 1})
            assert answer.status_code == 422, (method, path, name, answer.text)
            assert answer.json()["detail"].startswith("there is no field"), answer.text
        for name in schema["properties"]:
            near = name + "x"
            answer = server.api.request(method, path, json={near: 1})
            assert answer.status_code == 422 and names_field(answer, near)
            assert "did you mean" in answer.json()["detail"], answer.text
        for name in schema["required"]:
            answer = server.api.request(method, path, content=b"{}", headers={"Content-Type": "application/json"})
            assert answer.status_code == 422 and f"{next(iter(answer.json()['fields']))} is missing" in answer.text
    assert state(server, target) == before


def test_bodies_over_the_size(server, contract, target):
    before, large = state(server, target), json.dumps({"name": "x" * (520 << 10)}).encode()
    for method, path, _ in operations(contract, "application/json"):
        answer = server.api.request(method, path, content=large, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, (method, path, answer.text)
        pieces = server.api.request(method, path, content=iter([large[:300_000], large[300_000:]]),
                                    headers={"Content-Type": "application/json"})
        assert pieces.status_code == 413, (method, path, pieces.text)
    assert state(server, target) == before


@pytest.mark.parametrize("media_type", ["application/json", "application/wasm", "application/x-tar"])
def test_bodies_of_another_type(server, contract, target, media_type):
    before = state(server, target)
    for method, path, _ in operations(contract, media_type):
        for other in ("text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
            answer = server.api.request(method, path, content=b"{}", headers={"Content-Type": other})
            assert answer.status_code == 415, (method, path, other, answer.text)
    assert state(server, target) == before


@pytest.mark.parametrize("media_type", ["application/wasm", "application/x-tar"])
def test_uploads_that_are_none(server, contract, target, media_type):
    before, fields = state(server, target), {"Content-Type": media_type}
    for method, path, operation in operations(contract, media_type):
        for body in (b"", b"x", b"\0" * 700, b"\0asm", b"\xff" * 4096):
            answer = server.api.request(method, path, content=body, headers=fields)
            # an archive of nothing but zeros is an archive of nothing
            empty = media_type == "application/x-tar" and answer.status_code == 201 and body.strip(b"\0") == b""
            assert empty or answer.status_code in (400, 422), (method, path, body[:8], answer.text)
        with server.platform_wire() as wire:  # refused before a byte of it came
            wire.send(head(path, method, [
                ("Authorization", f"Bearer {server.token}"), ("Content-Type", media_type),
                ("Content-Length", operation["requestBody"]["x-limit"]["bytes"] * 2 + (1 << 34))], host=wire.host))
            assert wire.answer().status == 413
    assert state(server, target) == before


def test_bodies_where_there_is_none(server, contract, target):
    before = state(server, target)
    for method, path, operation in contract.operations():
        if "requestBody" in operation or method == "DELETE" and path == "/v1/tokens/{token_id}":
            continue
        path = contract.fill(path, project="default", function="bad-bodies")
        answer = server.api.request(method, path, json={"name": "x"})
        assert answer.status_code in (400, 404), (method, path, answer.text)
    assert state(server, target) == before


def test_queries_that_are_wrong(server, contract, target):
    """A member that isn't there, each member twice, and each with what it can't be."""
    before, tried = state(server, target), 0
    for method, path, operation in contract.operations():
        path = contract.fill(path, project="default", function="bad-bodies")
        content = {"content": b""} if method in ("POST", "PUT") else {}
        members = [p for p in operation["parameters"] if p["in"] == "query"]
        answer = server.api.request(method, path, params={"nothing-like-it": "1"}, **content)
        assert answer.status_code in (400, 404, 422), (method, path, answer.text)
        for member in members:
            name, validator = member["name"], contract.validator(member["schema"])
            bad = [text for text in ("", "\0", "-1", "\N{SNOWMAN}" * 300, "99999999999999999999", "[]")
                   if not (validator.is_valid(text) or text.isdigit() and validator.is_valid(int(text)))]
            for query in [[(name, text)] for text in bad] + [[(name, "1"), (name, "1")]]:
                answer = server.api.request(method, path, params=query, **content)
                assert answer.status_code in (400, 404, 422), (method, path, query, answer.text)
                if answer.status_code == 422:
                    assert answer.json().get("fields"), answer.text
                tried += 1
    assert tried > 50 and state(server, target) == before


def test_a_body_that_is_coded(server, contract, target):
    """By any operation that takes one: it would be taken for something else than it is."""
    before = state(server, target)
    for kind in ("application/json", "application/wasm", "application/x-tar", "*/*"):
        for method, path, _ in operations(contract, kind):
            fields = {"Content-Encoding": "gzip"} | ({"Content-Type": kind} if kind != "*/*" else {})
            answer = server.api.request(method, path, content=b"\x1f\x8b\x08", headers=fields)
            assert answer.status_code == 415 and "Content-Encoding" in answer.json()["detail"], (method, path, answer.text)
    assert state(server, target) == before


def test_what_is_said_of_a_nul(server):
    answer = server.api.post("/v1/projects/default/functions", content=b'{"name": "a\\u0000b"}')
    assert answer.status_code == 400 and "JSON_" not in answer.json()["detail"] and "NUL" in answer.json()["detail"]
