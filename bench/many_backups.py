"""Eight backups at once through HTTP, beside eight `docker export NAME > FILE` at once."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.product import IMAGE, Product, checked
from bench.shapes import mixed

AT_ONCE = 8
ROUNDS = 3
MEBIBYTES = 256


@dataclass(frozen=True, kw_only=True)
class ManyBackups:
    """Bytes a second of all together, of each round."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def row(self) -> str:
        """Of the table: here more is better."""
        ours, theirs = median(self.ours) / 2**20, median(self.theirs) / 2**20
        return (
            f"| {AT_ONCE} backups at once of {MEBIBYTES} MiB each, median of {len(self.ours)} | {ours:.0f} MiB/s "
            f"| {AT_ONCE} of `docker export NAME > FILE && sync FILE` at once: {theirs:.0f} MiB/s "
            f"| {ours / theirs:.2f} of its rate |"
        )


def measure(product: Product) -> ManyBackups:
    """Interleaved, after one of each that is not counted."""
    names = [f"bench-many-{number}" for number in range(AT_ONCE)]
    for name in names:
        product.docker("run", "--name", name, IMAGE, "sh", "-c", mixed(MEBIBYTES).command("/fill"))
    rounds = [(_rate(_back_up, product, names), _rate(_export, product, names)) for _ in range(ROUNDS + 1)]
    product.docker("rm", *names)
    return ManyBackups(ours=tuple(ours for ours, _ in rounds[1:]), theirs=tuple(theirs for _, theirs in rounds[1:]))


def _rate(way: object, product: Product, names: list[str]) -> float:
    """Bytes a second from the first request to the last answer."""
    assert callable(way)
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        files = list(pool.map(lambda name: way(product, name), names))
    seconds = time.perf_counter() - begun
    size_bytes = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    return size_bytes / seconds


def _back_up(product: Product, name: str) -> Path:
    body = {"action": "backup", "containerId": name}
    return Path(
        str(checked(product.session.post(f"{product.url}/api/docker/containers", json=body, timeout=600))["backupPath"])
    )


def _export(product: Product, name: str) -> Path:
    target = product.directory / f"{name}.tar"
    with target.open("wb") as file:
        subprocess.run(["docker", "-H", product.engine_url, "export", name], check=True, stdout=file)
    subprocess.run(["sync", str(target)], check=True)
    return target
