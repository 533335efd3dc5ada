"""A private `wasmcloud serve`: its own data folder, its own ports, its own end.

Readiness is the JSON line on a descriptor, never a pause. `stop` asserts what a clean end means:
exit status 0, nothing from a sanitizer and no unexpected error in the log, no process left.
"""

import ctypes
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import time

import httpx

from contract import contract_of
from wire import Cut, Wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How long something may take before it counts as hanging: no test depends on how quick a machine is.
SECONDS = 60
START_SECONDS = 60  # a first start of an instrumented build on a busy machine
STOP_SECONDS = 90   # a drain takes 30 at most
SANITIZER = re.compile(r"(Address|Leak|Memory|Thread|UndefinedBehavior)Sanitizer|runtime error:")
ERROR_LINE = re.compile(r"^\S+Z error (\S+)", re.M)
PR_SET_CHILD_SUBREAPER = 36


def binary():
    return pathlib.Path(os.environ.get("WASMCLOUD_BIN") or ROOT / "build/wasmcloud").resolve()


def eventually(probe, seconds=SECONDS, every=0.02):
    """Asks again and again until the answer is true and returns it; the last answer at the end of
    the time. A probe that raises AssertionError or httpx.HTTPError is asked again too."""
    end = time.monotonic() + seconds
    while True:
        try:
            answer = probe()
            if answer:
                return answer
        except (AssertionError, httpx.HTTPError, OSError, EOFError, Cut):
            if time.monotonic() >= end:
                raise
            answer = None
        if time.monotonic() >= end:
            return answer
        time.sleep(every)


def processes():
    """pid -> (parent, state, words of the command line) of everything that runs here."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                after_name = file.read().rpartition(")")[2].split()
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        found[int(entry)] = (int(after_name[1]), after_name[0], words)
    return found


def end_process(pid, sent=signal.SIGKILL):
    """Sends a signal to a process; False if it has ended by itself meanwhile."""
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return False
    return True


def files_below(folder):
    """(path, content) of every file below a folder in use: what goes away meanwhile is left out."""
    for place, _, names in os.walk(folder):
        for path in (pathlib.Path(place, name) for name in names):
            try:
                yield path, path.read_bytes()
            except FileNotFoundError:
                pass


def status_of(pid):
    """/proc/PID/status as a dict."""
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def resident(pid):
    """Bytes of memory of its own: anonymous pages, without files that are mapped."""
    return int(status_of(pid)["RssAnon"].split()[0]) * 1024


class Function:
    """A deployed function, asked over HTTP by its host name."""

    def __init__(self, server, name, answer):
        self.server, self.name, self.version = server, name, answer
        self.host = f"{name}.localhost:{server.port}"
        self.path = f"/v1/projects/default/functions/{name}"

    def wire(self, **kw):
        """A connection whose requests name this function."""
        return Wire(self.server.address, host=self.host, **kw)

    def ask(self, target="/", method="GET", fields=(), body=None):
        """One request on a connection of its own: a wire.Response."""
        with self.wire() as wire:
            return wire.ask(target, method, fields, body)

    def get(self, target="/", **kw):
        return self.ask(target, **kw)

    def post(self, target="/", body=b"", **kw):
        return self.ask(target, "POST", body=body, **kw)

    def failure(self, target="/", **kw):
        """The answer of a run that fails, what there was of it if it was cut, and its record."""
        try:
            answer = self.ask(target, **kw)
        except Cut as cut:
            answer = cut.response
        return answer, self.run(answer.run)

    def record(self):
        return self.server.api_json(self.path)

    @property
    def counters(self):
        return self.record()["counters"]

    def runs(self, **query):
        return self.server.api_list(self.path + "/runs", **query)

    def logs(self, **query):
        return self.server.api_list(self.path + "/logs", **query)

    def run(self, run_id):
        """The record of one run: it is there soon after the answer."""
        path = f"/v1/projects/default/runs/{run_id}"

        def probe():
            answer = self.server.api.get(path)
            return answer.json() if answer.status_code == 200 else None

        found = eventually(probe)
        assert found, f"no record of run {run_id}"
        return found


class Server:
    """Starts it in a constructor and waits until it can answer.

    Further keywords are its options: limits="header-time=1s" is `--limits=header-time=1s`. The plan
    is `unlimited` unless another is given. `wrap` are words before the command (unshare …),
    `expect_errors` regular expressions of log events that may be errors here."""

    def __init__(self, folder, *, expect_errors=(), wrap=(), env=(), **options):
        self.folder = pathlib.Path(folder)
        self.data = pathlib.Path(options.pop("data", self.folder / "data"))
        self.log_path = self.folder / "stderr.log"
        self.expect_errors = list(expect_errors)  # regular expressions of events that may be errors
        self.log_seen = len(self.log())  # what an earlier server of this folder wrote is its own affair
        self.stopped = False
        self.functions = {}
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become ours, so that they show
        settings = {"plan": "unlimited", "listen_platform": "127.0.0.1:0",
                    "listen_functions": "localhost:0"} | options
        ready, ready_write = os.pipe()
        words = [str(binary()), "serve", "--data", str(self.data), "--ready-fd", str(ready_write)]
        for key, value in settings.items():
            if value is not None:
                words += [f"--{key.replace('_', '-')}={value}"]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("WASMCLOUD_", "XDG_"))}
        self.env |= {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"),
                     "XDG_CONFIG_HOME": str(self.folder / "config")} | dict(env)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*wrap, *words], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, pass_fds=[ready_write], env=self.env,
                                            start_new_session=True)
        os.close(ready_write)
        line = self._ready_line(ready)
        if not line:
            self._abandon()
            raise RuntimeError(f"serve did not start:\n{self.log()}")
        self.ready = json.loads(line)
        self.pid = self.ready["pid"]
        self.url = self.ready["platform"]
        self.functions_url = self.ready["functions"]
        self.port = httpx.URL(self.functions_url).port
        self.address = ("127.0.0.1", self.port)
        self.platform_address = ("127.0.0.1", httpx.URL(self.url).port)
        self.token_file = self.ready["token_file"]
        # Through its own root, for it may live in a mount namespace of its own.
        self.token = pathlib.Path(f"/proc/{self.pid}/root{self.token_file}").read_text().strip()
        self.api = self.client(self.token)

    def _ready_line(self, fd):
        line, end = b"", time.monotonic() + START_SECONDS
        while not line.endswith(b"\n"):
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                break
            data = os.read(fd, 4096)
            if not data:
                break
            line += data
        os.close(fd)
        return line if line.endswith(b"\n") else None

    def _abandon(self):
        self.stopped = True
        self.process.kill()
        self.process.wait()

    # The API

    def client(self, token=None, **kw):
        """Whatever it is answered is held against the API's description of itself."""
        fields = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=fields, timeout=90, trust_env=False,
                            event_hooks={"response": [self.judge_answer]}, **kw)

    def judge_answer(self, response):
        contract_of(self.url, binary()).hook(response)

    def api_json(self, path, /, **query):
        answer = self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def api_list(self, path, /, **query):
        """All items of a list, page after page."""
        items = []
        while True:
            page = self.api_json(path, **query)
            items += page["items"]
            if not page["next"]:
                return items
            query["cursor"] = page["next"]

    def deploy(self, name, wasm, *, project="default", response=None, env=None, limits=None,
               policy=None, check="none", expect=201, **more):
        """Uploads a module (bytes or a path) and makes it the version that answers; `more` are
        further settings of it."""
        wasm = wasm if isinstance(wasm, bytes) else pathlib.Path(wasm).read_bytes()
        fields, base = {"Content-Type": "application/wasm"}, f"/v1/projects/{project}"
        if env is None and limits is None and policy is None and not more:
            query = {"check": check} | ({"response": response} if response else {})
            answer = self.api.put(f"{base}/functions/{name}/module", params=query, content=wasm,
                                  headers=fields)
        else:
            if self.api.get(f"{base}/functions/{name}").status_code == 404:
                made = self.api.post(f"{base}/functions", json={"name": name})
                assert made.status_code == 201, made.text
            stored = self.api.post(f"{base}/modules", content=wasm, headers=fields)
            assert stored.status_code in (200, 201), stored.text
            settings = {"digest": stored.json()["digest"], "check": check, "env": env or {},
                        "limits": limits or {}} | ({"response": response} if response else {})
            settings |= ({"policy": policy} if policy else {}) | more
            answer = self.api.post(f"{base}/functions/{name}/versions", json=settings)
        assert answer.status_code == expect, answer.text
        return Function(self, name, answer.json())

    def guest(self, guests, name, **settings):
        """The test guest of this name, deployed once for each set of settings."""
        key = (name, repr(sorted(settings.items())))
        if key not in self.functions:
            number = sum(1 for other, _ in self.functions if other == name)
            called = f"{name}-{number}" if number else name
            self.functions[key] = self.deploy(called, guests / f"{name}.wasm", **settings)
        return self.functions[key]

    # Connections

    def wire(self, host=None, **kw):
        return Wire(self.address, host=host, **kw)

    def platform_wire(self, **kw):
        return Wire(self.platform_address, host=httpx.URL(self.url).netloc.decode(), **kw)

    # Processes

    def descendants(self):
        """pid -> words of everything below master that is alive."""
        table, found, level = processes(), {}, [self.pid]
        while level:
            level = [pid for pid, (parent, state, _) in table.items()
                     if parent in level and state not in "ZX" and pid not in found]
            found |= {pid: table[pid][2] for pid in level}
        return found

    def role(self, *words):
        """Pids of the roles whose command line begins so: role("edge", "0"), role("exec")."""
        return sorted(pid for pid, line in self.descendants().items()
                      if tuple(line[1:1 + len(words)]) == words)

    def kill_role(self, *words):
        """kill -9 of a role, awaited if it is just being started: the pids that it had."""
        pids = eventually(lambda: self.role(*words))
        for pid in pids:
            end_process(pid)
        return pids

    def replaced(self, old, *words):
        """Waits until a role that had these pids is there again under others."""
        return eventually(lambda: (now := self.role(*words)) and not set(now) & set(old) and len(now) >= len(old) and now)

    def execs(self):
        """Pids of the execs, once all of them are ready for a project: locked in, and idle."""
        def ready():
            found = {}
            for pid in self.role("exec"):
                with open(f"/proc/{pid}/status") as file:
                    found[pid] = "Seccomp:\t2\n" in file.read()
            return found and all(found.values()) and list(found)

        return eventually(ready)

    def edges(self):
        return [pid for pid in self.role("edge") if pid not in self.role("edge", "platform")]

    def busiest(self, loop, *words):
        """Which process of that role computes when this function (of the guest cwa-loop) is asked:
        tells whose exec is whose, where one edge has one a project. One that is just starting
        computes, too: so none may."""
        def ticks():
            found = {}
            for pid in self.role(*words):
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
                found[pid] = int(fields[11]) + int(fields[12])
            return found

        loop.get()  # now it has one, and the next one is being made
        self.execs()
        before = ticks()
        loop.get()
        after = ticks()
        return max(before.keys() & after.keys(), key=lambda pid: after[pid] - before[pid])

    # The end

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def check_log(self):
        """Asserts that nothing new in the log is a sanitizer's or an unexpected error."""
        new, self.log_seen = self.log()[self.log_seen:], len(self.log())
        assert not SANITIZER.search(new), new[-20000:]
        for event in ERROR_LINE.findall(new):
            assert any(re.fullmatch(e, event) for e in self.expect_errors), new[-20000:]

    def stop(self, expect=0):
        if self.stopped:
            return
        self.stopped = True
        self.api.close()
        family = self.descendants()
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._abandon()
            raise AssertionError(f"serve did not end:\n{self.log()[-20000:]}") from None
        left = eventually(lambda: not self.left(family)) or self.left(family)
        assert left is True, f"left behind: {left}"
        assert status == expect, f"exit status {status}:\n{self.log()[-20000:]}"
        self.check_log()

    def kill(self):
        """kill -9 of master; everything below has to end by itself."""
        self.stopped = True
        self.api.close()
        family = self.descendants()
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        left = eventually(lambda: not self.left(family)) or self.left(family)
        assert left is True, f"left behind: {left}"

    def left(self, family):
        """Which of `family` are still alive, and orphans of this program that came to us."""
        table, me = processes(), os.getpid()
        for pid, (parent, state, _) in table.items():
            if parent == me and state == "Z" and pid in family:
                os.waitpid(pid, os.WNOHANG)
        return {pid: table[pid] for pid in family
                if pid in table and table[pid][1] not in "ZX" and table[pid][2] == family[pid]}
