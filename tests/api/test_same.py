"""Local is deployed: a request played by `wasmcloud run --cgi` and the same request to the deployed
function give the same answer and the same ledger, times aside, for programs of every ABI."""

import json
import os
import subprocess

import pytest

from server import Server
from upstream import Upstream

# The same work by every road into the platform: each guest and its module's ABI.
GUESTS = {
    "cwa-same": "cwa", "cwa-same-env": "cwa", "cwa-same-start": "cwa", "cwa-same-both": "cwa",
    "rust-cwa-same": "cwa",
    "dagger-same": "dagger", "dagger-same-main": "dagger", "dagger-same-64": "dagger",
    "dagger-same-64-main": "dagger",
    "wasi-same": "wasi", "wasi-same-unstable": "wasi", "rust-same": "wasi", "go-same": "wasi",
}
LEDGER = ("cause", "exit_status", "bytes_in", "bytes_out", "calls", "host_calls", "memory_peak", "log_lines",
          "log_lost", "gas", "opens", "refused", "uses_lost", "egress_bytes_in", "egress_bytes_out", "module",
          "descriptors", "refusals")
CLOCKS = "wasi.clock_time_get", "wasi.poll_oneoff", "wasi.sched_yield"  # Go's scheduler asks as time goes by
HEAD = b"Content-Type: text/plain\n\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("same"), egress_addresses="127.0.0.0/8")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def upstream():
    up = Upstream()
    yield up
    up.stop()


@pytest.fixture
def played(program, tmp_path_factory):
    """played(FILE, body, …): the answer's body and the ledger of a request played here."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "WASMCLOUD_EGRESS_ADDRESSES": "127.0.0.0/8"}

    def play(file, body, *flags):
        done = subprocess.run([program, "run", "--json", "--cgi", "POST /", *flags, file], input=body,
                              capture_output=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr
        head, _, answer = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
        assert b"text/plain" in head
        return answer, json.loads(done.stderr.splitlines()[-1])

    return play


def same(ledger, name):
    """What has to be equal."""
    kept = {key: ledger[key] for key in LEDGER}
    if name.startswith("go-"):
        kept["host_calls"] = {call: n for call, n in kept["host_calls"].items() if call not in CLOCKS}
        del kept["calls"]
    return kept


def checksum(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    return total


def expected(body):
    return (f"body {len(body)} bytes, sum {checksum(body)}\n"
            f"null {min(len(body), 16)} bytes, sum 0\n"
            "zero 16 bytes, sum 0\nrandom 16 bytes, sum 0\nlog 7 bytes, sum 0\n").encode()


@pytest.mark.parametrize("name", GUESTS)
def test_local_is_deployed(own, guests, played, name):
    function = own.guest(guests, name)
    for body in b"", b"x", b"some bytes of a body\n" * 40:
        answer, ledger = played(guests / f"{name}.wasm", body)
        deployed = function.post(body=body)
        run = function.run(deployed.run)
        assert (deployed.status, deployed.body) == (200, expected(body))
        assert answer == deployed.body
        assert same(ledger, name) == same(run, name)
        assert (run["bytes_in"], run["bytes_out"]) == (len(body), len(HEAD) + len(deployed.body))
        assert (run["log_lines"], run["cause"]) == (2, "ok")
        assert [line["text"] for line in run["logs"]] == ["same: a line", "done"]
        assert run["opens"] == 4 + (name == "rust-same") + (name == "go-same"), "the last two open null twice"


@pytest.mark.parametrize("name", [name for name in GUESTS if not name.startswith("go-")])
def test_gas_is_deterministic(own, guests, played, name):
    """The same instructions are counted, here and there and each time."""
    function = own.guest(guests, name, limits={"gas": "100000000"})
    body = b"to be counted"
    gas = {played(guests / f"{name}.wasm", body, "--gas", "1000000000")[1]["gas"] for _ in range(2)}
    gas |= {function.run(function.post(body=body).run)["gas"] for _ in range(2)}
    assert len(gas) == 1 and min(gas) > 1000


@pytest.mark.parametrize("name", GUESTS)
def test_a_remote_resource(own, guests, played, upstream, tmp_path, name):
    """A URL read to its end, by every ABI; into how many reads it falls is the network's affair."""
    policy = {"allow": [upstream.url("/**")]}
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    function = own.guest(guests, name, policy=policy)
    body = f"open {upstream.url('/hello?secret')}\n".encode()
    answer, ledger = played(guests / f"{name}.wasm", body, "--policy", tmp_path / "policy.yaml")
    deployed = function.post(body=body)
    run = function.run(deployed.run)
    assert b"\nanswer " in answer and answer == deployed.body
    ledger, run = same(ledger, name), same(run, name)
    for record in ledger, run:
        del record["host_calls"]
        record.pop("calls", None)
    assert ledger == run
    used = run["descriptors"][-1]
    assert (used["url"], used["requests"]) == (upstream.url("/hello?…"), 1)
    assert used["bytes_in"] == run["egress_bytes_in"] > 0 and used["rule"] == f"allow {upstream.url('/**')}"


@pytest.mark.parametrize("name", ["cwa-same", "dagger-same", "wasi-same", "go-same"])
def test_a_refused_url(own, guests, program, upstream, name):
    """By default it ends the program, here and there, with the same account of it."""
    function = own.guest(guests, name)
    body = f"open {upstream.url('/hello')}\n".encode()
    done = subprocess.run([program, "run", "--json", "--cgi", "POST /", guests / f"{name}.wasm"], input=body,
                          capture_output=True, timeout=60)
    ledger = json.loads(done.stderr.splitlines()[-1])
    _, run = function.failure("/", method="POST", body=body)
    assert same(ledger, name) == same(run, name)
    assert (run["cause"], run["refused"]) == ("policy", 1)
    assert run["text"].splitlines()[0] == f"vibe check failed: URL forbidden by policy: {upstream.url('/hello')}"
    if not name.startswith("go-"):  # whose stack has goroutines on it
        assert run["text"] == ledger["text"]
    assert run["refusals"] == [{"url": upstream.url("/hello"), "rule": "no rule allows it", "layer": "function",
                                "times": 1}]
    log = [line["text"] for line in run["logs"]]
    assert f"to allow it: wasmcloud policy allow {upstream.url('/hello')}" in "\n".join(log).replace("'", "")


@pytest.mark.parametrize("name", ["cwa-same", "dagger-same", "wasi-same", "go-same"])
def test_a_body_in_many_pieces(own, guests, played, name):
    """How many reads it takes is the network's affair; what was read is not."""
    function = own.guest(guests, name)
    body = bytes(range(256)) * 2000
    answer, ledger = played(guests / f"{name}.wasm", body)
    deployed = function.post(body=body)
    run = function.run(deployed.run)
    assert answer == deployed.body == expected(body)
    for key in "bytes_in", "bytes_out", "log_lines":
        assert ledger[key] == run[key]


@pytest.mark.parametrize("name", GUESTS)
def test_what_inspect_says(program, guests, name):
    """The ABI, as the judge of uploads sees it."""
    done = subprocess.run([program, "inspect", "--json", guests / f"{name}.wasm"], capture_output=True, check=True)
    assert json.loads(done.stdout)["abi"] == GUESTS[name]
