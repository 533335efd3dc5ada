"""Who may do what: every route of the API's own table, asked with everything that is no right.

The table is read from the source, so that a route can't be forgotten here.
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

import pytest

from server import ROOT, eventually, files_below

SCOPES = ["read", "deploy", "invoke", "logs", "secrets", "admin"]
RUN = "0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    scope: str
    open: bool

    def fill(self, project="default", function="target", id=RUN):
        path = self.path.replace(":project", project).replace(":function", function).replace(":id", id)
        return path + ("?follow=1" if path.endswith("/logs") else "")

    def __str__(self):
        return f"{self.method} {self.path}"


def read_routes():
    source = (ROOT / "src/api/routes.c").read_text()
    macros = {}
    for name, text in re.findall(r"#define (\w+) (.*)", source):
        macros[name] = text
    rows = re.findall(r"\{(\.method = .*?)\}", source[source.index("api_routes[]"):], re.S)

    def text(expression):
        for _ in range(3):
            expression = re.sub(r'\b([A-Z])\b(?=(?:[^"]*"[^"]*")*[^"]*$)',
                                lambda m: macros.get(m[1], m[1]), expression)
        return "".join(re.findall(r'"([^"]*)"', expression))

    routes = []
    for row in rows:
        method = re.search(r'\.method = "(\w+)"', row)[1]
        path = text(re.search(r"\.path = ([^,]*)", row)[1])
        scope = re.search(r"\.scope = SCOPE_(\w+)", row)
        routes.append(Route(method, path, scope[1].lower() if scope else "", ".open = true" in row))
    return routes


ROUTES = read_routes()
CLOSED = [route for route in ROUTES if not route.open]
PROJECTS = [route for route in CLOSED if ":project" in route.path]


def test_the_table_was_understood():
    paths = {str(route) for route in ROUTES}
    assert len(paths) == len(ROUTES) >= 20
    assert "PUT /v1/projects/:project/functions/:function/module" in paths
    assert [route.path for route in ROUTES if route.open] == ["/healthz", "/readyz", "/v1/openapi.json"]
    assert all(route.scope or route.path.endswith("/whoami") for route in CLOSED)


@pytest.fixture(scope="module")
def target(shared_server, guests):
    """A function that every route has something to do with."""
    return shared_server.deploy("target", guests / "cwa-bare.wasm")


@pytest.fixture
def make_token(server):
    def make(*scopes, **more):
        answer = server.api.post("/v1/tokens", json={"name": "test", "scopes": list(scopes)} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return make


def send(server, route, headers, **fill):
    """The answer's status and problem; the head alone of one that streams."""
    body = {"content": b""} if route.method in ("GET", "DELETE") else {"content": b"{}"}
    if route.path.endswith(("/module", "/modules")):
        headers = headers | {"Content-Type": "application/wasm"}
    elif route.method in ("POST", "PUT"):
        headers = headers | {"Content-Type": "application/json"}
    with server.client() as client, client.stream(route.method, route.fill(**fill), headers=headers, **body) as answer:
        if answer.headers["Content-Type"].startswith("application/problem+json"):
            answer.read()
            return answer, answer.json()
        return answer, {}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def bad_credentials(token):
    """name -> Authorization values, all of them nobody's."""
    head, claims, signature = token.split(".")
    facts = json.loads(unb64(claims))
    forged = b64(json.dumps(facts | {"exp": 4102444800}).encode())
    flipped = bytearray(unb64(signature))
    flipped[10] ^= 1
    none = b64(b'{"alg":"none","typ":"JWT"}')
    hs256 = b64(b'{"alg":"HS256","typ":"JWT"}')
    mac = b64(hmac.new(b"", f"{hs256}.{claims}".encode(), hashlib.sha256).digest())
    return {
        "absent": None, "empty": "", "no token": "Bearer", "basic": f"Basic {token}",
        "bare": token, "a word": "Bearer x", "dots": "Bearer ..", "two parts": f"Bearer {head}.{claims}",
        "four parts": f"Bearer {token}.x", "no signature": f"Bearer {head}.{claims}.",
        "alg none": f"Bearer {none}.{claims}.", "alg none, signed": f"Bearer {none}.{claims}.{signature}",
        "HS256": f"Bearer {hs256}.{claims}.{mac}", "other claims": f"Bearer {head}.{forged}.{signature}",
        "flipped bit": f"Bearer {head}.{claims}.{b64(bytes(flipped))}", "shortened": f"Bearer {token[:-3]}",
        "padded": f"Bearer {token}==", "two tokens": f"Bearer {token} {token}", "comma": f"Bearer {token},",
        "long": "Bearer " + "a" * 8000, "long parts": f"Bearer {head}.{'A' * 5000}.{signature}",
    }


@pytest.mark.parametrize("route", CLOSED, ids=str)
def test_nobody(server, target, route):
    answer, problem = send(server, route, {})
    assert (answer.status_code, problem["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    answer, _ = send(server, route, bearer("nonsense"))
    assert answer.status_code == 401


def test_malformed_tokens(server, make_token):
    credentials = bad_credentials(make_token("read")["token"])
    with server.client() as client:
        for name, value in credentials.items():
            answer = client.get("/v1/projects", headers={"Authorization": value} if value is not None else {})
            assert answer.status_code == 401 and answer.json()["code"] == "unauthorized", (name, answer.text)
        both = client.get("/v1/projects", headers=[("Authorization", f"Bearer {server.token}"),
                                                   ("Authorization", "Bearer x")])
        assert both.status_code in (400, 401)


def test_a_token_expires(server, make_token):
    token = make_token("read", expires_in=1)["token"]
    with server.client(token) as client:
        problem = eventually(lambda: (a := client.get("/v1/projects")).status_code == 401 and a.json())
    assert problem and "expired" in problem["detail"]


def test_a_revoked_token_is_refused_at_once(server, make_token):
    made = make_token("read")
    with server.client(made["token"]) as client:
        assert client.get("/v1/projects").status_code == 200
        assert server.api.delete(f"/v1/tokens/{made['id']}").status_code == 204
        refused = client.get("/v1/projects")
        assert refused.status_code == 401 and "revoked" in refused.json()["detail"]


@pytest.fixture(scope="module")
def lacking(shared_server):
    """scope -> a token that has all scopes but this one."""
    tokens = {}
    for scope in SCOPES:
        rest = [other for other in SCOPES if other != scope]
        answer = shared_server.api.post("/v1/tokens", json={"name": f"not {scope}", "scopes": rest})
        assert answer.status_code == 201, answer.text
        tokens[scope] = answer.json()["token"]
    return tokens


@pytest.mark.parametrize("route", [r for r in CLOSED if r.scope], ids=str)
def test_a_scope_is_missing(server, target, lacking, route):
    answer, problem = send(server, route, bearer(lacking[route.scope]))
    assert (answer.status_code, problem["code"]) == (403, "forbidden") and f'"{route.scope}"' in problem["detail"]


def test_no_token_gives_more_than_it_has(server, make_token):
    with server.client(make_token("admin", "read")["token"]) as client:
        answer = client.post("/v1/tokens", json={"name": "more", "scopes": ["read", "deploy"]})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert client.post("/v1/tokens", json={"name": "less", "scopes": ["read"]}).status_code == 201


@pytest.fixture(scope="module")
def foreign(shared_server):
    """A token with every scope in another project."""
    assert shared_server.api.post("/v1/projects", json={"name": "elsewhere"}).status_code == 201
    answer = shared_server.api.post("/v1/tokens",
                                    json={"name": "elsewhere", "scopes": SCOPES, "project": "elsewhere"})
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


@pytest.mark.parametrize("route", PROJECTS, ids=str)
def test_a_foreign_project_is_a_missing_one(server, target, foreign, route):
    """Answers about a project that isn't the token's and one that doesn't exist differ in the name alone."""
    theirs, problem = send(server, route, bearer(foreign))
    missing, nothing = send(server, route, bearer(foreign), project="nowhere")
    assert theirs.status_code == missing.status_code == 404
    del problem["request_id"], nothing["request_id"]
    assert json.dumps(problem).replace("default", "nowhere") == json.dumps(nothing)


F = "/v1/projects/:project/functions/:function"
MAKES = (f"PUT {F}/module", f"POST {F}/versions",  # a name that is free becomes a function
         "PUT /v1/projects/:project/secrets/:id")  # …or a secret
NAMING = [r for r in PROJECTS if (":function" in r.path or ":id" in r.path) and str(r) not in MAKES]


@pytest.mark.parametrize("route", NAMING, ids=str)
def test_a_foreign_function_is_a_missing_one(server, target, route):
    """By its name in the own project, where it isn't."""
    server.api.post("/v1/projects", json={"name": "neighbour"})
    run = target.ask().run
    answer, _ = send(server, route, bearer(server.token), project="neighbour", id=run)
    assert answer.status_code == 404


def test_a_token_of_a_project_lists_that_project_alone(server, foreign):
    with server.client(foreign) as client:
        names = [p["name"] for p in client.get("/v1/projects").json()["items"]]
        assert "default" not in names
        assert client.get("/v1/projects/elsewhere").status_code == 200
        made = client.post("/v1/tokens", json={"name": "child", "scopes": ["read"]})
        assert made.status_code == 201
    with server.client(made.json()["token"]) as child:
        assert child.get("/v1/projects/default").status_code == 404
    with server.client(foreign) as client:
        escaped = client.post("/v1/tokens", json={"name": "out", "scopes": ["read"], "project": "default"})
        assert escaped.status_code == 404
        assert client.post("/v1/projects", json={"name": "sideways"}).status_code in (403, 404)


def test_a_token_of_a_project_reaches_no_other_token(server, foreign):
    with server.client(foreign) as client:
        own = client.post("/v1/tokens", json={"name": "own", "scopes": ["read"]}).json()
        every = server.api_list("/v1/tokens", limit=1)
        mine = []
        query = {"limit": 1}  # a page may be empty where others' are left out, but has its cursor
        while True:
            page = client.get("/v1/tokens", params=query).json()
            mine += [token["id"] for token in page["items"]]
            if not page["next"]:
                break
            query["cursor"] = page["next"]
        assert own["id"] in mine and len(mine) < len(every)
        operator = server.api.get("/v1/whoami").json()["token"]["id"]
        assert operator in [token["id"] for token in every] and operator not in mine
        refused, missing = client.delete(f"/v1/tokens/{operator}"), client.delete(f"/v1/tokens/{RUN}")
        assert refused.status_code == missing.status_code == 404
        assert refused.json()["detail"] == missing.json()["detail"]
        projects = client.get("/v1/projects", params={"limit": 1}).json()
        while not projects["items"]:
            projects = client.get("/v1/projects", params={"limit": 1, "cursor": projects["next"]}).json()
        assert [project["name"] for project in projects["items"]] == ["elsewhere"]
        assert client.delete(f"/v1/tokens/{own['id']}").status_code == 204


def test_secrets_are_nowhere_in_clear(server, make_token):
    """Neither in the command lines of roles, nor in their environment, nor in the log."""
    token = make_token("read")["token"].encode()
    with server.client(token.decode()) as client:
        client.get("/v1/projects")
    for pid in [server.pid, *server.descendants()]:
        for file in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{file}", "rb") as content:
                    text = content.read()
            except OSError:
                continue  # it ended, or forbids it
            assert token not in text and server.token.encode() not in text
    assert token.decode() not in server.log() and server.token not in server.log()
    for path, content in files_below(server.data):
        if path.name != "operator.token":
            assert token.split(b".")[2] not in content, path
