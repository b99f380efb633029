"""How fast a ledger is verified: `python -m bench.ledger [ENTRIES] [--postgres]`, 100,000 by default.

Entries of about 900 bytes are made in a database of its own (SQLite, or a private PostgreSQL server) below /tmp, and
removed afterwards. `verify.py` runs as an auditor runs it. The figures are for one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.product import PROJECT

AT_ONCE = 2_000


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description="Measure how fast a ledger is verified.")
    parser.add_argument("entries", nargs="?", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true", help="in a private server, not in SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="myco-ledger-bench-") as name, database(Path(name), options.postgres):
        os.environ.update(MYCO_DATA_DIR=name, DJANGO_SETTINGS_MODULE="mycodocker.settings")
        import django

        django.setup()
        _measure(Path(name), options.entries)


@contextmanager
def database(folder: Path, wanted: bool) -> Iterator[None]:
    """A private PostgreSQL server beside `folder` while inside, if wanted, and the environment that names it."""
    if not wanted:
        yield
        return
    server = [str(PROJECT / "bin" / "postgres")]
    place = f"{folder}-postgres"  # beside it: the server's user may not look into a private folder
    subprocess.run([*server, "start", place], check=True, stdout=subprocess.DEVNULL)
    try:
        done = subprocess.run([*server, "url", place, "postgres"], check=True, capture_output=True, text=True)
        os.environ.update(MYCO_DATABASE_URL=done.stdout.strip(), MYCO_AUDIT_DATABASE_URL=done.stdout.strip())
        yield
    finally:
        subprocess.run([*server, "destroy", place], check=True, stdout=subprocess.DEVNULL)


def _measure(folder: Path, entries: int) -> None:
    from django.core.management import call_command

    from containers_app.audit.bundle import write_bundle
    from containers_app.audit.ledger import self_check
    from containers_app.audit.selection import Selection
    from containers_app.audit.signed import newest_checkpoint
    from containers_app.audit.signer import Signer
    from containers_app.audit.signer_folder import SignerFolder

    call_command("migrate", database="audit", verbosity=0)
    shard = fill(entries)
    Signer(SignerFolder(folder / "signer"), name="bench", heartbeat_seconds=3600).look()
    signed = newest_checkpoint(shard)
    assert signed is not None
    bundle = folder / "bundle.zip"

    def write() -> None:
        with bundle.open("wb") as target:
            write_bundle(target, Selection(), newest=newest_checkpoint)

    def check(*more: str) -> None:
        verifier = str(PROJECT / "containers_app" / "audit" / "verifier" / "verify.py")
        command = [sys.executable, "-I", "-S", verifier, str(bundle), "--vkey", signed.vkey, *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    _time("ledger verify --quick", entries, lambda: _good(self_check(shard, quick=True)))
    _time("ledger verify", entries, lambda: _good(self_check(shard)))
    _time("write a bundle", entries, write)
    _time("verify.py --quick", entries, lambda: check("--quick"))
    _time("verify.py", entries, check)


def _good(found: Any) -> None:
    assert found.is_clean, found.problems


def _time(name: str, entries: int, act: Callable[[], object]) -> None:
    begun = time.perf_counter()
    act()
    seconds = time.perf_counter() - begun
    print(f"{name}: {seconds:.1f} s, {entries / seconds:,.0f} entries/s, {seconds * 1e6 / entries:.1f} s for a million")


def fill(entries: int) -> int:
    """Write so many entries, an intent and its outcome in turn, and return the shard; faster than one by one."""
    from django.db.models import QuerySet

    from containers_app.audit.merkle import Frontier
    from containers_app.audit.models import Disclosure, Entry, Head

    moment, tree = datetime.now(UTC), Frontier()
    last: Any = None
    for begin in range(0, entries, AT_ONCE):
        rows, texts = [], []
        for number in range(begin, min(begin + AT_ONCE, entries)):
            last, disclosures = _entry(number, moment + timedelta(microseconds=number), last)
            tree = tree.append(bytes.fromhex(last.leaf_hash))
            rows.append(last)
            texts += [Disclosure(commitment=one.digest, kind=one.name, text=one.text) for one in disclosures]
        QuerySet(Entry, using="audit").bulk_create(rows)
        QuerySet(Disclosure, using="audit").bulk_create(texts)
    head = Head(shard=moment.year, size=tree.size, frontier=tree.to_text())
    QuerySet(Head, using="audit").bulk_create([head])
    return moment.year


def _entry(number: int, moment: datetime, last: Any) -> tuple[Any, Any]:
    """An intent, or the outcome of `last`, with its disclosures."""
    from containers_app.audit.merkle import leaf_hash
    from containers_app.audit.models import Entry
    from containers_app.audit.record import Fact, compose, projection
    from containers_app.specs.receipt import Receipt

    shared = about(number)
    if number % 2:
        receipt = Receipt(
            operation_id=last.operation_id,
            shard=last.shard,
            leaf_index=last.leaf_index,
            leaf_hash=last.leaf_hash,
        )
        more = {"intent": receipt, "outcome": "success", "duration_ms": 1234, "details": {"sha256": "b" * 64}}
        fact = Fact(phase="outcome", operation_id=last.operation_id, **shared, **more)
    else:
        fact = Fact(phase="intent", operation_id=str(uuid.uuid4()), params={"name": "x" * 200}, **shared)
    recorded = compose(fact, moment)
    payload = recorded.payload
    hashed = leaf_hash(payload.encode()).hex()
    place = {"shard": moment.year, "leaf_index": number, "payload": payload, "leaf_hash": hashed}
    return Entry(**place, **projection(json.loads(payload))), recorded.disclosures


def about(number: int) -> dict[str, Any]:
    """Who does what to what, in the entries of all measurements."""
    from containers_app.audit.record import Actor, Source, Subject

    return {
        "action": "container.backup",
        "actor": Actor(type="user", id="7", label="alice@example.org", roles=("operators",), auth="session"),
        "source": Source(channel="api", ip="192.0.2.7", user_agent="Firefox/140", request_id=f"request-{number}"),
        "subject": Subject(type="container", id="a" * 64, name="web-1", host="local"),
    }


if __name__ == "__main__":
    main()
