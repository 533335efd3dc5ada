"""Backups: taken while the server works, judged without trust, restored to a server that answers as
before."""

import fcntl
import hashlib
import io
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tarfile
import threading

import httpx
import pytest

from cli import Cli
from server import Server, binary, eventually
from test_assets import FILES, tar, upload
from test_kill import KILLED

P = "/v1/projects/default"
WASM = {"Content-Type": "application/wasm"}


@pytest.fixture(scope="module")
def original(tmp_path_factory, guests):
    """A server with functions, an environment, assets and a token, and a backup with its keys."""
    folder = tmp_path_factory.mktemp("original")
    server = Server(folder)
    server.deploy("hello", guests / "cwa-hello.wasm")
    server.deploy("hello", guests / "cwa-echo.wasm")
    server.deploy("env", guests / "cwa-env.wasm", env={"GREETING": "sealed"})
    server.assets = upload(server, tar(FILES))["digest"]
    made = server.api.post("/v1/tokens", json={"name": "kept", "scopes": ["read"], "expires_in": 3600})
    assert made.status_code == 201, made.text
    server.kept = made.json()["token"]
    cli = Cli(folder, server)
    server.file = folder / "whole.tar"
    server.facts = cli("backup", server.file, "--keys", "--json").json
    yield server
    server.stop()


def members(path):
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def padded(wasm, size):
    """The module with a custom section of that many bytes behind it."""
    length, leb = size + 2, b""
    while length >= 128:
        leb, length = leb + bytes([length & 127 | 128]), length >> 7
    return wasm.read_bytes() + b"\0" + leb + bytes([length]) + b"\1x" + bytes(size)


def pack(path, entries, end=True):
    out = io.BytesIO()
    archive = tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT)
    for name, content in entries.items() if isinstance(entries, dict) else entries:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    if end:
        archive.close()
    path.write_bytes(out.getvalue())
    return path


def answers(server):
    def ask(name, method="GET", body=b"", target="/"):
        with server.wire(host=f"{name}.localhost:{server.port}") as wire:
            got = wire.ask(target, method, body=body)
            assert got.status == 200, got
            return got.body

    return [eventually(lambda: ask("hello", "POST", b"the same")), eventually(lambda: ask("env", target="/?GREETING"))]


def test_a_backup_is_what_the_server_has(original):
    entries = members(original.file)
    manifest = json.loads(entries["manifest.json"])
    assert list(entries)[0] == "db.sqlite" and list(entries)[-1] == "manifest.json"
    assert manifest["failed"] is None and manifest["keys"]["included"] is True
    for name, content in entries.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(content).hexdigest() == name[6:]
    assert f"blobs/{original.assets}" in entries
    assert entries["keys/secrets"] == (original.data / "keys/secrets").read_bytes()
    assert original.file.stat().st_mode & 0o777 == 0o600
    assert original.facts["blobs"]["count"] == sum(n.startswith("blobs/") for n in entries)
    assert not list(original.data.glob("backup.part*")) and not list(original.folder.glob("*.part"))


def test_a_restored_server_answers_as_before(original, serve, tmp_path):
    cli = Cli(tmp_path)
    done = cli("restore", original.file, "--data", tmp_path / "data", "--json").json
    assert done["blobs"]["count"] == original.facts["blobs"]["count"]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["blobs", "db.sqlite", "keys"]
    server = serve(tmp_path)
    assert answers(server) == answers(original)
    for name in ("hello", "env"):
        old = original.api_json(f"{P}/functions/{name}/versions")["items"]
        assert server.api_json(f"{P}/functions/{name}/versions")["items"] == old
    assert server.client(original.kept).get("/v1/whoami").status_code == 200
    bundle = server.api.get(f"{P}/assets/{original.assets}")
    assert hashlib.sha256(bundle.content).hexdigest() == original.assets


def test_restore_refuses_a_folder_that_is_not_empty(original, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").write_text("mine")
    refused = Cli(tmp_path)("restore", original.file, "--data", tmp_path / "data", status=1)
    assert "not empty" in refused.err
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["precious"]


def test_without_keys(original, serve, tmp_path):
    cli = Cli(tmp_path, original)
    bare = tmp_path / "bare.tar"
    assert cli("backup", bare, "--json").json["keys"] is False
    assert not any(n.startswith("keys/") for n in members(bare))
    for key in (original.data / "keys").iterdir():
        assert key.read_bytes() not in bare.read_bytes(), key
    refused = cli("restore", bare, "--data", tmp_path / "data", status=2)
    assert "--keys-from" in refused.err and not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name in ("signing", "secrets", "node"):
        (wrong / name).write_bytes(os.urandom(32))
    refused = cli("restore", bare, "--data", tmp_path / "data", "--keys-from", wrong, status=2)
    assert "not the key" in refused.err and not list((tmp_path / "data").iterdir())
    cli("restore", bare, "--data", tmp_path / "data", "--keys-from", original.data / "keys")
    server = serve(tmp_path)
    assert answers(server) == answers(original)


def test_only_operators_and_never_over_a_file(original, tmp_path):
    cli = Cli(tmp_path, original)
    (tmp_path / "there.tar").write_text("older")
    assert "never written over" in cli("backup", tmp_path / "there.tar", status=1).err
    assert (tmp_path / "there.tar").read_text() == "older"
    assert original.client(original.kept).get("/v1/backup").status_code == 403
    made = original.api.post("/v1/tokens", json={"name": "of one", "scopes": ["admin"],
                                                 "project": "default", "expires_in": 3600})
    if made.status_code == 201:
        assert original.client(made.json()["token"]).get("/v1/backup").status_code == 403
    cli("backup", tmp_path / "no.tar", status=4, env={"WASMCLOUD_TOKEN": original.kept})
    assert sorted(p.name for p in tmp_path.glob("*.tar*")) == ["there.tar"]


def changed(entries, **changes):
    return {name: changes.get(name.split("/")[0].replace(".", "_"), lambda c: c)(content)
            for name, content in entries.items()}


def flip(content):
    return content[:len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1:]


def resealed(entries, database):
    """With another database and a manifest that fits it."""
    manifest = json.loads(entries["manifest.json"])
    manifest["database"] = {"size": len(database), "sha256": hashlib.sha256(database).hexdigest()}
    return entries | {"db.sqlite": database, "manifest.json": json.dumps(manifest).encode()}


def database_with(entries, folder, statement):
    path = folder / "changed.sqlite"
    path.write_bytes(entries["db.sqlite"])
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(statement)
    db.close()
    content = path.read_bytes()
    path.unlink()
    return resealed(entries, content)


def test_damaged_archives_are_refused(original, tmp_path):
    cli, temporary = Cli(tmp_path), tmp_path / "temporary"
    temporary.mkdir()
    cli.env["TMPDIR"] = str(temporary)
    good = members(original.file)
    blob = next(n for n in good if n.startswith("blobs/"))
    without = {n: c for n, c in good.items() if n != blob}
    whole = original.file.read_bytes()
    cases = {
        "a bit of a blob": (changed(good, blobs=flip), "another hash"),
        "a bit of the database": (changed(good, db_sqlite=flip), "another hash"),
        "a bit of a key": (changed(good, keys=flip), "key"),
        "no blob": (without, "counts"),
        "no manifest": ({n: c for n, c in good.items() if n != "manifest.json"}, "no manifest"),
        "a foreign name": ({"db.sqlite": good["db.sqlite"], "../../etc/passwd": b"x", **good}, "none of a backup"),
        "an absolute name": ({"/db.sqlite": good["db.sqlite"], **good}, "none of a backup"),
        "a blob that is none": ({("blobs/../../x" if n == blob else n): c for n, c in good.items()}, "none of a backup"),
        "another order": (dict(reversed(good.items())), "order"),
        "twice": ([*good.items(), *good.items()], "order"),
        "a blob twice": ([p for n, c in good.items() for p in ([(n, c)] * (1 + (n == blob)))], "twice"),
        "a failed one": (good | {"manifest.json": json.dumps(json.loads(good["manifest.json"]) | {"failed": "disk"}).encode()}, "not completed: disk"),
        "no JSON": (good | {"manifest.json": b"{"}, "not readable"),
        "a blob not there": (database_with(good, tmp_path, "UPDATE modules SET digest = zeroblob(32) WHERE rowid = 1"), "lacks"),
        "a broken reference": (database_with(good, tmp_path, "UPDATE versions SET function_id = zeroblob(16) WHERE rowid = 1"), "names one that is not there"),
        "a newer schema": (database_with(good, tmp_path, "INSERT INTO schema_version (number, name) VALUES (999, 'x')"), "newer"),
        "another database": (resealed(good, b"SQLite format 3\0" + bytes(4080)), "database"),
    }
    for name, (entries, text) in cases.items():
        path = pack(tmp_path / "bad.tar", entries)
        refused = cli("backup", "verify", path, status=1)
        assert text in refused.err, (name, refused)
        cli("restore", path, "--data", tmp_path / "data", status=1)
        assert not (tmp_path / "data").exists(), name
    for name, content in {"cut": whole[:len(whole) // 2], "cut at the end": whole[:-2000],
                          "more behind it": whole + b"x" * 512, "empty": b"",
                          "a link": b"", "no archive": os.urandom(4096)}.items():
        path = tmp_path / "bad.tar"
        path.write_bytes(content)
        if name == "a link":
            with tarfile.open(path, "w") as archive:
                info = tarfile.TarInfo("db.sqlite")
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
        refused = cli("backup", "verify", path, status=1)
        assert refused.err.startswith("wasmcloud: ") and not refused.out, name
    assert not list(temporary.iterdir()), "nothing is left behind"


def test_verify_that_is_interrupted(original, tmp_path):
    """What it has unpacked goes; a short one may be done before the signal comes."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    cli, ends = Cli(tmp_path), []
    while signal.SIGTERM not in ends:
        assert len(ends) < 100
        process = subprocess.Popen([binary(), "backup", "verify", original.file], stdout=subprocess.DEVNULL,
                                   env=cli.env | {"TMPDIR": str(temporary)})
        while process.poll() is None and not any(temporary.iterdir()):
            pass
        process.send_signal(signal.SIGTERM)
        ends.append(-process.wait())
        assert not any(temporary.iterdir())


def test_verify_a_whole_one(original, tmp_path):
    facts = Cli(tmp_path)("backup", "verify", original.file, "--json").json
    assert facts == original.facts | {"file": str(original.file)}
    assert Cli(tmp_path)("backup", "verify", tmp_path / "none.tar", status=3).err


def test_while_functions_are_called_and_deployed(serve, guests, tmp_path):
    """Consistent at any moment: whatever was acknowledged before is in it, and all of it fits."""
    server = serve()
    cli = Cli(tmp_path, server)
    hello = server.deploy("busy", guests / "cwa-hello.wasm")
    stop, deployed = threading.Event(), []

    def work():
        i = 0
        while not stop.is_set():
            i += 1
            wasm, unused, other = ((guests / "cwa-echo.wasm").read_bytes() + bytes([0, 3, 1, i % 128, k])
                                   for k in range(3))
            gone = server.deploy(f"gone-{i}", other)
            made = server.deploy(f"busy-{i}", wasm)
            assert server.api.delete(f"{P}/functions/{gone.name}").status_code == 204
            assert server.api.post(f"{P}/modules", content=unused, headers=WASM).status_code == 201
            assert server.api.post("/v1/gc", json={"older_than": 0}).status_code == 200
            deployed.append(made.name)
            hello.get()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for round in range(3):
            assert eventually(lambda: len(deployed) > 3 * round)
            before = list(deployed)
            facts = cli("backup", tmp_path / f"{round}.tar", "--json").json
            assert facts["blobs"]["count"] >= len(before)
    finally:
        stop.set()
        worker.join()
    path = tmp_path / "db.sqlite"
    path.write_bytes(members(tmp_path / "2.tar")["db.sqlite"])
    with sqlite3.connect(path) as db:
        names = {n for n, in db.execute("SELECT name FROM functions WHERE live_id IS NOT NULL")}
    db.close()
    assert set(before) <= names


def test_control_dies_in_the_middle(serve, guests, tmp_path):
    """Nobody takes what came for a backup, and nothing of it stays."""
    server = serve(expect_errors=KILLED)
    server.deploy("one", padded(guests / "cwa-hello.wasm", 6 << 20))
    with server.api.stream("GET", "/v1/backup") as answer:
        assert answer.status_code == 200
        old = server.kill_role("control")
        with pytest.raises(httpx.TransportError):
            answer.read()
    assert server.replaced(old, "control")
    assert eventually(lambda: server.api.get("/readyz").status_code == 200)
    assert not (server.data / "backup.part").exists()
    Cli(tmp_path, server)("backup", tmp_path / "it.tar")


def test_what_a_killed_command_leaves(original, serve, tmp_path):
    """The next one starts over, and no server starts on a folder that is half restored."""
    cli = Cli(tmp_path, original)
    part = tmp_path / "it.tar.part"
    part.write_bytes(os.urandom(300_000))
    part.chmod(0o644)
    cli("backup", tmp_path / "it.tar", "--keys")
    assert (tmp_path / "it.tar").stat().st_mode & 0o777 == 0o600 and not part.exists()
    part.write_bytes(os.urandom(300_000))
    part.chmod(0o644)
    (tmp_path / "it.tar").unlink()
    cli("export", "default", tmp_path / "it.tar")
    assert (tmp_path / "it.tar").stat().st_mode & 0o777 == 0o600

    data = tmp_path / "data"
    (data / "restore.part/keys").mkdir(parents=True)
    (data / "restore.part/db.sqlite").write_text("half")
    (data / "blobs").mkdir()
    (data / "blobs" / ("ab" * 32)).write_text("half")
    refused = subprocess.run([binary(), "serve", "--data", data], capture_output=True, timeout=60, env=cli.env)
    assert refused.returncode == 1 and b"half filled" in refused.stderr and b"restore FILE" in refused.stderr
    assert sorted(p.name for p in data.iterdir()) == ["blobs", "restore.part"]
    folder = os.open(data / "restore.part", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    assert "another restore" in cli("restore", original.file, "--data", data, status=1).err
    os.close(folder)
    (data / "precious").touch()
    assert "not empty" in cli("restore", original.file, "--data", data, status=1).err
    assert (data / "restore.part/db.sqlite").read_text() == "half"
    (data / "precious").unlink()
    cli("restore", original.file, "--data", data)
    assert sorted(p.name for p in data.iterdir()) == ["blobs", "db.sqlite", "keys"]
    assert answers(serve(tmp_path)) == answers(original)


@pytest.fixture
def tiny(tmp_path):
    """A file system of 256 KiB."""
    if os.getuid():
        pytest.skip("needs root: it mounts a small disk")
    disk = tmp_path / "tiny"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_no_room_where_it_is_to_go(original, tiny, tmp_path):
    cli = Cli(tmp_path, original)
    for words in (["backup", tiny / "it.tar"], ["backup", "verify", original.file], ["export", "default", tiny / "it.tar"],
                  ["restore", original.file, "--data", tiny / "data"]):
        if words[0] == "export":
            (tiny / "filler").write_bytes(bytes(258_000))
        failed = cli(*words, env={"TMPDIR": str(tiny)}, status=1)
        assert "No space left" in failed.err and not failed.out, words
        (tiny / "filler").unlink(missing_ok=True)
        assert not list(tiny.iterdir()), words


def older(entries, number, folder):
    """The backup as a program of that schema would have made it of the function `hello`."""
    migrations = sorted((pathlib.Path(__file__).parents[2] / "src/store/migrations").glob("*.sql"))[:number]
    new, path = folder / "new.sqlite", folder / "older.sqlite"
    new.write_bytes(entries["db.sqlite"])
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                   " created_at INTEGER, updated_at INTEGER) STRICT")
        for i, file in enumerate(migrations):
            db.executescript(file.read_text())
            db.execute("INSERT INTO schema_version (number, name) VALUES (?, ?)", (i + 1, file.stem))
        db.commit()
        db.execute("ATTACH ? AS new", [str(new)])
        hello = "(SELECT id FROM new.functions WHERE name = 'hello')"
        for table, which in (("users", "1"), ("projects", "1"), ("members", "1"), ("functions", "name = 'hello'"),
                             ("versions", f"function_id = {hello}"),
                             ("modules", f"digest IN (SELECT digest FROM new.versions WHERE function_id = {hello})")):
            both = [{row[1] for row in db.execute(f"PRAGMA {of}.table_info({table})")} for of in ("main", "new")]
            columns = ", ".join(both[0] & both[1])
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table} WHERE {which}")
        db.commit()
        digests = [d.hex() for d, in db.execute("SELECT digest FROM main.modules ORDER BY digest")]
    db.close()
    kept = {n: c for n, c in entries.items() if not n.startswith("blobs/")}
    manifest = json.loads(kept.pop("manifest.json"))
    kept |= {f"blobs/{d}": entries[f"blobs/{d}"] for d in digests}
    manifest["blobs"] = {"count": len(digests), "bytes": sum(len(entries[f"blobs/{d}"]) for d in digests)}
    return resealed(kept | {"manifest.json": json.dumps(manifest).encode()}, path.read_bytes())


@pytest.mark.parametrize("number", [1, 2])
def test_a_backup_of_an_older_program(original, serve, tmp_path, number):
    cli = Cli(tmp_path)
    path = pack(tmp_path / "older.tar", older(members(original.file), number, tmp_path))
    facts = cli("backup", "verify", path, "--json").json
    assert facts["schema"] == number and facts["blobs"]["count"] == 2
    cli("restore", path, "--data", tmp_path / "data")
    server = serve(tmp_path)
    assert [f["name"] for f in server.api_list(f"{P}/functions")] == ["hello"]
    with server.wire(host=f"hello.localhost:{server.port}") as wire:
        assert wire.ask("/", "POST", body=b"the same").body == answers(original)[0]
    server.deploy("another", server.api.get(f"{P}/modules/{server.api_list(f'{P}/functions/hello/versions')[0]['digest']}").content)


def test_a_damaged_blob_is_named(serve, guests, tmp_path):
    server = serve(expect_errors=["backup"])
    digest = server.deploy("one", guests / "cwa-hello.wasm").version["version"]["digest"]
    path = server.data / "blobs" / digest
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(flip(content))
    failed = Cli(tmp_path, server)("backup", tmp_path / "b.tar", status=1)
    assert digest in failed.err and "damaged" in failed.err
    assert not list(tmp_path.glob("b.tar*"))
    path.write_bytes(content)
    Cli(tmp_path, server)("backup", tmp_path / "b.tar")


def test_a_client_that_goes_away(serve, guests, tmp_path):
    """Nothing of it stays: neither its copy of the database nor the hold on blobs."""
    server = serve(limits="client-stall=2s")
    server.deploy("one", padded(guests / "cwa-hello.wasm", 1 << 20))
    with server.platform_wire() as wire:
        wire.send(f"GET /v1/backup HTTP/1.1\r\nHost: {server.url[7:]}\r\n"
                  f"Authorization: Bearer {server.token}\r\n\r\n".encode())
    assert eventually(lambda: not (server.data / "backup.part").exists())
    assert eventually(lambda: Cli(tmp_path, server)("backup", tmp_path / "next.tar"))


def test_disk_full(serve, guests, tmp_path):
    """The copy of the database doesn't fit: 507, nothing left, the server works on."""
    if os.getuid():
        pytest.skip("needs root: it mounts a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], check=True)
    try:
        server = serve(disk, expect_errors=["spool_drain", "store_commit"], limits="log-stored=64MiB",
                       spool_size=1 << 20)
        function = server.deploy("one", guests / "cwa-hello.wasm")
        filler = disk / "filler"
        def free():
            st = os.statvfs(disk)
            return st.f_bavail * st.f_frsize
        size = free() - 200_000
        assert size > 0
        filler.write_bytes(bytes(size))
        answer = server.api.get("/v1/backup")
        assert answer.status_code == 507, answer.text
        assert not (server.data / "backup.part").exists()
        assert function.get().status == 200
        filler.unlink()
        assert server.api.get("/v1/backup").status_code == 200
        server.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
