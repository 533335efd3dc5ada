"""32 clients that change the same things: no update is lost, nothing is there twice, no quota passed."""

import concurrent.futures
import threading
import uuid
from collections import Counter

import pytest

CLIENTS = 32
F = "/v1/projects/default/functions"


@pytest.fixture
def at_once():
    """at_once(server, what): calls what(client, number) in 32 threads that start together."""
    def run(server, what, clients=CLIENTS):
        barrier = threading.Barrier(clients)

        def one(number):
            with server.client(server.token) as client:
                client.get("/healthz")  # connected before the start
                barrier.wait(60)
                return what(client, number)

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            return list(pool.map(one, range(clients)))

    return run


def statuses(answers):
    return Counter(answer.status_code for answer in answers)


def test_a_name_is_given_once(server, at_once):
    answers = at_once(server, lambda client, _: client.post(F, json={"name": "race-name"}))
    assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
    assert [f["name"] for f in server.api_list(F)].count("race-name") == 1


def test_first_deploys_of_a_name(server, guests, at_once):
    module = (guests / "cwa-bare.wasm").read_bytes()
    answers = at_once(server, lambda client, _: client.put(
        f"{F}/race-deploy/module?check=none", content=module, headers={"Content-Type": "application/wasm"}))
    assert set(statuses(answers)) <= {200, 201}, [a.text for a in answers if a.status_code > 201]
    versions = server.api_list(f"{F}/race-deploy/versions")
    assert len(versions) == statuses(answers)[201] == 1
    assert server.api_json(f"{F}/race-deploy")["version"] == 1


def test_different_deploys_of_a_function(server, guests, at_once):
    function = server.deploy("race-different", guests / "cwa-bare.wasm")
    answers = at_once(server, lambda client, i: client.post(
        f"{function.path}/versions", json={"env": {f"N{i}": "1"}}))
    assert statuses(answers) == {201: CLIENTS}
    numbers = sorted(a.json()["version"]["number"] for a in answers)
    assert numbers == list(range(2, CLIENTS + 2))
    live = server.api_json(f"{function.path}/versions/live")
    assert live["number"] in numbers and server.api_json(function.path)["version"] == live["number"]


def test_no_update_is_lost(server, guests, at_once):
    """Each adds one to a variable, as often as it takes; If-Match says whether it did."""
    function = server.deploy("race-count", guests / "cwa-bare.wasm", env={"COUNT": "0"})

    def add(client, _):
        tries = 0
        while True:
            tries += 1
            read = client.get(f"{function.path}/versions/live")
            count = int(read.json()["env"]["COUNT"])
            answer = client.post(f"{function.path}/versions", json={"env": {"COUNT": str(count + 1)}},
                                 headers={"If-Match": read.headers["ETag"]})
            if answer.status_code == 201:
                return tries
            assert answer.status_code == 412, answer.text

    tries = at_once(server, add)
    assert server.api_json(f"{function.path}/versions/live")["env"]["COUNT"] == str(CLIENTS)
    assert sum(tries) >= CLIENTS


def test_one_key_makes_one(server, at_once):
    again = {"Idempotency-Key": str(uuid.uuid4())}
    answers = at_once(server, lambda client, _: client.post(F, json={"name": "race-key"}, headers=again))
    assert set(statuses(answers)) <= {201, 409}
    made = [a for a in answers if a.status_code == 201]
    assert len({a.json()["id"] for a in made}) == 1
    assert sum("Idempotency-Replayed" not in a.headers for a in made) == 1
    assert all("still running" in a.json()["detail"] for a in answers if a.status_code == 409)


def test_delete_and_undelete(server, at_once):
    assert server.api.post(F, json={"name": "race-delete"}).status_code == 201

    def turn(client, number):
        gone = client.delete(f"{F}/race-delete").status_code
        back = client.post(f"{F}/race-delete/undelete").status_code
        return gone, back

    turns = at_once(server, turn)
    gone, back = Counter(g for g, _ in turns), Counter(b for _, b in turns)
    assert set(gone) <= {204, 404} and set(back) <= {200, 409}, turns
    left = server.api_json(f"{F}/race-delete")["state"] == "deleted"
    assert gone[204] - back[200] == int(left)


def test_quotas(serve, at_once):
    own = serve(plan=None, limits="api-rate=0,tokens=20,functions=7,secrets=9")
    before = len(own.api_list("/v1/tokens"))
    tokens = at_once(own, lambda client, i: client.post("/v1/tokens", json={"name": f"t{i}", "scopes": ["read"]}))
    assert statuses(tokens) == {201: 20 - before, 409: CLIENTS - 20 + before}
    projects = at_once(own, lambda client, i: client.post("/v1/projects", json={"name": f"p{i}"}))
    assert statuses(projects) == {201: 4, 409: CLIENTS - 4}  # "default" is the first of five
    functions = at_once(own, lambda client, i: client.post(F, json={"name": f"f{i}"}))
    assert statuses(functions) == {201: 7, 409: CLIENTS - 7}
    assert {a.json()["code"] for a in tokens + projects + functions if a.status_code == 409} == {"quota"}
    secrets = at_once(own, lambda client, i: client.put(f"/v1/projects/default/secrets/S{i}", json={"value": "x"}))
    assert len(own.api_list("/v1/projects/default/secrets")) == 9
    assert statuses(secrets)[409] == CLIENTS - 9
    for path, count in (("/v1/tokens", 20), ("/v1/projects", 5), (F, 7)):
        assert len(own.api_list(path)) == count


def test_promotions_end_in_one(server, guests, at_once):
    function = server.deploy("race-promote", guests / "cwa-bare.wasm", env={"A": "1"})
    assert server.api.post(f"{function.path}/versions", json={"env": {"A": "2"}}).status_code == 201
    answers = at_once(server, lambda client, i: client.post(
        f"{function.path}/versions/{1 + i % 2}/promote", json={"skip_check": True}))
    assert set(statuses(answers)) <= {200, 409}, [a.text for a in answers if a.status_code > 299]
    live = [v for v in server.api_list(f"{function.path}/versions") if v["number"] == server.api_json(function.path)["version"]]
    assert len(live) == 1 and function.get().status == 200
