"""How long a backup through HTTP takes, beside `docker export NAME > file`, and what memory the worker needs for it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.product import IMAGE, Product, checked

ROUNDS = 3
_FILE_MEBIBYTES = 16
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Round:
    """Seconds of one export, of the same export with `sync FILE` after it, and of one backup with two of its stages."""

    export: float
    durable_export: float
    backup: BackupTime


@dataclass(frozen=True, kw_only=True)
class BackupTime:
    """Seconds from request to answer; of these, for the stream, and for fsync, reading back and the names."""

    whole: float
    stream: float
    check: float


@dataclass(frozen=True, kw_only=True)
class Backups:
    """The rounds with 1 GiB, and the highest resident set of a worker process, in bytes, by size in GiB."""

    rounds: tuple[Round, ...]
    peak_bytes: dict[int, int]


def measure(product: Product) -> Backups:
    """Three interleaved rounds with 1 GiB; then the peak of one backup of 1 GiB and one of 3 GiB."""
    for gibibytes in (1, 3):
        _make_source(product, gibibytes)
    _back_up(product, 1)
    rounds = tuple(_round(product) for _ in range(ROUNDS))
    return Backups(rounds=rounds, peak_bytes={gibibytes: _peak(product, gibibytes) for gibibytes in (1, 3)})


def _name(gibibytes: int) -> str:
    return f"bench-{gibibytes}"


def _make_source(product: Product, gibibytes: int) -> None:
    """A stopped container with random files of 16 MiB."""
    count = gibibytes * 1024 // _FILE_MEBIBYTES
    fill = (
        f"mkdir /fill; for i in $(seq {count}); do dd if=/dev/urandom of=/fill/$i bs=1M count={_FILE_MEBIBYTES}; done"
    )
    product.docker("run", "--name", _name(gibibytes), IMAGE, "sh", "-c", fill + " 2>/dev/null")


def _round(product: Product) -> Round:
    export, durable_export = _export(product, 1)
    return Round(export=export, durable_export=durable_export, backup=_back_up(product, 1))


def _export(product: Product, gibibytes: int) -> tuple[float, float]:
    target = product.directory / "export.tar"
    begun = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run(["docker", "-H", product.engine_url, "export", _name(gibibytes)], check=True, stdout=file)
    written = time.perf_counter()
    subprocess.run(["sync", str(target)], check=True)
    durable = time.perf_counter()
    target.unlink()
    return written - begun, durable - begun


def _back_up(product: Product, gibibytes: int) -> BackupTime:
    begun = time.perf_counter()
    answer = product.session.post(
        f"{product.url}/api/docker/containers", json={"action": "backup", "containerId": _name(gibibytes)}, timeout=600
    )
    seconds = time.perf_counter() - begun
    result = checked(answer)
    for file in _files(result):
        file.unlink()
    os.sync()
    stream, check = _stages(product, str(result["operationId"]))
    return BackupTime(whole=seconds, stream=stream, check=check)


def _stages(product: Product, operation_id: str) -> tuple[float, float]:
    """Seconds of the last two stages: the stream, then what makes it durable and gives it its name."""
    stages = checked(product.session.get(f"{product.url}/api/operations/{operation_id}"))["stages"]
    assert isinstance(stages, list)
    begun, ended = (
        [datetime.fromisoformat(stage[moment]) for stage in stages[-2:]] for moment in ("startedAt", "finishedAt")
    )
    return (ended[0] - begun[0]).total_seconds(), (ended[1] - begun[1]).total_seconds()


def _files(result: dict[str, object]) -> Iterator[Path]:
    path = str(result["backupPath"])
    yield Path(path)
    yield Path(path + ".manifest.json")


def _peak(product: Product, gibibytes: int) -> int:
    """The highest peak among the worker's processes during one backup, counted from zero."""
    processes = product.worker_processes()
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    _back_up(product, gibibytes)
    return max(_peak_of(process) for process in processes)


def _peak_of(process: int) -> int:
    found = _PEAK.search(Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024
