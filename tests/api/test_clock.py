"""The wall clock is set wrong, by a year in both directions, while the server runs: nothing is lost,
nobody is locked out for it, nothing is deleted because it suddenly looks old.

The program under test is `skewed` (tests/unit/skewed.c): the same program, whose wall clock is set
through a file."""

import datetime
import pathlib
import re
import shutil
import struct
import tempfile

import pytest

from server import binary, eventually

DAY = 86400
YEAR = 365 * DAY
P = "/v1/projects/default"


class Clock:
    """A copy of the program and the file that sets its clock, where every role's user may read it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="skewed-"))
        self.folder.chmod(0o755)
        self.program = self.folder / "wasmcloud"
        shutil.copy(binary().parent / "tests/unit/skewed", self.program)
        self.file = self.folder / "wasmcloud.skew"
        self.file.touch(0o644)
        self.set(0)

    def remove(self):
        shutil.rmtree(self.folder)

    def set(self, seconds):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("q", int(seconds)))

    def set_to_noon(self):
        """The middle of a day in the middle of this month: no day and no month ends during a test."""
        now = datetime.datetime.now(datetime.timezone.utc)
        noon = now.replace(day=15, hour=12, minute=0, second=0, microsecond=0)
        self.set((noon - now).total_seconds())

    # In front of the command: this program instead of that one.
    @property
    def wrap(self):
        return ["sh", "-c", 'shift; exec "$0" "$@"', str(self.program)]


@pytest.fixture
def clock():
    made = Clock()
    yield made
    made.remove()


def restart_control(server):
    assert server.replaced(server.kill_role("control"), "control")
    assert eventually(lambda: server.api.get("/readyz").status_code == 200)


def looks(server):
    """Each time that control found nothing (more) that is too old."""
    return re.findall(r" keep_looked .*more=0", server.log())


def test_a_year_in_both_directions(serve, guests, clock):
    server = serve(wrap=clock.wrap, edges=1, log_level="debug", expect_errors=("role_ended", "role_died"))
    log = server.deploy("talker", guests / "cwa-log.wasm")
    server.deploy("gone", guests / "cwa-bare.wasm")
    assert server.api.delete(f"{P}/functions/gone").status_code == 204
    runs, year_of = [], {}

    def talk():
        run = log.get("/?lines=2&length=4").run
        runs.append(run)
        year_of[run] = log.run(run)["started_at"][:4]
        assert len(log.logs(run=run)) == 2

    def all_there():
        assert sorted(r["id"] for r in log.runs(limit=2)) == sorted(runs), "each once, page by page"
        assert len(set(runs)) == len(runs)
        assert len(log.logs(limit=3)) == 2 * len(runs)
        assert [f["name"] for f in server.api_list(f"{P}/functions", deleted="true")] == ["gone"]
        assert log.counters["runs"] == len(runs)

    now = 0
    for jump in (0, YEAR - 80 * DAY, -YEAR, 0):
        clock.set(jump)
        now = jump
        for _ in range(3):
            talk()
        all_there()
        if jump > 0:
            # The name is still kept for its owner, though it seems to have been free for months.
            again = server.api.post(f"{P}/functions", json={"name": "gone"})
            assert again.status_code == 409 and "undelete" in again.text, again.text
        seen = server.log().count(" clock_leap ")
        looked = len(looks(server))
        restart_control(server)  # which looks for what is too old right away
        assert eventually(lambda: len(looks(server)) > looked)
        if jump > 0:
            assert server.log().count(" clock_leap ") > seen
        # A deploy makes versions and promotes them whatever the time is.
        made = server.deploy(f"made-{len(runs)}", guests / "cwa-bare.wasm")
        assert made.get().status == 200
        all_there()
    assert now == 0
    assert len({year_of[run] for run in runs}) > 1, "the clock was set indeed"
    assert server.api.post(f"{P}/functions/gone/undelete").status_code == 200
    with server.wire(host=f"gone.localhost:{server.port}") as wire:
        assert wire.ask("/").status == 200


def test_tokens(serve, clock):
    server = serve(wrap=clock.wrap, edges=1)
    assert server.api.get("/v1/whoami").status_code == 200
    clock.set(-5 * YEAR)  # before it was issued
    assert server.api.get("/v1/whoami").status_code == 200
    made = server.api.post("/v1/tokens", json={"name": "early", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    clock.set(2 * YEAR)  # after its end
    assert server.api.get("/v1/whoami").status_code == 401
    clock.set(0)
    assert server.api.get("/v1/whoami").status_code == 200
