"""`gc` removes what nothing uses, says what it was, and nothing else; `migrate` brings an old database
up to date and keeps a copy."""

import os
import sqlite3

import pytest

from cli import Cli
from test_assets import FILES, tar, upload
from test_backup import padded

P = "/v1/projects/default"


def test_gc_of_uploads(serve, guests, tmp_path):
    server = serve()
    cli = Cli(tmp_path, server)
    used = server.deploy("used", guests / "cwa-hello.wasm")
    assets = upload(server, tar(FILES))
    wasm = padded(guests / "cwa-echo.wasm", 100_000)
    unused = server.api.post(f"{P}/modules", content=wasm, headers={"Content-Type": "application/wasm"}).json()
    (server.data / "blobs" / ("ab" * 32)).write_bytes(b"nobody's")
    assert cli("gc", "--json").json["modules"]["count"] == 0  # too young
    dry = cli("gc", "--dry-run", "--older-than", "0", "--json").json
    assert dry["dry_run"] is True and dry["modules"]["count"] == 1 and dry["assets"] == {"count": 1, "bytes": assets["size"]}
    assert dry["modules"]["bytes"] > len(wasm)
    assert server.api.get(f"{P}/modules/{unused['digest']}").status_code == 200
    done = cli("gc", "--older-than", "0", "--json").json
    assert done == dry | {"dry_run": False}
    assert not (server.data / "blobs" / ("ab" * 32)).exists()
    for path in (f"{P}/modules/{unused['digest']}", f"{P}/assets/{assets['digest']}"):
        assert server.api.get(path).status_code == 404
    left = {p.name for p in (server.data / "blobs").iterdir()}
    assert left == {used.version["version"]["digest"]}
    assert used.get().status == 200
    assert cli("gc", "--older-than", "0", "--json").json["modules"]["count"] == 0


def test_gc_is_for_operators(server, cli):
    made = server.api.post("/v1/tokens", json={"name": "gc", "scopes": ["read"], "expires_in": 3600}).json()
    cli("gc", status=4, env={"WASMCLOUD_TOKEN": made["token"]})
    assert server.api.post("/v1/gc", json={"older_than": -1}).status_code == 422
    cli("gc", "--older-than", "soon", status=2)


@pytest.fixture
def old(serve, guests, tmp_path):
    """The data folder of a server as the program before this one left it."""
    server = serve(tmp_path)
    server.deploy("one", guests / "cwa-hello.wasm")
    server.stop()
    return server.data


def schema(path):
    with sqlite3.connect(path) as db:
        number, = db.execute("SELECT max(number) FROM schema_version").fetchone()
    db.close()
    return number


def test_migrate(old, serve, tmp_path, bare_cli):
    database = old / "db.sqlite"
    newest = schema(database)
    assert "already" in bare_cli("migrate", "--data", old).out
    # schema 1, as its own migrations made it
    root = os.path.join(os.path.dirname(__file__), "../../src/store/migrations/001_start.sql")
    database.unlink()
    with sqlite3.connect(database) as db:
        db.executescript(open(root).read())
        db.executescript("CREATE TABLE schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                         " created_at INTEGER, updated_at INTEGER) STRICT;"
                         "INSERT INTO schema_version (number, name) VALUES (1, '001_start');"
                         "INSERT INTO users (id, name, role) VALUES (randomblob(16), 'kept', 'user')")
    db.close()
    told = bare_cli("migrate", "--data", old, "--check", "--json", status=1).json
    assert told == {"from": 1, "to": newest, "migrated": False, "copy": None} and schema(database) == 1
    done = bare_cli("migrate", "--data", old, "--json").json
    assert done == {"from": 1, "to": newest, "migrated": True, "copy": str(old / "db.sqlite.schema-1")}
    assert schema(database) == newest and schema(old / "db.sqlite.schema-1") == 1
    for path in (database, old / "db.sqlite.schema-1"):
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT name FROM users").fetchall() == [("kept",)]
        db.close()
    serve(tmp_path)


def test_migrate_refuses(old, serve, tmp_path, bare_cli):
    database = old / "db.sqlite"
    with sqlite3.connect(database) as db:
        db.execute("INSERT INTO schema_version (number, name) VALUES (999, 'later')")
    db.close()
    assert "newer" in bare_cli("migrate", "--data", old, status=1).err
    with sqlite3.connect(database) as db:
        db.execute("DELETE FROM schema_version WHERE number = 999")
    db.close()
    serve(tmp_path)
    assert "stop it first" in bare_cli("migrate", "--data", old, status=1).err
    bare_cli("migrate", "--data", tmp_path / "nowhere", status=3)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk/db.sqlite").write_bytes(b"x" * 5000)
    assert "database" in bare_cli("migrate", "--data", tmp_path / "junk", status=1).err
