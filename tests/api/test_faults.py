"""Control dies at any moment of a deploy; the disk is full and then not; the route table is damaged.

WASMCLOUD_KILLS   how often control is killed; `make promises` sets 200"""

import hashlib
import json
import os
import pathlib
import random
import sqlite3
import threading
import time

import httpx
import pytest

from server import Server, eventually
from test_kill import KILLED, fill, unshare

P = "/v1/projects/default"
WASM = {"Content-Type": "application/wasm"}
KILLS = int(os.environ.get("WASMCLOUD_KILLS", "9"))


def custom_section(text):
    """Makes a module another one that does the same."""
    body = bytes([1]) + b"n" + text.encode()
    return b"\0" + bytes([len(body)]) + body


# ---- kill -9 of control ----

class Deploy(threading.Thread):
    """One deploy of a module and an environment that belong together; `number` if it was acknowledged."""

    def __init__(self, server, module, i):
        super().__init__()
        self.server, self.i, self.number, self.refused = server, i, None, None
        self.module = module + custom_section(f"deploy {i}")
        self.digest = hashlib.sha256(self.module).hexdigest()
        self.begun = threading.Event()
        self.start()

    def run(self):
        with self.server.client(self.server.token) as api:
            self.begun.set()
            try:
                stored = api.post(f"{P}/modules", content=self.module, headers=WASM)
                if stored.status_code not in (200, 201):
                    self.refused = stored
                    return
                made = api.post(f"{P}/functions/victim/versions",
                                json={"digest": self.digest, "env": {"N": str(self.i)}, "check": "GET /"})
                if made.status_code in (200, 201):
                    self.number = made.json()["version"]["number"]
                else:
                    self.refused = made
            except httpx.HTTPError:
                pass  # nothing was said: both is right

    def judge(self):
        assert self.refused is None or self.refused.status_code in (502, 503), self.refused.text


def answered(server):
    """The N of the version that answers."""
    with server.wire(host=f"victim.localhost:{server.port}") as wire:
        answer = wire.ask("/")
    assert answer.status == 200, answer.text
    return int(next(line[2:] for line in answer.text.splitlines() if line.startswith("N=")))


def live(server):
    """N and digest of the version that the API says is live."""
    number = server.api_json(f"{P}/functions/victim")["version"]
    version = server.api_json(f"{P}/functions/victim/versions/{number}")
    return int(version["env"]["N"]), version["digest"], number


def left_over(data):
    """Files that nothing in the database names, and half-made ones."""
    with sqlite3.connect(f"file:{data}/db.sqlite?mode=ro", uri=True) as db:
        blobs = {row[0].hex() for row in db.execute("SELECT digest FROM modules UNION SELECT digest FROM assets")}
        images = {row[0].hex() for row in db.execute("SELECT digest FROM images")}
    db.close()
    found = [p.name for p in (data / "blobs").iterdir() if p.name not in blobs]
    return found + [p.name for p in data.glob("images/*/*/*") if p.is_file() and p.name.split(".")[0] not in images]


@pytest.mark.timeout(60 + 4 * KILLS)
def test_kill_control_at_any_moment_of_a_deploy(guests, tmp_path):
    dice = random.Random(int(os.environ.get("WASMCLOUD_SEED", "5")))
    module = (guests / "wasi-env.wasm").read_bytes()
    words = {"edges": 1, "expect_errors": KILLED + ("image_repair", "version_repair")}
    server = Server(tmp_path, **words)
    try:
        first = Deploy(server, module, 0)
        first.join()
        assert first.number == 1, first.refused and first.refused.text
        began = time.monotonic()
        again = Deploy(server, module, 1)
        again.join()
        took = time.monotonic() - began
        known, outcomes = {0: first, 1: again}, {"old": 0, "new": 0}
        for i in range(2, KILLS + 2):
            before = answered(server)
            assert before in known
            deploy = known[i] = Deploy(server, module, i)
            deploy.begun.wait()
            time.sleep(dice.random() * took * 1.2)  # any moment: nothing to wait for
            if i % 3:
                old = server.kill_role("control")
                deploy.join()
                assert server.replaced(old, "control")
            else:  # everything, master first
                server.kill()
                deploy.join()
                server = Server(tmp_path, **words)
            assert eventually(lambda: server.api.get("/readyz").status_code == 200)
            deploy.judge()
            n, digest, number = live(server)
            assert answered(server) == n, "what the API says is what answers"
            assert digest == known[n].digest, "module and environment are of one deploy"
            assert n in (before, i), "the old version or the new one"
            if deploy.number:
                assert n == i and number == deploy.number, "what was acknowledged is there"
            outcomes["new" if n == i else "old"] += 1
            assert eventually(lambda: left_over(server.data) == []), left_over(server.data)
        numbers = [v["number"] for v in server.api_list(f"{P}/functions/victim/versions")]
        assert len(numbers) == len(set(numbers))
        assert {d.number for d in known.values() if d.number} <= set(numbers)
        print(f"{KILLS} kills: {outcomes}")
    finally:
        if not server.stopped:
            server.stop()


# ---- disk full and back ----

@pytest.fixture
def small_disk(serve, tmp_path):
    """A server whose data folder is a file system of 160 MiB (`kind`: how it is made)."""
    def start(kind, **options):
        folder = tmp_path / "data"
        folder.mkdir()
        if kind == "tmpfs":
            script = 'mount -t tmpfs -o size=160m none "$1" && shift && exec "$@"'
        else:
            image = tmp_path / "disk.ext4"
            with open(image, "wb") as file:
                file.truncate(160 << 20)
            script = f'mkfs.ext4 -q -m 0 {image} && mount -o loop {image} "$1" && shift && exec "$@"'
        try:
            server = serve(tmp_path, wrap=[*unshare(), "sh", "-c", script, "sh", str(folder)], **options,
                           expect_errors=["store_.*", "disk_full", "blob_.*", "api_.*", "routes_publish", "spool.*"])
        except RuntimeError as failure:
            if kind == "tmpfs":
                raise
            pytest.skip(f"no ext4 in a loop device here: {failure}")
        inside = pathlib.Path(f"/proc/{server.pid}/root{folder}")  # the folder as the server sees it
        return server, inside / "filler"

    return start


WRITES = {
    "a row": lambda api, guests, i: api.post(f"{P}/functions", json={"name": f"full-row-{i}"}),
    "a module": lambda api, guests, i: api.post(
        f"{P}/modules", content=(guests / "rust-cgi.wasm").read_bytes() + custom_section(f"{i}"), headers=WASM),
    "a deploy": lambda api, guests, i: api.put(
        f"{P}/functions/full-deploy-{i}/module", params={"check": "none"}, headers=WASM,
        content=(guests / "cwa-hello.wasm").read_bytes() + custom_section(f"{i}")),
}


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_disk_full_and_back(small_disk, guests, kind):
    server, filler = small_disk(kind, edges=1, spool_size=1 << 20)
    talker = server.guest(guests, "cwa-log")
    assert talker.get("/?lines=1").status == 200
    pids = server.descendants()
    fill(filler)
    with server.client(server.token) as api:
        # Until nothing of the log's reserve is left, rows may still fit.
        assert eventually(lambda: WRITES["a row"](api, guests, random.getrandbits(60)).status_code == 507)
        for what, write in WRITES.items():
            for i in range(3):
                answer = write(api, guests, i)
                assert answer.status_code == 507, (what, answer.text)
                assert answer.json()["code"] == "disk_full" and answer.headers["content-type"].startswith("application/problem")
        assert api.get("/v1/whoami").status_code == 200
        assert api.get(f"{P}/functions").status_code == 200
    # Functions answer; more is logged than the spool holds.
    for _ in range(300):
        assert talker.get("/?lines=50&length=200").status == 200
    filler.unlink()
    for what, write in WRITES.items():
        made = eventually(lambda: (answer := write(server.api, guests, random.getrandbits(60))).status_code == 201 and answer)
        assert made, what
    # Without a restart; and of what was not kept it is known how much.
    assert {pid: words[1] for pid, words in server.descendants().items() if words[1] in ("edge", "control")} == {
        pid: words[1] for pid, words in pids.items() if words[1] in ("edge", "control")}

    def settled():
        counters = talker.counters
        stored = sum(line["source"] != "platform" for line in talker.logs(limit=1000))  # not what says that some were lost
        return (counters["runs"], stored + counters["log_lost"]) == (301, 1 + 300 * 50) and counters

    counters = eventually(settled)
    assert counters, (talker.counters, len(talker.logs(limit=1000)))
    assert counters["log_lost"] > 0 and counters["log_lines"] + counters["log_lost"] == 1 + 300 * 50
    assert len(talker.runs(limit=500)) + counters["receipts_lost"] == 301


# ---- the route table ----

def overwrite(path, seed=1):
    """Random bytes over the whole file, in place: whoever has mapped it sees them."""
    with open(path, "r+b") as file:
        file.write(random.Random(seed).randbytes(path.stat().st_size))


def a_page(path):
    """Random bytes over one page in the middle."""
    pages = path.stat().st_size // 4096
    with open(path, "r+b") as file:
        file.seek(4096 * (pages // 2))
        file.write(random.Random(2).randbytes(4096))


def a_bit(path):
    """One bit of the row of a function."""
    at = path.read_bytes().index(b"one\0\0\0")
    with open(path, "r+b") as file:
        file.seek(at + 50)
        byte = file.read(1)[0]
        file.seek(at + 50)
        file.write(bytes([byte ^ 4]))


DAMAGES = {
    "overwritten": overwrite,
    "a page": a_page,
    "a bit": a_bit,
    "cut to nothing": lambda path: os.truncate(path, 0),
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2 // 4096 * 4096),
    "deleted": lambda path: path.unlink(),
    "replaced": lambda path: (path.unlink(), path.write_bytes(b"no table")),
    "not readable": lambda path: path.chmod(0),
}
ROUTES = KILLED + ("edge_start", "routes_rebuild")


def both_answer(server):
    for name in ("one", "two"):
        with server.wire(host=f"{name}.localhost:{server.port}") as wire:
            if wire.ask("/").status != 200:
                return False
    return True


def tolerant(question, *arguments):
    """An edge that dies of it takes its connections with it."""
    def ask():
        try:
            return question(*arguments)
        except (OSError, EOFError):
            return False
    return ask


# Reading a mapped file that was cut is SIGBUS; whoever it hits is started again. No sanitizer's business.
CUT = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_sigbus=0"}


@pytest.fixture
def routed(serve, guests, tmp_path):
    server = serve(tmp_path, edges=1, env=CUT, expect_errors=ROUTES)
    for name in ("one", "two"):
        server.deploy(name, guests / "cwa-bare.wasm")
    assert both_answer(server)
    return server


@pytest.mark.parametrize("damage", DAMAGES)
def test_route_table_damaged_while_running(routed, guests, damage):
    DAMAGES[damage](routed.data / "routes/routes.mdb")
    assert eventually(tolerant(both_answer, routed))
    # What is deployed from now on is seen, by edges that were there before and by new ones.
    assert eventually(tolerant(lambda: routed.api.get("/readyz").status_code == 200))
    made = eventually(tolerant(lambda: deployed(routed, "two", guests)))
    assert made
    routed.kill_role("edge", "0")
    assert eventually(tolerant(both_answer, routed))
    with routed.wire(host=f"two.localhost:{routed.port}") as wire:
        assert wire.ask("/", "POST", body=b"new").body == b"new"


def deployed(server, name, guests):
    answer = server.api.put(f"{P}/functions/{name}/module", params={"check": "none"}, headers=WASM,
                            content=(guests / "cwa-echo.wasm").read_bytes())
    return answer.status_code in (200, 201)


@pytest.mark.parametrize("damage", DAMAGES)
def test_route_table_damaged_before_a_start(routed, tmp_path, serve, damage):
    routed.stop()
    DAMAGES[damage](routed.data / "routes/routes.mdb")
    again = serve(tmp_path, edges=1, env=CUT, expect_errors=ROUTES)
    assert eventually(tolerant(both_answer, again))
