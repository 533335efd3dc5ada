"""HTTP/1.1 as bytes: what a forgiving client library would hide.

A Wire is one connection. It sends exactly what it is told and reads answers by its own strict
reader: a head that is not well-formed, or a framing that does not add up, fails the test. Every
wait is bounded by the socket's timeout.
"""

import re
import socket
from dataclasses import dataclass, field

TIMEOUT = 60  # seconds a read waits for its next byte: who waits longer hangs
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)\Z")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*\Z")


class Malformed(AssertionError):
    """The server's bytes are not HTTP/1.1."""


class Cut(Exception):
    """The connection ended before the answer did; `response` is what there was of it."""

    def __init__(self, response):
        super().__init__(f"cut after {response!r}")
        self.response = response


@dataclass
class Response:
    status: int
    reason: str
    fields: list = field(default_factory=list)  # (name in lower case, value)
    body: bytes = b""
    chunks: list = field(default_factory=list)  # sizes as they came, if chunked
    trailers: list = field(default_factory=list)  # (name in lower case, value)

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name):
        """The only value of a field that may come once; None without it."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def error(self):
        return self.get("Wasmcloud-Error")

    @property
    def run(self):
        return self.get("Wasmcloud-Run")

    @property
    def text(self):
        return self.body.decode()


class Wire:
    def __init__(self, address, host=None, timeout=TIMEOUT):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = host
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Goes away without a farewell: the server gets RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def request(self, target="/", method="GET", fields=(), body=None, host=None):
        """Sends a request; a body goes with its Content-Length."""
        return self.send(head(target, method, fields, body, host or self.host) + (body or b""))

    def more(self):
        """Reads what comes next into the buffer; False at the end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def take(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > 65536:
                raise Malformed("a line without an end")
            if not self.more():
                raise EOFError
        taken, _, self.buffer = self.buffer.partition(b"\r\n")
        return taken

    def head(self):
        """The next head, without its body."""
        line = self.line()
        match = STATUS_LINE.match(line)
        if not match:
            raise Malformed(f"status line {line!r}")
        response = Response(int(match[1]), match[2].decode("latin-1"))
        response.fields = self.fields()
        return response

    def fields(self):
        """Field lines up to the empty one."""
        found = []
        while line := self.line():
            match = FIELD.match(line)
            if not match:
                raise Malformed(f"field {line!r}")
            found.append((match[1].decode().lower(), match[2].decode("latin-1")))
        return found

    def chunk(self):
        """One chunk's bytes; b"" is the last one, with its trailers read."""
        line = self.line()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
            raise Malformed(f"chunk size {line!r}")
        size = int(line, 16)
        if size == 0:
            self.trailers = self.fields()
            return b""
        data = self.take(size)
        end = self.line()
        if end:
            raise Malformed(f"{end!r} after a chunk of {size}")
        return data

    def answer(self, to="GET"):
        """The next final answer, whole; interim ones before it must be 100 and are skipped."""
        response = self.head()
        while response.status == 100:
            response = self.head()
        length, coding = response.all("content-length"), response.all("transfer-encoding")
        if len(length) > 1 or len(coding) > 1 or (length and coding):
            raise Malformed(f"framing {length} {coding}")
        if response.status < 200:
            raise Malformed(f"interim {response.status}")
        if response.status in (204, 304) or to == "HEAD":
            if coding and response.status in (204, 304):
                raise Malformed(f"{coding} in a {response.status}")
            return response
        try:
            if coding:
                if coding != ["chunked"]:
                    raise Malformed(f"coding {coding}")
                while data := self.chunk():
                    response.chunks.append(len(data))
                    response.body += data
                response.trailers = self.trailers
            elif length:
                if not re.fullmatch(r"[0-9]+", length[0]):
                    raise Malformed(f"length {length}")
                while len(self.buffer) < int(length[0]):
                    if not self.more():
                        response.body, self.buffer = self.buffer, b""
                        raise EOFError
                response.body = self.take(int(length[0]))
            else:
                if response.get("connection") != "close":
                    raise Malformed("neither a length nor a close")
                while self.more():
                    pass
                response.body, self.buffer = self.buffer, b""
        except EOFError:
            raise Cut(response) from None
        return response

    def ended(self):
        """Waits for the end of the connection and returns what came before it."""
        while self.more():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def ask(self, target="/", method="GET", fields=(), body=None, host=None):
        self.request(target, method, fields, body, host)
        return self.answer(method)


def head(target="/", method="GET", fields=(), body=None, host=None):
    """The bytes of a request's head. `fields` are (name, value) pairs or a dict; text or bytes."""
    def raw(text):
        return text if isinstance(text, bytes) else str(text).encode()

    lines = [raw(method) + b" " + raw(target) + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"Host: " + raw(host))
    pairs = fields.items() if isinstance(fields, dict) else fields
    lines += [raw(name) + b": " + raw(value) for name, value in pairs]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunked(*parts, extension=b"", trailers=b""):
    """A chunked body of these parts."""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in parts if p)
    return body + b"0\r\n" + trailers + b"\r\n"
