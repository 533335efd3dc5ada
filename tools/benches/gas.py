"""What counting instructions costs: programs that compute, with gas and without."""

from benches import local
from benches.common import PROGRAMS, Part, build_programs
from benches.compute import LANGUAGES, NAMES, geometric


def measure(options, folder):
    build_programs()
    rows = {}
    for name in (f"{language}-{name}" for name in NAMES for language in LANGUAGES):
        program, without, with_gas = PROGRAMS / f"{name}.wasm", [], []
        for flags in (), ("--gas", "1000000000000"):
            local.run(folder, program, flags=flags)  # compiles it
        for _ in range(options.rounds):
            without.append(local.run(folder, program)[1]["cpu_us"])
            _, ledger = local.run(folder, program, flags=("--gas", "1000000000000"))
            with_gas.append(ledger["cpu_us"])
        rows[name] = min(with_gas) / min(without), ledger["gas"]
    print("| program | gas | CPU with gas, × without |\n|---|--:|--:|")
    for name, (factor, gas) in rows.items():
        print(f"| {name} | {gas:,} | {factor:.2f} |")
    mean = geometric(factor for factor, _ in rows.values())
    print(f"| geometric mean | | {mean:.2f} |\n")
    return Part([], {"factor": {name: factor for name, (factor, _) in rows.items()}, "mean": mean})
