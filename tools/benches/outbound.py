"""Outbound requests of guests to a server on this machine, against curl's multi interface.

nginx answers on the client's core. What asks it is pinned to the other: the whole server, guests,
egress and all; or a program of fifty lines with curl's multi interface. Both have as many requests
under way, on kept connections."""

import concurrent.futures
import http.client
import statistics
import subprocess
import time
import urllib.parse

from benches.common import (CLIENT_CORE, PROGRAMS, ROOT, SERVER_CORE, Goal, Part, build_programs, deploy_version, fail,
                            note, start_nginx, start_wasmcloud)

RUNS, EACH, AT_ONCE = 10, 1000, 10


def ask(url):
    """One run of EACH requests."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    connection.request("GET", f"{address.path}?n={EACH}&at-once=1")
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200 or not int(text or b"-1") > 0:
        fail(f"{url} answered {answer.status} {answer.getheader('Wasmcloud-Error')} {text!r}")
    connection.close()


def guests(url):
    """Requests a second of RUNS guests at once."""
    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(RUNS) as pool:
        list(pool.map(ask, [url] * RUNS))
    return RUNS * EACH / (time.perf_counter() - begin)


def curl(url):
    """Requests a second of curl."""
    done = subprocess.run(["taskset", "-c", SERVER_CORE, ROOT / "build/tests/bench/outbound", url, str(RUNS * EACH),
                           str(AT_ONCE)], stdout=subprocess.PIPE, text=True, check=True)
    return RUNS * EACH / float(done.stdout)


def measure(options, folder):
    build_programs()
    subprocess.run(["ninja", "-C", ROOT / "build", "tests/bench/outbound"], check=True, stdout=subprocess.DEVNULL)
    nginx = start_nginx(folder / "nginx", CLIENT_CORE)
    server = start_wasmcloud(folder / "server", "--egress-addresses", "127.0.0.0/8")
    try:
        url = deploy_version(server, PROGRAMS / "cwa-fetch.wasm", "fetch", {
            "env": {"UPSTREAM": nginx.url}, "policy": {"allow": [nginx.url + "**"]},
            "limits": {"cpu": "30s", "wall": "300s", "opens": EACH, "egress-run": 0}})
        ours, theirs = [], []
        for number in range(options.rounds):
            note(f"round {number + 1} of {options.rounds}")
            ours.append(guests(url))
            theirs.append(curl(nginx.url))
    finally:
        server.stop()
        nginx.stop()
    own, yardstick = statistics.median(ours), statistics.median(theirs)
    print(f"| {RUNS * EACH:,} outbound requests, {AT_ONCE} at once, one core | a second |\n|---|--:|")
    print(f"| guests, through policy, exec and egress | {own:,.0f} |\n| curl's multi interface | {yardstick:,.0f} |\n")
    return Part([Goal("outbound requests of guests, of curl's rate", 100 * own / yardstick, "%", least=60)],
                {"guests": own, "curl": yardstick})
