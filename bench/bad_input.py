"""Sends small hostile requests to a running server: it must answer each quickly, and grow by nothing.

`python -m bench.bad_input --url http://127.0.0.1:8000 --key KEY --pid PID [--pid PID]`, on this machine only, with the
process id of each web process (not of their parent). A warm-up, then rounds of 10,000 requests. Exits 1 when an answer
is missing or is a server error that is not documented.

Times include the wait for a processor, which other programs have too; the processor time of the web processes does
not. Memory is flat when VmRSS is the same after each round.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

ADDRESS = "/api/docker/containers"
REQUESTS, WARM_UP = 10_000, 10_000
ROUNDS, THREADS = 4, 8
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Of the documented server errors, the only one that a request which starts nothing can get.
DEPENDENCY_DOWN = 503
JSON = {"Content-Type": "application/json"}
BACKUP = b'{"action":"backup","containerId":"web"}'


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One class of bad input."""

    body: bytes = BACKUP
    method: str = "POST"
    address: str = ADDRESS
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    signed_in: bool = True


def _options(text: str) -> bytes:
    return b'{"action":"backup","containerId":"web","options":%s}' % text.encode()


BODIES = (
    b"",
    b"[" * 4_000,
    b'{"a":' * 2_000,
    b'{"' + b'\\"' * 4_000,
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":' + b"9" * 5_000 + b"}",
    b'{"a":1,"a":2}',
    b'{"a":"\\u0000"}',
    b'{"\\ud800":1}',
    b"\xef\xbb\xbf{}",
    '{"a":1}'.encode("utf-16"),
    b"\xff\xfe",
    b"[]",
    b'{"action":"restore","containerId":"web"}',
    b'{"action":"clone"}',
    b'{"action":"clone","containerId":5}',
    b'{"action":"clone","containerId":"../volumes/victim"}',
    b'{"action":"clone","containerId":"web","hostConfig":{"Privileged":true}}',
    b'{"action":"clone","containerId":"web\\r\\nX: y"}',
    _options('{"Name":"x"}'),
    _options('{"path":"../../etc/cron.d"}'),
    _options('{"path":"/etc"}'),
    _options('{"name":"-rf"}'),
    _options('{"name":"%s"}' % ("x" * 300)),
)
OTHERS = (
    Bad(headers={"Content-Type": "text/plain"}),
    Bad(headers={**JSON, "Content-Encoding": "gzip"}),
    Bad(headers={**JSON, "Idempotency-Key": "x" * 300}),
    Bad(signed_in=False),
    Bad(headers={**JSON, "Authorization": "Bearer myco_00000000_nobody-ever-had-this-one"}, signed_in=False),
    Bad(method="DELETE"),
    Bad(method="GET", body=b"", address=f"{ADDRESS}?limit=0"),
    Bad(method="GET", body=b"", address=f"{ADDRESS}?cursor=cD1hYmM="),
    Bad(method="GET", body=b"", address="/api/operations?state__startswith=q"),
    Bad(method="GET", body=b"", address="/api/hosts/" + "9" * 500),
)
CLASSES = (*(Bad(body=body) for body in BODIES), *OTHERS)


@dataclass
class Seen:
    """What came back: counts by status (0: no answer), and milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: int, milliseconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self.statuses[status] += 1
            self.milliseconds.append(milliseconds)

    def quantile(self, share: float) -> float:
        """The time that this share of the answers took at most."""
        return sorted(self.milliseconds)[min(len(self.milliseconds) - 1, int(len(self.milliseconds) * share))]

    def failures(self) -> dict[int, int]:
        """The statuses that no bad input may get."""
        return {
            status: count
            for status, count in self.statuses.items()
            if status == 0 or (status >= 500 and status != DEPENDENCY_DOWN)
        }


def send(connection: http.client.HTTPConnection, bad: Bad, key: str) -> int:
    """The status of one request; 0 without an answer, and then the next one takes a new connection."""
    headers = {**bad.headers, **({"Authorization": f"Bearer {key}"} if bad.signed_in else {})}
    try:
        connection.request(bad.method, bad.address, body=bad.body, headers=headers)
        response = connection.getresponse()
        response.read()
    except (http.client.HTTPException, OSError):
        connection.close()
        return 0
    return response.status


def one_thread(url: SplitResult, key: str, requests: Iterator[Bad], seen: Seen) -> None:
    """Send all of them over one connection that is kept."""
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=30)
    for bad in requests:
        begun = time.perf_counter()
        status = send(connection, bad, key)
        seen.add(status, (time.perf_counter() - begun) * 1000)
    connection.close()


def resident_kilobytes(pid: int) -> int:
    """VmRSS of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


def processor_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / TICKS_PER_SECOND


def loopback(text: str) -> SplitResult:
    """The address of a server on this machine. Raises ArgumentTypeError for another one."""
    url = urlsplit(text)
    try:
        found = socket.getaddrinfo(url.hostname or "", url.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} is not known here") from error
    if url.scheme != "http" or not all(ipaddress.ip_address(one[4][0]).is_loopback for one in found):
        raise argparse.ArgumentTypeError("only http:// to this machine itself")
    return url


def measure(url: SplitResult, key: str, seen: Seen, requests: int, threads_count: int) -> float:
    """Send that many requests from that many threads; returns the seconds it took."""
    begun = time.monotonic()
    share = requests // threads_count
    threads = [
        threading.Thread(target=one_thread, args=(url, key, islice(cycle(CLASSES), first, first + share), seen))
        for first in range(threads_count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - begun


def one_round(given: argparse.Namespace, number: int) -> Seen:
    """Measure once, and print a line."""
    seen = Seen()
    before = sum(processor_seconds(pid) for pid in given.pid)
    seconds = measure(given.url, given.key, seen, REQUESTS, given.threads)
    used = sum(processor_seconds(pid) for pid in given.pid) - before
    times = "  ".join(f"p{share} {seen.quantile(share / 100):.1f} ms" for share in (50, 95, 99))
    memory = "  ".join(f"{pid}: {resident_kilobytes(pid)} kB" for pid in given.pid)
    print(
        f"round {number}  {REQUESTS / seconds:.0f}/s  {times}  processor {used / REQUESTS * 1000:.2f} ms a request  "
        f"VmRSS {memory or 'not asked'}"
    )
    return seen


def main() -> int:
    """Warm up, measure, print; 1 for a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", type=loopback, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--pid", type=int, action="append", default=[], help="a web process, to see what it uses")
    parser.add_argument("--threads", type=int, default=THREADS, help="requests at the same time (%(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of 10,000 requests each (%(default)s)")
    given = parser.parse_args()
    measure(given.url, given.key, Seen(), WARM_UP, given.threads)
    rounds = [one_round(given, number) for number in range(1, given.rounds + 1)]
    statuses = sum((seen.statuses for seen in rounds), Counter[int]())
    print("  ".join(f"{status or 'no answer'}: {count}" for status, count in sorted(statuses.items())))
    return 1 if any(seen.failures() for seen in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
