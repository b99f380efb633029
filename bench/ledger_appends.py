"""How fast the ledger takes entries: `python -m bench.ledger_appends [--postgres] [--writers 1,8,16] [--seconds 8]`.

Each writer is a process that records intents and their outcomes, of about 900 bytes, as the product does: durably, one
after the other. The reference stores the same bytes by a public command (`pgbench`, `sqlite3`) as plain INSERTs, one
transaction each, with as many clients, right after. The ledger is checked whole at the end. It is made below the
folder of `--below` (a disk: in memory nothing is durable), and removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ledger import about, database
from bench.round_trip import percentile

DURABLE = "-c fsync=on -c synchronous_commit=on -c full_page_writes=on"
SQLITE_BATCH = 200
_INSERT = "INSERT INTO plain (payload) VALUES ('%s');"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the writers of one run did together; `seconds` for each entry."""

    rate: float
    seconds: tuple[float, ...]


def main() -> None:
    """Measure, and print a line for each number of writers."""
    parser = argparse.ArgumentParser(description="Measure how fast the ledger takes entries.")
    parser.add_argument("--postgres", action="store_true", help="in a private server, not in SQLite")
    parser.add_argument("--writers", default="1,8,16")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--below", default=".")
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.seconds)
        return
    os.environ["PG_OPTIONS"] = DURABLE
    with (
        tempfile.TemporaryDirectory(prefix="myco-appends-", dir=options.below) as name,
        database(Path(name), options.postgres),
    ):
        os.environ.update(MYCO_DATA_DIR=name, DJANGO_SETTINGS_MODULE="mycodocker.settings")
        _prepare()
        for writers in map(int, options.writers.split(",")):
            _measure(Path(name), writers, options.seconds)
        _check()


def write(seconds: float) -> None:
    """Be one writer: say that it is ready, wait for a line, and print when it ended and how long each entry took."""
    import django

    django.setup()
    _record(uuid.uuid4())
    print("ready", flush=True)
    sys.stdin.readline()
    taken, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        taken += _record(uuid.uuid4())
    print(time.perf_counter(), *taken, flush=True)


def _record(operation: uuid.UUID) -> tuple[float, float]:
    from containers_app.audit import ledger

    shared = about(0)
    begun = time.perf_counter()
    ledger.intent(operation_id=str(operation), params={"name": "x" * 200}, **shared)
    middle = time.perf_counter()
    more: dict[str, Any] = {"outcome": "success", "duration_ms": 1234, "details": {"sha256": "b" * 64}}
    ledger.outcome(operation_id=str(operation), **shared, **more)
    return middle - begun, time.perf_counter() - middle


def _prepare() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", database="audit", verbosity=0)


def _measure(folder: Path, writers: int, seconds: float) -> None:
    from django.db import connections

    from containers_app.audit.models import Entry

    ours = _run_writers(writers, seconds)
    payload = Entry.objects.using("audit").values_list("payload", flat=True).order_by("-id")[0]
    is_postgres = connections["audit"].vendor == "postgresql"
    name = "pgbench" if is_postgres else "sqlite3"
    plain = _pgbench(folder, payload, writers, seconds) if is_postgres else _sqlite3(folder, payload, writers, seconds)
    median, slow = (percentile(ours.seconds, percent) * 1000 for percent in (50, 99))
    print(
        f"{writers} writers: {ours.rate:,.0f} entries/s, p50 {median:.1f} ms, p99 {slow:.1f} ms;"
        f" {name}, plain INSERT of the same {len(payload.encode())} bytes: {plain:,.0f}/s;"
        f" ratio {ours.rate / plain:.2f}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _run_writers(writers: int, seconds: float) -> Written:
    command = [sys.executable, "-m", "bench.ledger_appends", "--write", f"--seconds={seconds}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crowd = [subprocess.Popen(command, **pipes) for _ in range(writers)]  # type: ignore[call-overload]
    for writer in crowd:
        assert writer.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for writer in crowd:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    with ThreadPoolExecutor(writers) as pool:
        told = list(pool.map(lambda writer: writer.communicate()[0], crowd))
    assert all(writer.returncode == 0 for writer in crowd)
    ends, taken = zip(*((float(end), rest) for end, *rest in map(str.split, told)), strict=True)
    seconds_each = tuple(float(word) for words in taken for word in words)
    return Written(rate=len(seconds_each) / (max(ends) - begun), seconds=seconds_each)


def _pgbench(folder: Path, payload: str, clients: int, seconds: float) -> float:
    """Transactions a second of clients that only insert the payload, with no index but the key."""
    url = os.environ["MYCO_AUDIT_DATABASE_URL"]
    _quietly("psql", url, "-c", "CREATE TABLE IF NOT EXISTS plain (id bigserial PRIMARY KEY, payload text NOT NULL)")
    script = folder / "insert.sql"
    quoted = payload.replace("'", "''")
    script.write_text(_INSERT % quoted)
    told = _quietly("pgbench", "-n", "-f", str(script), "-c", str(clients), "-j", "2", "-T", f"{seconds:.0f}", url)
    return next(float(line.split()[2]) for line in told.splitlines() if line.startswith("tps"))


def _sqlite3(folder: Path, payload: str, clients: int, seconds: float) -> float:
    """The same with the shell of SQLite: so many of it at once, each with a share of what one does in the time."""
    file, quoted = folder / "plain.sqlite3", payload.replace("'", "''")
    made = "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS plain (id INTEGER PRIMARY KEY, payload TEXT NOT NULL);"
    _quietly("sqlite3", str(file), made)
    insert = f"BEGIN IMMEDIATE; {_INSERT % quoted} COMMIT;\n"
    script = ".timeout 20000\nPRAGMA synchronous=FULL;\n" + insert * SQLITE_BATCH
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        rounds = list(pool.map(lambda _: _rounds(file, script, begun + seconds), range(clients)))
    return sum(rounds) * SQLITE_BATCH / (time.perf_counter() - begun)


def _rounds(file: Path, script: str, end: float) -> int:
    done = 0
    while time.perf_counter() < end:
        subprocess.run(["sqlite3", "-bail", str(file)], input=script, check=True, text=True, stdout=subprocess.DEVNULL)
        done += 1
    return done


def _quietly(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _check() -> None:
    """Gap-free and without a fork, every leaf and the root recomputed."""
    from containers_app.audit.ledger import self_check
    from containers_app.audit.models import Entry, Head

    head = Head.objects.using("audit").get()
    found = self_check(head.shard)
    assert found.is_clean, found.problems
    assert head.size == found.size == Entry.objects.using("audit").count()
    print(f"{found.size:,} entries: no gap, no fork, the root is that of all leaves")


if __name__ == "__main__":
    main()
