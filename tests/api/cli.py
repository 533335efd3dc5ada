"""The command line as a person or a script meets it: its output, its errors, its exit status."""

import json
import os
import pty
import select
import subprocess
import time

from server import binary

SECONDS = 60  # one command, instrumented, on a busy machine


class Outcome:
    def __init__(self, words, status, out, err):
        self.words, self.status, self.bytes, self.err = words, status, out, err.decode(errors="replace")

    @property
    def out(self):
        return self.bytes.decode()

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()

    def __repr__(self):
        return f"{self.words} ended with {self.status}\n{self.bytes[:2000]!r}\n{self.err}"


class Cli:
    """cli("deploy", "x.wasm") runs the command against a server (None: against none) and asserts
    its exit status; env= adds variables, stdin= is its input, folder= where it runs."""

    def __init__(self, folder, server=None):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("WASMCLOUD_", "XDG_"))}
        self.env |= {"HOME": str(folder), "NO_COLOR": "1"}
        if server:
            self.env |= {"WASMCLOUD_URL": server.url, "WASMCLOUD_TOKEN": server.token}
        self.folder = folder

    def _environment(self, env):
        return {k: v for k, v in (self.env | (env or {})).items() if v is not None}

    def __call__(self, *words, status=0, stdin=None, env=None):
        words = [str(word) for word in words]
        source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([str(binary()), *words], **source, capture_output=True,
                              env=self._environment(env), cwd=self.folder, timeout=SECONDS)
        outcome = Outcome(words, done.returncode, done.stdout, done.stderr)
        assert outcome.status == status, outcome
        return outcome

    def on_terminal(self, *words, status=0, env=None, typed=None, prompt=b""):
        """As above with standard output and error on a terminal; both are in `out`. With `typed`
        standard input is there too, and this is typed on it, once `prompt` is there."""
        words = [str(word) for word in words]
        ours, theirs = pty.openpty()
        process = subprocess.Popen([str(binary()), *words], stdout=theirs, stderr=theirs,
                                   stdin=theirs if typed else subprocess.DEVNULL, env=self._environment(env), cwd=self.folder)
        os.close(theirs)
        out = b""
        while typed and prompt not in out and select.select([ours], [], [], SECONDS)[0]:
            out += os.read(ours, 65536)
        if typed:
            os.write(ours, typed)
        try:
            while data := os.read(ours, 65536):
                out += data
        except OSError:
            pass  # EIO: the other end is closed
        os.close(ours)
        outcome = Outcome(words, process.wait(SECONDS), out.replace(b"\r\n", b"\n"), b"")
        assert outcome.status == status, outcome
        return outcome

    def start(self, *words):
        """A command that goes on (logs -f): its process, standard output a pipe."""
        return subprocess.Popen([str(binary()), *map(str, words)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self._environment(None), cwd=self.folder)


def read_line(stream, seconds=SECONDS):
    """The next line of a pipe, b"" at its end or after that time."""
    line, end = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        if not select.select([stream], [], [], max(0, end - time.monotonic()))[0]:
            break
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line
