"""Environments, limits and policies of functions, changed from the command line: each change is a
version of its own that keeps everything else."""

import concurrent.futures

import pytest

P = "/v1/projects/default"


@pytest.fixture
def deployed(server, guests):
    """deployed("name", env={…}): a function that prints its environment."""
    return lambda name, **settings: server.deploy(name, guests / "wasi-env.wasm", **settings)


def live(server, name):
    return server.api_json(f"{P}/functions/{name}/versions/live")


def variables(function):
    lines = function.get().body.decode().split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("argv["))


def test_each_change_is_a_version(cli, server, deployed):
    function = deployed("env-set", env={"KEPT": "1"}, limits={"memory": "16MiB"})
    done = cli("env", "set", "env-set", "LANG=de", "QUERY=a=b&c", "EMPTY=")
    assert done.lines == [f"http://env-set.localhost:{server.port}/"]
    version = live(server, "env-set")
    assert version["number"] == 2 and version["limits"] == {"memory": "16MiB"}
    assert version["env"] == {"KEPT": "1", "LANG": "de", "QUERY": "a=b&c", "EMPTY": ""}
    seen = variables(function)
    assert seen["LANG"] == "de" and seen["QUERY"] == "a=b&c" and seen["EMPTY"] == ""
    cli("env", "unset", "env-set", "LANG", "EMPTY")
    assert live(server, "env-set")["env"] == {"KEPT": "1", "QUERY": "a=b&c"}
    assert "LANG" not in variables(function)


def test_a_value_from_standard_input(cli, server, deployed):
    """A name without `=` is a value of several lines; nothing at all is a mistake."""
    deployed("env-input")
    cli("env", "set", "env-input", "TEXT", "OTHER=1", stdin=b"one\ntwo\n")
    assert live(server, "env-input")["env"] == {"TEXT": "one\ntwo", "OTHER": "1"}
    assert "TEXT= for an empty one" in cli("env", "set", "env-input", "TEXT", status=2, stdin=b"").err
    assert "only one value" in cli("env", "set", "env-input", "A", "B", status=2, stdin=b"x").err
    assert "not UTF-8" in cli("env", "set", "env-input", "A", status=2, stdin=b"\xff").err
    assert live(server, "env-input")["number"] == 2


def test_what_is_listed(cli, server, deployed):
    deployed("env-list", env={"B": "two words", "A": "\x1b[31m"})
    assert sorted(cli("env", "list", "env-list").lines) == ["A=\x1b[31m", "B=two words"]
    assert "A=\\x1b[31m" in cli.on_terminal("env", "list", "env-list").out
    assert cli("env", "list", "env-list", "--json").json == {
        "version": 1, "env": {"B": "two words", "A": "\x1b[31m"}, "secrets": []}
    cli("env", "set", "env-list", "A=new")
    assert "A=\x1b[31m" in cli("env", "list", "env-list", "--version", "1").lines
    assert "A=new" in cli("env", "list", "env-list").lines


def test_what_is_wrong_changes_nothing(cli, server, deployed):
    deployed("env-wrong")
    assert "starts with no digit" in cli("env", "set", "env-wrong", "1A=x", status=2).err
    assert "set by the server" in cli("env", "set", "env-wrong", "QUERY_STRING=x", status=2).err
    assert "5 KiB" in cli("env", "set", "env-wrong", "A=" + "x" * 6000, status=2).err
    assert "has no variable NOPE" in cli("env", "unset", "env-wrong", "NOPE", status=3).err
    assert "which variables" in cli("env", "set", "env-wrong", status=2).err
    assert cli("env", "set", "no-such", "A=1", status=3)
    cli("create", "env-empty")
    assert "has no version yet" in cli("env", "set", "env-empty", "A=1", status=3).err
    assert live(server, "env-wrong")["number"] == 1


def test_changes_at_once(cli, server, deployed):
    """None is lost, whoever else changes the same function."""
    function = deployed("env-race", env={"BASE": "1"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cli("env", "set", "env-race", f"V{i}={i}"), range(8)))
    seen = variables(function)
    assert {seen.get(f"V{i}") for i in range(8)} == {str(i) for i in range(8)} and seen["BASE"] == "1"
    numbers = [v["number"] for v in server.api_list(f"{P}/functions/env-race/versions")]
    assert numbers == list(range(9, 0, -1))


def test_no_promote(cli, server, deployed, tmp_path):
    """Each of them can leave the new version aside, and it can be promoted as it is."""
    function = deployed("env-aside", env={"A": "1"})
    (tmp_path / "p.yaml").write_text("allow:\n  - https://api.example.com/**\n")
    for words in (["env", "set", "env-aside", "A=2"], ["env", "unset", "env-aside", "A"],
                  ["limits", "set", "env-aside", "memory=32MiB"],
                  ["policy", "set", "env-aside", tmp_path / "p.yaml", "--yes"],
                  ["policy", "allow", "https://api.example.com/x", "env-aside"]):
        cli(*words, "--no-promote")
    versions = server.api_list(f"{P}/functions/env-aside/versions")
    assert len(versions) == 6 and [v["number"] for v in versions if v["promoted_at"]] == [1]
    assert variables(function)["A"] == "1"
    cli("promote", "env-aside", "2")
    assert variables(function)["A"] == "2"


def test_limits(cli, server, deployed):
    deployed("limits-set", limits={"cpu": "2s"}, env={"KEPT": "1"})
    cli("limits", "set", "limits-set", "memory=32MiB")
    assert live(server, "limits-set")["limits"] == {"cpu": "2s", "memory": "32MiB"}
    cli("limits", "set", "limits-set", "cpu=")
    version = live(server, "limits-set")
    assert version["limits"] == {"memory": "32MiB"} and version["env"] == {"KEPT": "1"}
    assert "memory" in cli("limits", "set", "limits-set", "memroy=1MiB", status=2).err
    assert cli("limits", "set", "limits-set", "module=1MiB", status=2)  # the operator's
    assert live(server, "limits-set")["number"] == 3
