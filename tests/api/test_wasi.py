"""WASI preview 1 by programs that look at what the public conformance programs look at, in C on the
functions themselves and in Rust through its standard library; and a version's assets as its files.

The public programs themselves are in no registry that this project builds from."""

import gzip
import io
import os
import re
import subprocess
import tarfile

import pytest

from server import ROOT
from upstream import Upstream

CHECKS = ("args environment clocks random poll-clocks poll-stdio stdio closed renumber prestat readdir folders "
          "paths writing sockets yield close-root").split()
RUST = {"args": ["two words", "", "höhe"], "environment": [], "clocks": [], "stdio": [], "refused": []}


@pytest.fixture
def run(program, guests, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    def command(*words, guest, flags=()):
        return [program, "run", "--env", "COLOUR=deep blue", *flags, guests / f"{guest}.wasm", *words]

    def run(*words, **what):
        return subprocess.run(command(*words, **what), input=b"ready", capture_output=True, env=environment,
                              timeout=60)

    run.start = lambda *words, **what: subprocess.Popen(
        command(*words, **what), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env={**environment, "WASMCLOUD_EGRESS_ADDRESSES": "127.0.0.0/8"})
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the conform programs expect below "/"."""
    site = tmp_path_factory.mktemp("site")
    (site / "index.html").write_text("<p>hello</p>\n")
    (site / "large").write_bytes(bytes(i % 251 for i in range(1_000_000)))
    (site / "empty").mkdir()
    (site / "folder").mkdir()
    for number in range(300):
        (site / "folder" / str(number)).write_text(str(number))
    return site


# ---- conformance ----

@pytest.mark.parametrize("check", CHECKS)
def test_c(run, check):
    done = run(check, guest="wasi-conform")
    assert (done.returncode, done.stdout.decode()) == (0, f"{check} ok\n")


@pytest.mark.parametrize("check", RUST)
def test_rust(run, check):
    done = run(check, *RUST[check], guest="rust-conform")
    assert (done.returncode, done.stdout.decode()) == (0, f"{check} ok\n"), done.stderr.decode()


@pytest.mark.parametrize("guest", ["wasi-conform", "rust-conform"])
def test_exit(run, guest):
    assert run("exit", guest=guest).returncode == 33


def test_poll_of_resources(run, tmp_path):
    """poll() of two exchanges: one that never answers, one whose lines come as they are sent."""
    upstream = Upstream()
    policy = tmp_path / "policy.yaml"
    policy.write_text("allow: ['http://127.0.0.1:*/**']\n")
    paths = [upstream.url(path).replace("http://", "/net/http/") for path in ("/hang", "/events")]
    guest = run.start(*paths, guest="wasi-poll-net", flags=["--policy", policy])

    came = b""

    def until(text):
        """What comes up to the text, with it; what follows is for the next."""
        nonlocal came
        while text not in came:
            more = os.read(guest.stdout.fileno(), 4096)
            assert more, came
            came += more
        before, _, came = came.partition(text)
        return before + text

    try:
        until(b"silent\n")
        assert b"200 OK" in until(b"\r\n\r\n")
        for line in b"one\n", b"two\n":
            upstream.events.put(line)
            until(line)
        upstream.events.put(None)
        until(b"end\n")
        assert guest.wait(60) == 0
    finally:
        guest.kill()
        guest.wait()
        upstream.stop()


# ---- assets ----

def test_files(run, folder):
    for guest in "rust-conform", "go-files":
        done = run("files", guest=guest, flags=["--assets", folder])
        assert (done.returncode, done.stdout) == (0, b"files ok\n"), done.stderr.decode()
    for check in "files", "readdir", "folders", "paths", "writing":
        done = run(check, guest="wasi-conform", flags=["--assets", folder])
        assert (done.returncode, done.stdout.decode()) == (0, f"{check} ok\n")


def test_deployed(cli, server, guests, folder, tmp_path):
    cli("deploy", guests / "wasi-site.wasm", "--name", "site", "--assets", folder)
    host = f"site.localhost:{server.port}"
    with server.wire(host=host) as wire:
        assert wire.ask("/large").body == (folder / "large").read_bytes()
        assert wire.ask("/folder/299").body == b"299"
        assert wire.ask("/index.html").body == b"<p>hello</p>\n"
        missing = wire.ask("/folder/300")
        assert missing.status == 404 and b"No such file" in missing.body
        assert wire.ask("/folder").status == 404
        # the next version's files, from its first request on
        (tmp_path / "index.html").write_text("new")
        cli("deploy", guests / "wasi-site.wasm", "--name", "site", "--assets", tmp_path)
        assert wire.ask("/index.html").body == b"new"
        assert wire.ask("/large").status == 404
        # and none of it without assets
        cli("deploy", guests / "wasi-site.wasm", "--name", "bare")
    with server.wire(host=f"bare.localhost:{server.port}") as wire:
        assert wire.ask("/index.html").status == 404


def archive(add, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        add(tar)
    return out.getvalue()


def entry(name, kind=tarfile.REGTYPE, content=b"", link=""):
    def add(tar):
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(content), link
        tar.addfile(info, io.BytesIO(content))
    return add


REFUSED = {
    "a link out": (archive(entry("passwd", tarfile.SYMTYPE, link="/etc/passwd")), 422, "symbolic link"),
    "a hard link": (archive(entry("b", tarfile.LNKTYPE, link="a")), 422, "hard link"),
    "a device": (archive(entry("null", tarfile.CHRTYPE)), 422, "device"),
    "an absolute path": (archive(entry("/etc/passwd")), 422, "absolute"),
    "a way up": (archive(entry("a/../../b")), 422, '..'),
    "a file twice": (archive(lambda tar: (entry("a")(tar), entry("./a")(tar))), 422, "twice"),
    "compressed": (gzip.compress(archive(entry("a"))), 422, "gzip"),
    "no archive": (b"hello", 422, "no tar archive"),
    "cut short": (archive(entry("a", content=b"x" * 5000))[:2048], 422, "cut short"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(server, what):
    bytes_, status, part = REFUSED[what]
    answer = server.api.post("/v1/projects/default/assets", content=bytes_,
                             headers={"Content-Type": "application/x-tar"})
    assert (answer.status_code, part in answer.json()["detail"]) == (status, True), answer.text


def test_taken(server):
    """The same files give the same digest, whoever packs them."""
    digests = set()
    for form in tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            for name in ("long/" * 18 + "name", "a", "b/c"):
                entry(f"./{name}", content=name.encode())(tar)
        answer = server.api.post("/v1/projects/default/assets", content=out.getvalue(),
                                 headers={"Content-Type": "application/x-tar"})
        assert answer.status_code in (200, 201), answer.text
        digests.add(answer.json()["digest"])
    assert len(digests) == 1


# ---- the reference ----

def test_reference():
    """docs/abi.md has every row of the table with its type, and no other."""
    letters = {"i": "i32", "I": "i64", "n": "i32"}
    offered, documented = {}, {}
    for module, name, params, result in re.findall(r'^HOST\(\w+, (\w+), "(\w+)", "(\w*)", "(\w?)"',
                                                   (ROOT / "src/tables/host_functions.def").read_text(), re.M):
        types = " ".join(letters[p] for p in params)
        offered[module, name] = f"({types}) -> {letters[result] if result else '()'}"
    module = None
    for line in (ROOT / "docs/abi.md").read_text().splitlines():
        if line.startswith("## "):
            module = {"`cwa`": "CWA", "`dagger`": "DAGGER", "`wasi": "WASI"}.get(
                next(iter(re.findall(r"`cwa`|`dagger`|`wasi", line)), None))
        row = re.match(r"\| `(\w+)(?:\([^)]*\))?` \| `(\([^`]*)` \|", line)
        if row and module:
            documented[module, row[1]] = row[2]
    assert documented == offered
