"""100,000 functions in one project: a page of the list, the start of the server, the memory of an edge.

They are written into the database of a stopped server, as the API would have left them: each has a
version of its own with a sealed, empty environment. The first start after that writes the route table;
what counts is the start after it."""

import ctypes
import ctypes.util
import http.client
import os
import random
import sqlite3
import statistics
import time
import urllib.parse
from pathlib import Path

from benches.common import GUESTS, Goal, Part, build_guests, call_api, deploy, family, note, own_memory, role, start_wasmcloud

FUNCTIONS = 100_000
PAGES = 200
ASKED = 5_000  # different functions, more than an edge remembers
NONCE, TAG = 24, 16


def sealed_nothing(sodium, key, owner):
    """An empty environment as auth/seal.c seals it for a version."""
    out, length, nonce = ctypes.create_string_buffer(TAG), ctypes.c_ulonglong(), os.urandom(NONCE)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        out, ctypes.byref(length), b"", ctypes.c_ulonglong(0), owner, ctypes.c_ulonglong(len(owner)), None, nonce, key)
    return nonce + out.raw[:length.value]


def uuid7(at_ms):
    bits = bytearray(at_ms.to_bytes(6) + os.urandom(10))
    bits[6], bits[8] = 0x70 | bits[6] & 15, 0x80 | bits[8] & 63
    return bytes(bits)


def fill(data):
    """Adds functions like the one that is there, until there are FUNCTIONS."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))  # starts a program: once
    key = (data / "keys/secrets").read_bytes()
    now = int(time.time() * 1000)
    with sqlite3.connect(data / "db.sqlite") as db:
        db.execute("PRAGMA cache_size = -262144")
        columns = [row[1] for row in db.execute("PRAGMA table_info(versions)")]
        model = dict(zip(columns, db.execute("SELECT * FROM versions").fetchone()))
        project, = db.execute("SELECT project_id FROM functions").fetchone()
        generation = int(db.execute("SELECT value FROM settings WHERE key = 'route_generation'").fetchone()[0])
        marks = ", ".join("?" * len(columns))
        for i in range(1, FUNCTIONS):
            function, version = uuid7(now + i), uuid7(now + i)
            model |= {"id": version, "function_id": function, "env": sealed_nothing(sodium, key, version)}
            db.execute("INSERT INTO functions (id, project_id, name, live_id, last_number, generation)"
                       " VALUES (?, ?, ?, ?, 1, ?)", (function, project, f"many-{i:06d}", version, generation + i))
            db.execute(f"INSERT INTO versions ({', '.join(columns)}) VALUES ({marks})", list(model.values()))
            db.execute("INSERT INTO usage (function_id, runs) VALUES (?, ?)", (function, random.randrange(10_000)))
        db.execute("UPDATE settings SET value = ? WHERE key = 'route_generation'", (str(generation + FUNCTIONS - 1),))
    db.close()


def timed_start(folder):
    begin = time.perf_counter()
    server = start_wasmcloud(folder)
    return server, time.perf_counter() - begin


def edge_memory(server):
    return own_memory(next(pid for pid in family(server.process.pid) if role(pid) == "edge"
                           and Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[2] == b"0"))


def ask(server, names):
    """One request to each of them, on one connection."""
    address = urllib.parse.urlsplit(server.ready["functions"])
    connection = http.client.HTTPConnection("127.0.0.1", address.port)
    for name in names:
        connection.request("GET", f"/{name}/", headers={"Host": address.netloc})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, (name, answer.status)


def pages_ms(server):
    """Milliseconds of pages from all over the list, none asked for twice."""
    address = urllib.parse.urlsplit(server.ready["platform"])
    connection = http.client.HTTPConnection(address.hostname, address.port)
    fields, times = {"Authorization": "Bearer " + server.env["WASMCLOUD_TOKEN"]}, []
    for i in random.sample(range(1, FUNCTIONS - 200), PAGES):
        begin = time.perf_counter()
        connection.request("GET", f"/v1/projects/default/functions?limit=100&cursor=many-{i:06d}", headers=fields)
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - begin) * 1e3)
        assert answer.status == 200 and body.count(b'"url"') == 100, body[:300]
    return sorted(times)


def measure(options, folder):
    build_guests("cwa-bare")
    server = start_wasmcloud(folder)
    deploy(server, GUESTS / "cwa-bare.wasm", "many-000000")
    server.stop()
    server, empty_s = timed_start(folder)
    ask(server, ["many-000000"] * ASKED)
    memory_one = edge_memory(server)
    server.stop()
    note("filling …")
    fill(folder / "data")
    server, first_s = timed_start(folder)
    server.stop()
    server, start_s = timed_start(folder)
    times = pages_ms(server)
    begin = time.perf_counter()
    call_api(server, "POST", "/v1/projects/default/functions", {"name": "one-more"})
    create_ms = (time.perf_counter() - begin) * 1e3
    ask(server, [f"many-{i:06d}" for i in random.sample(range(FUNCTIONS), ASKED)])
    memory_many = edge_memory(server)
    server.stop()
    page_ms, page_p99 = statistics.median(times), times[len(times) * 99 // 100]
    more = (memory_many - memory_one) / 2**20
    print(f"{FUNCTIONS:,} functions: a page of 100 {page_ms:.2f} ms (p99 {page_p99:.2f}), one more made in {create_ms:.1f} ms;"
          f" start {start_s:.2f} s ({empty_s:.2f} s with one function, {first_s:.2f} s when the route table is made anew);"
          f" an edge holds {more:.1f} MiB more than with one\n")
    return Part([Goal("100,000 functions: a page of the list, p99", page_p99, "ms", most=20),
                 Goal("100,000 functions: start of `serve` until ready", start_s, "s", most=2),
                 Goal("100,000 functions: memory of an edge beyond one function's", more, "MiB", most=64)],
                {"page_ms": page_ms, "page_p99_ms": page_p99, "create_ms": create_ms, "start_s": start_s, "start_empty_s": empty_s,
                 "start_rebuild_s": first_s, "edge_one_bytes": memory_one, "edge_many_bytes": memory_many})
