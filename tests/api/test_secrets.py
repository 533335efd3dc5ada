"""Secrets: set without being shown, seen by the next request, never brought back by a rollback."""

import concurrent.futures
import sqlite3
import threading

import pytest

from server import eventually
from upstream import Upstream

P = "/v1/projects/default"


@pytest.fixture
def deployed(server, guests):
    """deployed("name", secrets=[…]): a function that prints its environment."""
    return lambda name, **settings: server.deploy(name, guests / "wasi-env.wasm", **settings)


def put(server, name, value, expect=200):
    answer = server.api.put(f"{P}/secrets/{name}", json={"value": value})
    assert answer.status_code == expect, answer.text
    assert value not in answer.text or len(value) < 8
    return answer.json()


def live(server, name):
    return server.api_json(f"{P}/functions/{name}/versions/live")


def variables(function):
    lines = function.get().body.decode().split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("argv["))


def test_from_the_pipe_to_the_guest(cli, server, deployed):
    function = deployed("secretive")
    said = cli("secret", "set", "API_KEY", stdin=b"correct horse\n")
    assert said.out == "" and "correct" not in said.err
    cli("env", "set", "secretive", "--secret", "API_KEY", "LANG=de")
    seen = variables(function)
    assert seen["API_KEY"] == "correct horse" and seen["LANG"] == "de"
    assert live(server, "secretive")["secrets"] == ["API_KEY"]
    # The next request after a change has the new value; no version was made.
    cli("secret", "set", "API_KEY", stdin=b"battery staple\nof two lines\n")
    body = function.get().body.decode()
    assert "API_KEY=battery staple\nof two lines\n" in body and live(server, "secretive")["number"] == 2
    shown = next(s for s in cli("secret", "list", "--json").json["items"] if s["name"] == "API_KEY")
    assert shown["functions"] == ["secretive"] and set(shown) == {"etag", "name", "functions", "created_at", "updated_at"}
    assert cli("env", "list", "secretive").lines == ["LANG=de", "# API_KEY is a secret"]
    # Unset only when nothing that answers names it.
    refused = cli("secret", "unset", "API_KEY", status=1)
    assert "env unset secretive API_KEY" in refused.err
    cli("env", "unset", "secretive", "API_KEY")
    assert "API_KEY" not in variables(function)
    cli("secret", "unset", "API_KEY")
    assert "no secret" in cli("secret", "unset", "API_KEY", status=3).err


def test_never_on_the_command_line(cli):
    for words in (["KEY=hunter2-long"], ["KEY", "hunter2-long"]):
        refused = cli("secret", "set", *words, status=2)
        assert "hunter2" not in refused.err + refused.out and "standard input" in refused.err
    assert "no value" in cli("secret", "set", "KEY", stdin=b"\n", status=2).err
    assert "UTF-8" in cli("secret", "set", "KEY", stdin=b"\xff\xfe", status=2).err


def test_the_prompt_shows_nothing(cli, server):
    done = cli.on_terminal("secret", "set", "TYPED", typed=b"hunter2-typed\n", prompt=b"TYPED: ")
    assert "TYPED: " in done.out and "no function uses it yet" in done.out
    assert "hunter2" not in done.out
    assert any(s["name"] == "TYPED" for s in server.api_json(f"{P}/secrets")["items"])


def test_what_is_refused(server, deployed):
    """Each refusal names the field, and no answer repeats a value."""
    def refused(value, name="WRONG", status=422, **more):
        answer = server.api.put(f"{P}/secrets/{name}", json={"value": value} | more)
        assert answer.status_code == status, answer.text
        assert "canary" not in answer.text
        return answer.json()

    assert "value" in refused("")["fields"]
    assert "value" in refused("canary" * 1000)["fields"]
    assert "value" in refused(["canary"])["fields"]
    assert "valeu" in refused("x", valeu="canary")["fields"]
    assert "name" in refused("canary", name="1X")["fields"]
    assert "name" in refused("canary", name="QUERY_STRING")["fields"]
    assert "name" in refused("canary", name="X" * 129)["fields"]
    for body in ('{"value": "canary', '{"value": canary}', '"canary"', '{"value": "canary\\u0000"}'):
        answer = server.api.put(f"{P}/secrets/WRONG", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422) and "canary" not in answer.text, answer.text
    assert all(s["name"] != "WRONG" for s in server.api_json(f"{P}/secrets")["items"])
    # A version that names one that isn't there, or a variable's name.
    deployed("wants")
    versions = f"{P}/functions/wants/versions"
    answer = server.api.post(versions, json={"secrets": ["NOT_SET"]})
    assert answer.status_code == 422 and "secret set NOT_SET" in answer.json()["fields"]["secrets[0]"]
    put(server, "TWICE", "a-value-of-its-own")
    answer = server.api.post(versions, json={"secrets": ["TWICE"], "env": {"TWICE": "x"}})
    assert answer.status_code == 422 and "env.TWICE" in answer.json()["fields"]
    assert live(server, "wants")["number"] == 1


def test_scopes(server):
    """Only tokens with the scope `secrets` come near them, and of their own project."""
    def client(*scopes, **more):
        made = server.api.post("/v1/tokens", json={"name": "t", "scopes": list(scopes)} | more)
        assert made.status_code == 201, made.text
        return server.client(made.json()["token"])

    with client("read", "deploy", "invoke", "logs", "admin") as others:
        assert others.get(f"{P}/secrets").status_code == 403
        assert others.put(f"{P}/secrets/X", json={"value": "v"}).status_code == 403
        assert others.delete(f"{P}/secrets/X").status_code == 403
    with client("secrets") as keeper:
        assert keeper.put(f"{P}/secrets/KEPT", json={"value": "value-kept"}).status_code == 200
        assert keeper.delete(f"{P}/secrets/KEPT").status_code == 204
    server.api.post("/v1/projects", json={"name": "other-secrets"})
    with client("secrets", project="other-secrets") as foreign:
        assert foreign.put(f"{P}/secrets/X", json={"value": "v"}).status_code == 404
        assert foreign.put("/v1/projects/other-secrets/secrets/X", json={"value": "v"}).status_code == 200
    assert all(s["name"] != "X" for s in server.api_json(f"{P}/secrets")["items"])


def test_limits(serve, guests):
    """How many, and how much with the environment: judged where a value is set and where a version
    is made."""
    own = serve(limits="secrets=15")
    def fill(name, size):
        return own.api.put(f"{P}/secrets/{name}", json={"value": "x" * size})
    for i in range(13):
        assert fill(f"BIG{i:02}", 5000).status_code == 200
    names = [f"BIG{i:02}" for i in range(13)]  # 13 × 5,007 bytes
    own.deploy("large", guests / "wasi-env.wasm", secrets=names)
    path = f"{P}/functions/large/versions"
    assert "over 64 KiB" in own.api.post(path, json={"env": {"A": "y" * 500}}).json()["fields"]["env"]
    assert own.api.post(path, json={"env": {"A": "y" * 340}}).status_code == 201
    answer = fill("BIG00", 5110)
    assert answer.status_code == 422 and "large" in answer.json()["fields"]["value"], answer.text
    assert fill("BIG00", 5020).status_code == 200
    assert fill("S13", 1).status_code == 200 and fill("S14", 1).status_code == 200
    answer = fill("S15", 1)
    assert answer.status_code == 409 and answer.json()["code"] == "quota"
    assert fill("S14", 2).status_code == 200


def test_every_request_after_the_answer(server, deployed):
    """Under load: requests that began after `secret set` was answered all have the new value."""
    put(server, "ROLLING", "value-000")
    function = deployed("rolling", secrets=["ROLLING"])
    newest, done, wrong, seen = [0], threading.Event(), [], []

    def ask():
        with function.wire() as wire:
            while not done.is_set():
                least = newest[0]
                body = wire.ask("/").body.decode()
                got = int(body.split("ROLLING=value-")[1][:3])
                seen.append(got)
                if got < least:
                    wrong.append((least, got))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        for i in range(1, 40):
            put(server, "ROLLING", f"value-{i:03}")
            newest[0] = i
            assert eventually(lambda: i in seen, every=0.001)
        done.set()
        for each in asking:
            each.result()
    assert not wrong, wrong[:10]


def test_a_rollback_brings_no_old_value(server, deployed):
    """What answers is the version of then with the secret of now."""
    put(server, "TURNED", "value-one")
    function = deployed("turned", secrets=["TURNED"], env={"WHICH": "first"})
    assert variables(function)["TURNED"] == "value-one"
    deployed("turned", env={"WHICH": "second"})
    put(server, "TURNED", "value-two")
    answer = server.api.post(f"{P}/functions/turned/rollback", json={})
    assert answer.status_code == 200, answer.text
    seen = variables(function)
    assert seen["WHICH"] == "first" and seen["TURNED"] == "value-two"


def test_policies_outlive_a_change(serve, guests):
    """A version that is loaded again with a new value may open what it could, while runs with the old
    one go on and after they ended."""
    own, upstream, ended = serve(edges=1, egress_addresses="127.0.0.0/8"), Upstream(), []
    put(own, "WITH_POLICY", "value-first")
    function = own.deploy("reaching", guests / "cwa-opens.wasm", secrets=["WITH_POLICY"],
                          policy={"allow": [upstream.url("/**")], "on_violation": "error"})

    def reaches(path):
        return "200 OK" in function.post("/", upstream.url(path).encode() + b"\0").text

    inside = threading.Thread(target=lambda: ended.append(reaches("/hang")))
    try:
        assert reaches("/hello")
        inside.start()
        assert upstream.hanging.acquire(timeout=60)
        for i in range(3):
            put(own, "WITH_POLICY", f"value-{i}-more")
            assert reaches("/hello")
    finally:
        upstream.stop()
        inside.join()
    assert ended == [False]


def test_what_answers_again_needs_its_secrets(server, deployed):
    """Promoted, split, previewed, undeleted: each way back is refused while a secret is missing."""
    put(server, "LEFT", "value-left")
    deployed("leaver", secrets=["LEFT"])
    function = deployed("leaver", secrets=[])
    path = f"{P}/functions/leaver"
    assert server.api.delete(f"{P}/secrets/LEFT").status_code == 204
    for verb, body in (("/versions/1/promote", {}), ("/rollback", {}), ("/versions/1/preview", None),
                       ("/split", {"versions": {"1": 50, "2": 50}})):
        answer = server.api.post(path + verb, json=body)
        assert answer.status_code == 422 and "secret set LEFT" in answer.text, (verb, answer.text)
    put(server, "LEFT", "value-back")
    assert server.api.post(path + "/rollback", json={}).status_code == 200
    assert variables(function)["LEFT"] == "value-back"
    assert server.api.delete(f"{P}/secrets/LEFT").status_code == 409
    assert server.api.delete(path).status_code == 204
    assert server.api.delete(f"{P}/secrets/LEFT").status_code == 204
    answer = server.api.post(path + "/undelete")
    assert answer.status_code == 422 and "secret set LEFT" in answer.text
    put(server, "LEFT", "value-again")
    assert server.api.post(path + "/undelete").status_code == 200
    assert variables(function)["LEFT"] == "value-again"


def test_an_audit_row_without_the_value(server):
    put(server, "AUDITED", "canary-audited-value")
    with sqlite3.connect(f"file:{server.data}/db.sqlite?mode=ro", uri=True) as db:
        rows = db.execute("SELECT action, object, detail FROM audit WHERE object = 'AUDITED'").fetchall()
    assert rows == [("secret.set", "AUDITED", "")]
    assert "canary-audited" not in server.log()


def test_a_preview_loses_an_unset_secret_at_once(server, guests):
    server.api.put(f"{P}/secrets/PREVIEWED", json={"value": "seen"})
    function = server.deploy("previews-secret", guests / "wasi-env.wasm")
    made = server.api.post(f"{function.path}/versions", json={"secrets": ["PREVIEWED"], "preview": "public",
                                                              "promote": False})
    assert made.status_code == 201, made.text
    with server.wire(host=f"2--previews-secret.localhost:{server.port}") as wire:
        assert b"PREVIEWED=seen" in wire.ask().body
        assert server.api.delete(f"{P}/secrets/PREVIEWED").status_code == 204
        assert b"PREVIEWED" not in wire.ask().body
