"""Start to exit of `pahi` on a hello whose image is in the cache: process, exec, run and end."""

import os
import statistics
import time

from benches.common import GUESTS, WASMCLOUD, Goal, Part, build_guests, fail

RUNS = 200


def once(words, environment, null):
    """Milliseconds from the start of a process to its end."""
    begin = time.perf_counter()
    pid = os.posix_spawn(words[0], words, environment,
                         file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
    status = os.waitpid(pid, 0)[1]
    if status:
        fail(f"{' '.join(words)} ended with {status}")
    return (time.perf_counter() - begin) * 1e3


def measure(options, folder):
    build_guests("cwa-bare")
    link = folder / "pahi"
    link.symlink_to(WASMCLOUD)
    os.sched_setaffinity(0, range(os.cpu_count()))  # its processes may use both cores, as a user's would
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    words = [str(link), str(GUESTS / "cwa-bare.wasm")]
    with open(os.devnull, "r+b") as null:
        once(words, environment, null.fileno())
        times = sorted(once(words, environment, null.fileno()) for _ in range(RUNS))
    median, p99 = statistics.median(times), times[RUNS * 99 // 100]
    print(f"`pahi` cached hello, start to exit, {RUNS} times: median {median:.2f} ms, p99 {p99:.2f} ms\n")
    return Part([Goal("start to exit of `pahi` on a cached hello, median", median, "ms", most=5)],
                {"median_ms": median, "p99_ms": p99})
