"""The whole path of a request, against nginx `return 200` in the same run; first requests; deploys.

Servers are pinned to one core, the client (wrk) and this script to the other. Rounds go through all
servers in turn, so that whatever else the machine does hits them alike; the table has medians. CPU
a request is user and system time of all processes of a server, from /proc, over the requests that
wrk counted. The ledger is on, as always, and the plan is `unlimited`."""

import http.client
import re
import statistics
import subprocess
import time
import urllib.parse

from benches.common import (CLIENT_CORE, GUESTS, Goal, Part, build_guests, call_api, cli, cpu_us, deploy, fail, family,
                            note, own_memory, role, start_nginx, start_wasmcloud)


def in_us(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def load(server, url, connections, seconds):
    """One wrk run: requests a second, CPU µs a request, median latency in µs, and its errors."""
    before = cpu_us(server.process.pid)
    out = subprocess.run(["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                          "--latency", url], stdout=subprocess.PIPE, text=True, check=True).stdout
    cpu = cpu_us(server.process.pid) - before
    requests = int(re.search(r"(\d+) requests in", out)[1])
    errors = sum(map(int, re.findall(r"(?:Non-2xx or 3xx responses:|connect|read|write|timeout) (\d+)", out)))
    return {"rate": float(re.search(r"Requests/sec: *([\d.]+)", out)[1]), "cpu_us": cpu / max(requests, 1),
            "p50_us": in_us(re.search(r"50% +(\S+)", out)[1]), "errors": errors}


def ask(connection, url):
    """One request on an open connection: how long it took, in µs."""
    begin = time.perf_counter()
    connection.request("GET", urllib.parse.urlsplit(url).path)
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - begin) * 1e6
    if answer.status != 200:
        fail(f"{url} answered {answer.status} {answer.getheader('Wasmcloud-Error')}")
    return took


def first_requests(server, path, count):
    """First requests of functions in projects that never ran anything, then warm ones, in µs."""
    first, warm = [], []
    for number in range(count):
        project = f"bench-{number}"
        call_api(server, "POST", "/v1/projects", {"name": project})
        url = deploy(server, path, f"first-{number}", WASMCLOUD_PROJECT=project)
        address = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname, address.port)
        connection.connect()
        time.sleep(0.2)  # the pool of blank processes fills up again
        first.append(ask(connection, url))
        warm.append(statistics.median(ask(connection, url) for _ in range(20)))
        connection.close()
    return first, warm


# ---- A module of a given size ----

def leb(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def section(number, *entries):
    body = leb(len(entries)) + b"".join(entries)
    return bytes([number]) + leb(len(body)) + body


def name(text):
    return leb(len(text)) + text.encode()


def module_of(size):
    """A CWA hello among functions of plain arithmetic, as many as make the module `size` bytes."""
    i32, get, tee, const, end = b"\x7f", b"\x20\x00", b"\x22\x00", b"\x41", b"\x0b"
    step = b"".join([get, const + b"\x2d", b"\x6c", get, b"\x6a", const + b"\x07", b"\x76", tee, get, b"\x73", tee,
                     b"\x1a"])
    body = b"\x00" + step * 24 + get + end
    body = leb(len(body)) + body
    count = size // (len(body) + 1)
    text = b"Content-Type: text/plain\n\nhello world\n"
    main = b"\x00" + b"\x10\x00" + const + b"\x80\x08" + const + leb(len(text)) + b"\x10\x01\x1a" + const + b"\x00" + end
    return b"".join([
        b"\0asm\1\0\0\0",
        section(1, b"\x60\x00\x01" + i32, b"\x60\x03" + i32 * 3 + b"\x01" + i32, b"\x60\x01" + i32 + b"\x01" + i32),
        section(2, name("cwa") + name("io_get_stdout") + b"\x00\x00", name("cwa") + name("resource_write") + b"\x00\x01"),
        section(3, b"\x00", *[b"\x02"] * count),
        section(5, b"\x00\x01"),
        section(7, name("memory") + b"\x02\x00", name("cwa_main") + b"\x00\x02"),
        section(10, leb(len(main)) + main, *[body] * count),
        section(11, b"\x00" + const + b"\x80\x08" + end + leb(len(text)) + text),
    ])


# ---- The run ----

def table(results):
    base = results["nginx `return 200`"]
    print("| server, one core | req/s c=64 | of nginx | CPU µs/request | × nginx | p50 µs c=1 | added µs |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for label, row in results.items():
        print(f"| {label} | {row['rate']:,.0f} | {row['rate'] / base['rate']:.0%} | {row['cpu_us']:.1f} |"
              f" {row['cpu_us'] / base['cpu_us']:.2f} | {row['p50_us']:.0f} | {row['p50_us'] - base['p50_us']:.0f} |")
    print()


def custom(number):
    """A custom section that makes the same module another one, so that it is compiled again."""
    body = name("bench") + str(number).encode()
    return b"\x00" + leb(len(body)) + body


def measure(options, folder):
    build_guests("cwa-bare", "wasi-hello", "go-hello")
    nginx = start_nginx(folder)
    wasmcloud = start_wasmcloud(folder)
    try:
        return run(options, folder, nginx, wasmcloud)
    finally:
        wasmcloud.stop()
        nginx.stop()


def run(options, folder, nginx, wasmcloud):
    time.sleep(2)  # blank processes have come to rest
    blank = [own_memory(pid) for pid in family(wasmcloud.process.pid) if role(pid) == "exec"]

    targets = {"nginx `return 200`": (nginx, nginx.url)}
    for label, guest in (("CWA hello", "cwa-bare"), ("wasi-libc hello", "wasi-hello"),
                         ("Go `net/http/cgi` hello", "go-hello")):
        targets[label] = wasmcloud, deploy(wasmcloud, GUESTS / f"{guest}.wasm", guest)

    runs = {label: {1: [], 64: []} for label in targets}
    for server, url in targets.values():
        load(server, url, 16, 1)
    for number in range(options.rounds):
        note(f"round {number + 1} of {options.rounds}")
        for connections in (64, 1):
            for label, (server, url) in targets.items():
                runs[label][connections].append(load(server, url, connections, options.seconds))

    results, errors = {}, 0
    for label, by_connections in runs.items():
        many, one = by_connections[64], by_connections[1]
        errors += sum(run["errors"] for run in many + one)
        results[label] = {"rate": statistics.median(run["rate"] for run in many),
                          "cpu_us": statistics.median(run["cpu_us"] for run in many),
                          "p50_us": statistics.median(run["p50_us"] for run in one)}

    first, warm = first_requests(wasmcloud, GUESTS / "cwa-bare.wasm", 20)
    big = folder / "big.wasm"
    deploys = []
    for number in range(5):
        big.write_bytes(module_of(1_000_000) + custom(number))
        begin = time.perf_counter()
        cli(wasmcloud, "deploy", big, "--name", "big")  # waits until its check was answered
        deploys.append(time.perf_counter() - begin)

    table(results)
    base, cwa, wasi = (results[label] for label in list(results)[:3])
    idle_ms = (statistics.median(first) - statistics.median(warm)) / 1e3
    goals = [
        Goal("CPU a request, CWA hello at c=64", cwa["cpu_us"] / base["cpu_us"], "× nginx", most=1.8),
        Goal("CPU a request, wasi-libc hello at c=64", wasi["cpu_us"] / base["cpu_us"], "× nginx", most=2.1),
        Goal("added latency at c=1, CWA hello", cwa["p50_us"] - base["p50_us"], "µs", most=60),
        Goal("added latency at c=1, wasi-libc hello", wasi["p50_us"] - base["p50_us"], "µs", most=60),
        Goal("first request of an idle function over a warm one", idle_ms, "ms", most=2),
        Goal("a blank exec's own memory", max(blank) / 2**20 if blank else float("nan"), "MiB", most=1),
        Goal("deploy of a 1 MB module until its URL answers", statistics.median(deploys), "s", most=1),
        Goal("failed requests in all runs", errors, "requests", most=0),
    ]
    return Part(goals, {"servers": results, "first_us": first, "warm_us": warm, "deploy_s": deploys,
                        "blank_exec_bytes": blank})
