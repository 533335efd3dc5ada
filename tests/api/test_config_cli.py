"""`config init` and `config check`, and what SIGHUP changes while the server works."""

import os
import re
import signal

import pytest

from server import eventually


def test_the_sample_is_whole_and_good(bare_cli, tmp_path):
    bare_cli("config", "init")
    path = tmp_path / "wasmcloud.yaml"
    assert "there already" in bare_cli("config", "init", status=1).err
    assert bare_cli("config", "check").out == ""
    text = path.read_text()
    assert bare_cli("config", "init", "-").out == text
    # with every comment sign of an option taken away it is the same configuration, written out
    written = re.sub(r"^#(?=(?:  )?[a-z])", "", text, flags=re.M)
    assert written.count("\n") == text.count("\n") and written != text
    path.write_text(written)
    checked = bare_cli("config", "check", "--json")
    assert checked.json == {"file": "wasmcloud.yaml", "good": True, "problems": []}
    names = set(re.findall(r"^([a-z-]+):", written, re.M))
    flags = set(re.findall(r"^  +--([a-z-]+)", bare_cli("serve", "--help").out, re.M))
    assert names == flags - {"config", "from", "secrets", "ready-fd", "help"}


def test_every_mistake_has_its_place(bare_cli, tmp_path):
    (tmp_path / "bad.yaml").write_text(
        "data: /srv\n"
        "listen-platfrom: 127.0.0.1:1\n"
        "edges: many\n"
        "isolation: strickt\n"
        "data: again\n"
        "trusted-proxies: [10.0.0.0/8, nowhere]\n"
        "limits:\n"
        "  memroy: 1MiB\n"
        "  cpu: 1s\n"
        "  wall: soon\n"
        "policy: /nowhere/policy.yaml\n")
    found = bare_cli("config", "check", "bad.yaml", "--json", status=1).json
    assert found["good"] is False
    places = {(p["line"], p["column"]): p["text"] for p in found["problems"]}
    assert sorted(line for line, _ in places) == [2, 3, 4, 5, 6, 8, 10, 11]
    assert "listen-platform" in places[(2, 1)] and "memory" in places[(8, 3)]
    assert "nowhere" in places[(6, 18)] and "strict" in places[(4, 1)]
    lines = bare_cli("config", "check", "bad.yaml", status=1).err.splitlines()
    assert lines[0].startswith("bad.yaml:2:1: ") and len(lines) == 8
    (tmp_path / "broken.yaml").write_text("data: \"x\nedges: 1\n")
    assert bare_cli("config", "check", "broken.yaml", status=1).err.startswith("broken.yaml:")
    (tmp_path / "empty.yaml").write_text("")
    bare_cli("config", "check", "empty.yaml")
    bare_cli("config", "check", "none.yaml", status=3)


@pytest.fixture
def configured(serve, tmp_path):
    """A server with a file, and how to change that and have it read."""
    path = tmp_path / "server.yaml"
    path.write_text("contact: first@example.com\nlog-level: info\n")
    server = serve(tmp_path, config=path, plan=None, edges=1, expect_errors=["reload_refused"])

    def change(text, event):
        seen = len(server.log())
        path.write_text(text)
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: event in server.log()[seen:]), server.log()[-2000:]
        return server.log()[seen:]

    server.change = change
    return server


def error_page(server):
    with server.wire(host=f"nobody.localhost:{server.port}") as wire:
        return wire.ask("/", fields=[("Accept", "text/html")]).body.decode()


def test_what_sighup_changes(configured):
    server = configured
    assert "first@example.com" in error_page(server)
    log = server.change("contact: " + "second" * 60 + "@example.com\nlog-level: debug\n", "reloaded")
    assert "option_changed" in log and "option=contact" in log
    assert eventually(lambda: "second" * 60 + "@example.com" in error_page(server))
    server.api.post("/v1/gc", json={})
    assert eventually(lambda: " debug " in server.log())
    log = server.change("log-format: json\nlog-level: info\n", '"reloaded"')
    assert "option=contact" in log
    assert "example.com" not in error_page(server)
    old = server.kill_role("edge", "0")  # one that is started anew has what is in effect now
    assert server.replaced(old, "edge", "0") and eventually(lambda: error_page(server))
    assert "example.com" not in error_page(server)


def test_what_waits_for_a_start_and_what_is_refused(configured):
    server = configured
    log = server.change("contact: first@example.com\nspool-size: 1048576\n", "reloaded")
    assert "option_at_start" in log and "option=spool-size" in log and "option_changed" not in log
    log = server.change("contact: third@example.com\nlog-levle: debug\n", "reload_refused")
    assert "line 2" in log and "log-level" in log and "option_changed" not in log
    assert "first@example.com" in error_page(server)
