"""A function's requests shared out among versions."""

import collections
import concurrent.futures
import re

import pytest

REQUESTS = 10000


@pytest.fixture
def parts(server, guests):
    """A function with three versions that say which they are; the third is live."""
    made = {}
    def make(name):
        for mark in "123":
            made[name] = server.deploy(name, guests / "wasi-env.wasm", env={"MARK": mark})
        return made[name]
    return make


def split(server, name, versions, expect=200):
    answer = server.api.post(f"/v1/projects/default/functions/{name}/split", json={"versions": versions})
    assert answer.status_code == expect, answer.text
    return answer.json()


def count(server, name, requests, clients=4):
    """How many of that many requests each version answered."""
    def ask(_):
        seen = collections.Counter()
        with server.wire(f"{name}.localhost:{server.port}") as wire:
            for _ in range(requests // clients):
                seen[re.search(r"^MARK=(.)$", wire.ask("/").text, re.M)[1]] += 1
        return seen
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(ask, range(clients)), collections.Counter())


def test_shares_are_what_was_asked_for(server, parts):
    """Of 10,000 requests each share is within five standard deviations: a fault of the platform is
    seen, chance is not (one in a million)."""
    parts("s-exact")
    shown = split(server, "s-exact", {"1": 10, "2": 20, "3": 70})
    assert shown["split"] == {"1": 10, "2": 20, "3": 70} and shown["version"] == 3
    seen = count(server, "s-exact", REQUESTS)
    assert sum(seen.values()) == REQUESTS
    for mark, percent in {"1": 10, "2": 20, "3": 70}.items():
        p = percent / 100
        deviation = (REQUESTS * p * (1 - p)) ** 0.5
        print(f"version {mark}: {seen[mark]} of {REQUESTS}, {percent} % asked for")
        assert abs(seen[mark] - REQUESTS * p) < 5 * deviation, seen


def test_a_split_ends(server, parts, cli, guests):
    f = parts("s-end")
    for end in (lambda: cli("split", "s-end", "--off"), lambda: cli("rollback", "s-end"),
                lambda: cli("promote", "s-end", "3"), lambda: split(server, "s-end", {"3": 100}),
                lambda: server.deploy("s-end", guests / "wasi-env.wasm", expect=200)):
        split(server, "s-end", {"2": 50, "3": 50})
        end()
        assert f.record()["split"] is None and f.record()["version"] == 3
        assert count(server, "s-end", 40) == {"3": 40}
    assert cli("split", "s-end").lines == ["s-end\t100 %"]
    assert cli("split", "s-end", "2=25%", "3=75%").lines == ["2\t25 %", "3\t75 %"]
    assert "split     2 25 %, 3 75 %" in cli("get", "s-end").lines


def test_disabling_gives_the_share_to_the_live_version(server, parts, cli):
    f = parts("s-off")
    split(server, "s-off", {"1": 20, "2": 30, "3": 50})
    cli("versions", "disable", "s-off", "1")
    assert f.record()["split"] == {"2": 30, "3": 70}
    cli("versions", "disable", "s-off", "2")
    assert f.record()["split"] is None
    assert count(server, "s-off", 40) == {"3": 40}


def test_splits_that_are_refused(server, parts, cli):
    f = parts("s-bad")
    for versions, status, word in [({"3": 50, "2": 49}, 422, "add up to 99"), ({"1": 50, "2": 50}, 422, "3 is live"),
                                   ({"3": 50, "9": 50}, 422, "no version 9"), ({"3": 0, "2": 100}, 422, "versions"),
                                   ({"03": 50, "2": 50}, 422, "number"), ({"x": 100}, 422, "number"), ({}, 422, "versions"),
                                   ({str(n): 20 for n in range(1, 6)}, 422, "versions"), ({"3": "90", "2": 10}, 422, "versions"),
                                   ({"3": 101, "2": -1}, 422, "versions")]:
        assert word in str(split(server, "s-bad", versions, expect=status)), versions
    assert f.record()["split"] is None
    assert "3=90" in cli("split", "s-bad", "3", status=2).err
    assert "3=90" in cli("split", "s-bad", "3=x", "2=1", status=2).err
    cli("split", "s-bad", "3=100", "--off", status=2)
    cli("split", "s-none", "1=100", status=3)


def test_a_split_outlives_a_restart(serve, guests, tmp_path):
    server = serve(tmp_path)
    for mark in "12":
        server.deploy("s-kept", guests / "wasi-env.wasm", env={"MARK": mark})
    split(server, "s-kept", {"1": 50, "2": 50})
    server.stop()
    server = serve(tmp_path)
    assert server.api_json("/v1/projects/default/functions/s-kept")["split"] == {"1": 50, "2": 50}
    seen = count(server, "s-kept", 200)
    assert 50 < seen["1"] < 150 and sum(seen.values()) == 200
