"""What a start repairs by itself: the route table, images and leftovers of a crash are made again
from the database, and an older program leaves a newer database alone."""

import os
import shutil
import sqlite3

import pytest

from server import Server, eventually


@pytest.fixture
def old(serve, guests, tmp_path):
    """A stopped server's folder with two functions, and how to start it again."""
    first = serve(tmp_path)
    for name in ("one", "two"):
        assert first.deploy(name, guests / "cwa-hello.wasm").get().status == 200
    first.stop()

    class Old:
        data = first.data

        def database(self, *statements):
            with sqlite3.connect(self.data / "db.sqlite") as db:
                rows = [db.execute(s).fetchall() for s in statements]
            db.close()
            return rows[-1]

        def images(self):
            return sorted(self.data.glob("images/*/*/*"))

        def start(self, **options):
            return serve(tmp_path, **options)

        def answers(self, **options):
            server = self.start(**options)
            for name in ("one", "two"):
                with server.wire(host=f"{name}.localhost:{server.port}") as wire:
                    assert wire.ask("/").status == 200, name
            return server

    return Old()


def test_route_table_missing(old):
    shutil.rmtree(old.data / "routes")
    old.answers()


def test_route_table_damaged(old):
    (old.data / "routes/routes.mdb").write_bytes(os.urandom(100_000))
    assert "routes_rebuild" in old.answers().log()


def test_route_table_that_was_not_on_the_disk_yet(old):
    """As if the machine had stopped: what LMDB wrote without a sync may be anything."""
    (old.data / "routes/unsynced").write_text("another start of the machine\n")
    server = old.answers()
    assert "routes_rebuild" in server.log()
    assert eventually(lambda: not (old.data / "routes/unsynced").exists())
    server.stop()
    assert old.answers().log().count("routes_rebuild") == 1


def test_route_table_ahead_of_a_restored_database(old):
    old.database("UPDATE settings SET value = '1' WHERE key = 'route_generation'")
    assert "routes_rebuild" in old.answers().log()


def test_route_table_behind_the_database(old, serve, guests, tmp_path):
    """As if control had died between COMMIT and publication."""
    server = old.start()
    server.stop()
    behind = tmp_path / "routes"
    shutil.copytree(old.data / "routes", behind)
    server = old.start()
    assert server.deploy("one", guests / "cwa-echo.wasm").post(body=b"new").body == b"new"
    server.stop()
    shutil.rmtree(old.data / "routes")
    shutil.copytree(behind, old.data / "routes")
    server = old.start()
    with server.wire(host=f"one.localhost:{server.port}") as wire:
        assert wire.ask("/", "POST", body=b"again").body == b"again"


def test_limits_of_the_node_reach_functions_at_once(old):
    old.answers(limits="memory=64MiB")


def test_image_missing(old):
    for image in old.images():
        image.unlink()
    old.answers()
    assert old.images()


def test_image_damaged(old):
    for image in old.images():
        bytes_ = bytearray(image.read_bytes())
        bytes_[5000] ^= 1
        image.chmod(0o644)
        image.write_bytes(bytes_)
    server = old.start()
    assert eventually(lambda: "image_unsound" in server.log())
    with server.wire(host=f"one.localhost:{server.port}") as wire:
        assert eventually(lambda: wire.ask("/").status == 200)


def test_images_of_another_engine(old):
    engine = next((old.data / "images").iterdir())
    engine.rename(engine.with_name("wasmtime-1.0.0-00000000"))
    old.database("UPDATE images SET engine = 'wasmtime-1.0.0-00000000'")
    old.answers()
    assert eventually(lambda: [p.name for p in (old.data / "images").iterdir()] == [engine.name])


def test_leftovers_of_a_crash_go(old):
    blobs = old.data / "blobs"
    kept = sorted(p.name for p in blobs.iterdir())
    (blobs / "tmp-7").write_bytes(b"half")
    (blobs / ("ab" * 32)).write_bytes(b"stored, but its row was never written")
    old.answers()
    assert sorted(p.name for p in blobs.iterdir()) == kept


@pytest.mark.parametrize("text", [None, "", "not a token\n"])
def test_operator_token_is_made_again(old, text):
    file = old.data / "operator.token"
    file.unlink()
    if text is not None:
        file.write_text(text)
    server = old.start()
    assert server.api.get("/whoami").json()["user"]["role"] == "operator"
    assert file.stat().st_mode & 0o777 == 0o600


def test_refused_uploads_leave_nothing(old, guests):
    server = old.start()
    blobs, images = set((old.data / "blobs").iterdir()), set(old.images())
    wasm = {"Content-Type": "application/wasm"}
    refused = (guests / "cwa-reactor.wasm").read_bytes()
    taken = (guests / "cwa-echo.wasm").read_bytes()
    assert server.api.post("/v1/projects", json={"name": "other"}).status_code == 201
    base = "/v1/projects/other"
    assert server.api.post(f"{base}/modules", content=refused, headers=wasm).status_code == 422
    # compiled, and only then found to clash with the other project's name
    answer = server.api.put(f"{base}/functions/one/module", content=taken, headers=wasm)
    assert answer.status_code == 409
    assert set((old.data / "blobs").iterdir()) == blobs
    assert set(old.images()) == images


def test_newer_database_is_left_alone(old, tmp_path):
    old.database("INSERT INTO schema_version (number, name) VALUES (999, 'later')")
    with pytest.raises(RuntimeError, match="newer"):
        Server(tmp_path)
    assert old.database("SELECT max(number) FROM schema_version") == [(999,)]


def test_environments_are_sealed(serve, guests, tmp_path):
    server = serve(tmp_path)
    server.deploy("env", guests / "wasi-env.wasm", env={"CANARY": "canary-4711-secret"})
    server.stop()
    for file in server.data.rglob("*"):
        if file.is_file():
            assert b"canary-4711-secret" not in file.read_bytes(), file


def test_every_change_is_in_the_audit_trail(old):
    actions = {row[0] for row in old.database("SELECT action FROM audit")}
    assert {"server.first_start", "token.create", "function.create", "version.create",
            "version.promote"} <= actions


def test_a_change_that_the_route_table_lacks_says_so(serve, guests):
    """It is in the database, so nothing is undone; but visitors don't see it yet, and nobody is told they do."""
    server = serve(expect_errors=["routes_publish"])
    path = "/v1/projects/default/secrets/WORD"
    before = server.api.put(path, json={"value": "old"}).json()["etag"]
    function = server.deploy("behind", guests / "wasi-env.wasm", secrets=["WORD"])
    spare = server.deploy("spare", guests / "cwa-bare.wasm")
    unsynced = server.data / "routes/unsynced"
    assert eventually(lambda: not unsynced.exists())
    unsynced.mkdir()  # it can't be made, and so nothing may be written to the table
    try:
        key = {"Idempotency-Key": "behind-1"}
        for answer in (server.api.put(path, json={"value": "new"}, headers=key),
                       server.api.put(path, json={"value": "new"}, headers=key),
                       server.api.post(f"{function.path}/versions", json={"env": {"A": "1"}, "check": "none"}),
                       server.api.delete(spare.path)):
            assert answer.status_code == 503 and answer.json()["code"] == "unavailable", answer.text
            assert "done and kept" in answer.json()["detail"] and "Retry-After" in answer.headers
        assert b"WORD=old" in function.get().body and spare.get().status == 200
        assert server.api.get("/readyz").status_code == 503
    finally:
        unsynced.rmdir()
    again = eventually(lambda: (a := server.api.put(path, json={"value": "new"}, headers=key)).status_code == 200
                       and a)
    assert again.headers["Idempotency-Replayed"] == "true" and again.json()["etag"] != before
    assert b"WORD=new" in function.get().body and function.record()["version"] == 2 and spare.get().status == 404
