"""How long a backup through HTTP takes, beside `docker export NAME > file`, and what memory the worker needs for it."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyrage

from bench.product import IMAGE, Product, checked
from bench.shapes import mixed

ROUNDS = 3
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_WAYS: dict[str, dict[str, object]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd"},
    "zstd, encrypted": {
        "compression": "zstd",
        "encryption": {"recipients": [str(pyrage.x25519.Identity.generate().to_public())]},
    },
}


@dataclass(frozen=True, kw_only=True)
class Backups:
    """Seconds of each round with 1 GiB, and the highest resident set of a worker process, in bytes, by way."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    peak_bytes: dict[str, int]

    def rows(self) -> list[str]:
        """Of the table."""
        ours, theirs = median(self.ours), median(self.theirs)
        return [
            f"| Backup of 1 GiB through HTTP, median of {len(self.ours)} | {ours:.2f} s "
            f"| `docker export NAME > FILE && sync FILE`: {theirs:.2f} s | {ours / theirs:.2f} |",
            *(
                f"| Peak memory of a worker process, 3 GiB, {way} | {peak / 2**20:.0f} MiB | | |"
                for way, peak in self.peak_bytes.items()
            ),
        ]


def measure(product: Product) -> Backups:
    """Interleaved rounds with 1 GiB, after one of each that is not counted; then the peak of 3 GiB in every way."""
    for gibibytes in (1, 3):
        command = mixed(gibibytes * 1024).command("/fill")
        product.docker("run", "--name", _name(gibibytes), IMAGE, "sh", "-c", command)
    rounds = [(_back_up(product, 1), _export(product, 1)) for _ in range(ROUNDS + 1)]
    peaks = {way: _peak(product, options) for way, options in _WAYS.items()}
    product.docker("rm", _name(1), _name(3))
    return Backups(
        ours=tuple(ours for ours, _ in rounds[1:]), theirs=tuple(theirs for _, theirs in rounds[1:]), peak_bytes=peaks
    )


def _name(gibibytes: int) -> str:
    return f"bench-{gibibytes}"


def _export(product: Product, gibibytes: int) -> float:
    target = product.directory / "export.tar"
    begun = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run(["docker", "-H", product.engine_url, "export", _name(gibibytes)], check=True, stdout=file)
    subprocess.run(["sync", str(target)], check=True)
    seconds = time.perf_counter() - begun
    target.unlink()
    return seconds


def _back_up(product: Product, gibibytes: int, options: dict[str, object] | None = None) -> float:
    body = {"action": "backup", "containerId": _name(gibibytes), "options": options or {}}
    begun = time.perf_counter()
    answer = product.session.post(f"{product.url}/api/docker/containers", json=body, timeout=600)
    seconds = time.perf_counter() - begun
    Path(str(checked(answer)["backupPath"])).unlink()
    return seconds


def _peak(product: Product, options: dict[str, object]) -> int:
    """The highest peak among the worker's processes during one backup, counted from zero."""
    processes = product.worker_processes()
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    _back_up(product, 3, options)
    return max(_peak_of(process) for process in processes)


def _peak_of(process: int) -> int:
    found = _PEAK.search(Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024
