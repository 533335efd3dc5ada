"""Spellings of hosts that no guest may reach, for tests of URLs and of egress.

Each is a URL that some reader of URLs takes for a forbidden address: numbers in every base and
length, IPv6 with IPv4 in it, names, userinfo, fragments, backslashes, escapes, look-alikes.
`spellings()` gives them all; nothing that is opened by one of them may reach `address`.
"""

import ipaddress
from typing import NamedTuple

SCHEMES = ("http", "https", "gemini")

# One of each kind that egress refuses, whatever a policy says.
FORBIDDEN4 = {
    "loopback": "127.0.0.1",
    "loopback, not the first": "127.8.9.10",
    "this host": "0.0.0.0",
    "private 10/8": "10.0.0.1",
    "private 172.16/12": "172.16.254.1",
    "private 192.168/16": "192.168.1.1",
    "shared": "100.64.0.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "multicast": "224.0.0.251",
    "documentation": "203.0.113.7",
    "benchmark": "198.18.0.1",
    "broadcast": "255.255.255.255",
}
FORBIDDEN6 = {
    "loopback": "::1",
    "unspecified": "::",
    "link-local": "fe80::1",
    "unique-local": "fc00::1",
    "metadata": "fd00:ec2::254",
    "multicast": "ff02::1",
    "documentation": "2001:db8::1",
}
NAMES = ("localhost", "LOCALHOST", "localhost.", "LocalHost.", "metadata.google.internal")


class Spelling(NamedTuple):
    url: str
    address: str  # what it means; a name for those of NAMES
    kind: str


def numbers(address: str):
    """The spellings of inet_aton(3) and WHATWG's parser, with their kinds."""
    a, b, c, d = (int(x) for x in address.split("."))
    whole = int(ipaddress.IPv4Address(address))
    yield "dotted", address
    yield "last dot", address + "."
    yield "decimal", f"{whole}"
    yield "decimal, last dot", f"{whole}."
    yield "decimal, over", f"{whole + 2**32}"
    yield "hex", f"0x{whole:x}"
    yield "hex, capitals", f"0X{whole:08X}"
    yield "hex, zeros", f"0x{whole:016x}"
    yield "octal", f"0{whole:o}"
    yield "octal, zeros", f"000000{whole:o}"
    yield "two parts", f"{a}.{whole & 0xFFFFFF}"
    yield "three parts", f"{a}.{b}.{whole & 0xFFFF}"
    yield "two parts, hex", f"0x{a:x}.0x{whole & 0xFFFFFF:x}"
    yield "parts in hex", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"
    yield "parts in octal", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield "parts with zeros", f"{a:03d}.{b:03d}.{c:03d}.{d:03d}"
    yield "mixed", f"0x{a:x}.{b}.0{c:o}.{d}"
    yield "last in hex", f"{a}.{b}.{c}.0x{d:x}"
    yield "five parts", f"{address}.0x"
    yield "over 255", f"{a + 256}.{b}.{c}.{d}"
    yield "escaped", "".join(f"%{ord(ch):02x}" for ch in address)
    yield "escaped dots", address.replace(".", "%2e")
    yield "escaped twice", address.replace(".", "%252e")
    yield "full width", "".join(chr(ord(ch) + 0xFEE0) for ch in address)
    yield "ideographic dots", address.replace(".", "\u3002")
    yield "circled", "".join(chr(0x2460 + int(ch) - 1) if ch in "123456789" else ch for ch in address)
    yield "soft hyphen", address[0] + "\u00ad" + address[1:]
    yield "NUL behind", address + "%00.example.com"
    yield "tab inside", address[:2] + "\t" + address[2:]
    yield "newline inside", address[:2] + "\n" + address[2:]
    yield "space behind", address + " "
    yield "in brackets", f"[{address}]"


def embedded(address: str):
    """IPv6 addresses that carry this IPv4 address."""
    v4 = ipaddress.IPv4Address(address)
    high, low = int(v4) >> 16, int(v4) & 0xFFFF
    flipped = int(v4) ^ 0xFFFFFFFF
    yield "mapped", f"[::ffff:{address}]"
    yield "mapped, hex", f"[::ffff:{high:x}:{low:x}]"
    yield "mapped, long", f"[0:0:0:0:0:FFFF:{high:04X}:{low:04X}]"
    yield "compatible", f"[::{address}]"
    yield "translated", f"[::ffff:0:{address}]"
    yield "NAT64", f"[64:ff9b::{high:x}:{low:x}]"
    yield "NAT64, dotted", f"[64:ff9b::{address}]"
    yield "NAT64, local", f"[64:ff9b:1::{high:x}:{low:x}]"
    yield "6to4", f"[2002:{high:x}:{low:x}::1]"
    yield "Teredo", f"[2001:0:4136:e378:8000:63bf:{flipped >> 16:x}:{flipped & 0xFFFF:x}]"


def tricks(host: str):
    """URLs whose host a careless reader gets wrong, one way or the other."""
    yield "userinfo", f"//allowed.example@{host}/"
    yield "userinfo with password", f"//allowed.example:443@{host}/"
    yield "userinfo, empty", f"//@{host}/"
    yield "two at signs", f"//a@allowed.example@{host}/"
    yield "at sign behind a fragment", f"//{host}#@allowed.example/"
    yield "at sign behind a query", f"//{host}?@allowed.example/"
    yield "at sign behind a backslash", f"//{host}\\@allowed.example/"
    yield "backslash before", f"//allowed.example\\@{host}/"
    yield "fragment before", f"//allowed.example#@{host}/"
    yield "backslashes", f"\\\\{host}/"
    yield "one slash", f"/{host}/"
    yield "no slash", f"{host}/"
    yield "three slashes", f"///{host}/"
    yield "line break", f"//allowed.example\r\nHost: {host}/"
    yield "two ports", f"//{host}:80:443/"
    yield "port with zeros", f"//{host}:00080/"
    yield "port over", f"//{host}:65616/"
    yield "empty port", f"//{host}:/"
    yield "comma", f"//allowed.example,{host}/"
    yield "semicolon", f"//{host};.allowed.example/"


def spellings(schemes=SCHEMES, port: int | None = None) -> list[Spelling]:
    """All of them; with `port` where that changes nothing about the spelling."""
    behind = f":{port}" if port else ""
    found = []
    for scheme in schemes:
        for what, address in FORBIDDEN4.items():
            for how, host in [*numbers(address), *embedded(address)]:
                found.append(Spelling(f"{scheme}://{host}{behind}/", address, f"{what}, {how}"))
        for what, address in FORBIDDEN6.items():
            full = ipaddress.IPv6Address(address).exploded
            for how, host in (("short", address), ("long", full), ("capitals", full.upper()),
                              ("zone", f"{address}%25eth0"), ("zone, raw", f"{address}%1")):
                found.append(Spelling(f"{scheme}://[{host}]{behind}/", address, f"{what}, {how}"))
        for how, rest in tricks("127.0.0.1"):
            found.append(Spelling(f"{scheme}:{rest}", "127.0.0.1", how))
        for name in NAMES:
            found.append(Spelling(f"{scheme}://{name}{behind}/", name, "name"))
        found.append(Spelling(f"{scheme.upper()}://127.0.0.1{behind}/", "127.0.0.1", "scheme in capitals"))
    return found
