"""An internet of its own: a network namespace in which every address answers.

A route makes all of IPv4 and IPv6 local, so one listener a port hears from every connection to any
address, and the socket's own address says which. A few addresses are the public internet and speak
HTTP; all others, and the ports of mail, are canaries: a connection to one is written down. A DNS server answers
for `.test`, differently each time where a name asks for it:

    pub.test                    the public addresses
    a4-10-0-0-1.to.test         that IPv4 address         a6-HEX.to.test   that IPv6 address
    cname-NAME.to.test          an alias of NAME.to.test  both-NAME.to.test  it and a public one
    rebind-….to.test            public and forbidden in turn, for no time at all
    loop.to.test                an alias of itself
    hang.to.test                nothing
    flood.to.test               thousands of answers to other questions, and none to this one
    cut.to.test                 "ask over TCP", where nothing comes
    many.to.test                as many forbidden addresses as fit, the public one last

`with world.inside():` makes sockets and processes of this thread there.
"""

import asyncio
import collections
import contextlib
import ctypes
import ipaddress
import itertools
import os
import shutil
import socket
import struct
import subprocess
import threading

# One or two of each block that is not the public internet, and the metadata services.
FORBIDDEN4 = ["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.254", "100.64.0.1", "100.100.100.200",
              "100.127.255.254", "127.0.0.1", "127.1.2.3", "127.255.255.254", "168.63.129.16",
              "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.254",
              "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.254",
              "198.18.0.1", "198.19.255.254", "198.51.100.1", "203.0.113.1", "224.0.0.1",
              "239.255.255.250", "240.0.0.1", "255.255.255.255"]
FORBIDDEN6 = ["::", "::1", "::ffff:0:1", "64:ff9b:1::1", "100::1", "2001:2::1", "2001:10::1", "2001:20::1",
              "2001:db8::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
              "fd12:3456:789a::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
              "8000::1", "e000::1", *(f"{carrier}{v4}" for v4 in ("10.0.0.1", "127.0.0.1", "169.254.169.254")
                                      for carrier in ("::ffff:", "::", "64:ff9b::")),
              "2002:a00:1::1", "2001:0:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe"]
CLONE_NEWNET = 0x40000000
PORTS = [21, 22, 25, 80, 443, 465, 587, 1965, 3306, 5432, 6379, 8080, 8443, 9200]
PUBLIC4, PUBLIC6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
NAMESERVER = "192.0.2.53"
NXDOMAIN, NOERROR = 3, 0
A, CNAME, AAAA = 1, 5, 28
libc = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why there can be no world here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "there is no ip (tools/setup test installs iproute2)"
    pid = os.fork()
    if pid == 0:
        os._exit(libc.unshare(CLONE_NEWNET) != 0)
    return "no new network namespaces here" if os.waitpid(pid, 0)[1] else None


def _setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class World:
    def __init__(self, folder):
        self.canaries = []  # (address, port) of each connection that should not have come
        self.served = 0     # requests answered by the public servers
        self.asked = collections.Counter()  # questions for an IPv4 address, of each name
        self.turn = itertools.cycle(FORBIDDEN4[2:20])
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo",
                          "route add local 224.0.0.0/4 dev lo", "-6 route add local ::/0 dev lo"):
                subprocess.run(["ip", *words.split()], check=True)
            self.loop = asyncio.new_event_loop()
            self.loop.run_until_complete(self._listen())
        finally:
            _setns(outside)
            os.close(outside)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.resolv = folder / "resolv.conf"
        self.resolv.write_text(f"nameserver {NAMESERVER}\n")
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
        # Words before a command: it sees this resolver.
        script = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
        self.wrap = ["unshare", "-m", "sh", "-c", script, "sh", str(self.resolv), str(self.hosts)]

    def close(self):
        async def end():
            for server in self.servers:
                server.close()
            self.dns.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        os.close(self.namespace)

    @contextlib.contextmanager
    def inside(self):
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _setns(self.namespace)
        try:
            yield
        finally:
            _setns(before)
            os.close(before)

    async def _listen(self):
        self.servers = []
        for port in PORTS:
            sock = socket.socket(socket.AF_INET6)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::", port))
            sock.listen(1024)
            self.servers.append(await asyncio.start_server(self._visit, sock=sock))
        silent = socket.create_server((NAMESERVER, 53))
        self.servers.append(await asyncio.start_server(self._silence, sock=silent))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((NAMESERVER, 53))
        self.dns, _ = await self.loop.create_datagram_endpoint(lambda: Dns(self), sock=udp)

    async def _silence(self, reader, writer):
        await reader.read()
        writer.close()

    async def _visit(self, reader, writer):
        address, port = writer.get_extra_info("sockname")[:2]
        address = address.removeprefix("::ffff:") if "." in address else address
        try:
            if address not in (PUBLIC4, PUBLIC6) or port in (25, 465, 587):
                self.canaries.append((address, port))
                return
            if port not in (80, 8080):
                return
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.served += 1
                target = head.split(b" ")[1].decode()
                if target.startswith("/to?"):
                    answer = f"HTTP/1.1 302 Found\r\nLocation: {target[4:]}\r\nContent-Length: 0\r\n\r\n"
                else:
                    answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npublic\n"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answers(self, name):
        """The records of a name: (type, text) pairs; None: there is no such name; a word: what to do."""
        label, _, rest = name.lower().partition(".")
        if name.lower() in ("pub.test", "allowed.example"):
            return [(A, PUBLIC4), (AAAA, PUBLIC6)]
        if rest != "to.test":
            return None
        if label in ("hang", "flood", "cut"):
            return label
        if label == "loop":
            return [(CNAME, "loop.to.test")]
        if label == "many":
            return [(A, f"10.{i}.0.1") for i in range(27)] + [(A, PUBLIC4)]
        if label.startswith("rebind"):
            return [(A, PUBLIC4 if self.asked[name.lower()] % 2 else next(self.turn))]
        if label.startswith("cname-"):
            return [(CNAME, f"{label[6:]}.to.test")]
        if label.startswith("both-"):
            found = self.answers(f"{label[5:]}.to.test")
            return found and found + [(A, PUBLIC4), (AAAA, PUBLIC6)]
        if label.startswith("a4-"):
            return [(A, label[3:].replace("-", "."))]
        if label.startswith("a6-"):
            return [(AAAA, str(ipaddress.IPv6Address(bytes.fromhex(label[3:]))))]
        return None


def hidden(address):
    """Names that lead to the address, straight, by an alias, and beside a public one."""
    packed = ipaddress.ip_address(address)
    name = f"a4-{address.replace('.', '-')}" if packed.version == 4 else f"a6-{packed.packed.hex()}"
    found = [f"{name}.to.test", f"{name.upper()}.TO.test.", f"cname-{name}.to.test", f"both-{name}.to.test"]
    if packed.version == 4:
        found.append(f"a6-{ipaddress.IPv6Address(f'::ffff:{address}').packed.hex()}.to.test")
    return found


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


class Dns(asyncio.DatagramProtocol):
    """RFC 1035 4, as far as the test's names need it."""

    def __init__(self, world):
        self.world = world

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, who):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        kind = struct.unpack_from(">H", data, at + 1)[0]
        question = data[12:at + 5]
        self.world.asked[".".join(labels).lower()] += kind == A
        found = self.world.answers(".".join(labels))
        if found == "hang":
            return
        if found == "flood":
            wrong = bytearray(self._answer(data[:2], question, [(A, PUBLIC4)], kind))
            for i in range(3000):
                wrong[0:2] = struct.pack(">H", (struct.unpack(">H", data[:2])[0] + 1 + i) % 65536)
                self.transport.sendto(wrong if i % 2 else os.urandom(40), who)
            return
        if found == "cut":
            self.transport.sendto(data[:2] + b"\x87\x80\0\1\0\0\0\0\0\0" + question, who)
            return
        self.transport.sendto(self._answer(data[:2], question, found, kind), who)

    def _answer(self, query_id, question, found, kind):
        body, count, names = b"", 0, [b"\xc0\x0c"]
        todo = list(found or [])
        while todo:
            type_, text = todo.pop(0)
            if type_ == CNAME:
                data = _name(text)
                body += names[-1] + struct.pack(">HHIH", CNAME, 1, 0, len(data)) + data
                names.append(data)
                count += 1
                if count < 4:
                    todo += self.world.answers(text) or []
            elif type_ == kind:
                family = socket.AF_INET if type_ == A else socket.AF_INET6
                data = socket.inet_pton(family, text)
                body += names[-1] + struct.pack(">HHIH", type_, 1, 0, len(data)) + data
                count += 1
        flags = 0x8580 | (NXDOMAIN if found is None else NOERROR)
        return query_id + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question + body
