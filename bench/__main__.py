"""Runs every measurement, prints the table, and writes docs/reference/performance.md."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from bench import backup, clone, many_backups, restores, round_trip, streams, volume_copy
from bench.clone import Clones
from bench.product import PROJECT, Product, running
from bench.round_trip import RoundTrip, percentile
from bench.volume_copy import VolumeCopies

REPORT = PROJECT / "docs" / "reference" / "performance.md"
_HEAD = ("| What | Measured | Reference | Ratio |", "|---|---|---|---|")
_NOTES = """
`make bench` starts what `make run` starts, before a private Docker Engine, in a folder of its own on loopback, and
removes it afterwards. It needs root, the commands `docker`, `zstd` and `age`, and about 15 GB below `/tmp`. Load
generator, product and Engine share the machine, and whatever else runs there is in the figures. This page is written
by it.

- **Round trip**: `POST /api/hosts/<id>/test`, one after the other over one connection: request, ledger intent, row,
  message, worker, one question to the Engine, ledger outcome, answer.
- **Export** and **Volume**: the data path of one file of a backup, from the first request to the Engine until the file
  is durable: tar walk, index, SHA-256, compression, encryption, fsync, and all of it read back from the disk and hashed
  again. The index of a volume has a digest of each file. The reference does none of that but the fsync. A volume comes
  out of a container as what that prints, which takes most of the time, for the public command too.
- **Backup**: `POST /api/docker/containers` for a stopped container. **At once**: eight of them, with eight workers.
- **Restore**: `POST /api/backups/ID/restore`; the stage that brings the content, which is hashed and compared on its
  way, and beside it the two that read all of it before and afterwards.
- **Copy of a volume**: both in a container of the same image, between the same volumes, into a new one each time; the
  start and the removal of the container are in both.
- **Clone**: `POST /api/docker/containers` for a stopped container, and `POST /api/stacks/clone` for five containers
  of a project. The raw calls send back what was inspected. A clone also records, plans, compares every field, and is
  done by a worker. To compare, it has to look at the image and at what was made: two more calls, which alone are more
  than 1.15 of the raw ones.
- **Memory**: the highest resident set (`VmHWM`) of any worker process during one backup. It counts pages that the
  processes share.
"""


def main(chosen: tuple[str, ...]) -> int:
    """Measure, print, and write the page; of some sections alone (their names as arguments) only print."""
    unknown = set(chosen) - {*_SECTIONS, "clones"}
    if unknown:
        print(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join([*_SECTIONS, 'clones'])}")
        return 2
    rows: list[str] = []
    with running() as product:
        facts = _facts(product)
        for name, section in _SECTIONS.items():
            if not chosen or name in chosen:
                rows += _told(name, lambda section=section: section(product))
        if not chosen or "clones" in chosen:
            rows += _told("clones", lambda: _clone_rows(clone.measure(product, setup="the embedded broker")))
    if not chosen or "clones" in chosen:
        with running(redis=True) as product:
            rows += _told("clones with Redis", lambda: _clone_rows(clone.measure(product, setup="Redis")))
    if not chosen:
        load = f"The load was {os.getloadavg()[0]:.1f} at the end."
        # Sections of other measurements stay.
        _, heading, others = REPORT.read_text().partition("\n## ")
        REPORT.write_text("\n".join(["# Performance", "", facts, load, "", *_HEAD, *rows, _NOTES]) + heading + others)
    return 0


def _told(name: str, section: Callable[[], list[str]]) -> list[str]:
    """The rows of one section, which takes minutes, as soon as they are there."""
    print(f"measuring {name} ...", file=sys.stderr)
    rows = section()
    print("\n".join(rows), flush=True)
    return rows


def _facts(product: Product) -> str:
    kernel = platform.release().partition("-")[0]
    parts = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} "
        f"at the start. Linux {kernel}, Python {platform.python_version()}, Docker Engine",
        product.docker("version", "--format", "{{.Server.Version}}") + ",",
        f"{round_trip.command_name()}, Django {version('django')}, Celery {version('celery')},",
        f"gunicorn {version('gunicorn')}; SQLite and the embedded broker.",
    )
    return " ".join(parts)


def _trip_rows(trip: RoundTrip) -> list[str]:
    ratio = percentile(trip.requests, 50) / percentile(trip.commands, 50)
    return [
        f"| Round trip, p50 of {len(trip.requests)} | {_milliseconds(trip.requests, 50)} "
        f"| `docker version`: {_milliseconds(trip.commands, 50)} | {ratio:.2f} |",
        f"| Round trip, p95 | {_milliseconds(trip.requests, 95)} "
        f"| `docker version`: {_milliseconds(trip.commands, 95)} | |",
    ]


def _copy_rows(copied: VolumeCopies) -> list[str]:
    ours, reference = median(copied.ours), median(copied.reference)
    return [
        f"| Copy of a volume, {copied.shape}, median of {len(copied.ours)} | {ours:.2f} s "
        f"| `docker run ... cp -a /source/. /target`: {reference:.2f} s | {ours / reference:.2f} |",
        f"| Its proof | {copied.proof:.2f} s | the copy: {ours:.2f} s | {copied.proof / ours:.2f} |",
    ]


def _clone_rows(cloned: Clones) -> list[str]:
    raw, stack, members = median(cloned.raw), median(cloned.stack), median(cloned.members)
    endpoint, workflow = median(cloned.endpoint), median(cloned.workflow)
    reference = f"inspect and create over the socket: {raw * 1000:.1f} ms"
    return [
        f"| Clone of a configuration with {cloned.setup}, p50 of {len(cloned.raw)} | {endpoint * 1000:.1f} ms "
        f"| {reference} | {endpoint / raw:.2f}, {(endpoint - raw) * 1000:.0f} ms more |",
        f"| The Engine's calls of a clone that is proved, and nothing else | {median(cloned.least) * 1000:.1f} ms "
        f"| {reference} | {median(cloned.least) / raw:.2f} |",
        f"| Of the clone, from a worker's claim to the end | {workflow * 1000:.1f} ms | {reference} "
        f"| {workflow / raw:.2f} |",
        f"| Clone of a project of five with {cloned.setup}, p50 of {len(cloned.stack)} | {stack * 1000:.0f} ms "
        f"| the same calls for each of its containers: {members * 1000:.0f} ms | {stack / members:.2f} |",
    ]


def _milliseconds(seconds: tuple[float, ...], percent: int) -> str:
    return f"{percentile(seconds, percent) * 1000:.1f} ms"


_SECTIONS: dict[str, Callable[[Product], list[str]]] = {
    "trip": lambda product: _trip_rows(round_trip.measure(product)),
    "exports": lambda product: [measured.row() for measured in streams.measure_exports(product)],
    "volumes": lambda product: [measured.row() for measured in streams.measure_volumes(product)],
    "backup": lambda product: backup.measure(product).rows(),
    "many": lambda product: [many_backups.measure(product).row()],
    "restores": lambda product: [row for measured in restores.measure(product) for row in measured.rows()],
    "copies": lambda product: [row for copied in volume_copy.measure(product) for row in _copy_rows(copied)],
}

if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
