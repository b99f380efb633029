"""How long one audited operation with next to no work takes, beside a `docker version` on the same Engine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles

from bench.product import Product, checked

REQUESTS, BEFORE, PER_COMMAND = 300, 20, 5


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Seconds of each request, and of each `docker version`, from one interleaved run."""

    requests: tuple[float, ...]
    commands: tuple[float, ...]


def percentile(seconds: tuple[float, ...], percent: int) -> float:
    """The percentile (1 to 99) of a list of seconds."""
    return quantiles(seconds, n=100, method="inclusive")[percent - 1]


def measure(product: Product) -> RoundTrip:
    """300 requests one after the other, with a `docker version` after every fifth; the first 20 are not counted."""
    host = checked(product.session.get(f"{product.url}/api/hosts"))["results"]
    assert isinstance(host, list)
    address = f"{product.url}/api/hosts/{host[0]['id']}/test"
    requests, commands = [], []
    for number in range(BEFORE + REQUESTS):
        seconds = _seconds(lambda: checked(product.session.post(address)))
        if number >= BEFORE:
            requests.append(seconds)
            if number % PER_COMMAND == 0:
                commands.append(_seconds(lambda: product.docker("version")))
    return RoundTrip(requests=tuple(requests), commands=tuple(commands))


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def command_name() -> str:
    """The public command, with its version."""
    return subprocess.run(["docker", "--version"], check=True, capture_output=True, text=True).stdout.strip()
