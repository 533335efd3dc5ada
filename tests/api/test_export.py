"""Export and import: the same functions, the same version numbers, byte-equal answers, on another
server."""

import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import time

import pytest

from cli import Cli
from server import Server, binary, eventually
from test_assets import FILES, tar, upload
from test_backup import flip, members, pack, padded

P = "/v1/projects/default"
SETTINGS = ("number", "digest", "size", "response", "check", "env", "limits", "policy", "assets",
            "timing", "secrets", "preview", "capture", "kind", "state", "percent")


@pytest.fixture(scope="module")
def original(tmp_path_factory, guests):
    """A project with a past: several versions, settings that came and went, a split, a name without a
    version."""
    folder = tmp_path_factory.mktemp("original")
    server = Server(folder)

    def version(name, **settings):
        made = server.api.post(f"{P}/functions/{name}/versions", json=settings)
        assert made.status_code == 201, made.text
        return made.json()["version"]["number"]

    assets = upload(server, tar(FILES | {"x" * 90 + "/" + "y" * 90: b"long"}))["digest"]
    server.deploy("env", guests / "cwa-env.wasm", env={"A": "one", "B": "two"})
    version("env", env={"A": None, "C": "three"}, limits={"memory": "32MiB"})
    version("env", policy={"allow": ["https://api.example/v1/**"], "methods": ["GET"]}, timing=True)
    version("env", policy=None, limits={"memory": None, "cpu": "1s"}, promote=False)
    version("env", env={"A": "last"}, response="cgi", preview="public", capture="failures")
    server.deploy("echo", guests / "cwa-echo.wasm")
    server.deploy("echo", guests / "cwa-hello.wasm")
    assert server.api.post(f"{P}/functions/echo/split", json={"versions": {"1": 50, "2": 50}}).status_code == 200
    server.deploy("site", guests / "wasi-site.wasm", assets=assets)
    for i in range(2):
        server.deploy("back", padded(guests / "cwa-hello.wasm", 3 + i))
    back = server.api.post(f"{P}/functions/back/rollback", json={"version": 1})
    assert back.status_code in (200, 201), back.text
    assert server.api.post(f"{P}/functions/back/versions/2/disable").status_code == 200
    assert server.api.post(f"{P}/functions", json={"name": "reserved"}).status_code == 201
    server.cli = Cli(folder, server)
    server.file = folder / "project.tar"
    server.exported = server.cli("export", "default", server.file, "--json").json
    yield server
    server.stop()


def state(server, project="default"):
    """All that import must have made the same."""
    base, found = f"/v1/projects/{project}", {}
    for function in server.api_list(f"{base}/functions"):
        name = function["name"]
        shown = server.api_json(f"{base}/functions/{name}")
        versions = server.api_list(f"{base}/functions/{name}/versions")
        found[name] = (shown["version"], shown["state"], shown["split"],
                       [{k: v[k] for k in SETTINGS} for v in versions])
    return found


def invoke(server, name, version=None, **fields):
    """What a version answers: live routing, or the version by its preview address."""
    host = f"{name}.localhost:{server.port}"
    with server.wire(host=host) as wire:
        got = wire.ask(fields.pop("target", "/"))
        return got.status, got.body


def same(one, other):
    assert state(one) == state(other)
    asked = [("env", "/?A"), ("env", "/?B"), ("env", "/?C"), ("site", "/hello.txt"),
             ("site", "/deep/er/page.html"), ("site", "/big.bin"), ("back", "/"), ("reserved", "/")]
    for name, target in asked:
        was, now = invoke(one, name, target=target), invoke(other, name, target=target)
        assert was[0] == now[0] and (was[1] == now[1] or was[0] >= 500), (name, target)
    assert invoke(other, "site", target="/big.bin")[1] == FILES["big.bin"]
    bodies = {invoke(other, "echo")[1] for _ in range(40)}
    assert bodies == {invoke(one, "echo")[1] for _ in range(40)}


def test_what_is_in_the_archive(original):
    entries = members(original.file)
    project = json.loads(entries["project.json"])
    assert project["project"] == "default" and project["format"] == 1
    assert [f["name"] for f in project["functions"]] == sorted(state(original))
    for name, content in entries.items():
        if name != "project.json":
            assert hashlib.sha256(content).hexdigest() == name.split("/")[1]
    assert original.file.stat().st_mode & 0o777 == 0o600
    assert original.exported["versions"] == sum(len(f["versions"]) for f in project["functions"])
    assert "already" in original.cli("export", "default", original.file, status=1).err


def test_import_into_another_server(original, serve, tmp_path):
    server = serve()
    cli = Cli(tmp_path, server)
    done = cli("import", original.file, "--json").json
    assert done["functions"] == 5 and done["versions"] == original.exported["versions"]
    same(original, server)
    cli("export", "default", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == original.file.read_bytes()
    assert "already" in cli("import", original.file, status=1).err
    assert state(server) == state(original)


def test_every_version_answers_the_same(original, serve, tmp_path):
    """Each is promoted in turn on both sides: its bytes, not only its row, came over."""
    server = serve(tmp_path, **{"from": original.file})
    answers = {}
    for side in (original, server):
        for number in (1, 2, 3, 4, 5):
            made = side.api.post(f"{P}/functions/env/versions/{number}/promote", json={"skip_check": True})
            assert made.status_code == 200, made.text
            answers.setdefault(number, []).append([invoke(side, "env", target=f"/?{v}") for v in "ABC"])
    assert all(a == b for a, b in answers.values())
    assert len({json.dumps(a, default=str) for a, _ in answers.values()}) > 2


def test_serve_from(original, serve, tmp_path):
    server = serve(tmp_path, **{"from": original.file})
    same(original, server)
    server.stop()
    again = serve(tmp_path)  # what it has is its own now
    assert state(again) == state(original)
    again.stop()
    refused = subprocess.run([binary(), "serve", "--data", again.data, "--from", original.file],
                             capture_output=True, env=again.env)
    assert refused.returncode == 1 and b"not new" in refused.stderr


def test_serve_from_without_a_folder(original, tmp_path):
    """Its data lie in a temporary folder, which is gone at the end."""
    ready, write = os.pipe()
    env = {k: v for k, v in os.environ.items() if not k.startswith("WASMCLOUD_")}
    env |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    process = subprocess.Popen([binary(), "serve", f"--from={original.file}", "--ready-fd", str(write),
                                "--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0"],
                               pass_fds=[write], env=env, cwd=tmp_path, stderr=subprocess.PIPE)
    os.close(write)
    with os.fdopen(ready) as line:
        found = json.loads(line.readline())
    assert len(list(tmp_path.glob("wasmcloud-from-*"))) == 1
    cli = Cli(tmp_path)
    listed = cli("list", "--json", env={"WASMCLOUD_URL": found["platform"],
                                        "WASMCLOUD_TOKEN": open(found["token_file"]).read().strip()})
    assert [f["name"] for f in listed.json["items"]] == sorted(state(original))
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0, process.stderr.read()
    assert not list(tmp_path.glob("wasmcloud-from-*"))


def test_serve_from_a_broken_archive(original, tmp_path):
    (tmp_path / "bad.tar").write_bytes(original.file.read_bytes()[:5000])
    done = subprocess.run([binary(), "serve", "--from", tmp_path / "bad.tar", "--data", tmp_path / "data",
                           "--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0"],
                          capture_output=True, timeout=60,
                          env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    assert done.returncode == 1 and b"archive" in done.stderr, done.stderr


def test_damaged_archives_are_refused_before_anything_changes(original, serve, tmp_path):
    server = serve()
    cli = Cli(tmp_path, server)
    good = members(original.file)
    module = next(n for n in good if n.startswith("modules/"))
    project = json.loads(good["project.json"])

    def described(**changes):
        return good | {"project.json": json.dumps(project | changes).encode()}

    backwards = json.loads(json.dumps(project["functions"]))
    next(f for f in backwards if f["name"] == "env")["versions"].reverse()
    cases = {
        "a bit": ({n: flip(c) if n == module else c for n, c in good.items()}, "damaged"),
        "a module is missing": ({n: c for n, c in good.items() if n != module}, "lacks"),
        "no description": ({n: c for n, c in good.items() if n != "project.json"}, "none of a project"),
        "another format": (described(format=2), "another format"),
        "no functions": (described(functions=None), "describes no project"),
        "versions out of order": (described(functions=backwards), "not in order"),
        "a name from elsewhere": (good | {"../x": b""}, "none of a project"),
        "no JSON": (good | {"project.json": b"{]"}, "not readable"),
    }
    for name, (entries, text) in cases.items():
        refused = cli("import", pack(tmp_path / "bad.tar", entries), status=1)
        assert text in refused.err, (name, refused)
        assert state(server) == {}, name


def test_another_project_and_quota(original, serve, tmp_path):
    """An operator's import is no series of deploys; numbers hold under a plan's limits, too."""
    server = serve(plan="default", limits="deploys-per-hour=2")
    cli = Cli(tmp_path, server)
    assert cli("import", original.file, "--project", "moved", "--json").json["project"] == "moved"
    assert state(server, "moved") == state(original)
    assert state(server) == {}
