"""Who may do what: every operation by everybody who may not. Nobody succeeds, nothing changes.

The operations come from the API's own description; each is asked with a body that its schema
takes, so that nothing but the asker is wrong.
"""

import pytest

from contract import Contract, contract_of
from server import binary, eventually

SCOPES = ["read", "deploy", "invoke", "logs", "secrets", "admin"]
BODIES = {  # by the name of the body's schema
    "TokenCreate": {"name": "matrix", "scopes": ["read"]}, "ProjectCreate": {"name": "matrix-made"},
    "FunctionCreate": {"name": "matrix-made"}, "SecretPut": {"value": "x"}, "Split": {"versions": {"1": 100}},
}


@pytest.fixture(scope="module")
def contract(shared_server):
    return contract_of(shared_server.url, binary())


@pytest.fixture(scope="module")
def target(shared_server, guests):
    return shared_server.deploy("matrix", guests / "cwa-bare.wasm", env={"A": "1"})


@pytest.fixture(scope="module")
def closed(contract):
    found = [(m, p, o) for m, p, o in contract.operations() if o["security"]]
    assert len(found) > 35
    return found


@pytest.fixture(scope="module")
def make(shared_server):
    def token(**more):
        answer = shared_server.api.post("/v1/tokens", json={"name": "matrix", "scopes": SCOPES} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return token


def request(client, method, path, operation, **names):
    """One request of the operation; names fill its path. (status, problem or None)"""
    path = Contract.fill(path, **({"project": "default", "function": "matrix"} | names))
    takes = next(iter(operation.get("requestBody", {}).get("content", {})), None)
    more = {}
    if takes == "application/json":
        name = operation["requestBody"]["content"][takes]["schema"]["$ref"].rpartition("/")[2]
        more = {"json": BODIES.get(name, {})}
    elif takes:
        more = {"content": b"\0asm\1\0\0\0", "headers": {"Content-Type": takes.replace("*/*", "text/plain")}}
    if path.endswith("/audit/egress"):
        more["params"] = {"to": "192.0.2.1"}
    with client.stream(method, path, **more) as answer:
        if answer.headers.get("Content-Type") == "application/problem+json":
            answer.read()
            return answer.status_code, answer.json()
        return answer.status_code, None


def state(server, target):
    found = {path: server.api_list(path) for path in (
        "/v1/tokens", "/v1/projects", "/v1/projects/default/functions", "/v1/projects/default/secrets",
        f"{target.path}/versions")}
    found["tag"] = server.api.get(target.path).headers["ETag"]
    return found


def all_refused(server, client, closed, expect, target):
    before, tried = state(server, target), 0
    for method, path, operation in closed:
        status, problem = request(client, method, path, operation)
        assert status == expect and problem["status"] == expect, (method, path, status, problem)
        tried += 1
    assert tried == len(closed) and state(server, target) == before


def test_nobody(server, closed, target):
    with server.client() as client:
        all_refused(server, client, closed, 401, target)


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Basic {}", "{}", "Bearer {}x", "Bearer {}.{}"])
def test_malformed(server, closed, target, value):
    with server.client() as client:
        client.headers["Authorization"] = value.replace("{}", server.token)
        all_refused(server, client, closed, 401, target)


def test_expired(server, closed, target, make):
    with server.client(make(expires_in=1)["token"]) as client:
        assert eventually(lambda: client.get("/v1/whoami").status_code == 401)
        all_refused(server, client, closed, 401, target)


def test_revoked(server, closed, target, make):
    made = make()
    assert server.api.delete(f"/v1/tokens/{made['id']}").status_code == 204
    with server.client(made["token"]) as client:
        all_refused(server, client, closed, 401, target)


def test_with_the_tag_of_something_else(server, closed, target):
    """If-Match counts for every route, also for what has no tag: nothing is done against what it says."""
    with server.client(server.token) as client:
        client.headers["If-Match"] = '"somebody-else"'
        all_refused(server, client, closed, 412, target)


@pytest.mark.parametrize("scope", SCOPES)
def test_without_the_scope(server, closed, target, make, scope):
    """A token that has every other one."""
    concerned = [o for o in closed if scope in o[2]["security"][0]["token"]]
    assert concerned
    with server.client(make(scopes=[s for s in SCOPES if s != scope])["token"]) as client:
        all_refused(server, client, concerned, 403, target)


def test_of_another_project(server, closed, target, make):
    """All scopes, but for another project: whatever is in this one is not there, and so is the
    operator's. What belongs to the user remains."""
    server.api.post("/v1/projects", json={"name": "matrix-other"})
    before = state(server, target)
    concerned = [o for o in closed if "{project}" in o[1]]
    with server.client(make(project="matrix-other")["token"]) as client:
        for method, path, operation in concerned:
            foreign, there = request(client, method, path, operation)
            missing, nowhere = request(client, method, path, operation, project="matrix-none")
            assert foreign == missing == 404, (method, path, foreign, missing)
            del there["request_id"], nowhere["request_id"]
            assert {k: v.replace("default", "matrix-none") if isinstance(v, str) else v
                    for k, v in there.items()} == nowhere, (method, path)
        for path in ("/v1/audit/egress?to=192.0.2.1", "/v1/backup", "/metrics"):
            assert client.get(path).status_code == 403, path
        assert [p["name"] for p in client.get("/v1/projects").json()["items"]] == ["matrix-other"]
    after = state(server, target)
    assert after == before | {"/v1/tokens": after["/v1/tokens"]}


def test_what_is_not_there(server, closed, target):
    """By ids and names that nothing has, in the own project: the same shape of answer everywhere."""
    before, shapes = state(server, target), set()
    none = {"function": "matrix-none", "token_id": "00000000-0000-0000-0000-000000000000"} | dict.fromkeys(
        ("run_id", "module_id", "asset_id", "version_id"), "999999")
    for method, path, operation in closed:
        makes = path.endswith(("/secrets/{secret_id}", "/{function}/module", "/{function}/versions"))
        if "{function}" not in path and "_id}" not in path or makes and method != "GET":
            continue
        status, problem = request(server.api, method, path, operation, **none)
        assert status == 404, (method, path, status, problem)
        shapes.add(tuple(problem))
    assert len(shapes) == 1 and state(server, target) == before


def test_who_may_does(server, contract, closed, target):
    """The same requests by the owner are let in: none is 401, 403 or a server's error."""
    harmless = [o for o in closed if o[0] == "GET" and "_id}" not in o[1]]
    for method, path, operation in harmless:
        status, problem = request(server.api, method, path, operation)
        assert status == 200, (method, path, problem)
    assert len(harmless) > 12
