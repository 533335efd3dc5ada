"""HTTP/1.1 at the functions edge, byte by byte (RFC 9112): what is refused, what is understood.

Whatever is refused for its framing is followed, in the same packet, by a request that must not be
answered: after a framing mistake nobody knows where the next request begins.
"""

import re
import socket
import struct

import pytest

from wire import Cut, chunked, head

FIRST = b"POST / HTTP/1.1\r\nHost: %(host)s\r\n"
SECOND = b"GET /?second HTTP/1.1\r\nHost: %(host)s\r\n\r\n"
PLAIN = "?Content-Type:%20text/plain%0A%0A"  # the guest cwa-raw prints this, decoded

# name: (bytes of the head after the line and Host, body)
FRAMING = {
    "two equal lengths": (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "two different lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"),
    "a list of lengths": (b"Content-Length: 5, 5\r\n", b"hello"),
    "length with a plus": (b"Content-Length: +5\r\n", b"hello"),
    "negative length": (b"Content-Length: -5\r\n", b"hello"),
    "hexadecimal length": (b"Content-Length: 0x5\r\n", b"hello"),
    "length with a letter": (b"Content-Length: 5a\r\n", b"hello"),
    "length with a space inside": (b"Content-Length: 5 5\r\n", b"hello"),
    "empty length": (b"Content-Length:\r\n", b""),
    "length beyond 64 bits": (b"Content-Length: 99999999999999999999\r\n", b"hello"),
    "length and chunked": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked(b"hello")),
    "chunked and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked(b"hello")),
    "gzip before chunked": (b"Transfer-Encoding: gzip, chunked\r\n", chunked(b"hello")),
    "chunked before gzip": (b"Transfer-Encoding: chunked, gzip\r\n", chunked(b"hello")),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n", chunked(b"hello")),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked(b"hello")),
    "chunked then identity": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                              chunked(b"hello")),
    "identity": (b"Transfer-Encoding: identity\r\n", b"hello"),
    "an unknown coding": (b"Transfer-Encoding: xchunked\r\n", chunked(b"hello")),
    "chunked with a parameter": (b"Transfer-Encoding: chunked;a=b\r\n", chunked(b"hello")),
    "quoted chunked": (b'Transfer-Encoding: "chunked"\r\n', chunked(b"hello")),
    "empty coding": (b"Transfer-Encoding:\r\n", chunked(b"hello")),
    "vertical tab before chunked": (b"Transfer-Encoding: \x0bchunked\r\n", chunked(b"hello")),
    "space before a colon": (b"Transfer-Encoding : chunked\r\n", chunked(b"hello")),
    "length, space before its colon": (b"Content-Length : 5\r\n", b"hello"),
    "folded coding": (b"Transfer-Encoding:\r\n chunked\r\n", chunked(b"hello")),
    "folded field": (b"X-A: a\r\n b\r\nContent-Length: 0\r\n", b""),
    "bare CR in a value": (b"X-A: a\rX-B: b\r\nContent-Length: 0\r\n", b""),
    "bare CR before chunked": (b"X-A: a\rTransfer-Encoding: chunked\r\n", chunked(b"hello")),
    "bare LF after a field": (b"X-A: a\nX-B: b\r\nContent-Length: 0\r\n", b""),
    "NUL in a value": (b"X-A: a\0b\r\nContent-Length: 0\r\n", b""),
    "NUL in a name": (b"X\0A: a\r\nContent-Length: 0\r\n", b""),
    "SOH in a value": (b"X-A: a\x01b\r\nContent-Length: 0\r\n", b""),
    "ESC in a value": (b"X-A: a\x1bb\r\nContent-Length: 0\r\n", b""),
    "DEL in a value": (b"X-A: a\x7fb\r\nContent-Length: 0\r\n", b""),
    "space in a name": (b"X A: a\r\nContent-Length: 0\r\n", b""),
    "tab in a name": (b"X\tA: a\r\nContent-Length: 0\r\n", b""),
    "bracket in a name": (b"X[A]: a\r\nContent-Length: 0\r\n", b""),
    "a byte above ASCII in a name": (b"X\xe9: a\r\nContent-Length: 0\r\n", b""),
    "no name": (b": a\r\nContent-Length: 0\r\n", b""),
    "no colon": (b"X-A\r\nContent-Length: 0\r\n", b""),
    "a second Host": (b"Host: other.localhost\r\nContent-Length: 0\r\n", b""),
    "the same Host again": (b"Host: %(host)s\r\nContent-Length: 0\r\n", b""),
}

CHUNKS = {
    "bare LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "bare LF at the end": b"5\r\nhello\r\n0\n\r\n",
    "bare LF after the trailers": b"5\r\nhello\r\n0\r\nX-A: a\n\r\n",
    "bare LF instead of the last line": b"5\r\nhello\r\n0\r\n\n",
    "CR alone after the size": b"5\rXhello\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "size that is no number": b"g\r\nhello\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": b"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
    "more data than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "less data than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "a bad trailer": b"5\r\nhello\r\n0\r\nX A: a\r\n\r\n",
    "NUL in a trailer": b"5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n",
}

LINES = {
    "trace": (b"TRACE / HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (405, 501)),
    "connect": (b"CONNECT %(host)s HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400, 405, 501)),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", (400,)),
    "a lower-case method": (b"get / HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400, 405, 501)),
    "an unknown method": (b"BREW / HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400, 405, 501)),
    "two spaces after the method": (b"GET  / HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400, 505)),
    "a tab after the method": (b"GET\t/ HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "a target without a slash": (b"GET foo HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "ESC in the target": (b"GET /\x1b HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "bare CR in the target": (b"GET /\ra HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "an encoded NUL in the path": (b"GET /%%00 HTTP/1.1\r\nHost: %(host)s\r\n\r\n", (400,)),
    "bare LF after the line": (b"GET / HTTP/1.1\nHost: %(host)s\r\n\r\n", (400,)),
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: %(host)s\n\n", (400,)),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: %(host)s\r\n\r\n", (400, 505)),
    "HTTP/0.9": (b"GET /\r\n\r\n", (400, 505)),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: %(host)s\r\n\r\n", (400, 505)),
    "http in small letters": (b"GET / http/1.1\r\nHost: %(host)s\r\n\r\n", (400, 505)),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: %(host)s\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"5\r\nhello\r\n0\r\n\r\n", (400,)),
    "a folded first field": (b"GET / HTTP/1.1\r\n Host: %(host)s\r\n\r\n", (400,)),
    "an unknown expectation": (b"POST / HTTP/1.1\r\nHost: %(host)s\r\nExpect: 200-maybe\r\n"
                               b"Content-Length: 5\r\n\r\nhello", (417,)),
}

HOSTS = [b"a b", b"a,b", b"user@%(host)s", b"%(host)s/path", b"a:b", b"a:80:80", b"a:99999", b"[::1", b"::1",
         b"a%%00b", b"a\\b", b"a?b", b"a#b", b"<a>", b"a\x7f", b"a\xe9b", b"http://a", b"a:-1"]


def refused(wire, statuses, cut_is_fine=False):
    """The answer is one of `statuses`, it is the last one, and the connection ends."""
    try:
        answer = wire.answer()
        assert answer.status in statuses, answer
        assert answer.get("connection") == "close", answer
    except (Cut, EOFError):
        assert cut_is_fine, "no whole answer"
    assert wire.ended() == b"", "bytes after the refusal"


@pytest.fixture
def echo(guest):
    return guest("cwa-echo")


@pytest.fixture
def raw(guest):
    return guest("cwa-raw")


@pytest.fixture
def bare(guest):
    return guest("cwa-bare")


@pytest.mark.parametrize("case", FRAMING)
def test_framing_mistake_is_refused(raw, case):
    fields, body = FRAMING[case]
    host = {b"host": raw.host.encode()}
    with raw.wire() as wire:
        wire.send((FIRST + fields) % host + b"\r\n" + body + SECOND % host)
        refused(wire, (400, 501) if b"Transfer" in fields else (400, 413) if b"9999" in fields else (400,))


@pytest.mark.parametrize("case", CHUNKS)
def test_chunk_mistake_is_refused(raw, case):
    host = {b"host": raw.host.encode()}
    with raw.wire() as wire:
        wire.send(FIRST % host + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[case] + SECOND % host)
        refused(wire, (400,), cut_is_fine=True)


@pytest.mark.parametrize("case", LINES)
def test_bad_request_is_refused(bare, case):
    request, statuses = LINES[case]
    host = {b"host": bare.host.encode()}
    with bare.wire() as wire:
        wire.send(request % host)
        answer = wire.answer()
        assert answer.status in statuses, answer
        if answer.get("connection") == "close":
            assert wire.ended() == b""
        else:
            assert wire.ask().text == "hello world\n"


@pytest.mark.parametrize("host", HOSTS)
def test_bad_host_is_refused(bare, host):
    with bare.wire() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: " + host % {b"host": bare.host.encode()} + b"\r\n\r\n" +
                  SECOND % {b"host": bare.host.encode()})
        refused(wire, (400,))


def test_what_is_no_http_at_all_is_refused(bare):
    with bare.wire() as wire:  # the beginning of a TLS handshake
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2)
        refused(wire, (400,), cut_is_fine=True)


def test_an_empty_host_names_no_function(bare):
    with bare.wire() as wire:
        assert wire.send(b"GET / HTTP/1.1\r\nHost:\r\n\r\n").answer().status in (400, 404)


# Sizes

def test_request_line_over_its_limit(bare):
    with bare.wire() as wire:
        assert wire.ask("/" + "a" * 8000).status == 200
        wire.request("/" + "a" * 8300)
        assert wire.answer().status == 414


def test_request_line_without_an_end(bare):
    with bare.wire() as wire:
        wire.send(b"GET /" + b"a" * 100_000)
        refused(wire, (414,))


def test_one_field_over_its_limit(serve, guests):
    server = serve(plan=None)
    bare = server.deploy("bare", guests / "cwa-bare.wasm")
    with bare.wire() as wire:
        assert wire.ask(fields=[("X-A", "a" * 16_000)]).status == 200
        assert wire.request(fields=[("X-A", "a" * 17_000)]).answer().status == 431
    with bare.wire() as wire:
        assert wire.ask(fields=[(f"X-{i}", "a") for i in range(98)]).status == 200
        assert wire.request(fields=[(f"X-{i}", "a") for i in range(101)]).answer().status == 431


def test_all_fields_over_their_limit(bare):
    with bare.wire() as wire:
        assert wire.ask(fields=[(f"X-{i}", "a" * 1000) for i in range(30)]).status == 200
        assert wire.request(fields=[(f"X-{i}", "a" * 1000) for i in range(40)]).answer().status == 431


def test_fields_without_an_end(bare):
    with bare.wire() as wire:
        wire.send(head(host=bare.host)[:-2] + b"X-A: " + b"a" * 100_000)
        refused(wire, (431,))


def test_too_many_fields(bare):
    with bare.wire() as wire:
        assert wire.request(fields=[("A", "b")] * 1001).answer().status == 431


def test_body_over_its_limit_is_refused_before_it_is_read(guest):
    raw = guest("cwa-raw", limits={"request-body": "1KiB"})
    head_1k = b"Content-Type: text/plain\n\n"
    with raw.wire() as wire:
        assert wire.ask(method="POST", body=head_1k.ljust(1024, b"x")).status == 200
        wire.send(head("/", "POST", [("Content-Length", 1025)], host=raw.host))  # and no byte of it
        refused(wire, (413,))


def test_chunked_body_over_its_limit(guest):
    raw = guest("cwa-raw", limits={"request-body": "1KiB"})
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Transfer-Encoding", "chunked")], host=raw.host))
        wire.send(chunked(b"Content-Type: text/plain\n\n", *[b"x" * 100] * 20))
        refused(wire, (413,))


# Connections

def test_keep_alive(bare):
    with bare.wire() as wire:
        for _ in range(5):
            answer = wire.ask()
            assert (answer.status, answer.text) == (200, "hello world\n")
            assert answer.get("connection") in (None, "keep-alive")


def test_close_is_honoured(bare):
    for value in ("close", "Close", "foo, close"):
        with bare.wire() as wire:
            answer = wire.ask(fields=[("Connection", value)])
            assert answer.status == 200 and answer.get("connection") == "close"
            assert wire.ended() == b""


def test_pipelining_of_twenty(raw):
    with raw.wire() as wire:
        wire.send(b"".join(head(f"/{PLAIN}answer{i}", host=raw.host) for i in range(20)))
        assert [wire.answer().text for _ in range(20)] == [f"answer{i}" for i in range(20)]


def test_pipelining_of_several_functions_and_bodies(raw, echo, bare):
    with raw.wire() as wire:
        wire.send(head("/", "POST", body=b"one", host=echo.host) + b"one" +
                  head(host=bare.host) +
                  head("/", "POST", [("Transfer-Encoding", "chunked")], host=echo.host) +
                  chunked(b"two", b"three") +
                  head("/nothing", host="nobody.localhost") +
                  head(f"/{PLAIN}last", host=raw.host))
        assert wire.answer().body == b"one"
        assert wire.answer().text == "hello world\n"
        assert wire.answer().body == b"twothree"
        assert wire.answer().status == 404
        assert wire.answer().text == "last"


def test_a_body_that_nobody_reads_is_swallowed(bare):
    with bare.wire() as wire:
        for _ in range(3):
            assert wire.ask(method="POST", body=b"GET /smuggled HTTP/1.1\r\n\r\n" * 2000).status == 200


def test_half_closed_client_is_answered(bare):
    with bare.wire() as wire:
        wire.request()
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer().text == "hello world\n"
        assert wire.ended() == b""


def test_byte_by_byte(echo):
    with echo.wire() as wire:
        request = head("/a?b", "POST", [("Transfer-Encoding", "chunked"), ("X-Long", "v" * 50)],
                       host=echo.host) + chunked(b"hello", b" ", b"world", extension=b";a=b")
        for i in range(len(request)):
            wire.send(request[i:i + 1])
        assert wire.answer().body == b"hello world"


def test_empty_lines_before_a_request_are_ignored(bare):
    with bare.wire() as wire:
        wire.send(b"\r\n" + head(host=bare.host))
        assert wire.answer().status == 200


def test_chunked_both_ways_with_extensions_and_trailers(echo):
    with echo.wire() as wire:
        wire.send(head("/", "POST", [("Transfer-Encoding", "Chunked")], host=echo.host) +
                  chunked(b"a" * 10, b"b" * 70_000, b"c", extension=b';name="value"',
                          trailers=b"X-Trailer: 1\r\nX-Other: 2\r\n"))
        answer = wire.answer()
        assert answer.body == b"a" * 10 + b"b" * 70_000 + b"c"
        assert answer.get("transfer-encoding") == "chunked"
        assert wire.ask(method="POST", body=b"next").body == b"next"


def test_http_1_0(bare, raw):
    with bare.wire() as wire:
        wire.send(b"GET / HTTP/1.0\r\nHost: " + bare.host.encode() + b"\r\n\r\n")
        answer = wire.answer()
        assert answer.text == "hello world\n" and not answer.get("transfer-encoding")
        assert answer.get("connection") == "close"
    with raw.wire() as wire:  # a known length may keep the connection, when asked to
        wire.send(b"GET /?Content-Type:a/b%0AContent-Length:2%0A%0Ahi HTTP/1.0\r\nHost: " +
                  raw.host.encode() + b"\r\nConnection: keep-alive\r\n\r\n")
        assert wire.answer().body == b"hi"


def test_head(bare, raw):
    with raw.wire() as wire:
        target = "/?Content-Type:text/plain%0AContent-Length:5%0A%0Ahello"
        wire.request(target, "HEAD")
        wire.request(target)
        without, whole = wire.answer("HEAD"), wire.answer()
        assert whole.body == b"hello"
        assert without.status == 200 and without.get("content-length") == "5"
        wire.request(f"/{PLAIN}no-length", "HEAD")
        wire.request(f"/{PLAIN}after")
        assert wire.answer("HEAD").status == 200
        assert wire.answer().text == "after"


def test_head_of_a_missing_function(server):
    with server.wire("nobody.localhost") as wire:
        wire.request(method="HEAD")
        assert wire.answer("HEAD").status == 404
        assert wire.ask().status == 404


def test_methods_reach_the_guest(guest):
    env = guest("cwa-env")
    with env.wire() as wire:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert wire.ask("/?REQUEST_METHOD", method).text == method


# Expectations

def test_expect_continue(echo):
    with echo.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 5), ("Expect", "100-continue")], host=echo.host))
        assert wire.head().status == 100
        wire.send(b"hello")
        assert wire.answer().body == b"hello"
        assert wire.ask(method="POST", body=b"next").body == b"next"


def test_expect_continue_with_the_body_at_once(echo):
    with echo.wire() as wire:
        wire.request("/", "POST", [("Expect", "100-Continue")], b"hello")
        assert wire.answer().body == b"hello"


def test_expect_continue_is_not_invited_to_send_too_much(guest):
    raw = guest("cwa-raw", limits={"request-body": "1KiB"})
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 4096), ("Expect", "100-continue")], host=raw.host))
        assert wire.head().status == 413


def test_expect_continue_of_nobody(server):
    with server.wire("nobody.localhost") as wire:
        wire.send(head("/", "POST", [("Content-Length", 5), ("Expect", "100-continue")],
                       host="nobody.localhost"))
        assert wire.head().status == 404


# Deadlines

@pytest.fixture(scope="module")
def impatient(tmp_path_factory, guests):
    from server import Server
    server = Server(tmp_path_factory.mktemp("impatient"), edges=1,
                    limits="header-time=700ms,body-idle=700ms,keep-alive=700ms,keep-requests=3")
    yield server
    server.stop()


@pytest.mark.parametrize("part", [b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "])
def test_a_head_that_does_not_arrive(impatient, part):
    with impatient.wire() as wire:
        wire.send(part)
        refused(wire, (408,))


def test_a_body_that_does_not_arrive(impatient, guests):
    raw = impatient.guest(guests, "cwa-raw")
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 100)], host=raw.host) + b"part")
        refused(wire, (408,))
    assert raw.get(f"/{PLAIN}well").text == "well"


def test_an_idle_connection_is_closed(impatient, guests):
    bare = impatient.guest(guests, "cwa-bare")
    with bare.wire() as wire:
        assert wire.ask().status == 200
        assert wire.ended() == b""
    with bare.wire() as wire:
        assert b"200" not in wire.ended()


def test_the_last_request_of_a_connection(impatient, guests):
    bare = impatient.guest(guests, "cwa-bare")
    with bare.wire() as wire:
        assert [wire.ask().get("connection") for _ in range(3)][2] == "close"
        assert wire.ended() == b""


# Addresses

def test_absolute_form(bare):
    with bare.wire() as wire:
        assert wire.ask(f"http://{bare.host}/x").text == "hello world\n"
        assert wire.ask(f"HTTP://{bare.host.upper()}/x").text == "hello world\n"


def test_absolute_form_wins_over_host(guest, bare):
    env = guest("cwa-env")
    with bare.wire() as wire:
        answer = wire.ask(f"http://{env.host}/p?PATH_INFO", host=bare.host)
        assert answer.status == 400 or answer.text == "/p"


def test_host_names_the_function_in_any_case(server, guest):
    env = guest("cwa-env")
    for host in (f"{env.name}.localhost", f"{env.name.upper()}.LocalHost:{server.port}"):
        with server.wire(host) as wire:
            assert wire.ask("/x?PATH_INFO").text == "/x"


def test_path_names_the_function(server, guest):
    env = guest("cwa-env")
    with server.wire(f"localhost:{server.port}") as wire:
        assert wire.ask(f"/{env.name}/a/b?PATH_INFO").text == "/a/b"
        assert wire.ask(f"/{env.name}/a/b?SCRIPT_NAME").text == f"/{env.name}"
        assert wire.ask(f"/{env.name}/?PATH_INFO").text == "/"
        whole = f"/{env.name}/a?REQUEST_URI"
        assert wire.ask(whole).text == whole
        short = wire.ask(f"/{env.name}?PATH_INFO")
        assert short.text == "/" or short.status in (301, 302, 307, 308)
    assert env.get("/a?SCRIPT_NAME").text == ""


def test_address_is_redirected_to_the_name(server, bare):
    with server.wire(f"127.0.0.1:{server.port}") as wire:
        answer = wire.ask(f"/{bare.name}/x?y=1")
        assert answer.status in (301, 302, 307, 308)
        assert answer.get("location") == f"http://localhost:{server.port}/{bare.name}/x?y=1"


@pytest.mark.parametrize("host", ["nobody.localhost", "example.com", "localhost.example.com", "a.b.localhost"])
def test_unknown_names_answer_404(server, host):
    with server.wire(host) as wire:
        answer = wire.ask(fields=[("Accept", "text/html,*/*;q=0.8")])
        assert (answer.status, answer.error) == (404, "no_function")
        assert answer.get("content-type").startswith("text/html") and len(answer.body) < 4096
        answer = wire.ask(fields=[("Accept", "application/json")])
        assert answer.status == 404
        assert answer.get("content-type").startswith("application/problem+json")
        assert '"no_function"' in answer.text


def test_unknown_paths_answer_404(server):
    with server.wire(f"localhost:{server.port}") as wire:
        assert wire.ask("/nobody/x").error == "no_function"
        assert wire.ask("/").status == 404


def test_a_hostile_name_does_not_reach_the_page(server):
    with server.wire(f"localhost:{server.port}") as wire:
        answer = wire.ask("/<script>alert(1)</script>/", fields=[("Accept", "text/html")])
        assert answer.status in (400, 404) and "<script>alert" not in answer.text


def test_a_reserved_function_answers_503(server):
    assert server.api.post("/v1/projects/default/functions", json={"name": "reserved-one"}).status_code == 201
    with server.wire("reserved-one.localhost") as wire:
        answer = wire.ask()
        assert (answer.status, answer.error) == (503, "no_version")


def test_every_answer_names_its_run(bare):
    runs = {bare.get().run for _ in range(3)}
    assert len(runs) == 3
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", r)
               for r in runs)


def test_answers_carry_a_date(bare):
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", bare.get().get("date"))


# Proxies

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_v2(source="203.0.113.7", family=socket.AF_INET, command=1, extra=b""):
    """PROXY protocol version 2: who the client of a proxy is."""
    target = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    addresses = (socket.inet_pton(family, source) + socket.inet_pton(family, target) +
                 struct.pack("!HH", 40000, 443) + extra)
    kind = 0x11 if family == socket.AF_INET else 0x21
    return SIGNATURE + bytes([0x20 | command, kind]) + struct.pack("!H", len(addresses)) + addresses


@pytest.fixture(scope="module")
def trusting(tmp_path_factory, guests):
    from server import Server
    server = Server(tmp_path_factory.mktemp("trusting"), edges=1,
                    trusted_proxies="127.0.0.0/8,198.51.100.0/24,::1/128")
    yield server.deploy("env", guests / "wasi-env.wasm")
    server.stop()


def variables(answer):
    assert answer.status == 200, answer
    return dict(line.split("=", 1) for line in answer.text.splitlines())


FORWARDED = {
    "one address": ([("X-Forwarded-For", "203.0.113.9")], "203.0.113.9", None),
    "the rightmost untrusted hop": ([("X-Forwarded-For", "1.2.3.4, 203.0.113.9, 198.51.100.3")],
                                    "203.0.113.9", None),
    "two fields": ([("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9", None),
    "https": ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")], "203.0.113.9", "on"),
    "http": ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "http")], "203.0.113.9", None),
    "forwarded": ([("Forwarded", "for=203.0.113.60;proto=https;by=198.51.100.4")], "203.0.113.60", "on"),
    "forwarded through two": ([("Forwarded", "for=1.2.3.4, for=203.0.113.60;proto=https, for=198.51.100.4")],
                              "203.0.113.60", None),
    "forwarded from IPv6": ([("Forwarded", 'for="[2001:db8::17]:4711"')], "2001:db8::17", None),
    "nobody known": ([("X-Forwarded-For", "unknown")], "127.0.0.1", None),
    "nonsense": ([("X-Forwarded-For", "<script>, 1.2.3.4.5")], "127.0.0.1", None),
    "nothing": ([], "127.0.0.1", None),
}


@pytest.mark.parametrize("case", FORWARDED)
def test_forwarded_fields_of_a_trusted_proxy(trusting, case):
    fields, address, https = FORWARDED[case]
    seen = variables(trusting.get(fields=fields))
    assert seen["REMOTE_ADDR"] == address
    if case != "forwarded through two":  # which hop's protocol counts is the proxy's affair
        assert seen.get("HTTPS") == https


def test_forwarded_fields_of_anyone_else_vanish(guest):
    seen = variables(guest("wasi-env").get(fields=[
        ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=203.0.113.9")]))
    assert seen["REMOTE_ADDR"] == "127.0.0.1" and "HTTPS" not in seen
    assert not [name for name in seen if "FORWARDED" in name]


def test_proxy_protocol_of_a_trusted_proxy(trusting):
    with trusting.wire() as wire:
        wire.send(proxy_v2())
        for _ in range(2):  # it speaks for the whole connection
            assert variables(wire.ask())["REMOTE_ADDR"] == "203.0.113.7"
    with trusting.wire() as wire:
        wire.send(proxy_v2("2001:db8::5", socket.AF_INET6))
        assert variables(wire.ask())["REMOTE_ADDR"] == "2001:db8::5"
    with trusting.wire() as wire:  # a health check of the proxy itself, with a TLV
        wire.send(proxy_v2(command=0, extra=b"\x04\0\x03abc"))
        assert variables(wire.ask())["REMOTE_ADDR"] == "127.0.0.1"


def test_proxy_protocol_byte_by_byte(trusting):
    with trusting.wire() as wire:
        for byte in proxy_v2():
            wire.send(bytes([byte]))
        assert variables(wire.ask())["REMOTE_ADDR"] == "203.0.113.7"


@pytest.mark.parametrize("bad", [
    SIGNATURE + b"\x31\x11\0\x0c" + b"\0" * 12, SIGNATURE + b"\x21\x11\0\x04abcd",
    SIGNATURE + b"\x22\x11\0\x0c" + b"\0" * 12, SIGNATURE[:-1] + b"X"])
def test_malformed_proxy_protocol(trusting, bad):
    with trusting.wire() as wire:
        wire.send(bad + head(host=trusting.host))
        assert b" 200 " not in wire.ended()
    assert variables(trusting.get())["REMOTE_ADDR"] == "127.0.0.1"


def test_proxy_protocol_of_anyone_else_is_refused(bare):
    with bare.wire() as wire:
        wire.send(proxy_v2() + head(host=bare.host))
        assert b" 200 " not in wire.ended()
