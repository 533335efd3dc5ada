"""Fences fail closed: without any one of the required ones `serve` refuses to run guests.

`without FENCE COMMAND…` (tests/unit/without.c) makes the kernel answer as one without it would."""

import json
import os
import subprocess

import pytest

from server import Server, binary

REQUIRED = ["seccomp", "no-new-privs", "not-dumpable", "landlock", "network-namespace",
            "mount-namespace", "rlimits", "capabilities"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the filter needs root")


def without(fence):
    return [str(binary().parent / "tests/unit/without"), fence]


def doctor(*wrap):
    done = subprocess.run([*wrap, str(binary()), "doctor", "--json"], capture_output=True, text=True,
                          timeout=60)
    return done.returncode, json.loads(done.stdout)


def test_doctor_finds_all_here():
    status, found = doctor()
    assert status == 0 and found["safe"]
    required = {item["name"] for item in found["items"] if item["level"] == "required"}
    assert required == set(REQUIRED)


@pytest.mark.parametrize("fence", REQUIRED)
def test_refuses(fence, tmp_path):
    status, found = doctor(*without(fence))
    assert status == 78 and not found["safe"]
    assert fence in {item["name"] for item in found["items"] if not item["ok"]}

    words = [str(binary()), "serve", "--data", str(tmp_path / "data"),
             "--listen-platform=127.0.0.1:0", "--listen-functions=localhost:0"]
    env = os.environ | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run([*without(fence), *words], capture_output=True, text=True, timeout=60,
                          env=env)
    assert done.returncode == 78
    assert f"the fence {fence} is missing" in done.stderr
    assert "isolation: relaxed" in done.stderr


@pytest.mark.parametrize("fence", REQUIRED)
def test_relaxed_warns(fence, tmp_path):
    server = Server(tmp_path, wrap=without(fence), isolation="relaxed")
    assert f"fence={fence}" in server.log()
    server.stop()
