"""How long the content of a restore through HTTP takes, beside `docker import` and `docker cp -` of the same files."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.product import IMAGE, Product, checked, stage_seconds
from bench.shapes import FIVE_MEBIBYTES, SMALL_FILES, Shape, mixed

ROUNDS = 3
SHAPES = (mixed(1024), SMALL_FILES, FIVE_MEBIBYTES)
_FOLDER = "/data"


@dataclass(frozen=True, kw_only=True)
class Restores:
    """Seconds of each round: what brings the content, what reads all of it before and after, and the reference."""

    what: str
    reference: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    checks: tuple[float, ...]

    def rows(self) -> list[str]:
        """Of the table."""
        ours, theirs = median(self.ours), median(self.theirs)
        return [
            f"| {self.what}, median of {len(self.ours)} | {ours:.2f} s | `{self.reference}`: {theirs:.2f} s "
            f"| {ours / theirs:.2f} |",
            f"| Every byte checked before, and compared afterwards | {median(self.checks):.2f} s | | |",
        ]


def measure(product: Product, shapes: tuple[Shape, ...] = SHAPES) -> list[Restores]:
    """A file system, then a volume, of each shape; interleaved, after one of each that is not counted."""
    return [measured for shape in shapes for measured in (_file_system(product, shape), _volume(product, shape))]


def _file_system(product: Product, shape: Shape) -> Restores:
    product.docker("run", "--name", "bench-restore", IMAGE, "sh", "-c", shape.command("/fill"))
    backup = _back_up(product, ["rootfs", "config"])
    tar = Path(str(backup["backupPath"]))
    rounds = [(_restore(product, backup, "import the file system"), _import(product, tar)) for _ in range(ROUNDS + 1)]
    product.docker("rm", "bench-restore")
    return _measured(f"File system of {shape.name}", "docker import FILE", rounds)


def _volume(product: Product, shape: Shape) -> Restores:
    fill = ("sh", "-c", shape.command(_FOLDER))
    product.docker("run", "--name", "bench-restore", "-v", f"bench-restore:{_FOLDER}", IMAGE, *fill)
    backup = _back_up(product, ["config", "volumes"])
    (name,) = [part["path"] for part in _parts(product, backup) if part["kind"] == "volume"]
    tar = Path(str(backup["backupPath"])).with_name(name)
    product.docker("rm", "bench-restore")
    product.docker("volume", "rm", "bench-restore")
    rounds = [(_restore(product, backup, "fill volume 1"), _copy(product, tar)) for _ in range(ROUNDS + 1)]
    return _measured(f"Volume of {shape.name}", "docker cp - NAME:FOLDER < FILE", rounds)


def _measured(what: str, reference: str, rounds: list[tuple[tuple[float, float], float]]) -> Restores:
    return Restores(
        what=f"Restore. {what}",
        reference=reference,
        ours=tuple(ours[0] for ours, _ in rounds[1:]),
        checks=tuple(ours[1] for ours, _ in rounds[1:]),
        theirs=tuple(theirs for _, theirs in rounds[1:]),
    )


def _back_up(product: Product, contents: list[str]) -> dict[str, object]:
    body = {"action": "backup", "containerId": "bench-restore", "options": {"contents": contents}}
    return checked(product.session.post(f"{product.url}/api/docker/containers", json=body, timeout=600))


def _parts(product: Product, backup: dict[str, object]) -> list[dict[str, Any]]:
    found = checked(product.session.get(f"{product.url}/api/backups/{backup['backupId']}"))["parts"]
    assert isinstance(found, list)
    return found


def _restore(product: Product, backup: dict[str, object], stage: str) -> tuple[float, float]:
    """Seconds of the stage that brings the content, and of those that check it; what was made is removed."""
    body = {"mode": "new", "name": "bench-restored"}
    address = f"{product.url}/api/backups/{backup['backupId']}/restore"
    result = checked(product.session.post(address, json=body, timeout=600))
    stages = stage_seconds(product, str(result["operationId"]))
    product.docker("rm", "-v", "bench-restored")
    if product.docker("volume", "ls", "-q", "--filter", "name=^bench-restore$"):
        product.docker("volume", "rm", "bench-restore")
    return stages[stage], stages["check the backup"] + stages["check the content"]


def _import(product: Product, tar: Path) -> float:
    begun = time.perf_counter()
    image = product.docker("import", str(tar))
    seconds = time.perf_counter() - begun
    product.docker("rmi", image)
    return seconds


def _copy(product: Product, tar: Path) -> float:
    product.docker("create", "--name", "bench-copied", "-v", _FOLDER, IMAGE)
    begun = time.perf_counter()
    with tar.open("rb") as file:
        command = ["docker", "-H", product.engine_url, "cp", "-", f"bench-copied:{_FOLDER}"]
        subprocess.run(command, check=True, stdin=file, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    product.docker("rm", "-v", "bench-copied")
    return seconds
