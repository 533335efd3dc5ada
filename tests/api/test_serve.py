"""How `serve` is told what to do, and what it leaves for others to find it."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from server import binary


def run(*words, cwd=None, **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WASMCLOUD_", "XDG_"))}
    return subprocess.run([str(binary()), *words], capture_output=True, text=True, timeout=60,
                          cwd=cwd, env=kept | env)


def test_local_json(serve):
    server = serve()
    path = server.folder / "state/wasmcloud/local.json"
    found = json.loads(path.read_text())
    assert found == {"url": server.url, "functions": server.functions_url,
                     "token_file": server.token_file}
    assert path.stat().st_mode & 0o777 == 0o600
    server.stop()
    assert not path.exists()


def test_the_ready_line_says_who(serve):
    server = serve()
    assert server.ready.keys() == {"platform", "functions", "token_file", "pid"}
    assert os.stat(server.token_file).st_mode & 0o777 == 0o600
    assert httpx.get(server.url + "/healthz", trust_env=False).status_code == 200


def test_an_early_sigterm_ends_it(tmp_path):
    process = subprocess.Popen([str(binary()), "serve", "--data", str(tmp_path / "data"),
                                "--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0"],
                               stderr=subprocess.PIPE,
                               env=os.environ | {"HOME": str(tmp_path),
                                                 "XDG_STATE_HOME": str(tmp_path)})
    while not (tmp_path / "data/lock").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, -signal.SIGTERM)  # the latter before it watches signals
    process.stderr.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="execs have users of their own only when master is root")
def test_a_machine_that_lets_no_other_user_run_programs(tmp_path):
    """The loader of programs lies in a folder that is closed to other users."""
    loader = Path("/lib64/ld-linux-x86-64.so.2").resolve()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy(loader, closed / loader.name)
    if loader.name != "ld-linux-x86-64.so.2":
        os.symlink(loader.name, closed / "ld-linux-x86-64.so.2")
    hide = f'mount --bind "{closed}" "$(readlink -f /lib64)" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, "sh", str(binary()), "serve", "--data", str(tmp_path / "data"),
         "--listen-platform", "127.0.0.1:0", "--listen-functions", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "execveat: Permission denied" in done.stderr
    assert "can't be started" in done.stderr and "chmod o+x" in done.stderr


def test_configuration_file(serve, tmp_path):
    config = tmp_path / "wasmcloud.yaml"
    config.write_text("edges: 1\nlimits:\n  concurrency: 3\n  header-time: 2s\n")
    server = serve(config=str(config))
    assert len([words for words in server.descendants().values()
                if words[1:2] == ["edge"] and words[2] != "platform"]) == 1
    assert any("--limits=concurrency=3,header-time=2s" in words
               for words in server.descendants().values())


def test_a_flag_beats_the_environment_beats_the_file(serve, tmp_path):
    config = tmp_path / "wasmcloud.yaml"
    config.write_text("edges: 1\ncontact: file\n")
    server = serve(config=str(config), edges=2,
                   env={"WASMCLOUD_EDGES": "3", "WASMCLOUD_CONTACT": "environment"}.items())
    edges = [words for words in server.descendants().values()
             if words[1:2] == ["edge"] and words[2] != "platform"]
    assert len(edges) == 2
    assert all("--contact=environment" in words for words in edges)


def test_mistakes_are_named(tmp_path):
    (tmp_path / "wasmcloud.yaml").write_text("data: x\nlisten-platfrom: 127.0.0.1:1\n")
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "wasmcloud.yaml, line 2" in done.stderr and '"listen-platform"' in done.stderr
    assert run("serve", "--config", str(tmp_path / "none.yaml")).returncode != 0
    for words in (["--edgs", "2"], ["--edges", "many"], ["--isolation=lax"], ["extra"]):
        done = run("serve", *words)
        assert done.returncode == 2 and "usage: wasmcloud serve" in done.stderr
    assert run("serve", WASMCLOUD_EDGES="many").returncode == 2
    assert not (tmp_path / "x").exists()


def test_help_and_limits():
    done = run("serve", "--help")
    assert done.returncode == 0 and "--listen-functions" in done.stdout
    items = json.loads(run("limits", "--json").stdout)["items"]
    memory = next(item for item in items if item["name"] == "memory")
    assert memory["default"] == 128 << 20 and memory["maximum"] == 1 << 30
    assert memory["set_by"] == "function" and memory["cause"] == "memory_limit"
    table = run("limits").stdout
    assert all(item["name"] in table for item in items)


def test_wellknown_paths_are_the_platforms(serve, guests):
    """A function that answered there could have a certificate made, or speak for the operator."""
    server = serve(contact="security@example.com")
    function = server.deploy("known", guests / "cwa-hello.wasm")
    for host, start in (function.host, ""), (f"localhost:{server.port}", "/known"):
        with server.wire(host=host) as wire:
            found = wire.ask(f"{start}/.well-known/security.txt")
            lines = dict(line.split(": ", 1) for line in found.text.splitlines())
            assert found.status == 200 and lines["Contact"] == "mailto:security@example.com"
            assert lines["Expires"].endswith("Z") and found.get("Content-Type").startswith("text/plain")
            assert wire.ask(f"{start}/.well-known/acme-challenge/x", "HEAD").status == 404
            for path in "/.well-known/other", "/security.txt":
                assert wire.ask(start + path).status == 200
    assert function.counters["runs"] == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_the_data_folder_of_another_user_is_left_alone(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 65534, 65534)
    done = run("serve", "--data", str(data), "--listen-platform=127.0.0.1:0",
               "--listen-functions=localhost:0")
    assert done.returncode == 1 and "belongs to user 65534" in done.stderr and "chown -R" in done.stderr
    assert not list(data.iterdir())


def test_a_data_folder_that_can_only_be_read(serve, tmp_path):
    """A disk that the kernel has made read-only: said, and nothing is started."""
    data = tmp_path / "data"
    serve(tmp_path).stop()
    if os.geteuid() == 0:
        words = ["unshare", "--mount", "sh", "-c",
                 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', str(data)]
    else:
        data.chmod(0o500)
        (data / "lock").chmod(0o400)
        words = []
    done = subprocess.run([*words, str(binary()), "serve", "--data", str(data),
                           "--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0"],
                          capture_output=True, text=True, timeout=60)
    data.chmod(0o700)
    assert done.returncode == 1 and f"can't write to the data folder {data}" in done.stderr


def test_an_address_of_no_interface(tmp_path):
    done = run("serve", "--listen-platform=192.0.2.1:8787", "--listen-functions=localhost:0", "--data",
               str(tmp_path / "data"))
    assert done.returncode == 1 and "doesn't have that address" in done.stderr
