"""Export and import: the same functions, the same version numbers, byte-equal answers, on another
server."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess

import pytest

from cli import Cli
from server import STOP_SECONDS, Server, binary, eventually
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
    again = cli("import", original.file, "--json").json
    assert again["found"] == 5 and again["functions"] == again["versions"] == 0
    assert state(server) == state(original)
    assert server.api.post(f"{P}/functions/env/versions/2/promote", json={"skip_check": True}).status_code == 200
    changed = state(server)
    refused = cli("import", original.file, status=1).err
    assert '"env" already, and it is another' in refused and "made so far" not in refused
    assert state(server) == changed


def described(entries, project):
    return entries | {"project.json": json.dumps(project).encode()}


def begun(entries, functions, versions):
    """What an import of the archive has made when it is broken off somewhere, as an archive."""
    project = json.loads(entries["project.json"])
    project["functions"] = project["functions"][:functions]
    project["functions"][-1]["versions"] = project["functions"][-1]["versions"][:versions]
    project["functions"][-1] |= {"live": None, "split": None}
    return described(entries, project)


def test_import_goes_on_where_it_was_broken_off(original, serve, tmp_path):
    server = serve()
    cli = Cli(tmp_path, server)
    good = members(original.file)
    order = [f["name"] for f in json.loads(good["project.json"])["functions"]]
    assert order[:3] == ["back", "echo", "env"]
    for functions, versions in ((1, 0), (1, 2), (2, 2), (3, 3)):
        cli("import", pack(tmp_path / "part.tar", begun(good, functions, versions)))
    process = cli.start("import", original.file)  # and one that is really killed
    assert eventually(lambda: process.poll() is not None or
                      server.api.get(f"{P}/functions/{order[3]}").status_code == 200)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    cli("import", original.file)
    same(original, server)
    assert cli("import", original.file, "--json").json["found"] == 5


def test_import_says_what_it_has_made(original, serve, tmp_path):
    """The server refuses what no schema can: then the rest can be made when that is mended."""
    server = serve()
    cli = Cli(tmp_path, server)
    good = members(original.file)
    project = json.loads(good["project.json"])
    wrong = json.loads(good["project.json"])
    next(f for f in wrong["functions"] if f["name"] == "env")["versions"][2]["limits"] = {"memory": "1TiB"}
    failed = cli("import", pack(tmp_path / "wrong.tar", described(good, wrong)), status=2)
    assert "memory" in failed.err and "made so far: 2 functions" in failed.err and "again goes on" in failed.err
    assert state(server)["env"][0] is None, "nothing half made is live"
    assert cli("import", pack(tmp_path / "right.tar", described(good, project)), "--json").json["found"] == 2
    same(original, server)


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
    assert process.wait(STOP_SECONDS) == 0, process.stderr.read()
    assert not list(tmp_path.glob("wasmcloud-from-*"))


def start(folder, *words):
    """`serve` of what ends by itself."""
    return subprocess.run([binary(), "serve", "--data", folder / "data", "--listen-platform=127.0.0.1:0",
                           "--listen-functions=localhost:0", *words], capture_output=True, timeout=60,
                          env={"HOME": str(folder), "PATH": os.environ["PATH"]})


def test_serve_from_leaves_a_folder_as_it_was(original, tmp_path):
    """Whether the archive is refused before the server begins, or by the server."""
    good = members(original.file)
    wrong = json.loads(good["project.json"])
    wrong["functions"][0]["versions"][0]["limits"] = {"memory": "1TiB"}
    secret = json.loads(good["project.json"])
    secret["functions"][0]["versions"][0]["secrets"] = ["KEY"]
    (tmp_path / "cut.tar").write_bytes(original.file.read_bytes()[:5000])
    cases = [(tmp_path / "cut.tar", b"archive"), (tmp_path / "none.tar", b"no file"),
             (pack(tmp_path / "secret.tar", described(good, secret)), b"use secrets"),
             (pack(tmp_path / "wrong.tar", described(good, wrong)), b"memory")]
    for file, text in cases:
        for there in (False, True):
            done = start(tmp_path, "--from", file)
            assert done.returncode in (1, 2, 3) and text in done.stderr, done.stderr
            assert (tmp_path / "data").exists() == there
            assert not there or not list((tmp_path / "data").iterdir())
            if not there:
                (tmp_path / "data").mkdir()
        (tmp_path / "data").rmdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").write_text("mine")
    assert b"not new" in start(tmp_path, "--from", original.file).stderr
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["precious"]


def test_no_server_begins_with_half_a_project(original, serve, tmp_path):
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    (data / "from.part").touch()
    (data / "db.sqlite").write_text("half")
    (data / "keys/node").write_bytes(bytes(32))
    refused = start(tmp_path)
    assert refused.returncode == 1 and b"half filled" in refused.stderr and b"serve --from FILE" in refused.stderr
    assert (data / "db.sqlite").read_text() == "half"
    with open(data / "from.part") as filling:
        fcntl.flock(filling, fcntl.LOCK_EX)
        assert b"another server is filling" in start(tmp_path, "--from", original.file).stderr
    assert (data / "db.sqlite").read_text() == "half"
    server = serve(tmp_path, **{"from": original.file})
    assert not (data / "from.part").exists()
    same(original, server)


def test_secrets_of_an_import(serve, guests, tmp_path):
    """A file is judged as a whole, and before anything changes; its values are in no message."""
    source, target = serve(), serve()
    assert source.api.put(f"{P}/secrets/KEY", json={"value": "the-first"}).status_code == 200
    source.deploy("env", guests / "cwa-env.wasm", secrets=["KEY"])
    Cli(tmp_path, source)("export", "default", tmp_path / "it.tar")
    cli, file = Cli(tmp_path, target), tmp_path / "secrets"
    file.write_text("KEY=hunter2\n")
    file.chmod(0o644)
    cases = [("", None, 2, "doesn't have: KEY"), ("KEY=hunter2", 0o644, 4, "chmod 600"),
             ("KEY=hunter2", 0o640, 4, "chmod 600"), ("OTHER=hunter2", 0o600, 2, "doesn't have: KEY"),
             ("KEY=hunter2\nhunter2", 0o600, 2, "line 2"), ("KEY=hunter2\nKEY=hunter2", 0o600, 2, "line 2"),
             ("KEY=", 0o600, 2, "no value"), ("KEY=hunter2\0", 0o600, 2, "NUL"),
             ("KEY=" + "hunter2" * 1000, 0o600, 2, "5 KiB")]
    for text, mode, status, says in cases:
        words = ["--secrets", file] if mode else []
        file.write_text(text)
        file.chmod(mode or 0o600)
        refused = cli("import", tmp_path / "it.tar", "--project", "fresh", *words, status=status)
        assert says in refused.err and "hunter2" not in refused.err and "made so far" not in refused.err
        assert target.api.get("/v1/projects/fresh").status_code == 404, text
    file.write_text("# its own\nKEY=the-second\n")
    cli("import", tmp_path / "it.tar", "--secrets", file)
    assert invoke(target, "env", target="/?KEY") == (200, b"the-second")


def test_damaged_archives_are_refused_before_anything_changes(original, serve, tmp_path):
    server = serve()
    cli = Cli(tmp_path, server)
    good = members(original.file)
    module = next(n for n in good if n.startswith("modules/"))
    project = json.loads(good["project.json"])

    def changed(**changes):
        return described(good, project | changes)

    backwards = json.loads(json.dumps(project["functions"]))
    next(f for f in backwards if f["name"] == "env")["versions"].reverse()
    cases = {
        "a bit": ({n: flip(c) if n == module else c for n, c in good.items()}, "damaged"),
        "a module is missing": ({n: c for n, c in good.items() if n != module}, "lacks"),
        "no description": ({n: c for n, c in good.items() if n != "project.json"}, "none of a project"),
        "another format": (changed(format=2), "another format"),
        "no functions": (changed(functions=None), "describes no project"),
        "versions out of order": (changed(functions=backwards), "not in order"),
        "a name from elsewhere": (good | {"../x": b""}, "none of a project"),
        "no JSON": (good | {"project.json": b"{]"}, "not readable"),
    }
    for name, (entries, text) in cases.items():
        refused = cli("import", pack(tmp_path / "bad.tar", entries), "--project", "fresh", status=1)
        assert text in refused.err, (name, refused)
        assert server.api.get("/v1/projects/fresh").status_code == 404, name


def test_another_project_and_quota(original, serve, tmp_path):
    """An operator's import is no series of deploys; numbers hold under a plan's limits, too."""
    server = serve(plan="default", limits="deploys-per-hour=2")
    cli = Cli(tmp_path, server)
    assert cli("import", original.file, "--project", "moved", "--json").json["project"] == "moved"
    assert state(server, "moved") == state(original)
    assert state(server) == {}
