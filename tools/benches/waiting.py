"""What guests cost that wait: 64 reads of slow servers at once, one byte a second each."""

import http.client
import subprocess
import threading
import time
import urllib.parse

from benches.common import (CLIENT_CORE, PROGRAMS, Goal, Part, Server, build_programs, deploy_version, fail,
                            family, pinned, role, running_us, start_wasmcloud)

READS, SECONDS = 64, 10

UPSTREAM = """
import asyncio, sys
async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\n")
    try:
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(1)
    except ConnectionError:
        pass
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def start_upstream():
    server = Server(pinned(CLIENT_CORE, ["python3", "-c", UPSTREAM], stdout=subprocess.PIPE, text=True))
    server.url = f"http://127.0.0.1:{int(server.process.stdout.readline())}/"
    return server


def reader(url, first, over):
    """Asks and keeps reading until the measurement is over."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("GET", address.path + "?slow=1")
    answer = connection.getresponse()
    try:
        while not over.is_set() and answer.read1(100):
            first.release()
    except (OSError, http.client.HTTPException):
        pass  # whoever waits for `first` says that nothing came
    connection.close()


def measure(options, folder):
    build_programs()
    upstream = start_upstream()
    # Two edges, for one runs at most 48 programs of a project at once.
    server = start_wasmcloud(folder / "server", "--egress-addresses", "127.0.0.0/8", "--edges", "2")
    try:
        urls = [deploy_version(server, PROGRAMS / "cwa-fetch.wasm", f"slow-{number}", {
            "env": {"UPSTREAM": upstream.url}, "policy": {"allow": [upstream.url + "**"]},
            "limits": {"wall": "300s"}}) for number in range(2)]
        over, firsts, threads = threading.Event(), [], []
        for number in range(READS):
            firsts.append(threading.Semaphore(0))
            threads.append(threading.Thread(target=reader, args=(urls[number % 2], firsts[-1], over), daemon=True))
            threads[-1].start()
        for first in firsts:  # every guest has read something
            if not first.acquire(timeout=60):
                fail("a guest reads nothing")
        before = {pid: running_us(pid) for pid in family(server.process.pid)}
        begin = time.monotonic()
        time.sleep(SECONDS)
        took = time.monotonic() - begin
        used = {}
        for pid, was in before.items():
            name = role(pid) or "master"
            used[name] = used.get(name, 0) + running_us(pid) - was
        over.set()
        for thread in threads:
            thread.join()
    finally:
        server.stop()
        upstream.stop()
    roles = {name: 100 * us / 1e6 / took for name, us in used.items() if name.split()[0] in ("exec", "egress", "edge")}
    total = sum(roles.values())
    print(f"{READS} reads of slow servers for {SECONDS} s: " +
          ", ".join(f"{name} {percent:.2f} %" for name, percent in sorted(roles.items())) + " of a core\n")
    return Part([Goal(f"CPU while {READS} reads of slow servers wait", total, "% of a core", most=2)],
                {"percent": roles})
