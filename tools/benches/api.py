"""The API: reads, writes against the disk's own rate of syncs, when a promoted version is seen, and what
receipts cost.

Server and API share one core, the client has the other. wrk asks; what it can't is asked from here."""

import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from benches.common import (CLIENT_CORE, GUESTS, PROGRAMS, ROOT, Goal, Part, build_guests, call_api, deploy, family, role,
                            running_us, start_wasmcloud)

PROJECT = "/v1/projects/default"
FUNCTIONS = 150
WRITE_BYTES = 9 * (4096 + 24)  # of the log of the database, for a function: nine pages
LOG_BYTES = 4 << 20  # …until it begins anew
PROMOTIONS = 200

MAKE = """
local n = 0
request = function()
    n = n + 1
    return wrk.format("POST", nil, nil, '{"name":"%s-' .. n .. '"}')
end
"""


def wrk(url, seconds, connections, token=None, script=None, folder=None):
    """Requests a second; all answers must be good ones."""
    words = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    if token:
        words += ["-H", f"Authorization: Bearer {token}"]
    if script:
        path = folder / "wrk.lua"
        path.write_text(script)
        words += ["-s", path, "-H", "Content-Type: application/json"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    return float(re.search(r"Requests/sec: *([\d.]+)", text)[1])


def syncs_per_s(folder, seconds):
    """How often a second the disk takes a write of a row's size for good, over what a file has already:
    the log of the database, too, is written again from its beginning."""
    fd = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(LOG_BYTES), 0)
    os.fsync(fd)
    piece, at, count, begin = os.urandom(WRITE_BYTES), 0, 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < seconds:
        os.pwrite(fd, piece, at)
        os.fdatasync(fd)
        at = (at + WRITE_BYTES) % (LOG_BYTES - WRITE_BYTES)
        count += 1
    os.close(fd)
    return count / took


def serial_writes(base, token, folder, seconds):
    """Writes of one client and syncs of the disk, a second each. By turns: the rate of a disk that is
    shared changes tenfold within a minute."""
    url = f"{base}{PROJECT}/functions"
    wrk(url, 1, 1, token, MAKE % "warm", folder)
    rates = [(wrk(url, 1, 1, token, MAKE % f"serial-{i}", folder), syncs_per_s(folder, 1)) for i in range(seconds)]
    return [statistics.mean(rate) for rate in zip(*rates)]


def seen_at_once(server, name, folder):
    """Promotes between two versions while others ask: the share of first requests after an answer of
    promote that saw the new version, and how many were asked meanwhile."""
    numbers = []
    for word in ("hello", "echo"):
        deploy(server, GUESTS / f"cwa-{word}.wasm", name)
        numbers.append(call_api_get(server, f"{PROJECT}/functions/{name}")["version"])
    url = urllib.parse.urlsplit(server.ready["functions"])
    load = subprocess.Popen(["taskset", "-c", CLIENT_CORE, "wrk", "-t1", "-c8", "-d600s", f"{server.ready['functions']}/{name}/"],
                            stdout=subprocess.DEVNULL)
    asking, seen = http.client.HTTPConnection("127.0.0.1", url.port), 0
    try:
        for i in range(PROMOTIONS):
            number = numbers[i % 2]
            call_api(server, "POST", f"{PROJECT}/functions/{name}/versions/{number}/promote", {})
            asking.request("POST", f"/{name}/", body=b"said back", headers={"Host": url.netloc})
            answer = asking.getresponse().read()
            seen += (answer == b"said back") == (number == numbers[1])
    finally:
        load.terminate()
        load.wait()
    return seen / PROMOTIONS


def call_api_get(server, path):
    address = urllib.parse.urlsplit(server.ready["platform"])
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request("GET", path, headers={"Authorization": "Bearer " + server.env["WASMCLOUD_TOKEN"]})
    return json.loads(connection.getresponse().read())


def lists_anew(server, seconds):
    """Lists a second that one client gets, no two alike, so that each is made anew. The requests are whole
    before it begins, and of an answer only the length is looked at: the client is not what is measured."""
    address = urllib.parse.urlsplit(server.ready["platform"])
    fields = f"Host: {address.netloc}\r\nAuthorization: Bearer {server.env['WASMCLOUD_TOKEN']}\r\n\r\n"
    requests = [f"GET {PROJECT}/functions?limit=100&cursor=a{i} HTTP/1.1\r\n{fields}".encode()
                for i in range(50_000)]
    head = re.compile(rb"HTTP/1.1 200 .*?\r\ncontent-length: (\d+).*?\r\n\r\n", re.S | re.I)
    room, count, begin = memoryview(bytearray(1 << 20)), 0, time.perf_counter()
    with socket.create_connection((address.hostname, address.port)) as connection:
        while (took := time.perf_counter() - begin) < seconds:
            connection.sendall(requests[count % len(requests)])
            have = connection.recv_into(room)
            found = head.match(room, 0, have)
            whole = found.end() + int(found[1])
            while have < whole:
                have += connection.recv_into(room[have:])
            count += 1
    return count / took


def receipts(folder, seconds):
    """CPU of control for each receipt that it takes into the database, microseconds."""
    server = start_wasmcloud(folder / "receipts", "--limits", "keep-requests=0,receipts=1000000")
    url = deploy(server, GUESTS / "cwa-bare.wasm", "counted")
    control = next(pid for pid in family(server.process.pid) if role(pid) == "control")
    path = f"{PROJECT}/functions/counted"

    def kept():
        counters = call_api_get(server, path)["counters"]
        return counters["runs"] - counters["receipts_lost"]

    before, cpu = kept(), running_us(control)
    rate = wrk(url, seconds, 8)
    count, cpu = kept() - before, running_us(control) - cpu
    server.stop()
    return cpu / count, rate, count


def measure(options, folder):
    build_guests("cwa-bare", "cwa-hello", "cwa-echo")
    server = start_wasmcloud(folder / "api")
    token, base = server.env["WASMCLOUD_TOKEN"], server.ready["platform"]
    for i in range(FUNCTIONS):
        call_api(server, "POST", f"{PROJECT}/functions", {"name": f"listed-{i:03d}"})
    seconds = options.seconds
    whoami = wrk(f"{base}/v1/whoami", seconds, 16, token)
    listed = wrk(f"{base}{PROJECT}/functions?limit=100", seconds, 16, token)
    fresh = lists_anew(server, seconds)
    serial, disk = serial_writes(base, token, folder, seconds)
    grouped = wrk(f"{base}{PROJECT}/functions", seconds, 32, token, MAKE % "grouped", folder)
    seen = seen_at_once(server, "seen", folder)
    server.stop()
    receipt_us, rate, count = receipts(folder, seconds)
    path_ns = int(subprocess.run([ROOT / "build/tests/bench/receipt-bench"], capture_output=True, text=True, check=True,
                                 cwd=folder).stdout)
    print(f"API: whoami {whoami:,.0f}/s, a list of 100 {listed:,.0f}/s ({fresh:,.0f}/s when made anew, one client);"
          f" writes {serial:,.0f}/s serial, {grouped:,.0f}/s from 32 clients, where the disk syncs {disk:,.0f}/s;"
          f" {seen:.1%} of first requests after promote saw the new version; a receipt costs the edge {path_ns} ns,"
          f" control {receipt_us:.1f} us ({count:,} of {rate:,.0f} requests/s)\n")
    return Part([Goal("API: whoami", whoami, "/s", least=5000), Goal("API: a list of 100 functions", listed, "/s", least=5000),
                 Goal("API: writes of 32 clients", grouped, "/s", least=1000),
                 Goal("API: serial writes, of the disk's own rate", serial / disk, "", least=0.8),
                 Goal("first request after promote sees the new version", seen * 100, "%", least=100),
                 Goal("a receipt, on the request's path", path_ns / 1000, "us", most=1),
                 Goal("a receipt, in control", receipt_us, "us", most=10)],
                {"whoami_per_s": whoami, "list_per_s": listed, "list_anew_per_s": fresh, "writes_serial_per_s": serial,
                 "writes_grouped_per_s": grouped, "disk_syncs_per_s": disk, "promote_seen": seen, "receipt_path_ns": path_ns,
                 "receipt_control_us": receipt_us})
