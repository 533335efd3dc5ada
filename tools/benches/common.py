"""What the tables share: pinned servers, CPU by process family, the answer of one part."""

import dataclasses
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WASMCLOUD = ROOT / "build/wasmcloud"
GUESTS = ROOT / "build/guests"
PROGRAMS = ROOT / "build/bench-programs"
SERVER_CORE, CLIENT_CORE = "0", "1"
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Goal:
    what: str
    value: float
    unit: str
    most: float = None
    least: float = None

    @property
    def holds(self):
        return self.value <= self.most if self.least is None else self.value >= self.least

    @property
    def wanted(self):
        return f"≤ {self.most:g} {self.unit}" if self.least is None else f"≥ {self.least:g} {self.unit}"


@dataclasses.dataclass
class Part:
    """What a part measured: goals, and numbers for bench.json."""

    goals: list
    data: dict


def fail(text):
    sys.exit(f"bench: {text}")


def note(text):
    print(text, file=sys.stderr)


def build_guests(*names):
    subprocess.run([ROOT / "tests/guests/build", GUESTS, *names], check=True)


def build_programs():
    """The programs of tests/bench/programs, for WASI and CWA."""
    subprocess.run([ROOT / "tests/bench/programs/build", PROGRAMS], check=True)


# ---- Processes ----

def stat_fields(pid):
    """The fields of /proc/PID/stat after the name, from `state` on; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat_fields(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def cpu_us(pid):
    """CPU of a family, the children that it has buried included."""
    total = 0
    for each in family(pid):
        if fields := stat_fields(each):
            total += sum(int(field) for field in fields[11:15])
    return total * TICK_US


def running_us(pid):
    """CPU of one process as its scheduler counts it: exact where it runs for less than a tick."""
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e3
    except OSError:
        return 0


def role(pid):
    """The words after the program's name: `exec`, `edge 0` …"""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1].decode()
    except (OSError, IndexError):
        return ""


def own_memory(pid):
    """Bytes that only this process holds: its share of memory without a file, and its page tables.

    Not its dirty pages: of a program that was linked a moment ago, the text is dirty until it is written back."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = Path(f"/proc/{pid}/status").read_text()
    kib = sum(int(n) for n in re.findall(r"Pss_(?:Anon|Shmem): *(\d+)", rollup))
    kib += int(re.search(r"VmPTE:\s*(\d+)", status)[1])
    return kib * 1024


class Server:
    """A started server: its process and the base URL where it answers."""

    def __init__(self, process):
        self.process = process

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=40)


def pinned(core, command, **more):
    return subprocess.Popen(["taskset", "-c", core, *map(str, command)], **more)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(folder, core=SERVER_CORE):
    folder.mkdir(exist_ok=True)
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process on; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 100000000;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port};
                default_type text/plain;
                location / {{ return 200 "hello world\\n"; }}
            }}
        }}""")
    server = Server(pinned(core, ["nginx", "-p", folder, "-c", folder / "nginx.conf"],
                           stderr=subprocess.DEVNULL))
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            server.url = f"http://127.0.0.1:{port}/"
            return server
        except OSError:
            time.sleep(0.01)
    fail("nginx did not start")


def start_wasmcloud(folder, *options):
    """A server on one core; further options as words of its command line."""
    folder.mkdir(exist_ok=True)
    ready, write = os.pipe()
    server = Server(pinned(
        SERVER_CORE,
        [WASMCLOUD, "serve", "--data", folder / "data", "--listen-platform", "127.0.0.1:0",
         "--listen-functions", "localhost:0", "--edges", "1", "--plan", "unlimited", "--ready-fd", write,
         "--limits", "keep-requests=0", *options],
        pass_fds=[write], stderr=open(folder / "serve.log", "w"), stdout=subprocess.DEVNULL,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")}))
    os.close(write)
    with open(ready) as lines:
        line = lines.readline()
    if not line:
        fail("wasmcloud did not start\n" + (folder / "serve.log").read_text())
    server.ready = json.loads(line)
    server.env = {**os.environ, "WASMCLOUD_URL": server.ready["platform"],
                  "WASMCLOUD_TOKEN": Path(server.ready["token_file"]).read_text().strip()}
    return server


def cli(server, *arguments, **environment):
    done = subprocess.run([WASMCLOUD, *map(str, arguments)], env={**server.env, **environment},
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        fail(f"wasmcloud {' '.join(map(str, arguments))} ended with {done.returncode}")
    return done.stdout


def deploy(server, path, name, *flags, **environment):
    """Its URL by path: wrk looks no NAME.localhost up."""
    cli(server, "deploy", path, "--name", name, "--no-check", *flags, **environment)
    return f"{server.ready['functions']}/{name}/"


def call_api(server, method, path, body, media="application/json"):
    """Its answer; `body` is bytes, or an object that is sent as JSON."""
    address = urllib.parse.urlsplit(server.ready["platform"])
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body), {
        "Authorization": "Bearer " + server.env["WASMCLOUD_TOKEN"], "Content-Type": media})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        fail(f"{method} {path} answered {answer.status} {text.decode()}")
    return json.loads(text)


def deploy_version(server, path, name, settings):
    """A function with these settings of its version, unasked; its URL by path."""
    project = "/v1/projects/default"
    module = call_api(server, "POST", f"{project}/modules", Path(path).read_bytes(), "application/wasm")
    call_api(server, "POST", f"{project}/functions", {"name": name})
    call_api(server, "POST", f"{project}/functions/{name}/versions",
             {"digest": module["digest"], "check": "none", **settings})
    return f"{server.ready['functions']}/{name}/"
