"""Resources beyond this machine, end to end: a guest, its exec, egress, and a server of the test's own.

The guests open what their query names, write what they are sent, and print what they read; the last
line of cwa-http says with which code that ended (-5: the end of the answer).
"""

import hashlib
import urllib.parse

import pytest

from server import Server, eventually, resident
from upstream import Upstream
from wire import Cut, head

MIB = 1 << 20
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
