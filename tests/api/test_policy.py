"""The policy command without a server, and hosts in every spelling."""

import ipaddress
import json
from urllib.parse import urlsplit

import pytest

from cli import Cli
from spellings import FORBIDDEN4, FORBIDDEN6, NAMES, spellings


@pytest.fixture
def cli(program, tmp_path):
    return Cli(tmp_path)


@pytest.fixture
def policy(tmp_path):
    def write(text, name="policy.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return write


EXAMPLE = """\
allow:
  - https://api.example.com/**
  - regex: '^https://([a-z0-9-]+\\.)?example\\.org/v1/'
disallow:
  - https://api.example.com/admin/**
methods: [GET, POST]
"""


def test_the_rule_that_decides(cli, policy):
    file = policy(EXAMPLE)
    allowed = cli("policy", "test", file, "https://API.example.com/a?b", "https://x.example.org/v1/y", "log://")
    assert allowed.lines == [
        "allowed\thttps://api.example.com/a?b\tallow https://api.example.com/**",
        "allowed\thttps://x.example.org/v1/y\tallow regex ^https://([a-z0-9-]+\\.)?example\\.org/v1/",
        "allowed\tlog://\tneeds no rule",
    ]
    refused = cli("policy", "test", file, "https://api.example.com/a", "https://api.example.com/b/../admin/x",
                  "http://127.1/", "--json", status=4)
    assert refused.json["items"] == [
        {"given": "https://api.example.com/a", "url": "https://api.example.com/a", "allowed": True,
         "rule": "allow https://api.example.com/**"},
        {"given": "https://api.example.com/b/../admin/x", "url": "https://api.example.com/admin/x",
         "allowed": False, "rule": "disallow https://api.example.com/admin/**"},
        {"given": "http://127.1/", "url": "http://127.1/", "allowed": False,
         "rule": "not a URL: the host is a number: an address is written as four decimal numbers (192.0.2.1) "
                 "or as [IPv6]"},
    ]


def test_methods(cli, policy):
    file = policy(EXAMPLE)
    cli("policy", "test", file, "https://api.example.com/", "--method", "POST")
    assert "methods: GET, POST" in cli("policy", "test", file, "https://api.example.com/", "--method", "PUT",
                                       status=4).out


@pytest.mark.parametrize("text, name, message", [
    ("allow:\n  - https://h/\nalow: []\n", "p.yaml", 'p.yaml:3:1: there is no "alow" in a policy, did you mean "allow"?'),
    ("allow:\n  - **\n", "p.yaml", "p.yaml:2:5: a rule that begins with * needs quotes: '**'"),
    ('{"allow": ["https://h/"], "allow": []}', "p.json", 'p.json:1:27: "allow" is here already'),
    ("allow (\n  ^https://[\n)\n", "p.policy", "p.policy:2:3: the regular expression is wrong at its byte"),
    ("allow (\n", "p.policy", 'p.policy:1:7: the ")" that ends this list is missing'),
])
def test_mistakes_name_file_line_and_column(cli, policy, text, name, message):
    file = policy(text, name)
    assert message in cli("policy", "test", file, "https://h/", status=2).err


def test_no_file(cli):
    assert "there is no file" in cli("policy", "test", "nothing.yaml", "https://h/", status=3).err


def test_convert(cli, policy):
    file = policy("""\
## what a page of mine may open
allow (
  ^https://git\\.example/
  random://
)
disallow (
  ^https://git\\.example/admin
  .*
)
ram-page-limit 128
gas-limit 1048576
""", "mine.policy")
    converted = cli("policy", "convert", file)
    assert converted.out == """\
allow:
  - regex: '^https://git\\.example/'
  - regex: random://
disallow:
  - regex: '^https://git\\.example/admin'
memory: 8MiB
gas: 1048576
"""
    assert 'note: mine.policy: line 8: "disallow .*" is left out' in converted.err
    assert json.loads(cli("policy", "convert", file, "--json").out) == {
        "allow": [{"regex": "^https://git\\.example/"}, {"regex": "random://"}],
        "disallow": [{"regex": "^https://git\\.example/admin"}], "gas": 1048576, "memory": 8 << 20}
    # Both say the same about every URL, and what was converted is read as it was printed.
    yaml = policy(converted.out)
    urls = ["https://git.example/x", "https://git.example/admin", "https://gitxexample/", "random://", "kv://x"]
    both = [cli("policy", "test", name, *urls, "--json", status=4).json for name in (file, yaml)]
    assert both[0] == both[1]
    assert cli("policy", "convert", yaml).out == converted.out


def test_no_spelling_hides_an_address(cli, policy):
    """Under a policy that allows everything, each spelling is either refused as no URL or becomes a
    URL whose host everybody reads alike: the address itself, for egress to refuse, or a name."""
    everything = policy("allow: ['**']\n")
    all_of_them = spellings()
    assert len(all_of_them) >= 400
    seen = {"refused": 0, "address": 0, "name": 0}
    for start in range(0, len(all_of_them), 100):
        part = all_of_them[start:start + 100]
        items = cli("policy", "test", everything, *[s.url for s in part], "--json", status=4).json["items"]
        for spelling, item in zip(part, items, strict=True):
            if not item["allowed"]:
                assert item["rule"].startswith("not a URL: "), spelling
                seen["refused"] += 1
                continue
            url = urlsplit(item["url"])
            assert url.username is None and url.fragment == "" and "\\" not in item["url"], spelling
            try:
                address = ipaddress.ip_address(url.hostname)
            except ValueError:
                # A name: then it was one, or its forbidden address stands only where no host is.
                assert url.hostname in {n.lower().rstrip(".") for n in NAMES} | {"allowed.example"}, spelling
                seen["name"] += 1
                continue
            v4 = ipaddress.ip_address(spelling.address)
            assert means(address, v4), (spelling, item)
            seen["address"] += 1
    assert all(seen.values()) and sum(seen.values()) == len(all_of_them), seen
    assert len(FORBIDDEN4) * 3 + len(FORBIDDEN6) * 9 < seen["address"] < seen["refused"]


def means(address, forbidden):
    """Is `address` the forbidden one, or does it carry it?"""
    if address == forbidden:
        return True
    packed = address.packed
    flipped = bytes(b ^ 0xFF for b in packed)
    return address.version == 6 and (forbidden.packed in packed or forbidden.packed in flipped)
