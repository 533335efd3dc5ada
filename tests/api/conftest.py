"""Fixtures of the end-to-end tests.

WASMCLOUD_BIN      the program; build/wasmcloud without it
WASMCLOUD_GUESTS   a folder for the compiled test guests; build/guests without it
"""

import os
import pathlib
import shutil
import subprocess

import pytest

import server as server_module
from cli import Cli
from server import ROOT, Server


@pytest.fixture(scope="session")
def guests():
    """The folder of the compiled guests: cwa-echo.wasm, wasi-env.wasm, go-cgi.wasm, …"""
    folder = pathlib.Path(os.environ.get("WASMCLOUD_GUESTS") or ROOT / "build/guests")
    subprocess.run([ROOT / "tests/guests/build", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(shared_server):
    """The server that most tests share; its log is judged after each of them."""
    yield shared_server
    shared_server.check_log()


@pytest.fixture
def serve(tmp_path_factory):
    """Starts servers of this test's own: serve(limits="header-time=1s"). They are stopped, and
    their end is judged, after the test."""
    servers = []

    def start(folder=None, **kw):
        servers.append(Server(folder or tmp_path_factory.mktemp("own"), **kw))
        return servers[-1]

    yield start
    failures = []
    for started in servers:
        try:
            started.stop()
        except AssertionError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    for started in servers:  # hundreds of them would fill a disk
        shutil.rmtree(started.data, ignore_errors=True)


@pytest.fixture
def guest(server, guests):
    """guest("cwa-echo", limits={…}): that guest on the shared server, deployed once."""
    return lambda name, **settings: server.guest(guests, name, **settings)


@pytest.fixture(scope="session")
def program():
    """The path of the program itself."""
    return server_module.binary()


@pytest.fixture
def cli(server, tmp_path):
    """The command line with the shared server's address and first token in its environment."""
    return Cli(tmp_path, server)


@pytest.fixture
def bare_cli(tmp_path):
    """The command line of somebody new: no server, no login, an empty home."""
    return Cli(tmp_path)
