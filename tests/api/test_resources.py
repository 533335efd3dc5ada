"""Resources beyond this machine, end to end: a guest, its exec, egress, and a server of the test's own.

The guests open what their query names, write what they are sent, and print what they read; the last
line of cwa-http says with which code that ended (-5: the end of the answer).
"""

import hashlib
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import urllib.parse

import pytest

from server import Server, binary, eventually, resident
from upstream import Upstream
from wire import head

MIB = 1 << 20
INSTRUMENTED = "asan" in str(binary())  # freed memory is then kept for a while: sizes say nothing
END = -5


@pytest.fixture(scope="module")
def upstream():
    up = Upstream()
    yield up
    up.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A server whose operator lets functions reach this machine."""
    server = Server(tmp_path_factory.mktemp("node"), egress_addresses="127.0.0.0/8")
    yield server
    server.stop()


@pytest.fixture
def http(node, guests, upstream):
    """http(limits={…}, policy={…}): the guest cwa-http, deployed once with each set of settings."""
    def deploy(name="cwa-http", policy=None, **settings):
        policy = {"allow": [upstream.url("/**")]} if policy is None else policy
        return node.guest(guests, name, response="text", policy=policy, **settings)

    yield deploy
    node.check_log()


def query(url, **more):
    return "/?" + urllib.parse.urlencode({"open": url} | more)


def answer_of(response):
    """What a guest read, as (head, body), and the code that ended it."""
    text, _, last = response.body.rstrip(b"\n").rpartition(b"\n")
    what, _, code = last.partition(b" ")
    top, _, body = text.partition(b"\r\n\r\n")
    return top.decode("latin-1"), body, (what.decode(), int(code))


def test_open_then_read(http, upstream):
    top, body, code = answer_of(http().get(query(upstream.url("/hello?x=1"))))
    assert top.startswith("HTTP/1.1 200 OK\r\n") and "X-Up: yes" in top
    assert (body, code) == (b"hello from upstream", ("read", END))
    request = upstream.requests[-1]
    assert request.line == "GET /hello?x=1 HTTP/1.1"
    assert request.fields["user-agent"].startswith("wasmcloud/") and request.fields["via"] == "1.1 wasmcloud"
    assert request.fields["host"] == f"127.0.0.1:{upstream.port}"
    assert set(request.fields) == {"user-agent", "via", "host"}


def test_ledger(http, upstream):
    answer = http().post(query(upstream.url("/hello"), second="/echo?2"), b"HEAD /hello HTTP/1.1\n\n")
    record = http().run(answer.run)
    read = answer.body.replace(b"\nread -5\n", b"")
    written = len("HEAD /hello HTTP/1.1\n\n") + len("GET /echo?2 HTTP/1.1\n\n")
    rows = [row for row in record["descriptors"] if row["url"] == upstream.url("/hello")]
    assert [(row["bytes_in"], row["bytes_out"], row["requests"]) for row in rows] == [(len(read), written, 2)]
    assert rows[0]["rule"] == f"allow {upstream.url('/**')}"
    assert (record["egress_bytes_in"], record["egress_bytes_out"]) == (len(read), written)
    assert (record["opens"], record["refused"], record["refusals"]) == (1, 0, [])


@pytest.mark.parametrize("form", ["bare LF", "CRLF", "absolute", "other case"])
def test_written_requests(http, upstream, form):
    text = {"bare LF": "GET /echo?a HTTP/1.1\nX-One: 1\nConnection: X-Hop\nX-Hop: 2\n\n",
            "CRLF": "GET /echo?a HTTP/1.1\r\nX-One: 1\r\nProxy-Connection: close\r\n\r\n",
            "absolute": f"GET {upstream.url('/echo?a')} HTTP/1.1\nX-One: 1\n\n",
            "other case": f"GET /./x/../%65cho?a HTTP/1.0\nhost:127.0.0.1:{upstream.port}\nX-One: 1\n\n"}
    _, body, code = answer_of(http().post(query(upstream.url()), text[form].encode()))
    assert (body, code) == (b"GET 0 " + hashlib.sha256().hexdigest().encode(), ("read", END))
    assert upstream.requests[-1].line == "GET /echo?a HTTP/1.1"
    assert {k: v for k, v in upstream.requests[-1].fields.items() if k.startswith("x-")} == {"x-one": "1"}


@pytest.mark.parametrize("noflush", [0, 1])
@pytest.mark.parametrize("coding", ["length", "none", "chunked"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies(http, upstream, method, coding, noflush):
    content = b"some content\n" * 1000
    fields = {"length": b"Content-Length: %d\r\n" % len(content), "none": b"",
              "chunked": b"Transfer-Encoding: chunked\n"}[coding]
    sent = content if coding != "chunked" else b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    text = f"{method} /echo HTTP/1.1\n".encode() + fields + b"\n" + sent
    top, body, code = answer_of(http().post(query(upstream.url(), noflush=noflush), text))
    assert body.decode() == f"{method} {len(content)} {hashlib.sha256(content).hexdigest()}"
    assert code == ("read", END) and "transfer-encoding" not in top.lower()
    fields = upstream.requests[-1].fields
    assert ("content-length" in fields) == (coding == "length")
    assert "expect" not in fields


def test_head_204_304_redirect(http, upstream):
    for path, method, status in [("/hello", "HEAD", 200), ("/204", "GET", 204), ("/304", "GET", 304),
                                 ("/redirect", "GET", 302), ("/close", "GET", 200)]:
        before = len(upstream.requests)
        text = f"{method} {path} HTTP/1.1\n\n".encode()
        top, body, code = answer_of(http().post(query(upstream.url()), text))
        assert top.startswith(f"HTTP/1.1 {status} ") and code == ("read", END)
        assert body == (b"until the end" if path == "/close" else b"")
        assert len(upstream.requests) == before + 1  # a redirect isn't followed
    assert "Location: http://169.254.169.254/" in answer_of(http().get(query(upstream.url("/redirect"))))[0]


def test_one_read_has_head_and_body(http, upstream):
    """Programs in the wild parse their whole buffer after one read."""
    text = http().get(query(upstream.url("/hello"), lines=1)).text
    assert text.count("hello from upstream") == 1
    size, _, rest = text.partition(": ")
    if int(size) < len(rest) - len("\nread -5\n"):  # only if the server's bytes came in two pieces
        assert rest[:int(size)].endswith("\r\n\r\n")


def test_second_request(http, upstream):
    connections = upstream.connections
    answer = http().get(query(upstream.url("/hello"), second="/echo?2")).body
    assert answer.count(b"\nread -5\n") == 2 and answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert [r.target for r in upstream.requests[-2:]] == ["/hello", "/echo?2"]
    assert upstream.connections <= connections + 1  # the same connection


def test_connections_are_kept(http, upstream):
    http().get(query(upstream.url("/hello")))
    before = upstream.connections
    for _ in range(5):
        http().get(query(upstream.url("/hello")))
    assert upstream.connections == before


def test_plain_files(http, upstream):
    """A C program with fopen and read, and no idea of HTTP."""
    plain = http("wasi-http")
    path = f"/net/http/127.0.0.1:{upstream.port}"
    assert plain.get(f"/?{path}/hello").text.endswith("\r\n\r\nhello from upstream")
    text = plain.post(f"/?{path}", b"POST /echo HTTP/1.1\n\nhello").text
    assert text.endswith(f"POST 5 {hashlib.sha256(b'hello').hexdigest()}")
    denied = http("wasi-http", policy={"allow": [], "on_violation": "error"})
    assert denied.get(f"/?{path}/hello").text.startswith("fopen: Permission denied")


@pytest.fixture(scope="module")
def capsule(tmp_path_factory):
    """A gemini server with a certificate of its own making: (port, the requests it got)."""
    folder = tmp_path_factory.mktemp("capsule")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    listener, asked = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain, context.wrap_socket(plain, server_side=True) as sock, sock.makefile("rb") as file:
                asked.append(file.readline())
                sock.sendall(b"20 text/gemini\r\n# A capsule\n")
                sock.unwrap()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], asked
    listener.close()


def test_gemini(http, capsule):
    port, asked = capsule
    url = f"gemini://127.0.0.1:{port}/page?q"
    function = http(policy={"allow": [f"gemini://127.0.0.1:{port}/**"]})
    answer = function.get(query(url))
    assert answer.text == "20 text/gemini\r\n# A capsule\n\nread -5\n", logged(function, answer)
    assert asked == [url.encode() + b"\r\n"]
    assert function.post(query(url), b"x").text == "\nwrite -2\n"


# Policy

def refused(function, target, **kw):
    answer, record = function.failure(target, **kw)
    assert (answer.status, answer.error) == (502, "policy")
    assert record["cause"] == "policy"
    lines = [line["text"] for line in eventually(lambda: function.logs(run=answer.run))]
    return lines


def test_forbidden_open(http, upstream):
    url = upstream.url("/hello")
    lines = refused(http(policy={"allow": ["https://**"]}), query(url + "?secret"))
    assert lines[0] == "vibe check failed: URL forbidden by policy"
    assert url in lines[1] and "secret" not in "".join(lines)
    assert "no rule" in lines[2]
    assert f"wasmcloud policy allow '{url}'" in lines[3]


def test_refusals_in_the_ledger(http, upstream):
    function = http(policy={"allow": ["https://**"]})
    _, record = function.failure(query(upstream.url("/hello")))
    assert (record["opens"], record["refused"], record["descriptors"]) == (0, 1, [])
    assert [(row["url"], row["times"]) for row in record["refusals"]] == [(upstream.url("/hello"), 1)]


@pytest.mark.parametrize("text", [
    "GET /secret/x HTTP/1.1\n\n",
    "GET /a/../secret/x HTTP/1.1\n\n",
    "GET /%73ecret/x HTTP/1.1\n\n",
    "GET / HTTP/1.1\nHost: localhost:PORT\n\n",
    "GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
    "GET http://localhost:PORT/ HTTP/1.1\nHost: 127.0.0.1:PORT\n\n",
    "DELETE /hello HTTP/1.1\n\n",
])
def test_forbidden_requests(http, upstream, text):
    policy = {"allow": [upstream.url("/**")], "disallow": [upstream.url("/secret/**")], "methods": ["GET"]}
    before = len(upstream.requests)
    text = text.replace("PORT", str(upstream.port)).encode()
    lines = refused(http(policy=policy), query(upstream.url("/hello")), method="POST", body=text)
    assert lines[0] == "vibe check failed: URL forbidden by policy"
    denied = http(policy=policy | {"on_violation": "error"})
    assert denied.post(query(upstream.url("/hello")), text).text == "\nwrite -3\n"
    assert len(upstream.requests) == before


def test_what_is_judged_is_what_is_sent(http, upstream):
    """Random spellings of targets: egress asks for the URL that the ledger says was opened, to the
    byte, and what the policy forbids in any spelling never arrives."""
    function = http(policy={"allow": [upstream.url("/**")], "disallow": [upstream.url("/secret/**")],
                            "on_violation": "error"}, limits={"opens": "1000"})
    pieces = ["/", "/", ".", "..", "a", "secret", "%73ecret", "%2e", "%2E%2e", "%2f", "%7e", "~", "%41", "*", "'", "(",
              "é", "%C3%A9", ";x", "=", "+", "@", ":", "%25", "sec", "ret"]
    chance, passed, refused = random.Random(4), 0, 0
    for _ in range(150):
        target = chance.choice(["/", "/", "/", "/secret/", "/%73ecret/", "/a/../secret/", "/./x/%2e%2e/sec%72et/"])
        target += "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 9)))
        before = len(upstream.requests)
        url = f"http://127.0.0.1:{upstream.port}{target}"
        answer = function.get(query(url))
        record = function.run(answer.run)
        sent = [r.target for r in upstream.requests[before:]]
        if answer.text == "\nopen -3\n":
            assert sent == [] and record["refusals"][0]["url"].startswith(upstream.url("/secret/"))
            refused += 1
        else:
            assert [upstream.url(t) for t in sent] == [record["descriptors"][-1]["url"]], target
            assert not sent[0].startswith("/secret/") and "/../" not in sent[0] and "//127" not in sent[0]
            passed += 1
    assert passed > 50 and refused > 30, (passed, refused)


def test_forbidden_second_request(http, upstream):
    policy = {"allow": [upstream.url("/hello")], "on_violation": "error"}
    before = len(upstream.requests)
    body = http(policy=policy).get(query(upstream.url("/hello"), second="/echo")).body
    assert body.endswith(b"\nread -5\n\nwrite -3\n") and len(upstream.requests) == before + 1


def test_malformed_requests(http, upstream):
    before = len(upstream.requests)
    for text in ("GET /\n\n", "GET / HTTP/1.1\nA: b\n c\n\n", "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
                 "POST / HTTP/1.1\nContent-Length: 1\nTransfer-Encoding: chunked\n\n"):
        answer = http().post(query(upstream.url()), text.encode())
        assert answer.text == "\nwrite -2\n"
        lines = eventually(lambda: http().logs(run=answer.run))
        assert "malformed request" in lines[0]["text"]
    assert len(upstream.requests) == before


# Streams

def test_events_arrive_as_they_happen(http, upstream):
    with http().wire() as wire:
        wire.request(query(upstream.url("/events")))
        assert wire.head().status == 200
        upstream.events.put(b"data: first\n\n")
        got = b""
        while b"first" not in got:
            got += wire.chunk()
        for i in range(20):  # the next one is sent when the one before is here
            upstream.events.put(b"data: %d\n\n" % i)
            while not got.endswith(b"data: %d\n\n" % i):
                got += wire.chunk()
        upstream.events.put(None)
        while part := wire.chunk():
            got += part
        assert got.endswith(b"\nread -5\n")


def test_upload_of_100_mib_in_constant_memory(http, node, upstream):
    limits = {"egress-open": "0", "egress-run": "0", "request-body": "100MiB", "wall": "300s",
              "egress-total": "300s", "cpu": "30s"}
    upload = http(limits=limits)
    block, blocks = bytes(range(256)) * 4096, 99
    text = b"POST /echo HTTP/1.1\nContent-Length: %d\n\n" % (blocks * MIB)
    digest = hashlib.sha256()
    http(limits=limits).get(query(upstream.url("/hello")))  # what starting costs is not counted
    pids = node.role("exec") + node.role("egress")
    before, most = {pid: resident(pid) for pid in pids}, {}
    with upload.wire(timeout=120) as wire:
        wire.send(head(query(upstream.url()), "POST", [("Content-Length", len(text) + blocks * MIB)],
                       host=wire.host) + text)
        for _ in range(blocks):
            wire.send(block)
            digest.update(block)
            for pid in pids:
                most[pid] = max(most.get(pid, 0), resident(pid) - before[pid])
        answer = wire.answer()
    _, body, code = answer_of(answer)
    assert body.decode() == f"POST {blocks * MIB} {digest.hexdigest()}" and code == ("read", END)
    assert INSTRUMENTED or max(most.values()) < 8 * MIB, most
    record = upload.run(answer.run)
    assert record["egress_bytes_out"] == len(text) + blocks * MIB


def test_download_in_constant_memory(http, node, upstream):
    limits = {"egress-open": "0", "egress-run": "0", "response-body": "0", "egress-total": "300s",
              "cpu": "30s", "stream-total": "300s"}
    function = http(limits=limits)
    size = 200 * MIB
    pids = node.role("exec") + node.role("egress")
    before, most, got = {pid: resident(pid) for pid in pids}, 0, 0
    with function.wire(timeout=60) as wire:
        wire.request(query(upstream.url(f"/big?{size}")))
        assert wire.head().status == 200
        while part := wire.chunk():
            got += len(part)
            most = max(most, *(resident(pid) - before[pid] for pid in pids))
    assert got > size and (INSTRUMENTED or most < 8 * MIB)


def local(program, guests, upstream, tmp_path, url, **limits):
    """The words of a local run that opens this URL, and its environment."""
    (tmp_path / "policy.yaml").write_text(json.dumps({"allow": [upstream.url("/**")]}))
    words = [program, "run", "--policy", tmp_path / "policy.yaml", "--env", "QUERY_STRING=" + query(url)[2:]]
    words += [f"--limit={name}={value}" for name, value in limits.items()]
    return words + [guests / "cwa-http.wasm"], os.environ | {"WASMCLOUD_EGRESS_ADDRESSES": "127.0.0.0/8"}


def test_upload_by_a_local_run(program, guests, upstream, tmp_path):
    content = bytes(range(256)) * 4 * 1024 * 32
    words, env = local(program, guests, upstream, tmp_path, upstream.url(), **{"egress-open": 0})
    text = b"POST /echo HTTP/1.1\nContent-Length: %d\n\n" % len(content)
    done = subprocess.run(words, env=env, input=text + content, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"POST {len(content)} {hashlib.sha256(content).hexdigest()}".encode() in done.stdout


def test_events_by_a_local_run(program, guests, upstream, tmp_path):
    words, env = local(program, guests, upstream, tmp_path, upstream.url("/events"))
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
        for i in range(3):
            upstream.events.put(b"data: %d\n" % i)
            while run.stdout.readline() != b"data: %d\n" % i:
                pass
        upstream.events.put(None)
        assert run.stdout.read() == b"\nread -5\n" and run.wait(60) == 0


def test_polling_files(http, upstream):
    """poll() of two connections: the one that answers is ready, the other is waited for in vain."""
    path = f"/net/http/127.0.0.1:{upstream.port}"
    answer = http("wasi-poll").get(f"/?{path}/hang+{path}/hello")
    assert answer.text == "1: 0 1\n0: 0\n"


# Servers that misbehave

def logged(function, answer):
    return "\n".join(line["text"] for line in eventually(lambda: function.logs(run=answer.run)))


def test_hanging_server(http, upstream):
    function = http(limits={"egress-first-byte": "300ms"})
    answer = function.get(query(upstream.url("/hang")))
    assert answer.text == "\nread -1\n" and "egress-first-byte" in logged(function, answer)


def test_short_body(http, upstream):
    answer = http().get(query(upstream.url("/short")))
    top, body, code = answer_of(answer)
    assert (body, code) == (b"only this", ("read", -1))
    assert upstream.url("/short") in logged(http(), answer)


@pytest.mark.parametrize("path", ["/garbage", "/headers"])
def test_garbage(http, node, upstream, path):
    egress = node.role("egress")
    answer = http().get(query(upstream.url(path)))
    assert answer.text == "\nread -1\n" and upstream.url(path) in logged(http(), answer)
    assert node.role("egress") == egress
    assert INSTRUMENTED or all(resident(pid) < 64 * MIB for pid in egress)


def test_nobody_listens(http, node):
    function = http(policy={"allow": ["http://127.0.0.1:1/**"]})
    answer = function.get(query("http://127.0.0.1:1/"))
    assert answer.text == "\nread -1\n" and "127.0.0.1" in logged(function, answer)


def test_limits(http, upstream):
    function = http(limits={"egress-open": "100KiB"})
    answer = function.get(query(upstream.url(f"/big?{MIB}")))
    assert answer.body.endswith(b"\nread -1\n") and len(answer.body) < 200 * 1024
    assert "egress-open" in logged(function, answer)
    function = http(limits={"egress-run": "100KiB"})
    answer = function.get(query(upstream.url(f"/big?{MIB}")))
    assert answer.body.endswith(b"\nread -1\n") and "egress-run" in logged(function, answer)


def test_opens_at_once(node, guests, upstream):
    """Each of its descriptors is an open; so many at once, so many in all."""
    policy = {"allow": [upstream.url("/**")]}
    several = node.guest(guests, "cwa-opens-many", response="text", policy=policy,
                         limits={"opens": "5", "opens-at-once": "3"})
    answer = several.get(query(upstream.url("/hello")))
    assert answer.text.split() == ["ok", "ok", "ok", "-2", "closed", "ok", "closed", "ok", "closed", "-2"]
    lines = logged(several, answer)
    assert '"opens-at-once"' in lines and '"opens"' in lines


def test_waiting_runs_hold_nobody_up(http, upstream):
    """Eight runs that wait for a server that says nothing, and one that has its answer meanwhile."""
    waiting = []
    try:
        for _ in range(8):
            waiting.append(http().wire())
            waiting[-1].request(query(upstream.url("/hang")))
            assert upstream.hanging.acquire(timeout=60)
        for _ in range(3):
            assert answer_of(http().get(query(upstream.url("/hello"))))[1] == b"hello from upstream"
    finally:
        for wire in waiting:
            wire.close()
