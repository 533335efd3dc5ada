"""CGI/1.1 (RFC 3875): requests become variables, output becomes an answer, whatever is printed.

The guest cwa-raw prints the body of its request. Each hostile output is sent together with a second
request on the same connection; whatever became of the first answer, the second must be whole, or the
connection must have been cut before it.
"""

import random
import re

import pytest

from server import Server, eventually
from wire import Cut

TEXT = b"Content-Type: text/plain\n"
CONTROLS = [c for c in range(32) if c not in b"\t\n\r"] + [0x7f]

BAD = "bad_cgi"   # 502 and the cause
CUT = "cut"       # the answer begins and is cut
ANY = "any"       # only the integrity of what follows counts

# name: (output, what is expected: BAD, CUT, ANY or (status, body, {field: value, or None for absent}))
CASES = {}


def case(name, output, expected):
    assert name not in CASES, name
    CASES[name] = output, expected


def ok(status=200, body=b"body", **fields):
    return status, body, {name.replace("_", "-"): value for name, value in fields.items()}


# Names and values of fields
for c in b'\0\x01\x08\x0b\x1b "(),/;<=>?@[\\]{}\x7f\x80\xff':
    case(f"{c:#04x} in a name", b"X%cY: v\n" % c + TEXT + b"\nbody", BAD)
for c in CONTROLS:
    case(f"{c:#04x} in a value", b"X-A: a%cb\n" % c + TEXT + b"\nbody", BAD)
case("CR in a value", b"X-A: a\rX-B: b\n" + TEXT + b"\nbody", BAD)
case("CR before CRLF", b"X-A: a\r\r\n" + TEXT + b"\nbody", BAD)
case("CR and a response in a value", b"X-A: a\r\rHTTP/1.1 200 OK\r\r\n" + TEXT + b"\nbody", BAD)
case("NUL in the type", b"Content-Type: text/\0plain\n\nbody", BAD)
case("NUL in the status", b"Status: 200\0 OK\n" + TEXT + b"\nbody", BAD)
case("CR in the reason", b"Status: 200 O\rK\n" + TEXT + b"\nbody", BAD)
case("no name", b": v\n" + TEXT + b"\nbody", BAD)
case("space before the colon", b"X-A : v\n" + TEXT + b"\nbody", BAD)
case("no colon", b"X-A\n" + TEXT + b"\nbody", BAD)
case("folded", b"X-A: a\n b\n" + TEXT + b"\nbody", BAD)
case("folded first line", b" X-A: a\n" + TEXT + b"\nbody", BAD)
case("folded by a tab", b"X-A: a\r\n\tb\r\n" + TEXT + b"\nbody", BAD)
case("empty value", b"X-A:\n" + TEXT + b"\nbody", ok(x_a=""))
case("spaces around the value", b"X-A: \t v \t\n" + TEXT + b"\nbody", ok(x_a="v"))
case("bytes above ASCII in a value", b"X-A: caf\xc3\xa9\n" + TEXT + b"\nbody", ok())

# Line ends
case("all LF", b"Status: 201\n" + TEXT + b"\nbody", ok(201))
case("all CRLF", b"Status: 201\r\nContent-Type: text/plain\r\n\r\nbody", ok(201))
case("mixed", b"Status: 201\r\nContent-Type: text/plain\n\r\nbody", ok(201))
case("mixed the other way", b"Status: 201\nContent-Type: text/plain\r\n\nbody", ok(201))

# Status
for text, status in [("200", 200), ("404 Not Found", 404), (" 201  Made", 201), ("418 I'm a teapot", 418),
                     ("599", 599), ("301", 301), ("500 Oops", 500)]:
    case(f"status {text!r}", b"Status:%s\n" % text.encode() + TEXT + b"\nbody", ok(status))
for text in ["99", "1000", "600", "999", "0", "-200", "2e2", "200abc", "abc", "", "0200", "20", "200.5", "+200",
             "HTTP/1.1 200", "100 Continue", "101 Switching Protocols", "102", "103 Early Hints", "199"]:
    case(f"status {text!r}", f"Status: {text}\n".encode() + TEXT + b"\nbody", BAD)
case("two statuses", b"Status: 200 OK\nStatus: 404 Not Found\n" + TEXT + b"\nbody", BAD)
case("the same status twice", b"Status: 200 OK\nStatus: 200 OK\n" + TEXT + b"\nbody", BAD)
case("status in capitals", b"STATUS: 404\n" + TEXT + b"\nbody", ok(404))
case("status last", TEXT + b"Status: 404\n\nbody", ok(404))
case("204 with a body", b"Status: 204\n" + TEXT + b"\nbody", ok(204, b"", transfer_encoding=None))
case("204 without", b"Status: 204 No Content\n\n", ok(204, b"", transfer_encoding=None, content_length=None))
case("204 with a length", b"Status: 204\nContent-Length: 4\n" + TEXT + b"\nbody", ok(204, b"", content_length=None))
case("304 with a body", b"Status: 304\n" + TEXT + b"\nbody", ok(304, b"", transfer_encoding=None))
case("304 with a length and a body", b"Status: 304\nContent-Length: 4\n" + TEXT + b"\nbody", (304, b"", {}))
case("205 with a body", b"Status: 205\n" + TEXT + b"\nbody", ANY)

# Lengths
case("exact length", b"Content-Length: 4\n" + TEXT + b"\nbody", ok(content_length="4", transfer_encoding=None))
case("length too small", b"Content-Length: 3\n" + TEXT + b"\nbody", ANY)
case("length of nothing", b"Content-Length: 0\n" + TEXT + b"\nbody", ANY)
case("length too large", b"Content-Length: 5\n" + TEXT + b"\nbody", CUT)
case("length much too large", b"Content-Length: 100000\n" + TEXT + b"\nbody", CUT)
for text in ["-1", "+4", "4, 4", "4,5", "0x4", "4a", "4 4", "", "4.0", "99999999999999999999", "18446744073709551620"]:
    case(f"length {text!r}", f"Content-Length: {text}\n".encode() + TEXT + b"\nbody", BAD)
case("two lengths", b"Content-Length: 4\nContent-Length: 5\n" + TEXT + b"\nbody", BAD)
case("the same length twice", b"Content-Length: 4\nContent-Length: 4\n" + TEXT + b"\nbody", BAD)

# Framing is ours
hop = dict(connection=None, keep_alive=None)  # the reader itself checks what framing there is
case("chunked", b"Transfer-Encoding: chunked\n" + TEXT + b"\n4\r\nbody\r\n0\r\n\r\n",
     ok(body=b"4\r\nbody\r\n0\r\n\r\n", **hop))
case("gzip coding", b"Transfer-Encoding: gzip\n" + TEXT + b"\nbody", ok(**hop))
case("two codings", b"Transfer-Encoding: chunked\nTransfer-Encoding: identity\n" + TEXT + b"\nbody", ok(**hop))
case("coding and length", b"Transfer-Encoding: chunked\nContent-Length: 4\n" + TEXT + b"\nbody",
     ok(transfer_encoding=None, content_length="4"))
case("connection close", b"Connection: close\n" + TEXT + b"\nbody", ok(**hop))
case("connection names a field", b"Connection: X-A\nX-A: 1\n" + TEXT + b"\nbody", ok(**hop))
case("keep-alive", b"Keep-Alive: timeout=9999\n" + TEXT + b"\nbody", ok(**hop))
case("proxy-connection", b"Proxy-Connection: close\n" + TEXT + b"\nbody", ok(proxy_connection=None))
case("upgrade", b"Upgrade: h2c\nConnection: upgrade\n" + TEXT + b"\nbody", ok(upgrade=None, **hop))
case("te", b"TE: trailers\n" + TEXT + b"\nbody", ok(te=None))
case("trailer", b"Trailer: X-A\n" + TEXT + b"\nbody", ok(trailer=None))
case("the platform's own fields", b"Wasmcloud-Run: forged\nWasmcloud-Error: forged\n" + TEXT + b"\nbody", ok(wasmcloud_error=None))
case("another date and server", b"Date: today\nServer: mine\n" + TEXT + b"\nbody", ok())
case("a response after the length", b"Content-Length: 4\n" + TEXT + b"\nbodyHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", ANY)
case("a response as the body", TEXT + b"\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
     ok(body=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))
case("the end of chunks as the body", TEXT + b"\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
     ok(body=b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"))

# The block
case("nothing", b"", BAD)
case("one empty line", b"\n", ANY)
case("only an empty line and a body", b"\nbody", BAD)
case("no header block", b"hello world\n", BAD)
case("no header block, long", b"hello world\n" * 5000, BAD)
case("half a name", b"Content-Ty", BAD)
case("half a value", b"Content-Type: te", BAD)
case("no empty line", TEXT, BAD)
case("no empty line after CR", TEXT + b"\r", BAD)
case("a status line", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nbody", BAD)
case("a status line of 1.0", b"HTTP/1.0 200 OK\n" + TEXT + b"\nbody", BAD)
case("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD)
case("a body without a type", b"Status: 200\n\nbody", BAD)
case("neither type nor body", b"Status: 200 OK\n\n", ok(body=b""))
case("two types", TEXT + b"Content-Type: text/html\n\nbody", ANY)
case("a byte order mark", b"\xef\xbb\xbf" + TEXT + b"\nbody", BAD)
case("all zeros", bytes(5000), BAD)
case("one huge field", b"X-A: " + b"a" * 40_000 + b"\n" + TEXT + b"\nbody", BAD)
case("a head over its limit", b"".join(b"X-%d: %s\n" % (i, b"a" * 1000) for i in range(40)) + TEXT + b"\nbody", BAD)
case("a head that never ends", b"X-A: " + b"a" * 200_000, BAD)
case("65 fields", b"".join(b"X-%d: a\n" % i for i in range(65)) + TEXT + b"\nbody", BAD)
case("60 fields", b"".join(b"X-%d: a\n" % i for i in range(60)) + TEXT + b"\nbody", ok(x_59="a"))
case("51 cookies", b"".join(b"Set-Cookie: c%d=a\n" % i for i in range(51)) + TEXT + b"\nbody", BAD)
case("50 cookies", b"".join(b"Set-Cookie: c%d=a\n" % i for i in range(50)) + TEXT + b"\nbody", ok())

# Locations
case("absolute location", b"Location: https://example.com/a?b\n\n", ok(302, b"", location="https://example.com/a?b"))
case("location and status", b"Status: 301 Moved\nLocation: https://example.com/\n\n", ok(301, b"", location="https://example.com/"))
case("location with a document", b"Location: https://example.com/\n" + TEXT + b"\nbody", ok(302))
case("local location", b"Location: /other?x\n\n", (302, b"", {"location": re.compile(r"(http://[^/]+)?/other\?x")}))
case("201 and where", b"Status: 201\nLocation: /thing/1\n" + TEXT + b"\nbody", ok(201))
case("CR in a location", b"Location: https://example.com/\rX-A: b\n\n", BAD)
case("NUL in a location", b"Location: /a\0b\n\n", BAD)
case("two locations", b"Location: /a\nLocation: /b\n\n", ANY)
case("empty location", b"Location:\n\n", ANY)
case("location of another host without a scheme", b"Location: //example.com/\n\n", ANY)

# Whatever else: pieces of heads in random order
_random = random.Random(3875)
_pieces = [b"\n", b"\r\n", b"\r", b"\0", b":", b" ", b"\t", b"Status: 200", b"Status", b"Content-Length: 4", b"X-A: b",
           b"Content-Type: text/plain", b"Transfer-Encoding: chunked", b"Location: /", b"\n\n", b"\r\n\r\n", b"HTTP/1.1 200 OK",
           b"0\r\n\r\n", b"body", b"4\r\n", b"Connection: close", b"\x80\xff", b"A" * 300]
for number in range(40):
    case(f"random {number}", b"".join(_random.choices(_pieces, k=_random.randint(1, 14))), ANY)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory, guests):
    """A server under the default plan, whose limits the cases above are made for."""
    server = Server(tmp_path_factory.mktemp("ordinary"), plan=None, limits="api-rate=0")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def printer(ordinary, guests):
    return ordinary.guest(guests, "cwa-raw")


def test_there_are_enough_cases():
    assert len(CASES) >= 120


@pytest.mark.parametrize("name", CASES)
def test_output_harms_no_other_answer(printer, name):
    output, expected = CASES[name]
    with printer.wire() as wire:
        wire.request("/", "POST", body=output)
        wire.request("/?Content-Type:text/plain%0AContent-Length:6%0A%0Asecond")
        try:
            first = wire.answer()
        except Cut as cut:
            assert expected in (CUT, ANY), cut
            assert wire.ended() == b""
            return
        if expected == BAD:
            assert (first.status, first.error) == (502, "bad_cgi"), first
        elif expected == CUT:
            assert first.status == 502, first
        elif expected != ANY:
            status, body, fields = expected
            assert (first.status, first.body, first.error) == (status, body, None), first
            for field, value in fields.items():
                got = first.get(field)
                assert value.fullmatch(got) if isinstance(value, re.Pattern) else got == value, first
        assert re.fullmatch("[0-9a-f-]{36}", first.run), first
        assert len(first.all("date")) <= 1 and len(first.all("server")) <= 1, first
        try:
            second = wire.answer()
        except EOFError:  # fine only where the first answer was odd, or came before all of its request
            assert expected == ANY or len(output) > 65536
            return
        assert (second.status, second.body) == (200, b"second"), second


def test_a_domain_of_cookies_is_dropped(printer):
    answer = printer.post(body=b"Set-Cookie: a=1; Domain=localhost; Path=/; HttpOnly\n"
                               b"Set-Cookie: b=2; domain=.example.com\n" + TEXT + b"\nbody")
    cookies = answer.all("set-cookie")
    assert len(cookies) == 2 and cookies[0].startswith("a=1") and "HttpOnly" in cookies[0]
    assert not any("domain" in cookie.lower() for cookie in cookies)


def test_bad_output_is_explained_in_the_log(printer):
    run = printer.post(body=b"hello \x1b[31mworld").run
    lines = eventually(lambda: [line["text"] for line in printer.logs(run=run)])
    text = "\n".join(lines)
    assert "hello" in text and "world" in text, "what was printed"
    assert "response" in text and "empty line" in text, "both remedies"


def test_half_a_head_then_death(ordinary, guests):
    trap = ordinary.guest(guests, "cwa-trap")
    assert trap.get().error == "trap"
    with trap.wire() as wire:
        wire.request("/?after=1")
        wire.request("/")
        with pytest.raises(Cut) as cut:
            wire.answer()
        assert cut.value.response.status == 200
        assert cut.value.response.body in (b"", b"before the end\n")
        assert wire.ended() == b""


def test_exit_status_after_the_head_ends_the_answer_normally(ordinary, guests):
    leave = ordinary.guest(guests, "cwa-exit")
    with leave.wire() as wire:
        wire.request("/?after=1")
        wire.request("/?status=7")
        first, second = wire.answer(), wire.answer()
        assert (first.status, first.text) == (200, "before the end\n")
        assert (second.status, second.error) == (502, "exit_status")
        wire.request("/?status=0")  # no output at all
        assert wire.answer().error == "bad_cgi"
    record = leave.run(first.run)
    assert (record["cause"], record["exit_status"], record["status"]) == ("exit_status", 3, 200)
    assert leave.run(second.run)["exit_status"] == 7


# Meta-variables

@pytest.fixture(scope="module")
def environment(ordinary, guests):
    return ordinary.deploy("environment", guests / "wasi-env.wasm", env={"GREETING": "hello", "EMPTY": ""})


def variables(function, target="/", **kw):
    answer = function.ask(target, **kw)
    assert answer.status == 200, answer
    pairs = [line.split("=", 1) for line in answer.text.splitlines()]
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), "a variable came twice"
    return dict(pairs) | {"run": answer.run}


def test_variables_of_a_plain_request(ordinary, environment):
    seen = variables(environment)
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_PORT": str(ordinary.port),
        "SERVER_NAME": "environment.localhost", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/",
        "QUERY_STRING": "", "REQUEST_URI": "/", "REMOTE_ADDR": "127.0.0.1", "REMOTE_HOST": "127.0.0.1",
        "HTTP_HOST": environment.host, "RUN_ID": seen["run"], "GREETING": "hello", "EMPTY": "",
        "argv[0]": "environment",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["SERVER_SOFTWARE"].startswith("wasmcloud/")
    assert seen["WORKER_ID"]
    for absent in ("PATH_TRANSLATED", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTPS", "argv[1]", "AUTH_TYPE", "REMOTE_USER"):
        assert absent not in seen


def test_nothing_of_the_server_reaches_the_guest(environment):
    seen = set(variables(environment)) - {"run"}
    known = {"GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "REQUEST_METHOD",
             "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "REMOTE_ADDR", "REMOTE_HOST", "RUN_ID", "WORKER_ID",
             "HTTP_HOST", "GREETING", "EMPTY", "argv[0]", "REQUEST_SCHEME", "REMOTE_PORT"}
    assert seen <= known


def test_variables_of_the_target(environment):
    for target, path, query in [("/a/b?c=d&e", "/a/b", "c=d&e"), ("/a%20b%2Fc?%41", "/a b/c", "%41"), ("/?", "/", ""),
                                ("/caf%C3%A9", "/café", ""), ("/a+b?a+b", "/a+b", "a+b"), ("/a?b?c", "/a", "b?c"),
                                ("/-x?-s+-x", "/-x", "-s+-x")]:
        seen = variables(environment, target)
        assert (seen["PATH_INFO"], seen["QUERY_STRING"], seen["REQUEST_URI"]) == (path, query, target)
        assert "argv[1]" not in seen, "no command line is made of the query"


def test_variables_of_the_body(environment):
    seen = variables(environment, method="POST", body=b"hello", fields=[("Content-Type", "text/x; a=b")])
    assert (seen["CONTENT_LENGTH"], seen["CONTENT_TYPE"]) == ("5", "text/x; a=b")
    assert "HTTP_CONTENT_LENGTH" not in seen and "HTTP_CONTENT_TYPE" not in seen
    assert variables(environment, method="POST", body=b"")["CONTENT_LENGTH"] == "0"


def test_repeated_fields_are_joined(environment):
    seen = variables(environment, fields=[("X-List", "a"), ("Accept", "x"), ("x-list", "b, c"), ("Cookie", "a=1"),
                                          ("X-List", ""), ("Cookie", "b=2; c=3")])
    assert seen["HTTP_X_LIST"] == "a, b, c, "
    assert seen["HTTP_COOKIE"] == "a=1; b=2; c=3"
    assert seen["HTTP_ACCEPT"] == "x"


def test_fields_that_never_reach_the_guest(environment):
    seen = variables(environment, fields=[
        ("Proxy", "http://evil.example"), ("pRoXy", "http://evil.example"), ("X_Under", "1"), ("Content_Length", "7"),
        ("Connection", "X-Hop, keep-alive"), ("X-Hop", "1"), ("Keep-Alive", "1"), ("TE", "trailers"),
        ("Proxy-Connection", "1"), ("Upgrade", "h2c"), ("Trailer", "X-A"), ("X-Under", "fine")])
    for absent in ("HTTP_PROXY", "HTTP_CONNECTION", "HTTP_X_HOP", "HTTP_KEEP_ALIVE", "HTTP_TE",
                   "HTTP_PROXY_CONNECTION", "HTTP_UPGRADE", "HTTP_TRAILER", "HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH"):
        assert absent not in seen
    assert seen["HTTP_X_UNDER"] == "fine"


def test_a_field_can_not_become_another_variable(environment):
    seen = variables(environment, fields=[("Greeting", "evil"), ("Remote-Addr", "1.2.3.4"), ("Run-Id", "x"), ("Path", "/x")])
    assert (seen["GREETING"], seen["REMOTE_ADDR"], seen["RUN_ID"]) == ("hello", "127.0.0.1", seen["run"])


def test_a_function_can_not_name_a_meta_variable(ordinary, environment):
    digest = environment.record()["digest"]
    for name in ("REMOTE_ADDR", "HTTP_X", "RUN_ID", "QUERY_STRING", "CONTENT_LENGTH", "HTTPS", "A=B", ""):
        answer = ordinary.api.post(environment.path + "/versions", json={"digest": digest, "check": "none", "env": {name: "x"}})
        assert answer.status_code == 422, name
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert variables(environment)["GREETING"] == "hello"


# response: text

def test_text_functions_need_no_head(ordinary, guests):
    plain = ordinary.guest(guests, "cwa-raw", response="text")
    with plain.wire() as wire:
        for output in (b"hello\n", b"Status: 404\n\nno head", b"\r\n\r\n", b"\0\xff", b"x" * 100_000, b""):
            answer = wire.ask(method="POST", body=output)
            assert (answer.status, answer.body, answer.error) == (200, output, None)
            assert answer.get("content-type") == "text/plain; charset=utf-8"


def test_text_functions_fail_like_others(ordinary, guests):
    assert ordinary.guest(guests, "cwa-trap", response="text").get().error == "trap"
    assert ordinary.guest(guests, "cwa-exit", response="text").get().error == "exit_status"


# Programs of other languages, unmodified

def test_a_go_program(ordinary, guests):
    go = ordinary.guest(guests, "go-cgi")
    assert go.get("/some/path").text == "hello from GET /some/path\n"
    body = b"x" * 300_000
    answer = go.post("/echo", body, fields=[("Content-Type", "image/png")])
    assert (answer.body == body, answer.get("content-type")) == (True, "image/png")
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert go.post("/form", b"name=J%C3%BCrgen", fields=form).text == "name=Jürgen\n"
    answer = go.get("/status")
    assert (answer.status, answer.text, answer.all("set-cookie")) == (418, "short and stout\n", ["a=1", "b=2"])
    assert go.get("/sleep").text == "true\n"
    assert go.get("/env?REMOTE_ADDR").text == "127.0.0.1\n"


def test_a_rust_program(ordinary, guests):
    rust = ordinary.guest(guests, "rust-cgi")
    assert rust.get("/x").text == "hello from GET /x\n"
    answer = rust.post(body=b"whisper")
    assert answer.text == "WHISPER\n"
    assert eventually(lambda: [line["text"] for line in rust.logs(run=answer.run)]) == ["read 7 bytes"]
    panic = ordinary.guest(guests, "rust-panic")
    failed = panic.get()
    assert failed.error == "trap"
    assert any("out of coffee" in line["text"] for line in eventually(lambda: panic.logs(run=failed.run)))


def test_c_programs(ordinary, guests):
    assert ordinary.guest(guests, "wasi-hello").get().text == "hello world\n"
    assert ordinary.guest(guests, "c-hello").get("/?you").text == "Hello you from C\nYou are 127.0.0.1\n"
    body = bytes(range(256)) * 1000
    assert ordinary.guest(guests, "wasi-echo").post(body=body).body == body
    large = ordinary.guest(guests, "wasi-large").get("/?3000000")
    assert large.body == b"x" * 3_000_000
    clocks = ordinary.guest(guests, "wasi-clocks").get().text
    values = dict(line.rsplit(" ", 1) for line in clocks.splitlines())
    assert values["slept"] == "0" and 50_000 <= int(values["monotonic"]) < 60_000_000
    devices = ordinary.guest(guests, "wasi-devices").get().text.splitlines()
    assert devices == ["/dev/null: 0 bytes, zero", "/dev/zero: 16 bytes, zero", "/dev/random: 16 bytes, not all zero",
                       "/dev/urandom: 16 bytes, not all zero", "/net/zero/: 16 bytes, zero", "/net/nonsense/x: no"]


def test_cwa_programs(ordinary, guests):
    assert ordinary.guest(guests, "cwa-hello").get().text == "Hello from Common WebAssembly\n"
    assert ordinary.guest(guests, "cwa-extra-result").get().text == "0 0\n"
    assert ordinary.guest(guests, "cwa-descriptor").get("/?close=0").text == "-2\n-2\n"
    assert ordinary.guest(guests, "cwa-descriptor").failure("/?close=1")[1]["cause"] == "bad_descriptor"
    name, now, argument, beyond = ordinary.guest(guests, "cwa-runtime").get().text.splitlines()
    assert (name, argument, beyond) == ("pa'i 0.0", "cwa-runtime", "-2")
    resources = ordinary.guest(guests, "cwa-resources", policy={"on_violation": "error"}).get().text.splitlines()
    assert resources[:4] == ["null:// open 0 write 5 read -5 first 0 flush 0", "zero:// open 0 write 5 read 8 first 1 flush 0",
                             resources[2], "log://?prefix=P open 0 write 5 read 0 first 0 flush 0"]
    assert resources[2].startswith("random:// open 0 write -1 read 8 first ")
    assert resources[4:] == ["http://example.com/ open -3", "nonsense:// open -2", "no url at all open -2"]
    first, second = (ordinary.guest(guests, "cwa-random").get().text for _ in range(2))
    assert first != second and len(first.splitlines()) == 3
