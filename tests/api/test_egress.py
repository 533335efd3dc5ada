"""Egress as a role of the server: what it may do, whose policy counts, what it writes down, and that
nobody else notices when it dies."""

import os
import re
import threading
import time

import pytest

from cli import Cli
from load import Load
from server import eventually, status_of
from test_kill import ANY_PORT, KILLED, failing_serve
from upstream import Upstream


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.stop()


@pytest.fixture
def own(serve):
    return serve(edges=1, egress_addresses="127.0.0.0/8", expect_errors=KILLED)


def policy(*allow):
    return {"allow": list(allow), "on_violation": "error"}


def opens(function, *urls):
    """What the guest opens.c said about each: (descriptor or error, bytes, the end, first line)."""
    answer = function.post("/", "".join(url + "\0" for url in urls).encode())
    assert answer.status == 200, answer
    found = [re.match(r"(-?\d+) (\d+) (-?\d+) (.*)", line) for line in answer.text.splitlines()]
    return [(int(m[1]), int(m[2]), int(m[3]), m[4]) for m in found]


def reaches(function, url):
    return opens(function, url)[0][3] == "HTTP/1.1 200 OK"


def deploy(server, guests, upstream, name="opens", project="default", paths="/**"):
    return server.deploy(name, guests / "cwa-opens.wasm", project=project, policy=policy(upstream.url(paths)))


def test_what_it_may_not(own):
    [pid] = own.role("egress")
    status = status_of(pid)
    assert status["CapEff"] == status["CapBnd"] == "0" * 16 or os.geteuid() != 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    with open(f"/proc/{pid}/net/tcp") as file:
        listening = {line.split()[9] for line in file if line.split()[3] == "0A"}
    held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert listening and not held & {f"socket:[{inode}]" for inode in listening}


def test_nobody_notices_when_it_is_killed(own, guests, upstream):
    bare, function = own.guest(guests, "cwa-bare"), deploy(own, guests, upstream)
    assert reaches(function, upstream.url("/hello"))
    ended = []
    inside = threading.Thread(target=lambda: ended.extend(opens(function, upstream.url("/hang"))))
    with Load(bare) as load:
        inside.start()
        assert upstream.hanging.acquire(timeout=60)
        old = own.kill_role("egress")
        inside.join(60)
        assert ended and ended[0][1] == 0 and ended[0][2] < 0, "its read ended with an error"
        load.wait_for(100)
        assert own.replaced(old, "egress")
        assert eventually(lambda: reaches(function, upstream.url("/hello")))
        load.wait_for(100)
    assert not load.failed and not load.cuts
    assert not [run for run in own.api_list("/v1/projects/default/runs", failed="true")]


def test_it_comes_back_as_often_as_it_dies(own, guests, upstream):
    function = deploy(own, guests, upstream)
    for _ in range(3):
        assert own.replaced(own.kill_role("egress"), "egress")
        assert eventually(lambda: reaches(function, upstream.url("/hello")))


def test_an_edge_that_restarts_reaches_it_again(own, guests, upstream):
    function = deploy(own, guests, upstream)
    assert reaches(function, upstream.url("/hello"))
    own.kill_role("edge", "0")
    assert eventually(lambda: reaches(function, upstream.url("/hello")))


def test_each_project_has_its_own_policy(own, guests, upstream):
    assert own.api.post("/v1/projects", json={"name": "other"}).status_code == 201
    mine = deploy(own, guests, upstream, "mine", paths="/hello")
    theirs = deploy(own, guests, upstream, "theirs", project="other", paths="/204")
    neighbour = deploy(own, guests, upstream, "neighbour", paths="/redirect")  # in the same exec as mine
    for _ in range(2):
        found = [opens(f, upstream.url("/hello"), upstream.url("/204"), upstream.url("/redirect"))
                 for f in (mine, theirs, neighbour)]
        assert [[bool(result[1]) for result in row] for row in found] == [
            [True, False, False], [False, True, False], [False, False, True]]
    assert {request.target for request in upstream.requests} == {"/hello", "/204", "/redirect"}


def test_a_new_version_brings_its_policy(own, guests, upstream):
    function = deploy(own, guests, upstream, paths="/204")
    assert not reaches(function, upstream.url("/hello"))
    assert reaches(deploy(own, guests, upstream, paths="/hello"), upstream.url("/hello"))
    assert not reaches(deploy(own, guests, upstream, paths="/204"), upstream.url("/hello"))


def test_the_operators_policy_overrides(serve, guests, upstream, tmp_path):
    file = tmp_path / "operator.yaml"
    file.write_text(f"allow:\n  - regex: '^http://'\ndisallow:\n  - {upstream.url('/big')}\n")
    server = serve(edges=1, egress_addresses="127.0.0.0/8", policy=str(file), expect_errors=KILLED)
    function = deploy(server, guests, upstream)
    for _ in range(2):
        assert reaches(function, upstream.url("/hello"))
        assert opens(function, upstream.url("/big"))[0][1] == 0
        assert server.replaced(server.kill_role("egress"), "egress")  # its successor reads the same file
        assert eventually(lambda: reaches(function, upstream.url("/hello")))
    assert {request.target for request in upstream.requests} == {"/hello"}
    assert any("operator" in line["text"] for line in function.logs())


def test_a_policy_that_is_not_there_or_not_one(tmp_path):
    data = ["--data", str(tmp_path / "data")]
    status, text = failing_serve(tmp_path, *data, f"--policy={tmp_path}/none.yaml", *ANY_PORT)
    assert status == 1 and f"{tmp_path}/none.yaml" in text
    status, text = failing_serve(tmp_path, *data, f"--policy={tmp_path}", *ANY_PORT)
    assert status != 0 and str(tmp_path) in text
    bad = tmp_path / "bad.yaml"
    bad.write_text("allow:\n  - https://example.com/**\nalow: []\n")
    status, text = failing_serve(tmp_path, *data, f"--policy={bad}", *ANY_PORT)
    assert status != 0 and f"{bad}:3:" in text


def test_the_journal_answers_who_it_was(own, guests, upstream, tmp_path):
    function = deploy(own, guests, upstream)
    began = int(time.time())
    run = function.post("/", (upstream.url("/hello") + "\0").encode()).run
    assert not reaches(function, "http://10.0.0.1/")  # forbidden by policy: nothing was about to happen

    def asked(**query):
        return own.api_list("/v1/audit/egress", to="127.0.0.1", **query)

    [entry] = eventually(lambda: asked(port=upstream.port))
    assert entry == entry | {"address": "127.0.0.1", "port": upstream.port, "scheme": "http", "host": "127.0.0.1",
                             "project": "default", "function": "opens", "run": run, "outcome": "ok", "sent": 0}
    assert entry["received"] > 0
    assert asked(at=began, within=60) == asked(port=upstream.port) == asked(limit=1)
    assert not asked(port=1) and not asked(at=began - 3600, within=60)
    assert not own.api_list("/v1/audit/egress", to="10.0.0.1")

    cli = Cli(tmp_path, own)
    words = ["audit", "egress", "--to", "127.0.0.1", "--at", "1m", "--within", "10m"]
    assert cli(*words, "--json").json["items"] == [entry]
    assert run in cli(*words).out and "default" in cli(*words).out
    assert cli("audit", "egress", status=2).err

    # What was written down outlives the function, and any of the processes.
    for role in ("egress", "control"):
        assert own.replaced(own.kill_role(role), role)
    assert eventually(lambda: own.api.get(function.path).status_code == 200)
    assert own.api.delete(function.path).status_code in (200, 204)
    assert asked(port=upstream.port)[0]["run"] == run


def test_an_address_that_was_refused_is_written_down(own, guests, upstream):
    function = own.deploy("opens", guests / "cwa-opens.wasm", policy=policy("http://10.0.0.1/**"))
    assert opens(function, "http://10.0.0.1/")[0][1] == 0
    [entry] = eventually(lambda: own.api_list("/v1/audit/egress", to="10.0.0.1"))
    assert entry["outcome"] == "policy" and entry["function"] == "opens"


def test_only_an_operator_may_ask_the_journal(own):
    def token(**fields):
        made = own.api.post("/v1/tokens", json={"name": "t", "expires_in": 600} | fields)
        assert made.status_code == 201, made.text
        return own.client(made.json()["token"])

    for fields in ({"scopes": ["read", "logs"]}, {"scopes": ["admin"], "project": "default"}):
        with token(**fields) as client:
            assert client.get("/v1/audit/egress", params={"to": "127.0.0.1"}).status_code == 403
    for query in ({}, {"to": "localhost"}, {"to": "127.0.0.1", "port": "0"}, {"to": "127.0.0.1", "at": "soon"},
                  {"to": "127.0.0.1", "within": "x"}, {"to": "127.0.0.1", "who": "me"}):
        assert own.api.get("/v1/audit/egress", params=query).status_code == 422
