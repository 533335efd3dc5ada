"""Requests that are sent again (Idempotency-Key), and changes that must not be lost (If-Match)."""

import uuid

import pytest

from wire import head



def key():
    return {"Idempotency-Key": str(uuid.uuid4())}


def names(server, path="/v1/projects/default/functions"):
    return [f["name"] for f in server.api_list(path)]


# Idempotency-Key


def test_the_same_request_gets_the_same_answer(server):
    again, path = key(), "/v1/projects/default/functions"
    first = server.api.post(path, json={"name": "again-a"}, headers=again)
    assert first.status_code == 201 and "Idempotency-Replayed" not in first.headers
    second = server.api.post(path, json={"name": "again-a"}, headers=again)
    assert second.status_code == 201 and second.headers["Idempotency-Replayed"] == "true"
    assert second.json() == first.json() and second.headers["ETag"] == first.headers["ETag"]
    assert names(server).count("again-a") == 1
    # without the key, or with another, it is another request
    assert server.api.post(path, json={"name": "again-a"}).status_code == 409
    assert server.api.post(path, json={"name": "again-a"}, headers=key()).status_code == 409


def test_a_key_is_for_one_request(server):
    again, path = key(), "/v1/projects/default/functions"
    assert server.api.post(path, json={"name": "again-b"}, headers=again).status_code == 201
    for change in ({"json": {"name": "again-c"}}, {"content": b'{"name":"again-b" }'}):
        other = server.api.post(path, headers=again, **change)
        assert other.status_code == 422 and list(other.json()["fields"]) == ["Idempotency-Key"]
    moved = server.api.post("/v1/projects", json={"name": "again-b"}, headers=again)
    assert moved.status_code == 422
    assert "again-c" not in names(server)


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "ü"])
def test_a_key_is_short_and_visible(server, bad):
    answer = server.api.post("/v1/projects/default/functions", json={"name": "again-d"},
                             headers={"Idempotency-Key": bad.encode()})
    assert answer.status_code == 400 and "Idempotency-Key" in answer.json()["detail"]


def test_what_failed_may_be_tried_again(server):
    again, path = key(), "/v1/projects/default/functions"
    assert server.api.post(path, json={"name": "again-taken"}).status_code == 201
    assert server.api.post(path, json={"name": "again-taken"}, headers=again).status_code == 409
    assert server.api.post(path, json={"name": "again-free"}, headers=again).status_code == 201


def test_a_token_is_made_once(server):
    again, body = key(), {"name": "again", "scopes": ["read"]}
    first = server.api.post("/v1/tokens", json=body, headers=again).json()
    assert server.api.post("/v1/tokens", json=body, headers=again).json() == first
    made = [t for t in server.api_list("/v1/tokens") if t["name"] == "again"]
    assert len(made) == 1
    # its text lies in the database sealed
    files = [server.data / name for name in ("db.sqlite", "db.sqlite-wal")]
    assert not any(first["token"].encode() in f.read_bytes() for f in files if f.exists())


def test_an_answer_is_for_a_token_that_reaches_as_far(server):
    """Another token of the same user gets no token that it couldn't have made itself."""
    again, body = key(), {"name": "again-far", "scopes": ["secrets"]}
    first = server.api.post("/v1/tokens", json=body, headers=again)
    assert first.status_code == 201
    less = {"Authorization": f"Bearer {server.api.post('/v1/tokens', json={'name': 'less', 'scopes': ['admin']}).json()['token']}"}
    assert server.api.post("/v1/tokens", json=body, headers=less).status_code == 403
    other = server.api.post("/v1/tokens", json=body, headers=less | again)
    assert other.status_code == 422 and first.json()["token"] not in other.text
    # nor what is about all projects, if it is of one
    near = server.api.post("/v1/tokens", json={"name": "near", "scopes": server.api.get("/whoami").json()["token"]["scopes"],
                                               "project": "default"}).json()["token"]
    other = server.api.post("/v1/tokens", json=body, headers=again | {"Authorization": f"Bearer {near}"})
    assert other.status_code == 422 and first.json()["token"] not in other.text


def test_uploads_too(server, guests):
    again = key() | {"Content-Type": "application/wasm"}
    module, path = (guests / "cwa-bare.wasm").read_bytes(), "/v1/projects/default/functions/again-put/module?check=none"
    first = server.api.put(path, content=module, headers=again)
    assert first.status_code == 201, first.text
    changed = server.api.put(path.replace("check=none", "check=none&response=text"), content=module,
                             headers=again)
    assert changed.status_code == 422
    second = server.api.put(path, content=module, headers=again)
    assert second.status_code == 201 and second.json() == first.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    other = server.api.put(path, content=module[:-1], headers=again)
    assert other.status_code == 422 and "Idempotency-Key" in other.json()["fields"]
    assert len(server.api_list("/v1/projects/default/functions/again-put/versions")) == 1


def test_while_the_first_runs_the_second_waits_its_turn(server):
    """A request that is still arriving has its key."""
    again, path = str(uuid.uuid4()), "/v1/projects/default/functions"
    body = b'{"name": "again-slow"}'
    with server.platform_wire() as wire:
        wire.send(head(path, "POST", [
            ("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/json"),
            ("Idempotency-Key", again), ("Content-Length", len(body)), ("Expect", "100-continue")],
            host=wire.host))
        assert wire.head().status == 100  # the head was read
        second = server.api.post(path, json={"name": "again-fast"}, headers={"Idempotency-Key": again})
        assert second.status_code == 409 and "still running" in second.json()["detail"]
        wire.send(body)
        assert wire.answer().status == 201
    assert "again-slow" in names(server) and "again-fast" not in names(server)


def test_a_client_that_left_finds_its_answer(server, guests):
    """The deploy goes on, and the answer is there when the same request comes again."""
    again = str(uuid.uuid4())
    module = (guests / "wasi-echo.wasm").read_bytes()
    path = "/v1/projects/default/functions/again-left/module?check=none"
    with server.platform_wire() as wire:
        wire.send(head(path, "PUT", [
            ("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/wasm"),
            ("Idempotency-Key", again), ("Content-Length", len(module))], host=wire.host) + module)
    fields = {"Idempotency-Key": again, "Content-Type": "application/wasm"}
    statuses = []
    while not statuses or statuses[-1] == 409:
        statuses.append(server.api.put(path, content=module, headers=fields).status_code)
    assert statuses[-1] in (200, 201)
    versions = server.api_list("/v1/projects/default/functions/again-left/versions")
    assert len(versions) == 1, statuses


def test_keys_are_counted(serve):
    own = serve(limits="idempotency-keys=3")
    path = "/v1/projects/default/functions"
    for i in range(3):
        assert own.api.post(path, json={"name": f"k-{i}"}, headers=key()).status_code == 201
    over = own.api.post(path, json={"name": "k-3"}, headers=key())
    assert over.status_code == 429 and over.json()["code"] == "rate"
    assert own.api.post(path, json={"name": "k-3"}).status_code == 201


def test_kept_answers_outlive_a_restart(serve, tmp_path):
    own, again, body = serve(tmp_path), key(), {"name": "kept"}
    first = own.api.post("/v1/projects/default/functions", json=body, headers=again)
    own.stop()
    later = serve(tmp_path)
    second = later.api.post("/v1/projects/default/functions", json=body, headers=again)
    assert second.status_code == 201 and second.headers["Idempotency-Replayed"] == "true"
    assert second.json()["id"] == first.json()["id"]


# ETag and If-Match


def test_a_tag_changes_with_the_function(server, guests):
    function = server.deploy("tagged", guests / "cwa-bare.wasm")
    tags = [server.api.get(function.path).headers["ETag"]]
    assert server.api.get(f"{function.path}/versions/live").headers["ETag"] == tags[0]
    function.get()  # a run changes counters, not the function
    assert server.api.get(function.path).headers["ETag"] == tags[0]
    deployed = server.api.post(f"{function.path}/versions", json={"env": {"A": "1"}},
                               headers={"If-Match": tags[0]})
    assert deployed.status_code == 201, deployed.text
    tags.append(deployed.headers["ETag"])
    assert server.api.get(function.path).headers["ETag"] == tags[1] != tags[0]
    left = server.api.post(f"{function.path}/versions", json={"env": {"A": "2"}, "promote": False})
    assert left.status_code == 201 and left.headers["ETag"] not in tags


def test_an_old_tag_changes_nothing(server, guests):
    function = server.deploy("tagged-old", guests / "cwa-bare.wasm")
    old = {"If-Match": server.api.get(function.path).headers["ETag"]}
    assert server.api.post(f"{function.path}/versions", json={"env": {"A": "1"}}).status_code == 201
    before = server.api_list(f"{function.path}/versions")
    module = (guests / "cwa-bare.wasm").read_bytes()
    for method, path, more in [("POST", "/versions", {"json": {"env": {"A": "2"}}}), ("DELETE", "", {}),
                               ("PUT", "/module?check=none", {"content": module}), ("POST", "/undelete", {}),
                               ("POST", "/rollback", {}), ("POST", "/versions/1/promote", {})]:
        answer = server.api.request(method, function.path + path, headers=old, **more)
        assert answer.status_code == 412 and answer.json()["code"] == "precondition", (path, answer.text)
    assert server.api_list(f"{function.path}/versions") == before
    for wrong in ("x", "", '"a" "b"', '"a'):
        answer = server.api.delete(function.path, headers={"If-Match": wrong})
        assert answer.status_code == 400 and "If-Match" in answer.json()["detail"], wrong
    # any of a list does, and so does the star
    now = server.api.get(function.path).headers["ETag"]
    assert server.api.post(f"{function.path}/versions", json={"env": {"A": "3"}},
                           headers={"If-Match": f'"0-0", {now}'}).status_code == 201
    assert server.api.delete(function.path, headers={"If-Match": "*"}).status_code == 204


def test_the_star_needs_something_there(server, guests):
    module = (guests / "cwa-bare.wasm").read_bytes()
    answer = server.api.put("/v1/projects/default/functions/tagged-new/module", content=module,
                            headers={"If-Match": "*", "Content-Type": "application/wasm"})
    assert answer.status_code == 412 and "tagged-new" not in names(server)


def test_a_change_during_the_upload_is_seen(server, guests):
    function = server.deploy("tagged-slow", guests / "cwa-bare.wasm")
    tag = server.api.get(function.path).headers["ETag"]
    module = (guests / "wasi-echo.wasm").read_bytes()
    with server.platform_wire() as wire:
        wire.send(head(f"{function.path}/module?check=none", "PUT", [
            ("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/wasm"),
            ("If-Match", tag), ("Content-Length", len(module)), ("Expect", "100-continue")],
            host=wire.host))
        assert wire.head().status == 100
        assert server.api.post(f"{function.path}/versions", json={"env": {"A": "1"}}).status_code == 201
        wire.send(module)
        assert wire.answer().status == 412
    assert server.api_json(function.path)["version"] == 2


def test_a_secret_has_a_tag_of_its_own(server):
    path = "/v1/projects/default/secrets/TAGGED"
    made = server.api.put(path, json={"value": "one"})
    tag = made.headers["ETag"]
    assert made.status_code == 200 and made.json()["etag"] == tag
    listed = {item["name"]: item["etag"] for item in server.api_list("/v1/projects/default/secrets")}
    assert listed["TAGGED"] == tag
    again = server.api.put(path, json={"value": "one"}, headers={"If-Match": tag})
    assert again.status_code == 200 and again.headers["ETag"] != tag, "each setting is a change"
    for answer in (server.api.put(path, json={"value": "two"}, headers={"If-Match": tag}),
                   server.api.delete(path, headers={"If-Match": tag})):
        assert answer.status_code == 412 and "TAGGED" in answer.json()["detail"]
    assert server.api.delete(path, headers={"If-Match": again.headers["ETag"]}).status_code == 204
    for method, more in ("PUT", {"json": {"value": "x"}}), ("DELETE", {}):
        answer = server.api.request(method, path, headers={"If-Match": "*"}, **more)
        assert answer.status_code == 412, "it is not there any more"


def test_the_star_is_met_by_what_has_no_tag(server):
    made = server.api.post("/v1/tokens", json={"name": "star", "scopes": ["read"]}, headers={"If-Match": "*"})
    assert made.status_code == 201 and "ETag" not in made.headers
    path = f"/v1/tokens/{made.json()['id']}"
    refused = server.api.delete(path, headers={"If-Match": '"1"'})
    assert refused.status_code == 412 and "no ETag" in refused.json()["detail"]
    assert server.api.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_the_star_holds_a_deploy_to_nothing_more(server, guests):
    """A change during the upload, where any state will do."""
    function = server.deploy("starred-slow", guests / "cwa-bare.wasm")
    module = (guests / "wasi-echo.wasm").read_bytes()
    with server.platform_wire() as wire:
        wire.send(head(f"{function.path}/module?check=none", "PUT", [
            ("Authorization", f"Bearer {server.token}"), ("Content-Type", "application/wasm"),
            ("If-Match", "*"), ("Content-Length", len(module)), ("Expect", "100-continue")], host=wire.host))
        assert wire.head().status == 100
        assert server.api.post(f"{function.path}/versions", json={"env": {"A": "1"}}).status_code == 201
        wire.send(module)
        assert wire.answer().status == 201


def test_a_replay_has_the_one_tag_of_then(server, guests):
    module, key = (guests / "cwa-bare.wasm").read_bytes(), {"Idempotency-Key": "tag-of-then"}
    path = "/v1/projects/default/functions/tag-of-then"
    first = server.api.put(f"{path}/module", content=module, headers=key)
    assert server.api.post(f"{path}/versions", json={"env": {"A": "1"}}).status_code == 201
    again = server.api.put(f"{path}/module", content=module, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers.get_list("ETag") == [first.headers["ETag"]] != [server.api.get(path).headers["ETag"]]


def test_an_invocation_takes_no_key(server, guest):
    """It would run twice: that isn't done against what the key says."""
    echo = guest("cwa-echo")
    before = echo.counters["runs"]
    answer = server.api.post(f"{echo.path}/invoke", content=b"x", headers={"Idempotency-Key": "run-once"})
    assert answer.status_code == 400 and "Idempotency-Key" in answer.json()["detail"]
    assert echo.counters["runs"] == before
