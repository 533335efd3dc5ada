"""Programs run by `wasmcloud run`: their ledger, and the CPU of everything that was started."""

import json
import os
import resource
import subprocess

from benches.common import WASMCLOUD, fail

LIMITS = ["--cpu", "30s", "--limit", "wall=300s", "--limit", "stream-idle=300s"]


def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(command, **more):
    """Runs a command; seconds of CPU that it and its children used, its standard error."""
    before = spent()
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        fail(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stderr}")
    return spent() - before, done.stderr


def run(folder, program, *arguments, flags=()):
    """The program under `wasmcloud run`, with a cache in `folder`: seconds of CPU, its ledger."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    seconds, text = cpu_of([WASMCLOUD, "run", "--json", *LIMITS, *flags, program, *arguments], env=environment)
    return seconds, json.loads(text.splitlines()[-1])
