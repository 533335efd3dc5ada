"""The memory of other processes, as root may read it: what of some byte strings is in there?"""

import array
import os
import re

PAGE = os.sysconf("SC_PAGESIZE")
RUN = 256  # pages read at once
SHADOW = 1 << 40  # regions from this size on are AddressSanitizer's notes about memory, and hold none of it
LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+\s*(.*)$")


def _regions(pid):
    """(start, end, name) of what a process could keep something in: all it can read that is there."""
    region = None
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if found := LINE.match(line):
                start, end, mode, name = found.groups()
                region = (int(start, 16), int(end, 16), name) if mode[0] == "r" and name not in ("[vvar]", "[vsyscall]") else None
            elif region and line.startswith("Rss:"):
                if int(line.split()[1]) and region[1] - region[0] < SHADOW:
                    yield region
                region = None


def _present(pagemap, start, end):
    """Ranges of pages that are in memory or swapped."""
    at = start
    while at < end:
        count = min((end - at) // PAGE, 1 << 16)
        entries = array.array("Q", os.pread(pagemap, count * 8, at // PAGE * 8))
        first = None
        for i, entry in enumerate([*entries, 0]):
            if entry >> 62 and first is None:
                first = i
            elif first is not None and (not entry >> 62 or i - first == RUN):
                yield at + first * PAGE, at + i * PAGE
                first = i if entry >> 62 else None
        at += count * PAGE


def found_in(pid, strings):
    """How often each of the strings (bytes) is in the memory of a process; None if it has ended."""
    counts = {s: 0 for s in strings}
    keep = max(map(len, strings)) - 1
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
            for start, end, _ in _regions(pid):
                tail, follows = b"", None
                for low, high in _present(pagemap.fileno(), start, end):
                    try:
                        data = os.pread(memory.fileno(), high - low, low)
                    except OSError:
                        continue  # unmapped meanwhile, or a device's
                    whole = (tail if low == follows else b"") + data
                    for s in strings:
                        counts[s] += whole.count(s)
                        # One that ended within the tail was counted before.
                    tail, follows = data[-keep:], high
    except (FileNotFoundError, ProcessLookupError):
        return None
    return counts
