"""Runs every measurement, prints the table, and writes docs/reference/performance.md."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from bench import backup, clone, encoded_backup, round_trip, volume_copy
from bench.backup import Backups
from bench.clone import Clones
from bench.encoded_backup import EncodedBackups
from bench.product import PROJECT, Product, running
from bench.round_trip import RoundTrip, percentile
from bench.volume_copy import VolumeCopies

REPORT = PROJECT / "docs" / "reference" / "performance.md"
_NOTES = """
`make bench` starts what `make run` starts, before a private Docker Engine, in a folder of its own on loopback, and
removes it afterwards. It needs root, the commands `docker`, `zstd` and `age`, and about 15 GB below `/tmp`. Load
generator, product and Engine share the machine, and whatever else runs there is in the figures. This page is written
by it.

- **Round trip**: `POST /api/hosts/<id>/test`, one after the other over one connection: request, ledger intent, row,
  message, worker, one question to the Engine, ledger outcome, answer.
- **Backup**: `POST /api/docker/containers` for a stopped container with 1 GiB of random files. `docker export` only
  copies. A backup also walks the tar, hashes it, makes it durable and reads it back before it has its name.
- **Stream**: export, tar walk, both hashes, compression, encryption and writing, without fsync and reading back, as
  in the pipe beside it: `zstd -T0`, `age -r KEY`, `gzip`. Half of the content is noise, half of it lines of numbers.
- **Copy of a volume**: both in a container of the same image, between the same volumes, into a new one each time; the
  start and the removal of the container are in both.
- **Clone**: `POST /api/docker/containers` for a stopped container, and `POST /api/stacks/clone` for five containers
  of a project. The raw calls send back what was inspected. A clone also records, plans, compares every field, and is
  done by a worker. To compare, it has to look at the image and at what was made: two more calls, which alone are more
  than 1.15 of the raw ones.
- **Memory**: the highest resident set (`VmHWM`) of any worker process during one backup. It counts pages that the
  processes share.
"""


def main() -> int:
    """Measure, print, write."""
    with running() as product:
        facts = _facts(product)
        print("measuring the round trip ...", file=sys.stderr)
        trip = round_trip.measure(product)
        print("measuring backups ...", file=sys.stderr)
        backups = backup.measure(product)
        print("measuring compressed and encrypted streams ...", file=sys.stderr)
        encoded = encoded_backup.measure(product)
        print("measuring copies of volumes ...", file=sys.stderr)
        copies = volume_copy.measure(product)
        print("measuring clones ...", file=sys.stderr)
        clones = [clone.measure(product, setup="the embedded broker")]
    with running(redis=True) as product:
        clones.append(clone.measure(product, setup="Redis"))
    load = f"The load was {os.getloadavg()[0]:.1f} at the end."
    text = "\n".join(["# Performance", "", facts, load, "", *_table(trip, backups, encoded, copies, clones), _NOTES])
    REPORT.write_text(text)
    print(text)
    return 0


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


def _table(
    trip: RoundTrip,
    backups: Backups,
    encoded: tuple[EncodedBackups, ...],
    copies: tuple[VolumeCopies, ...],
    clones: list[Clones],
) -> list[str]:
    exports = median(found.export for found in backups.rounds)
    durable = median(found.durable_export for found in backups.rounds)
    ours = median(found.backup.whole for found in backups.rounds)
    stream = median(found.backup.stream for found in backups.rounds)
    check = median(found.backup.check for found in backups.rounds)
    ratio = percentile(trip.requests, 50) / percentile(trip.commands, 50)
    return [
        "| What | Measured | Reference | Ratio |",
        "|---|---|---|---|",
        f"| Round trip, p50 of {len(trip.requests)} | {_milliseconds(trip.requests, 50)} "
        f"| `docker version`: {_milliseconds(trip.commands, 50)} | {ratio:.2f} |",
        f"| Round trip, p95 | {_milliseconds(trip.requests, 95)} "
        f"| `docker version`: {_milliseconds(trip.commands, 95)} | |",
        f"| Backup of 1 GiB, median of {len(backups.rounds)} | {ours:.2f} s "
        f"| `docker export NAME > file`: {exports:.2f} s | {ours / exports:.2f} |",
        f"| The same | {ours:.2f} s | with `sync file` after it: {durable:.2f} s | {ours / durable:.2f} |",
        f"| Of it, the stream: tar walk, SHA-256, write | {stream:.2f} s | the export: {exports:.2f} s "
        f"| {stream / exports:.2f} |",
        f"| Of it, fsync, reading back, names | {check:.2f} s | | |",
        *(
            f"| Peak memory of a worker process, {size} GiB | {peak / 2**20:.0f} MiB | | |"
            for size, peak in backups.peak_bytes.items()
        ),
        *map(encoded_row, encoded),
        *(row for copied in copies for row in _copy_rows(copied)),
        *(row for cloned in clones for row in _clone_rows(cloned)),
        "",
        "Single rounds, in seconds (export, with sync, backup): "
        + "; ".join(f"{one.export:.2f}, {one.durable_export:.2f}, {one.backup.whole:.2f}" for one in backups.rounds)
        + ".",
    ]


def encoded_row(found: EncodedBackups) -> str:
    """The row of one way to store a stream."""
    ours, theirs = median(found.ours), median(found.theirs)
    return (
        f"| Stream of {found.mebibytes} MiB to {found.our_bytes / 2**20:.0f} MiB, median of {len(found.ours)} "
        f"| {ours:.2f} s | `{found.reference} > file`, {found.their_bytes / 2**20:.0f} MiB: {theirs:.2f} s "
        f"| {ours / theirs:.2f} |"
    )


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


if __name__ == "__main__":
    sys.exit(main())
