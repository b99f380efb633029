"""How long it takes to open a folder of a backup of 100,000 files, and to compare two of them, through HTTP.

`python -m bench.browse` prints it. The first time is that after the index was brought from the storage, the others are
with the index at hand.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from statistics import median

from bench.product import IMAGE, Product, checked, running

FILES, FOLDERS = 100_000, 500
ROUNDS = 20


def main() -> None:
    """Make two backups, ask, print."""
    with running() as product:
        each = FILES // FOLDERS
        fill = (
            f"for d in $(seq {FOLDERS}); do mkdir -p /fill/$d; for f in $(seq {each}); do : > /fill/$d/$f; done; done"
        )
        product.docker("run", "--name", "many", IMAGE, "sh", "-c", fill)
        backups = [_back_up(product) for _ in range(2)]
        for compression in ("none", "zstd"):
            for line in _figures(product, _back_up(product, compression=compression)):
                print(compression, line)
        compare = f"/api/backups/{backups[1]}/compare?with={backups[0]}"
        print(f"compare, both indexes new: {_timed(product, compare):.0f} ms")
        print(f"compare, at hand: {median(_timed(product, compare) for _ in range(5)):.0f} ms")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def _figures(product: Product, backup: str) -> Iterator[str]:
    address = f"/api/backups/{backup}/files?path="
    yield f"first folder: {_timed(product, address + 'fill'):.0f} ms"
    times = [_timed(product, f"{address}fill/{number}") for number in range(1, ROUNDS + 1)]
    yield f"another folder, median of {ROUNDS}: {median(times):.0f} ms, worst {max(times):.0f} ms"
    cache = product.directory / "data" / "indexes"
    yield f"index: {max(path.stat().st_size for path in cache.iterdir()) / 2**20:.1f} MiB"
    shutil.rmtree(cache)
    yield f"first folder again: {_timed(product, address + 'fill'):.0f} ms"


def _back_up(product: Product, *, compression: str = "none") -> str:
    body = {"action": "backup", "containerId": "many", "options": {"compression": compression}}
    answer = product.session.post(f"{product.url}/api/docker/containers", json=body, timeout=300)
    return str(checked(answer)["backupId"])


def _timed(product: Product, address: str) -> float:
    """Milliseconds from the request to the last byte of its answer."""
    started = time.perf_counter()
    checked(product.session.get(product.url + address, timeout=60))
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
