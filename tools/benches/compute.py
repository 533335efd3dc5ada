"""Programs that only compute, against the wasmtime command line of the same version.

Ours is built with epochs, so that a guest can be stopped; wasmtime's is measured with and without
them. Both run code that was compiled before. What counts is CPU time from start to exit, the least
of all rounds, for whatever else the machine does only adds; each program works for more than a
second, so that starting doesn't matter."""

import math
import statistics
import subprocess

from benches import local
from benches.common import PROGRAMS, ROOT, Goal, Part, build_programs, note

NAMES = ("fib", "blake2", "json", "compress")
LANGUAGES = ("c", "rust")


def wasmtime():
    words = subprocess.run(["sh", "-c", '. tools/env.sh; echo "$wasmtime_cli_dir/bin/wasmtime"'], cwd=ROOT,
                           stdout=subprocess.PIPE, text=True, check=True)
    return words.stdout.strip()


def geometric(numbers):
    return math.exp(statistics.fmean(map(math.log, numbers)))


def measure(options, folder):
    build_programs()
    theirs = wasmtime()
    programs = [f"{language}-{name}" for name in NAMES for language in LANGUAGES]
    ways = {"wasmcloud": lambda name: local.run(folder, PROGRAMS / f"{name}.wasm")[0]}
    for way, at_compile, at_run in (("epochs", ["-W", "epoch-interruption=y"], ["-W", "timeout=1000s"]),
                                    ("plain", [], [])):
        for name in programs:
            subprocess.run([theirs, "compile", *at_compile, "-o", folder / f"{name}.{way}", PROGRAMS / f"{name}.wasm"],
                           check=True)
        ways[way] = lambda name, way=way, at_run=at_run: local.cpu_of(
            [theirs, "run", "--allow-precompiled", *at_run, folder / f"{name}.{way}"])[0]

    seconds = {name: {way: [] for way in ways} for name in programs}
    for name in programs:
        ways["wasmcloud"](name)  # compiles it
    for number in range(options.rounds):
        note(f"round {number + 1} of {options.rounds}")
        for name in programs:
            for way, run in ways.items():
                seconds[name][way].append(run(name))

    print("| program | wasmcloud s | wasmtime, epochs s | wasmtime s | × epochs | × plain |")
    print("|---|--:|--:|--:|--:|--:|")
    least, to_epochs, to_plain = {}, {}, {}
    for name in programs:
        own, epochs, plain = (min(seconds[name][way]) for way in ways)
        least[name] = {"wasmcloud": own, "epochs": epochs, "plain": plain}
        to_epochs[name], to_plain[name] = own / epochs, own / plain
        print(f"| {name} | {own:.2f} | {epochs:.2f} | {plain:.2f} | {own / epochs:.2f} | {own / plain:.2f} |")
    print(f"| geometric mean | | | | {geometric(to_epochs.values()):.2f} | {geometric(to_plain.values()):.2f} |\n")
    goals = [Goal("CPU of the worst program, against wasmtime with epochs", max(to_epochs.values()), "×", most=1.05),
             Goal("CPU of programs in the geometric mean, against wasmtime without", geometric(to_plain.values()), "×",
                  most=1.15)]
    return Part(goals, {"seconds": least})
