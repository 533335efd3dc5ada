"""What functions can't reach, in an internet where every address answers.

Canaries listen everywhere; none of them may ever hear from a function, however the address is
spelled, hidden behind a name or handed out by a DNS server that changes its mind.
"""

import json
import subprocess

import pytest

import spellings
import world as world_module
from server import Server, binary
from wire import Wire
from world import FORBIDDEN4, FORBIDDEN6, PUBLIC4, PUBLIC6, World, hidden

EVERYTHING = {"allow": [{"regex": "^(https?|gemini)://"}], "on_violation": "error"}
AT_ONCE = 1000  # opens of one run
pytestmark = pytest.mark.skipif(world_module.why_not() is not None, reason=world_module.why_not() or "")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture
def place(world, tmp_path_factory):
    """Starts servers inside: place(egress_addresses=…)."""
    servers = []

    def start(**options):
        with world.inside():
            servers.append(Server(tmp_path_factory.mktemp("inside"), wrap=world.wrap, **options))
        return servers[-1]

    world.canaries.clear()
    yield start
    for server in servers:
        with world.inside():
            server.stop()


class Result:
    def __init__(self, url, line):
        fd, received, last, first = line.split(" ", 3)
        self.url, self.fd, self.bytes, self.last, self.first = url, int(fd), int(received), int(last), first

    def __repr__(self):
        return f"{self.url}: {self.fd} {self.bytes} {self.last} {self.first}"


class Opener:
    """A function that opens what it is told."""

    def __init__(self, world, server, guests, name="opens", **limits):
        self.world, self.server = world, server
        with world.inside():
            self.function = server.deploy(name, guests / "cwa-opens.wasm", policy=EVERYTHING, limits=limits)

    def __call__(self, *urls):
        """A Result for each URL, in runs of as many as one may open; those runs at the same time."""
        runs, found = [], []
        with self.world.inside():
            for i in range(0, len(urls), AT_ONCE):
                part = urls[i:i + AT_ONCE]
                wire = Wire(self.server.address, host=self.function.host, timeout=60)
                wire.request("/", "POST", body="".join(url + "\0" for url in part).encode())
                runs.append((part, wire))
            for part, wire in runs:
                with wire:
                    answer = wire.answer()
                assert answer.status == 200, answer
                lines = answer.body.decode("latin-1").splitlines()
                assert len(lines) == len(part), lines[-1:]
                found += map(Result, part, lines)
        return found


def test_the_canaries_sing_when_they_are_reached(world, place, guests):
    """Otherwise their silence would prove nothing."""
    opens = Opener(world, place(egress_addresses="10.0.0.0/8,fc00::/7"), guests)
    opens("http://10.0.0.1/", "http://a4-10-0-0-2.to.test:8080/", "https://[fc00::1]/", "gemini://10.0.0.3/",
          "http://192.168.0.1/")
    assert {address for address, _ in world.canaries} == {"10.0.0.1", "10.0.0.2", "fc00::1", "10.0.0.3"}
    assert {port for _, port in world.canaries} == {80, 8080, 443, 1965}


def test_no_spelling_of_a_forbidden_address_reaches_it(world, place, guests):
    opens = Opener(world, place(), guests, **{"egress-dns": "500ms"})
    spelled = list(dict.fromkeys(spelling.url for spelling in spellings.spellings()))
    names = [name for address in FORBIDDEN4 + FORBIDDEN6 for name in hidden(address)]
    hosts = [*names, *FORBIDDEN4, *(f"[{v6}]" for v6 in FORBIDDEN6)]
    assert len(spelled) >= 3 * 400
    world.asked.clear()
    found = opens(*spelled, *(f"{scheme}://{host}/" for scheme in spellings.SCHEMES for host in hosts),
                  *(f"http://{PUBLIC4}:{port}/" for port in (25, 465, 587)))
    assert world.canaries == []
    # What was asked for by name was looked up: it is the address that was refused.
    assert all(world.asked[name.rstrip(".").lower()] >= 3 for name in names)
    # Where the name has a public address, too, that may be used.
    assert all("both-" in r.url or "allowed.example" in r.url for r in found if r.bytes), found
    patient = Opener(world, opens.server, guests, "patient")
    good = patient("http://pub.test/", f"http://{PUBLIC4}/", f"http://[{PUBLIC6}]:8080/")
    assert [r.first for r in good] == ["HTTP/1.1 200 OK"] * 3


def test_ten_thousand_opens_of_names_that_change_their_mind(world, place, guests):
    opens = Opener(world, place(), guests)
    world.asked.clear()
    found = opens(*(f"http://rebind-{i % 100}.to.test/" for i in range(10000)))
    assert world.canaries == []
    assert sum(world.asked.values()) >= 10000
    reached = [r for r in found if r.bytes]
    assert {r.first for r in reached} == {"HTTP/1.1 200 OK"}
    assert 4000 <= len(reached) <= 6000, "half of the answers are public"


def test_redirects_are_returned_and_not_followed(world, place, guests):
    opens = Opener(world, place(), guests)
    targets = [f"http://{v4}/" for v4 in FORBIDDEN4] + ["https://[::1]/", "gemini://127.0.0.1/", "//10.0.0.1/"]
    found = opens(*(f"http://pub.test/to?{target}" for target in targets))
    assert {r.first for r in found} == {"HTTP/1.1 302 Found"}
    assert world.canaries == []


def test_a_resolver_that_hangs_or_babbles_is_left_in_time(world, place, guests):
    server = place()
    opens = Opener(world, server, guests, **{"egress-dns": "300ms"})
    names = ["hang", "flood", "loop", "cut", "nobody", "x" * 63]
    found = opens(*(f"http://{name}.to.test/" for name in names))
    assert all(r.bytes == 0 for r in found), found
    [many, good] = Opener(world, server, guests, "patient")("http://many.to.test/", "http://pub.test/")
    assert good.first == "HTTP/1.1 200 OK"
    assert many.bytes == 0 or many.first == "HTTP/1.1 200 OK"
    assert world.canaries == []


def test_a_program_run_here_is_kept_in_as_well(world, guests, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(EVERYTHING))
    urls = ["http://pub.test/", *(f"http://{v4}/" for v4 in FORBIDDEN4), *(f"gemini://[{v6}]/" for v6 in FORBIDDEN6)]
    world.canaries.clear()
    with world.inside():
        done = subprocess.run([*world.wrap, binary(), "run", f"--policy={file}", "--limit=opens=1000",
                               "--limit=egress-rate=0", guests / "cwa-opens.wasm"],
                              input="".join(url + "\0" for url in urls).encode(), capture_output=True, timeout=60,
                              env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    found = list(map(Result, urls, done.stdout.decode("latin-1").partition("\n\n")[2].splitlines()))
    assert found[0].first == "HTTP/1.1 200 OK" and len(found) == len(urls)
    assert not any(r.bytes for r in found[1:]) and world.canaries == []
