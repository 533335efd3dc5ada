"""Requests made up by schemathesis from the API's description: right ones, wrong ones, and stories.

No answer may be a server's error, of an undocumented status or shape, or let in what the schema
forbids. A short run is part of ./check; `make promises` makes 50,000 requests.

WASMCLOUD_GENERATED   how many requests the long run makes; without it there is none
"""

import itertools
import os
import pathlib
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

FOLDER = pathlib.Path(__file__).parent / "generated"
LONG = int(os.environ.get("WASMCLOUD_GENERATED") or 0)


def generate(server, guests, folder, *words):
    """Runs it to its end; how many requests it made."""
    who = server.api_json("/v1/whoami")
    if server.api.get("/v1/projects/default/functions/generated").status_code == 404:
        server.deploy("generated", guests / "cwa-bare.wasm")
    env = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(FOLDER), "GENERATED_TOKEN_ID": who["token"]["id"],
        "GENERATED_MODULE": str(guests / "cwa-bare.wasm")}
    # No text of the API holds a NUL: bodies that do are no JSON here (test_bad_bodies.py).
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", FOLDER / "schemathesis.toml",
               "run", f"{server.url}/v1/openapi.json", "--header", f"Authorization: Bearer {server.token}",
               "--checks", "all", "--continue-on-failure", "--request-timeout", "60", "--no-color",
               "--suppress-health-check", "all", "--warnings", "off", "--generation-database", "none",
               "--generation-allow-x00", "false", "--exclude-path", "/v1/backup", *words]
    done = subprocess.run([str(word) for word in command], cwd=folder, env=env, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5000:]
    return int(re.search(r"([\d,]+) generated", done.stdout)[1].replace(",", ""))


def test_a_few_hundred(serve, guests, tmp_path):
    """On a server of its own: it deletes functions that it finds, which other tests go on with."""
    made = generate(serve(), guests, tmp_path, "--seed", "8787", "--max-examples", "3", "--no-shrink",
                    "--phases", "coverage", "--max-time", "20")
    assert made > 0


if LONG:  # on demand: `make promises`
    @pytest.mark.timeout(4 * 3600)
    def test_as_many_as_wanted(serve, guests, tmp_path):
        """As many processes as there are cores, each with a server and seeds of its own: making up
        requests takes far longer than answering them. What the phase `coverage` asks hardly depends
        on the seed: one process asks it, once."""
        made, seeds, lock, stop = 0, itertools.count(1), threading.Lock(), threading.Event()

        def work(own, folder):
            nonlocal made
            while made < LONG and not stop.is_set():
                seed = next(seeds)
                phases = "coverage,fuzzing,stateful" if seed == 1 else "fuzzing,stateful"
                words = ("--seed", seed, "--max-examples", "100", "--phases", phases)
                try:
                    count = generate(own, guests, folder, *words)
                except BaseException:
                    stop.set()
                    raise
                with lock:
                    made += count
                    print(f"{made} requests: seed {seed} made {count}", flush=True)

        folders = [tmp_path / str(i) for i in range(os.cpu_count())]
        for folder in folders:
            folder.mkdir()
        servers = [serve(folder) for folder in folders]
        with ThreadPoolExecutor(len(folders)) as pool:
            for done in [pool.submit(work, *pair) for pair in zip(servers, folders)]:
                done.result()
        assert made >= LONG
