"""An HTTP server for guests to talk to: well-behaved on some paths, everything else on others.

It speaks sockets, not http.server, so that it can also lie, stop in the middle and never end. Every
request that it got is in `requests`: method, target, fields (lower-case names), size and SHA-256 of
the body."""

import hashlib
import queue
import socket
import threading


class Request:
    def __init__(self, line, fields):
        self.method, self.target, _ = line.split(" ", 2)
        self.line, self.fields = line, fields
        self.size, self.digest = 0, hashlib.sha256()

    def take(self, data):
        self.size += len(data)
        self.digest.update(data)


class Upstream:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.requests, self.connections = [], 0
        self.events = queue.Queue()  # what /events sends, one line each; None ends it
        self.hanging = threading.Semaphore(0)  # released by each request to /hang that arrived
        self.ended = threading.Event()
        self.paths = {"/hello": self.hello, "/echo": self.echo, "/events": self.stream_events,
                      "/204": self.empty_204, "/304": self.not_modified, "/redirect": self.redirect,
                      "/hang": self.hang, "/short": self.short, "/garbage": self.garbage,
                      "/headers": self.endless_headers, "/big": self.big, "/close": self.until_close}
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self):
        self.ended.set()
        self.events.put(None)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, sock.makefile("rb") as file:
            try:
                while self._one(sock, file):
                    pass
            except OSError:
                pass  # the other side has gone

    def _one(self, sock, file):
        line = file.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return False
        fields = {}
        while (field := file.readline()) not in (b"\r\n", b""):
            assert field.endswith(b"\r\n"), field
            name, _, value = field.decode("latin-1").partition(":")
            assert name.lower() not in fields or name.lower() not in ("host", "content-length")
            fields[name.lower()] = value.strip()
        request = Request(line, fields)
        self.requests.append(request)
        answer = self.paths.get(request.target.partition("?")[0], self.hello)
        return answer(sock, file, request) is not False

    @staticmethod
    def body(file, request):
        if request.fields.get("transfer-encoding") == "chunked":
            while size := int(file.readline(), 16):
                while size:
                    data = file.read(min(size, 65536))
                    request.take(data)
                    size -= len(data)
                assert file.readline() == b"\r\n"
            assert file.readline() == b"\r\n"
            return
        left = int(request.fields.get("content-length", 0))
        while left and (data := file.read(min(left, 65536))):
            request.take(data)
            left -= len(data)

    def hello(self, sock, file, request):
        self.body(file, request)
        body = b"" if request.method == "HEAD" else b"hello from upstream"
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\nX-Up: yes\r\n\r\n" + body)

    def echo(self, sock, file, request):
        self.body(file, request)
        text = f"{request.method} {request.size} {request.digest.hexdigest()}".encode()
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(text), 10):
            part = text[at:at + 10]
            sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        sock.sendall(b"0\r\n\r\n")

    def stream_events(self, sock, file, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        while (line := self.events.get()) is not None:
            sock.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        sock.sendall(b"0\r\n\r\n")

    def empty_204(self, sock, file, request):
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def not_modified(self, sock, file, request):
        sock.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 19\r\n\r\n')

    def redirect(self, sock, file, request):
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
                     b"Content-Length: 0\r\n\r\n")

    def hang(self, sock, file, request):
        self.hanging.release()
        self.ended.wait(60)
        return False

    def short(self, sock, file, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        return False

    def garbage(self, sock, file, request):
        sock.sendall(b"\x16\x03\x01\x00 I am not HTTP\r\n\r\n" * 20)
        return False

    def endless_headers(self, sock, file, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(1 << 14):  # 1 GiB, as far as somebody reads it
            sock.sendall(b"X-Field: " + b"x" * (65536 - 11) + b"\r\n")
        return False

    def big(self, sock, file, request):
        size = int(request.target.partition("?")[2])
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(65536)
        while size:
            size -= sock.send(block[:min(size, len(block))])

    def until_close(self, sock, file, request):
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
        return False
