"""Streams: what is written arrives before the rest exists, and nothing unread piles up.

Order is proven by what can't happen otherwise: an echo of the first part is read before the second
part is sent; the first line is read while the program that would print the second still waits.
"""

import os
import socket
import threading

import pytest

from server import eventually, resident
from wire import Cut, chunked, head

MIB = 1 << 20


def test_the_first_line_arrives_before_the_second_exists(guest):
    sleeper = guest("cwa-sleep")
    with sleeper.wire() as wire:
        wire.request("/?ms=60000")
        answer = wire.head()
        assert (answer.status, answer.get("transfer-encoding")) == (200, "chunked")
        assert wire.chunk() == b"one\n"  # a minute before the second line
    # Going away ends the run, so the second line never was.
    record = sleeper.run(answer.run)
    assert (record["cause"], record["bytes_out"]) == ("cancelled", len("Content-Type: text/plain\n\none\n"))
    assert record["wall_us"] < 50_000_000


def test_a_pause_between_two_lines(guest):
    with guest("cwa-sleep").wire() as wire:
        wire.request("/?ms=200")
        wire.head()
        assert wire.chunk() == b"one\n"
        assert wire.chunk() == b"two\n"
        assert wire.chunk() == b""
        assert wire.ask("/?ms=1").text == "one\ntwo\n"


def test_server_sent_events(guest):
    with guest("wasi-sse").wire() as wire:
        wire.request()
        answer = wire.head()
        assert answer.get("content-type") == "text/event-stream"
        assert answer.get("cache-control") == "no-store"
        events = []
        while data := wire.chunk():
            events.append(data)
        assert b"".join(events) == b"".join(b"id: %d\ndata: event %d\n\n" % (i, i) for i in (1, 2, 3))
        assert len(events) == 3, "each event travels by itself"


def test_the_body_arrives_as_it_is_sent(guest):
    with guest("cwa-echo").wire() as wire:
        wire.send(head("/", "POST", [("Transfer-Encoding", "chunked")], host=wire.host))
        assert wire.head().status == 200  # printed before a byte of the body was sent
        for part in (b"first", b"second", b"third" * 1000):
            wire.send(b"%x\r\n%s\r\n" % (len(part), part))
            got = b""
            while len(got) < len(part):
                got += wire.chunk()
            assert got == part  # and only now is the next part sent
        wire.send(b"0\r\n\r\n")
        assert wire.chunk() == b""
        assert wire.ask(method="POST", body=b"next").body == b"next"


def test_a_body_of_known_length_arrives_as_it_is_sent(guest):
    with guest("cwa-echo").wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 10)], host=wire.host))
        assert wire.head().status == 200
        assert wire.send(b"hello").chunk() == b"hello"
        assert wire.send(b"world").chunk() == b"world"
        assert wire.chunk() == b""


@pytest.mark.parametrize("name", ["cwa-echo", "wasi-echo"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_ten_megabytes_through_an_echo(guest, name, coding):
    body = bytes(range(256)) * (10 * MIB // 256)
    with guest(name).wire() as wire:
        if coding == "length":
            request = head("/", "POST", body=body, host=wire.host) + body
        else:
            parts = [body[i:i + 100_000] for i in range(0, len(body), 100_000)]
            request = head("/", "POST", [("Transfer-Encoding", "chunked")], host=wire.host) + chunked(*parts)
        sender = threading.Thread(target=wire.send, args=(request,))
        sender.start()
        answer = wire.answer()
        sender.join()
        assert answer.body == body
        record = guest(name).run(answer.run)
        assert (record["cause"], record["bytes_in"]) == ("ok", len(body))


def test_a_client_that_goes_away_ends_the_run(guest):
    sleeper = guest("cwa-sleep")
    with sleeper.wire() as wire:
        wire.request("/?ms=60000")
        run = wire.head().run
        wire.chunk()
        wire.reset()
    assert sleeper.run(run)["cause"] == "cancelled"
    with sleeper.wire() as wire:  # before the head
        wire.request("/?before=60000")
        before = len(sleeper.runs())
        wire.reset()
    assert eventually(lambda: len(sleeper.runs()) > before)
    assert sleeper.runs()[0]["cause"] == "cancelled"


def test_a_client_that_goes_away_while_it_sends(guest):
    echo = guest("cwa-echo")
    with echo.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 1000)], host=echo.host) + b"part")
        run = wire.head().run
        assert wire.chunk() == b"part"
        wire.reset()
    assert echo.run(run)["cause"] == "cancelled"


def test_half_a_body_and_an_end_is_no_whole_body(guest):
    raw = guest("cwa-raw", limits={"wall": "20s"})  # whose runs are all of this test
    with raw.wire() as wire:
        wire.send(head("/", "POST", [("Content-Length", 1000)], host=raw.host) + b"Content-Type: a/b\n\npart")
        wire.socket.shutdown(socket.SHUT_WR)
        with pytest.raises((Cut, EOFError)):  # what arrived may have been answered, but never wholly
            assert wire.answer().status != 200
            wire.answer()
    assert not [run for run in raw.runs() if run["cause"] == "ok"]


def test_endless_output_that_nobody_reads_stays_bounded(serve, guests):
    # Under AddressSanitizer freed memory is kept back; that is not what is measured here.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    server = serve(limits="client-stall=2s", env={"ASAN_OPTIONS": sanitizer})
    flood = server.deploy("flood", guests / "cwa-flood.wasm", limits={"response-body": "0", "cpu": "30s"})
    assert flood.get("/?bytes=1000").status == 200
    pids = server.edges() + server.role("exec")

    def total():
        return sum(resident(pid) for pid in pids)

    before = total()
    wires = [flood.wire() for _ in range(20)]
    for wire in wires:
        wire.request()
    runs = [wire.head().run for wire in wires]  # each has begun; nobody reads on
    highest = 0
    for run in runs:  # until the stall of the client has ended every one of them
        def ended():
            nonlocal highest
            highest = max(highest, total())
            return server.api.get(f"/v1/projects/default/runs/{run}").status_code == 200
        assert eventually(ended)
    assert highest - before < 64 * MIB, f"{(highest - before) / MIB:.1f} MiB"
    for wire in wires:
        wire.close()
    record = flood.run(runs[0])
    assert record["cause"] == "cancelled"
    assert record["bytes_out"] < 16 * MIB, "what nobody read was not produced"
    print(f"20 unread endless outputs: {(highest - before) / MIB:.1f} MiB")


def test_a_slow_reader_gets_everything(guest):
    flood = guest("cwa-flood")
    size = 8 * MIB
    with flood.wire() as wire:
        wire.request(f"/?bytes={size}")
        answer = wire.head()
        got = 0
        while data := wire.chunk():
            got += len(data)
            flood.server.role("exec")  # something that takes its time
        assert (answer.status, got) == (200, size)


def test_a_stream_that_is_cut_never_looks_whole(guest):
    with guest("cwa-trap").wire() as wire:
        wire.request("/?after=1")
        with pytest.raises(Cut):
            wire.answer()
