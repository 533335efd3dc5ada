"""`dev`: one function served from its folder, built and deployed again on every change."""

import signal

import httpx
import pytest

from cli import read_line
from server import STOP_SECONDS, eventually, processes


def children_of(pid):
    """All that run below a process."""
    table = processes()
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, (parent, state, _) in table.items() if parent in fresh and state != "Z"} - found
        found |= fresh
    return found


def save(path, text):
    """As editors do: the file is the old one or the new one, never half of it."""
    fresh = path.with_name("." + path.name)
    fresh.write_text(text)
    fresh.replace(path)


@pytest.fixture
def dev(cli):
    """dev("folder") starts it and waits for the first answer: its process and its URL. Ends them all."""
    started = []

    def start(folder, *words):
        process = cli.start("dev", folder, *words)
        started.append(process)
        url = read_line(process.stdout, 60).decode().strip()
        assert url.startswith("http://"), (url, process.stderr.read1(65536).decode() if not url else "")
        return process, url

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
        process.stdout.close()
        process.stderr.close()


def test_dev_follows_changes(cli, server, dev, tmp_path):
    cli("new", "hot", "--lang", "text")
    source, manifest = tmp_path / "hot/main.wat", tmp_path / "hot/function.yaml"
    process, url = dev("hot")
    host = httpx.URL(url).host
    assert host == "hot.localhost"

    def ask():
        return httpx.get(url.replace(host, "127.0.0.1"), headers={"Host": f"{host}:{httpx.URL(url).port}"}).text

    assert ask() == "Hello from hot\n"
    save(source, source.read_text().replace("Hello from", "Bye from"))
    assert eventually(lambda: ask() == "Bye from hot\n")

    # What doesn't build changes nothing; its message is shown, and the next change is taken.
    good = source.read_text()
    save(source, good + "(oops")
    said = b""
    while b"waiting for a change" not in said:
        line = read_line(process.stderr)
        assert line, said.decode()
        said += line
    assert b"main.wat" in said and b"the build failed with status 1" in said
    assert ask() == "Bye from hot\n"
    save(source, good.replace("Bye from", "Ciao da"))
    assert eventually(lambda: ask() == "Ciao da hot\n")

    # A manifest that is wrong is named by its place.
    save(manifest, manifest.read_text() + "chek: none\n")
    said = b""
    while b"waiting for a change" not in said:
        line = read_line(process.stderr)
        assert line, said.decode()
        said += line
    assert b'function.yaml:7:1: there is no key "chek", did you mean "check"?' in said

    # The server that the environment names is not touched; Ctrl-C ends everything.
    assert server.api.get("/v1/projects/default/functions/hot").status_code == 404
    below = children_of(process.pid)
    assert len(below) > 4
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_SECONDS) == 0
    assert eventually(lambda: not [pid for pid in below if processes().get(pid, (0, "Z"))[1] != "Z"])


def test_dev_takes_away_and_logs(cli, dev, guests, tmp_path):
    """What function.yaml no longer names is gone; the log goes to standard output."""
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / "env.wasm").write_bytes((guests / "wasi-env.wasm").read_bytes())
    manifest = folder / "function.yaml"
    manifest.write_text("name: env\nmodule: env.wasm\nenv: {FIRST: one, SECOND: two}\n")
    process, url = dev("env")
    address = httpx.URL(url)

    def ask():
        return httpx.get(url.replace(address.host, "127.0.0.1"), headers={"Host": f"{address.host}:{address.port}"}).text

    assert "FIRST=one" in ask() and "SECOND=two" in ask()
    save(manifest, "name: env\nmodule: env.wasm\nenv: {SECOND: two}\n")
    assert eventually(lambda: "FIRST" not in ask()) and "SECOND=two" in ask()


def test_dev_refuses(bare_cli, tmp_path):
    assert "wasmcloud new" in bare_cli("dev", status=3).err
    (tmp_path / "function.yaml").write_text("modul: x\n")
    assert "function.yaml:1:1: " in bare_cli("dev", status=2).err
    assert "no folder missing" in bare_cli("dev", "missing", status=3).err


def test_dev_has_secrets(cli, dev, guests, tmp_path):
    """From .wasmcloud/secrets.env, else from our environment; without a value it says where one goes."""
    folder = tmp_path / "keys"
    (folder / ".wasmcloud").mkdir(parents=True)
    (folder / "env.wasm").write_bytes((guests / "wasi-env.wasm").read_bytes())
    manifest = folder / "function.yaml"
    manifest.write_text("name: keys\nmodule: env.wasm\nsecrets: [FROM_FILE, FROM_HERE]\n")
    (folder / ".wasmcloud/secrets.env").write_text("# for dev\nFROM_FILE=a=b\n")
    cli.env["FROM_HERE"] = "and here"
    process, url = dev("keys")
    address = httpx.URL(url)
    text = httpx.get(url.replace(address.host, "127.0.0.1"), headers={"Host": f"{address.host}:{address.port}"}).text
    assert "FROM_FILE=a=b\n" in text and "FROM_HERE=and here\n" in text
    save(manifest, "name: keys\nmodule: env.wasm\nsecrets: [NOWHERE]\n")
    said = b""
    while b"waiting for a change" not in said:
        line = read_line(process.stderr)
        assert line, said.decode()
        said += line
    assert b"the secret NOWHERE has no value: put a line `NOWHERE=" in said
