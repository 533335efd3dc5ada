"""Policies of functions: deployed, agreed to, changed, learned, and refused when they are wrong."""

import json
import shlex
import urllib.parse

import pytest

from cli import Cli
from server import Function, Server, binary
from upstream import Upstream

P = "/v1/projects/default"
API = "https://api.example.com/v1/**"
OTHER = "https://other.example/**"


@pytest.fixture
def policy_file(tmp_path):
    """policy_file("p.yaml", text): its path."""
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name
    return write


@pytest.fixture
def deployed(cli, guests, policy_file):
    """deployed("name"): a function that may open what API says, version 1."""
    def deploy(name, text=f"allow:\n  - {API}\n"):
        cli("deploy", guests / "wasi-hello.wasm", "--name", name, "--response", "text", "--policy",
            policy_file(f"{name}.yaml", text))
        return name
    return deploy


def live(server, name):
    return server.api_json(f"{P}/functions/{name}/versions/live")


# deploy


def test_a_first_version_needs_no_agreement(cli, guests, policy_file, server):
    """Whoever gives a new function a policy has just written it; it is shown all the same."""
    done = cli("deploy", guests / "wasi-hello.wasm", "--name", "opens-first", "--response", "text",
               "--policy", policy_file("p.yaml", f"allow:\n  - {API}\nmethods: [GET]\n"))
    assert done.lines == [f"http://opens-first.localhost:{server.port}/"]
    assert f"allow {API}" in done.err
    version = live(server, "opens-first")
    assert version["policy"] == {"allow": [API], "methods": ["GET"]}


def test_what_newly_opens_must_be_agreed_to(cli, guests, policy_file, server, deployed):
    name = deployed("opens-more")
    more = policy_file("more's.yaml", f"allow:\n  - {API}\n  - {OTHER}\n")
    words = ["deploy", guests / "wasi-hello.wasm", "--name", name, "--policy", more]
    refused = cli(*words, status=4)
    assert f"allow {OTHER}" in refused.err and f"allow {API}" not in refused.err
    assert live(server, name)["number"] == 1
    # The command line to paste agrees.
    line = refused.err.splitlines()[-1]
    assert line.startswith("next: wasmcloud deploy --yes ")
    pasted = shlex.split(line.removeprefix("next: "))
    assert pasted[0] == binary().name
    assert cli(*pasted[1:]).err.count(OTHER) == 1
    assert live(server, name)["policy"]["allow"] == [API, OTHER]
    # The same again, and less, opens nothing.
    assert "newly" not in cli(*words).err
    less = policy_file("less.yaml", f"allow:\n  - {API}\ndisallow:\n  - https://api.example.com/v1/admin/**\n")
    assert "newly" not in cli("deploy", guests / "wasi-hello.wasm", "--name", name, "--policy", less).err
    # Taking a disallow away opens as well.
    refused = cli("policy", "set", name, policy_file("api.yaml", f"allow:\n  - {API}\n"), status=4)
    assert "admin" in refused.err


@pytest.mark.parametrize("typed, status, number", [(b"y\n", 0, 2), (b"n\n", 4, 1), (b"\n", 4, 1)], ids=["y", "n", "enter"])
def test_on_a_terminal_it_asks(cli, guests, policy_file, server, deployed, typed, status, number):
    name = deployed(f"asked-{number}{status}{len(typed)}")
    done = cli.on_terminal("policy", "set", name, policy_file("m.yaml", f"allow:\n  - {API}\n  - {OTHER}\n"),
                           status=status, typed=typed)
    assert OTHER in done.out and "[y/N]" in done.out
    assert live(server, name)["number"] == number


BAD = {
    "not-yaml": ("allow: [", "1:"),
    "unknown-key": ("allow: []\nalow:\n  - x\n", ":2:1:"),
    "no-url": ("allow:\n  - https://ok.example/\n  - nonsense\n", ":3:5:"),
    "wrong-type": ("allow: 7\n", ":1:8:"),
    "bad-regex": ("allow:\n  - regex: '^https://('\n", ":2:"),
    "bad-method": ("methods: [\"GE T\"]\n", ":1:"),
    "bad-violation": ("on_violation: shrug\n", ":1:"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_policies_change_nothing(cli, guests, policy_file, server, deployed, case):
    text, place = BAD[case]
    name = deployed(f"bad-{case}")
    before = server.api_json(f"{P}/functions/{name}/versions")
    file = policy_file("bad.yaml", text)
    for words in (["deploy", guests / "wasi-hello.wasm", "--name", name, "--policy", file],
                  ["policy", "set", name, file, "--yes"]):
        refused = cli(*words, status=2)
        assert "bad.yaml" in refused.err and place in refused.err, refused
    answer = server.api.post(f"{P}/functions/{name}/versions", json={"policy": text})
    assert answer.status_code == 422
    assert "line " in answer.json()["fields"]["policy"] and "column " in answer.json()["fields"]["policy"]
    assert server.api_json(f"{P}/functions/{name}/versions") == before


def test_api_names_line_and_column_of_objects(server, deployed):
    name = deployed("bad-object")
    answer = server.api.post(f"{P}/functions/{name}/versions",
                             json={"policy": {"allow": ["https://ok.example/", "nonsense"]}})
    assert answer.status_code == 422
    assert "line 4, column 5" in answer.json()["detail"], answer.text
    for wrong in (7, [], True):
        answer = server.api.post(f"{P}/functions/{name}/versions", json={"policy": wrong})
        assert answer.status_code == 422 and "policy" in answer.json()["fields"]
    gone = server.api.post(f"{P}/functions/{name}/versions", json={"policy": None})
    assert gone.status_code == 201 and gone.json()["version"]["policy"] is None


def test_no_file(cli, guests, tmp_path):
    assert "no-such.yaml" in cli("deploy", guests / "wasi-hello.wasm", "--policy", tmp_path / "no-such.yaml", status=3).err


def test_olins_limits_become_limits(cli, guests, policy_file, server):
    file = policy_file("old.policy", "allow (\n  https://api.example.com/.*\n)\nram-page-limit 16\ngas-limit 5000000\n")
    cli("deploy", guests / "wasi-hello.wasm", "--name", "of-olin", "--response", "text", "--policy", file)
    version = live(server, "of-olin")
    assert version["kind"] == "fuel" and version["limits"]["gas"] == "5000000"
    assert version["limits"]["memory"] == str(16 * 65536)
    # The smaller counts.
    cli("deploy", guests / "wasi-hello.wasm", "--name", "of-olin-2", "--response", "text", "--policy", file,
        "--limit", "gas=400000")
    assert live(server, "of-olin-2")["limits"]["gas"] == "400000"


# policy get, set, allow


def test_get(cli, deployed, server):
    name = deployed("got", f"# mine\nallow:\n  - {API}\non_violation: error\n")
    out = cli("policy", "get", name).out
    assert API in out and "error" in out
    assert cli("policy", "get", name, "--json").json == {"allow": [API], "on_violation": "error"}
    cli("policy", "allow", "https://b.example/x", name)
    assert "b.example" not in cli("policy", "get", name, "--version", "1").out
    assert "b.example" in cli("policy", "get", name).out
    assert f"opens     allow {API}" in cli("get", name).out
    assert "nobody-at-all" in cli("policy", "get", "nobody-at-all", status=3).err
    assert cli("policy", "get", name, "--version", "9", status=3).err


def test_set_makes_a_version_that_keeps_the_rest(cli, policy_file, server, deployed):
    name = deployed("set-it")
    server.api.post(f"{P}/functions/{name}/versions", json={"env": {"KEPT": "yes"}, "timing": True})
    done = cli("policy", "set", name, policy_file("n.yaml", "disallow:\n  - random://**\n"), "--json").json
    version = done["version"]
    assert done["promoted"] and version["number"] == 3
    assert version["policy"] == {"disallow": ["random://**"]}
    assert version["env"] == {"KEPT": "yes"} and version["timing"] and version["response"] == "text"
    assert cli("versions", name).lines[0].split("\t")[6] == "policy"
    audit = server.api_json(f"{P}/functions/{name}")
    assert audit["version"] == 3


def test_allow_adds_one_rule(cli, server, deployed):
    name = deployed("allowed")
    done = cli("policy", "allow", "http://new.example:80/a/../b?q=1", name)
    assert done.lines[-1].startswith(f"http://{name}.localhost")
    assert live(server, name)["policy"]["allow"] == [API, "http://new.example/b"]
    again = cli("policy", "allow", "http://new.example/b", name)
    assert "already" in again.err and live(server, name)["number"] == 2
    assert cli("policy", "allow", "not a url", name, status=2).err
    assert cli("policy", "allow", "https://x.example/", status=2).err
    assert cli("policy", "allow", "https://x.example/", "no-such-function", status=3).err


def test_allow_in_a_file_keeps_what_was_written(cli, policy_file):
    text = f"# ours\nallow: # these\n  - {API} # theirs\n  # more to come\n\nmethods: [GET]\n"
    file = policy_file("p.yaml", text)
    cli("policy", "allow", "https://new.example/b", "--file", file)
    changed = file.read_text()
    assert changed == text.replace("# theirs\n", "# theirs\n  - https://new.example/b\n")
    cli("policy", "allow", "https://new.example/b", "--file", file)
    assert file.read_text() == changed
    # Other styles are written anew, and mean the same.
    flow = policy_file("f.yaml", f"{{allow: [{API!r}]}}\n")
    cli("policy", "allow", OTHER, "--file", flow)
    as_json = policy_file("f.json", json.dumps({"allow": [API]}))
    cli("policy", "allow", OTHER, "--file", as_json)
    assert json.loads(as_json.read_text()) == {"allow": [API, OTHER]}
    for file in (flow, as_json):
        assert cli("policy", "test", file, "https://other.example/x").out.startswith("allowed")
    fresh = file.parent / "fresh.yaml"
    cli("policy", "allow", OTHER, "--file", fresh)
    assert fresh.read_text() == f"allow:\n  - {OTHER}\n"
    assert "convert" in cli("policy", "allow", OTHER, "--file", policy_file("o.policy", "allow x\n"), status=2).err


# what runs open


def test_refused_opens_are_recorded_and_learned(cli, guests, server, tmp_path):
    """From a refused run by the line in its log to one that passes."""
    cli("deploy", guests / "cwa-resources.wasm", "--name", "learner", "--no-check")
    function = Function(server, "learner", None)
    _, record = function.failure()
    assert record["cause"] == "policy" and record["refused"] == 1
    (refusal,) = record["refusals"]
    assert refusal["url"] == "http://example.com/" and refusal["layer"] == "function" and refusal["times"] == 1
    assert [use["url"] for use in record["descriptors"]] == ["null://", "zero://", "random://", "log://?…"]
    assert sum(use["bytes_in"] for use in record["descriptors"]) == 16
    shown = cli("runs", "show", record["id"]).out
    assert "http://example.com/: no rule allows it" in shown and "refused   1" in shown
    learned = cli("policy", "learn", "learner")
    assert learned.out == "allow:\n  - http://example.com/\n"
    assert cli("policy", "learn", "learner", "--runs", "1", "--json").json == {"allow": ["http://example.com/"]}
    # The log says what to type.
    line, = [l["text"] for l in function.logs() if "policy allow" in l["text"]]
    words = shlex.split(line[line.index("wasmcloud "):])
    cli(*words[1:])
    assert live(server, "learner")["policy"] == {"allow": ["http://example.com/"]}


def test_learn_here(cli, guests):
    done = cli("policy", "learn", guests / "cwa-resources.wasm")
    assert done.out == "allow:\n  - http://example.com/\n"
    assert "policy" in cli("policy", "learn", guests / "wasi-hello.wasm").out
    assert cli("policy", "learn", "no-such-function-or-file", status=3).err


@pytest.fixture
def reach(tmp_path):
    """A server whose functions may reach this machine, its command line, and an upstream."""
    up, node = Upstream(), Server(tmp_path, egress_addresses="127.0.0.0/8")
    yield node, Cli(tmp_path, node), up
    node.stop()
    up.stop()


def test_from_open_to_least(reach, guests, tmp_path):
    """Everything allowed at first; then what was learned is enough, and nothing else is."""
    node, cli, up = reach
    (tmp_path / "all.yaml").write_text(f"allow: [{up.url('/**')!r}]\n")
    cli("deploy", guests / "cwa-http.wasm", "--name", "grows", "--response", "text", "--policy",
        tmp_path / "all.yaml", "--no-check")
    function = Function(node, "grows", None)
    total = 0
    for path in ("/hello", "/echo/users/1", "/echo/users/2?token=secret", "/echo/users/3"):
        answer = function.get("/?" + urllib.parse.urlencode({"open": up.url(path)}))
        record = function.run(answer.run)
        assert record["cause"] == "ok" and record["opens"] == 1
        assert "secret" not in json.dumps(record)
        total += record["egress_bytes_in"]
    counters = function.counters
    assert (counters["egress_bytes_in"], counters["egress_bytes_out"]) == (total, 0)
    learned = cli("policy", "learn", "grows").out
    assert learned.splitlines()[0] == "allow:"
    assert [line.strip("- ") for line in learned.splitlines()[1:]] == [up.url("/echo/users/*"), up.url("/hello")]
    (tmp_path / "least.yaml").write_text(learned)
    assert "newly" not in cli("policy", "set", "grows", tmp_path / "least.yaml").err
    for path, cause in [("/echo/users/4", "ok"), ("/hello", "ok"), ("/echo/admin", "policy"), ("/big", "policy")]:
        _, record = function.failure("/?" + urllib.parse.urlencode({"open": up.url(path)}))
        assert record["cause"] == cause, path
