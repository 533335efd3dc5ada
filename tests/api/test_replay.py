"""Captured runs, and running them again: the same output from what the run got then, without a
network. `runs pull` gets one from a server, `run --record` makes one here."""

import http.server
import itertools
import os
import secrets
import ssl
import subprocess
import threading
import time

import pytest

from server import binary, eventually

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


class Upstream:
    """An https server that never answers the same twice."""

    def __init__(self, certificate):
        self.authorizations = []
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                upstream.authorizations.append(self.headers.get("Authorization"))
                body = secrets.token_hex(400).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_port}/hello"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def upstream(certificate):
    server = Upstream(certificate)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def capturing(tmp_path_factory, certificate):
    """A server whose functions reach this machine."""
    from server import Server
    server = Server(tmp_path_factory.mktemp("capturing"), edges=1, egress_addresses="127.0.0.0/8",
                    egress_ca=certificate / "cert.pem",
                    limits="capture-rate=0,log-lines=10000")
    yield server
    server.stop()


@pytest.fixture
def laptop(capturing, tmp_path):
    """The command line of somebody who knows the server."""
    from cli import Cli
    return Cli(tmp_path, capturing)


def deploy(server, guests, name, capture="all", **settings):
    """A function of its own each time."""
    return server.deploy(f"{name}-{next(numbers)}", guests / f"{name}.wasm", capture=capture,
                         policy={"allow": ["https://127.0.0.1:*/**"], "on_violation": "error"}, **settings)


def pull(laptop, function, run, file="it.capture", **kw):
    eventually(lambda: function.run(run)["captured"])
    laptop("runs", "pull", run, "-o", file, **kw)
    return laptop.folder / file


def replay(laptop, file, *words, status=0):
    """Where there is no network at all, if we may make such a place."""
    alone = ["unshare", "--net"] if os.geteuid() == 0 else []
    env = {k: v for k, v in laptop.env.items() if not k.startswith("WASMCLOUD_")}
    done = subprocess.run([*alone, binary(), "run", "--replay", file, *words], env=env, cwd=laptop.folder,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == status, done
    return done


def body_of(output):
    """Of a CGI answer of these programs."""
    head, _, body = output.partition(b"\n\n")
    assert head == b"Content-Type: text/plain", output
    return body


@pytest.mark.parametrize("name", ["cwa-replay", "wasi-replay", "go-replay", "rust-replay"])
def test_a_run_of_a_server_runs_again_without_a_network(capturing, laptop, guests, upstream, name):
    function = deploy(capturing, guests, name)
    body = upstream.url.encode() + b"\n" + b"x" * 30000
    answer = function.post("/", body)
    assert answer.status == 200 and b"answer" in answer.body, answer
    assert function.post("/", body).body != answer.body, "time, random numbers and answers differ"
    file = pull(laptop, function, answer.run)
    upstream.stop()
    done = replay(laptop, file)
    assert body_of(done.stdout) == answer.body
    assert b"identical output" in done.stderr and b"ended as recorded (ok)" in done.stderr


def test_what_a_run_printed_and_how_it_ended(capturing, laptop, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay")
    answer = function.post("/?status=7", upstream.url.encode())
    file = pull(laptop, function, answer.run)
    done = replay(laptop, file, "--json", status=7)
    assert b'"identical":true' in done.stderr and b'"exit_status":7' in done.stderr
    assert b'"https' in done.stderr, "the ledger names what was opened"


def test_secrets_are_not_in_it(capturing, laptop, guests, upstream):
    """Their values come by --env; without them a program that only passes them on ends the same."""
    word = "correct-horse-" + secrets.token_hex(8)
    set_to = capturing.api.put("/v1/projects/default/secrets/WORD", json={"value": word})
    assert set_to.status_code == 200
    function = deploy(capturing, guests, "cwa-replay", env={"PLAIN": "seen"}, secrets=["WORD"])
    answer = function.post("/", upstream.url.encode())
    file = pull(laptop, function, answer.run)
    assert upstream.authorizations[-1] == f"Bearer {word}"
    captured = file.read_bytes()
    assert word.encode() not in captured and b"WORD" in captured and b"seen" in captured
    without = replay(laptop, file)
    assert body_of(without.stdout) == answer.body and b"--env WORD=VALUE" in without.stderr
    done = replay(laptop, file, "--env", f"WORD={word}")
    assert body_of(done.stdout) == answer.body and b"--env" not in done.stderr


def test_another_build_says_where_it_differs(capturing, laptop, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay")
    answer = function.post("/", upstream.url.encode())
    file = pull(laptop, function, answer.run)
    done = replay(laptop, file, guests / "cwa-replay-other.wasm", status=125)
    assert b"diverged" in done.stderr
    assert b"of descriptor 4, but the program asks for the time" in done.stderr, done.stderr
    same = replay(laptop, file, guests / "cwa-replay.wasm")
    assert b"another build" not in same.stderr and body_of(same.stdout) == answer.body


def test_the_limit_of_a_capture(capturing, laptop, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay", limits={"capture": "2KiB"})
    answer = function.post("/", upstream.url.encode() + b"\n" + b"y" * 20000)
    assert answer.status == 200
    file = pull(laptop, function, answer.run)
    done = replay(laptop, file, status=125)
    assert b'the capture was cut after' in done.stderr and b'limit "capture"' in done.stderr


def test_failures_only(capturing, laptop, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay", capture="failures")
    good = function.post("/", upstream.url.encode())
    bad = function.post("/?status=3", upstream.url.encode())
    headless = deploy(capturing, guests, "cwa-exit", capture="failures")
    silent = headless.get("/?status=0")
    assert (good.status, silent.status, silent.error) == (200, 502, "bad_cgi")
    assert eventually(lambda: function.run(bad.run)["captured"])
    assert eventually(lambda: headless.run(silent.run)["captured"]), "only the edge knows that it failed"
    assert not function.run(good.run)["captured"]
    refused = laptop("runs", "pull", good.run, status=3)
    assert "capture: all" in refused.err


def test_a_run_that_was_ended_while_it_waited(capturing, laptop, guests, upstream):
    """It ends there again, at once: for what came next nobody knows."""
    function = deploy(capturing, guests, "cwa-sleep", limits={"wall": "300ms"})
    answer = function.get("/?before=60000")
    assert (answer.status, answer.error) == (504, "wall_limit")
    done = replay(laptop, pull(laptop, function, answer.run), status=142)
    assert b"ended as recorded (wall_limit)" in done.stderr


def test_nothing_is_captured_by_itself(capturing, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay", capture="none")
    answer = function.post("/", upstream.url.encode())
    assert not function.run(answer.run)["captured"]
    missing = capturing.api.get(f"/v1/projects/default/runs/{answer.run}/capture")
    assert missing.status_code == 404 and "capture: failures" in missing.json()["detail"]
    nobody = capturing.api.get("/v1/projects/default/runs/0199aaaa-0000-7000-8000-000000000000/capture")
    assert nobody.status_code == 404 and "there is no run" in nobody.json()["detail"]


def test_who_may_have_it(capturing, guests, upstream):
    function = deploy(capturing, guests, "cwa-replay")
    run = function.post("/", upstream.url.encode()).run
    eventually(lambda: function.run(run)["captured"])
    for scope, status in (("read", 403), ("logs", 200)):
        made = capturing.api.post("/v1/tokens", json={"name": f"only-{scope}", "scopes": [scope]})
        with capturing.client(made.json()["token"]) as client:
            assert client.get(f"/v1/projects/default/runs/{run}/capture").status_code == status


def test_they_are_sealed_where_they_are_kept(capturing, guests, upstream):
    word = secrets.token_hex(16).encode()
    function = deploy(capturing, guests, "cwa-replay")
    run = function.post("/", upstream.url.encode() + b"\n" + word).run
    eventually(lambda: function.run(run)["captured"])
    tape = capturing.api.get(f"/v1/projects/default/runs/{run}/capture").content
    assert word in tape
    for file in capturing.data.glob("db.sqlite*"):
        assert word not in file.read_bytes()


def test_the_oldest_make_room(serve, guests):
    """The limit `captures` of a project, and `capture-rate`."""
    server = serve(edges=1, limits="captures=64KiB,capture-rate=0")
    function = server.deploy("echo", guests / "cwa-echo.wasm", capture="all")
    runs = [function.post("/", os.urandom(20000)).run for _ in range(5)]
    assert eventually(lambda: function.run(runs[-1])["captured"])
    kept = eventually(lambda: [function.run(run)["captured"] for run in runs] == [False, False, True, True, True])
    assert kept, [function.run(run)["captured"] for run in runs]
    slow = serve(edges=1, limits="capture-rate=1")
    function = slow.deploy("echo", guests / "cwa-echo.wasm", capture="all")
    began = time.monotonic()
    runs = [function.post("/", b"x").run for _ in range(20)]
    took = time.monotonic() - began
    assert eventually(lambda: function.run(runs[0])["captured"])
    assert 1 <= sum(function.run(run)["captured"] for run in runs) <= 2 + took, "one in each second"


@pytest.mark.parametrize("name", ["wasi-clocks", "wasi-poll", "wasi-devices", "wasi-echo", "cwa-random", "cwa-runtime"])
def test_recorded_here(bare_cli, guests, name):
    words = [guests / f"{name}.wasm", "one", "two"]
    first = bare_cli("run", "--record", "it.capture", *words, stdin=b"some input\n" * 1000)
    again = bare_cli("run", "--replay", "it.capture")
    assert again.bytes == first.bytes and "identical output" in again.err


@pytest.fixture
def plain(tmp_path):
    """An http server, and a policy that allows it."""
    from upstream import Upstream as Plain
    server = Plain()
    (tmp_path / "policy.yaml").write_text(f"allow: ['{server.url('/**')}']\n")
    yield server
    server.stop()


REACHES = {"WASMCLOUD_EGRESS_ADDRESSES": "127.0.0.0/8"}


@pytest.mark.parametrize("name", ["cwa-same", "dagger-same", "wasi-same", "wasi-same-unstable", "rust-cwa-same"])
def test_every_abi(bare_cli, guests, plain, name):
    if not (guests / f"{name}.wasm").exists():
        pytest.skip("this machine can't build it")
    given = f"open {plain.url('/hello')}\n".encode() + b"z" * 5000
    first = bare_cli("run", "--record", "it.capture", "--policy", "policy.yaml", guests / f"{name}.wasm",
                     stdin=given, env=REACHES)
    asked = len(plain.requests)
    assert asked == 1 and b"answer" in first.bytes, first
    again = bare_cli("run", "--replay", "it.capture", env=REACHES)
    assert again.bytes == first.bytes and "identical output" in again.err
    assert len(plain.requests) == asked, "nobody was asked again"


def test_polls_of_what_never_answers(bare_cli, guests, plain):
    """What was ready, and when a poll ran out, is on the tape; nothing is waited for."""
    words = [f"/net/http/127.0.0.1:{plain.port}/{path}" for path in ("hang", "events")]
    for event in (b"one\n", b"two\n", None):
        plain.events.put(event)
    first = bare_cli("run", "--record", "it.capture", "--policy", "policy.yaml", guests / "wasi-poll-net.wasm",
                     *words, env=REACHES)
    assert first.bytes.endswith(b"end\n") and b"silent" in first.bytes and b"two" in first.bytes
    again = bare_cli("run", "--replay", "it.capture")
    assert again.bytes == first.bytes and "identical output" in again.err


def test_what_a_policy_refused(bare_cli, guests, plain):
    """The end is the recorded one, for the recorded reason."""
    given = f"open {plain.url('/hello')}\n".encode()
    (bare_cli.folder / "nothing.yaml").write_text("allow: []\n")
    first = bare_cli("run", "--record", "it.capture", "--policy", "nothing.yaml", guests / "cwa-same.wasm",
                     stdin=given, status=159)
    again = bare_cli("run", "--replay", "it.capture", status=159)
    assert again.bytes == first.bytes and "ended as recorded (policy)" in again.err


def test_damaged_files(bare_cli, guests):
    bare_cli("run", "--record", "it.capture", guests / "cwa-random.wasm")
    whole = (bare_cli.folder / "it.capture").read_bytes()
    for broken in (b"", b"no capture", whole[:-1], whole[:100], whole.replace(b"wctape1", b"wctape9")):
        (bare_cli.folder / "broken").write_bytes(broken)
        assert "capture" in bare_cli("run", "--replay", "broken", status=125).err
    assert "no file" in bare_cli("run", "--replay", "missing", status=127).err
