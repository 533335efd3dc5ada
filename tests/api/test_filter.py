"""Functions as filters: `invoke` between pipes streams in constant memory, both ways at once, and ends as a filter does."""

import hashlib
import os
import signal
import subprocess

import pytest

from cli import read_line
from server import binary, processes, resident

MIB = 1 << 20
INSTRUMENTED = "asan" in str(binary())  # freed memory is then kept for a while: sizes say nothing
BYTES = int(os.environ.get("WASMCLOUD_FILTER_MIB", "12")) * MIB  # over the default of request-body; make promises: 100


@pytest.fixture
def filter_(guest):
    limits = {"request-body": "100MiB", "response-body": "0", "cpu": "30s"}
    return guest("cwa-echo", limits=limits).name


@pytest.fixture
def source(tmp_path):
    """A file of that size and its digest."""
    path, digest = tmp_path / "in", hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(BYTES // MIB):
            piece = os.urandom(MIB)
            digest.update(piece)
            file.write(piece)
    return path, digest.hexdigest()


def start(cli, name, **streams):
    return subprocess.Popen([str(binary()), "invoke", name], env=cli.env, cwd=cli.folder, **streams)


def end(process):
    """Its exit status and the most memory that it had, in bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def digest_of(stream):
    digest = hashlib.sha256()
    while piece := stream.read1(MIB):
        digest.update(piece)
    return digest.hexdigest()


def roles(server):
    table = processes()
    return [pid for pid, (parent, _, words) in table.items() if parent == server.pid and "control" in words or
            parent == server.pid and "edge" in words]


def test_streams_in_constant_memory(cli, server, filter_, source):
    path, digest = source
    small = start(cli, filter_, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    status, least = end(small)
    assert status == 0
    before = {pid: resident(pid) for pid in roles(server)}
    with open(path, "rb") as file:
        whole = start(cli, filter_, stdin=file, stdout=subprocess.PIPE)
        assert digest_of(whole.stdout) == digest
    whole.stdout.close()
    status, most = end(whole)
    assert status == 0 and before
    assert INSTRUMENTED or most - least < 4 * MIB, (least, most)
    grown = {pid: resident(pid) - size for pid, size in before.items()}
    assert INSTRUMENTED or max(grown.values()) < 4 * MIB, grown


def test_two_in_a_pipe(cli, filter_, source):
    path, digest = source
    with open(path, "rb") as file:
        first = start(cli, filter_, stdin=file, stdout=subprocess.PIPE)
    second = start(cli, filter_, stdin=first.stdout, stdout=subprocess.PIPE)
    first.stdout.close()
    assert digest_of(second.stdout) == digest
    second.stdout.close()
    assert end(first)[0] == 0 and end(second)[0] == 0


def test_answers_before_its_input_ends(cli, filter_):
    process = start(cli, filter_, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert read_line(process.stdout) == line
    process.stdin.close()
    assert process.stdout.read() == b""
    process.stdout.close()
    assert process.wait(60) == 0


def test_nobody_reads_it(cli, filter_, source):
    """As a program that SIGPIPE ended: 141 in a shell, and nothing said."""
    path, _ = source
    with open(path, "rb") as file:
        process = start(cli, filter_, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 128 + signal.SIGPIPE


def test_too_large_for_the_version(server, cli, guest):
    """The version's own limit counts, not the node's."""
    small = guest("cwa-echo", limits={"request-body": "1KiB"}).name
    answer = server.api.post(f"/v1/projects/default/functions/{small}/invoke", content=b"x" * 2000)
    assert answer.status_code == 413 and "1 KiB" in answer.json()["detail"]
    assert cli("invoke", small, stdin=b"x" * 1000).bytes == b"x" * 1000


def test_grows_too_large_after_it_has_answered(server, cli, guest):
    """A run ended by a limit, whatever was answered before: for the filter, its record and its explanation."""
    small = guest("cwa-echo", limits={"request-body": "64KiB"})
    process = start(cli, small.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"first\n")
    process.stdin.flush()
    assert read_line(process.stdout) == b"first\n"
    try:
        process.stdin.write(b"x" * (1 << 20))
        process.stdin.close()
    except BrokenPipeError:
        process.stdin = None
    with process:
        said = process.stderr.read().decode()
    assert process.returncode == 128 + signal.SIGXFSZ and "over the limit" in said, said
    run = said.split("runs show ")[1].strip()
    assert small.run(run)["cause"] == "too_large" and "request-body" in small.run(run)["text"]
    explained = server.api_json(f"/v1/projects/default/runs/{run}/explain")
    assert explained["causes"][0]["code"] == "too_large" and explained["limit"]["value"] == "64 KiB", explained
