"""What one call of the host costs a guest: ten million calls in a loop, less the empty loop."""

import statistics

from benches import local
from benches.common import PROGRAMS, Goal, Part, build_programs

CALLS = 10_000_000
DIRECT, WAITING = 0.15, 0.5  # µs at most
KINDS = {"time": ("`time_now`", DIRECT), "random": ("`random_i32`", DIRECT),
         "write": ("`resource_write`, 8 bytes to null://", WAITING),
         "read": ("`resource_read`, 8 bytes of zero://", WAITING)}


def measure(options, folder):
    build_programs()
    seconds = {kind: [] for kind in ("empty", *KINDS)}
    for _ in range(options.rounds):
        for kind, times in seconds.items():
            times.append(local.run(folder, PROGRAMS / "cwa-calls.wasm", kind)[1]["cpu_us"])
    empty = statistics.median(seconds["empty"])
    cost = {kind: (statistics.median(seconds[kind]) - empty) / CALLS for kind in KINDS}
    print("| host call | µs |\n|---|--:|")
    for kind, (what, _) in KINDS.items():
        print(f"| {what} | {cost[kind]:.3f} |")
    print()
    return Part([Goal(f"a call of {what}", cost[kind], "µs", most=most) for kind, (what, most) in KINDS.items()],
                {"us": cost})
