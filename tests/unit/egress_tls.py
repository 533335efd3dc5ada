#!/usr/bin/env python3
"""A server with TLS for the unit test of egress: HTTP and gemini, whichever the client speaks.

    egress_tls.py FOLDER

Makes an authority and certificates in FOLDER with openssl, listens on free ports of 127.0.0.1 and
prints them on one line: with a good certificate, with a self-signed one, with another's name. Ends
when standard input does. Exits with 77 where openssl is missing.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

FOLDER = Path(sys.argv[1])
GEMINI = {
    "/hello": b"20 text/gemini\r\n# hello\n",
    "/big": b"20 text/plain\r\n" + b"g" * 300000,
    "/empty": b"20 \r\n",
    "/none": b"51 Not here\r\nwhat follows is no body",
    "/input": b"10 Your name?\r\n",
    "/babble": b"hello there\r\n",
    "/status": b"99 text/plain\r\n",
    "/newline": b"20 text/plain\nbody",
    "/meta": b"20 " + b"m" * 2000 + b"\r\n",
    "/closed": b"",
}


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, cwd=FOLDER, capture_output=True)


def certificate(name, subject, authority=True):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    (FOLDER / f"{name}.ext").write_text(f"subjectAltName={subject}\n")
    if not authority:
        openssl("req", "-x509", *key, "-subj", "/CN=test", "-addext", f"subjectAltName={subject}", "-out", f"{name}.pem")
        return
    openssl("req", *key, "-subj", "/CN=test", "-out", f"{name}.csr")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def context(name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(FOLDER / f"{name}.pem", FOLDER / f"{name}.key")
    return made


class Server:
    def __init__(self, name):
        self.context = context(name)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            plain, _ = self.listener.accept()
            threading.Thread(target=self.visit, args=(plain,), daemon=True).start()

    def visit(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as tls:
                self.answer(tls)
        except OSError:
            plain.close()

    def answer(self, tls):
        line = b""
        while not line.endswith(b"\r\n"):
            byte = tls.recv(1)
            if not byte:
                return
            line += byte
        text = line.decode().strip()
        if text.startswith("GET "):
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure")
            tls.unwrap()
            return
        path = "/" + text.removeprefix("gemini://").partition("/")[2]
        if path == "/hang":
            tls.recv(1)
        elif path == "/cut":
            tls.sendall(b"20 text/plain\r\nthe first half")
            os.close(tls.detach())  # without a close_notify
        elif path == "/rotate":  # from now on, another key
            self.context = context("other")
            tls.sendall(b"20 text/plain\r\n")
            tls.unwrap()
        elif path.startswith("/echo"):
            tls.sendall(b"20 text/plain\r\n" + line)
            tls.unwrap()
        else:
            tls.sendall(GEMINI[path])
            tls.unwrap()


if not shutil.which("openssl"):
    sys.exit(77)
openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
        "-subj", "/CN=authority", "-days", "2", "-out", "ca.pem")
certificate("good", "IP:127.0.0.1")
certificate("other", "IP:127.0.0.1")
certificate("self", "IP:127.0.0.1", authority=False)
certificate("named", "DNS:example.com")
print(*(Server(name).port for name in ("good", "self", "named")), flush=True)
sys.stdin.read()
