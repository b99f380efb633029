"""How fast a ledger is verified: `python -m bench.ledger [ENTRIES] [--postgres]`, 100,000 by default.

Entries of about 900 bytes are made in a database of its own (SQLite, or a private PostgreSQL server) below /tmp, and
removed afterwards. `verify.py` runs as an auditor runs it, on one core; `ledger verify` uses all.
"""

from __future__ import annotations

import argparse
import hashlib
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
    shard = 0

    def make() -> None:
        nonlocal shard
        shard = fill(entries)

    _time("make the entries", entries, make)
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

    both: dict[str, Any] = {"processes": os.cpu_count() or 1}
    _time("ledger verify --quick", entries, lambda: _good(self_check(shard, quick=True, **both)))
    _time("ledger verify", entries, lambda: _good(self_check(shard, **both)))
    _time("ledger verify, one process", entries, lambda: _good(self_check(shard)))
    _time("write a bundle", entries, write)
    _time("verify.py --quick", entries, lambda: check("--quick"))
    _time("verify.py", entries, check)


def _good(found: Any) -> None:
    assert found.is_clean, found.problems


def _time(name: str, entries: int, act: Callable[[], object]) -> None:
    begun, spent = time.perf_counter(), _processor_seconds()
    act()
    seconds, spent = time.perf_counter() - begun, _processor_seconds() - spent
    words = f"{seconds:.1f} s, {entries / seconds:,.0f} entries/s, {seconds * 1e6 / entries:.1f} s for a million"
    print(f"{name}: {words}; {spent:.1f} s of processor time, load {os.getloadavg()[0]:.1f}", flush=True)


def _processor_seconds() -> float:
    """What this process and those that it waited for have used; not what a database server did for them."""
    return sum(os.times()[:4])


def fill(entries: int) -> int:
    """Write so many entries, an intent and its outcome in turn, and return the shard; faster than one by one."""
    from django.db import connections

    from containers_app.audit.appending import writable
    from containers_app.audit.merkle import Frontier
    from containers_app.audit.models import Disclosure, Entry, Head, Subtree
    from containers_app.audit.record import projection
    from containers_app.audit.tree import STEP

    begun, tree, forms = datetime.now(UTC), Frontier(), Forms()
    columns: dict[str, Any] = {}
    for begin in range(0, entries, AT_ONCE):
        rows, texts, subtrees = [], [], []
        for number in range(begin, min(begin + AT_ONCE, entries)):
            payload, values = forms.entry(number, begun + timedelta(microseconds=number), begun.year)
            leaf = hashlib.sha256(b"\x00" + payload.encode()).digest()
            forms.last_leaf = leaf.hex()
            completed = tree.completed(leaf)
            tree = tree.append(leaf)
            columns = projection(json.loads(payload))
            rows.append((begun.year, number, payload, leaf.hex(), *columns.values()))
            texts += [(one.digest, one.name, one.text) for one in values]
            levels = range(STEP, len(completed), STEP)
            subtrees += [(begun.year, level, number >> level, completed[level].hex()) for level in levels]
        _insert(Entry, ("shard", "leaf_index", "payload", "leaf_hash", *columns), rows)
        _insert(Disclosure, ("commitment", "kind", "text"), texts)
        _insert(Subtree, ("shard", "level", "number", "root"), subtrees)
    with connections["audit"].cursor() as cursor:
        cursor.execute("ANALYZE")  # as a database does by itself, but later
    head = Head(shard=begun.year, size=tree.size, frontier=tree.to_text())
    writable(Head).bulk_create([head])
    return begun.year


class Forms:
    """Payloads of an intent and of its outcome as the product composes them, in which what differs is replaced."""

    def __init__(self) -> None:
        self.intent, self.outcome = _composed(with_intent=False), _composed(with_intent=True)
        self.operation_id = self.last_leaf = ""

    def entry(self, number: int, moment: datetime, shard: int) -> tuple[str, list[Any]]:
        """The payload of the entry with this number, and its disclosures; every second one ends the one before."""
        from containers_app.audit.commitments import commit

        is_outcome = number % 2 == 1
        form, sample, committed = self.outcome if is_outcome else self.intent
        if not is_outcome:
            self.operation_id = str(uuid.uuid4())
        values = [commit(name, value) for name, value, _ in committed]
        payload = form.replace(sample["id"], str(uuid.uuid4())).replace(sample["operation_id"], self.operation_id)
        payload = payload.replace(sample["time"], moment.isoformat(timespec="microseconds")[:26] + "Z")
        for (_, _, digest), one in zip(committed, values, strict=True):
            payload = payload.replace(digest, one.digest)
        if is_outcome:
            place = f'"leaf_hash":"{self.last_leaf}","leaf_index":{number - 1},"shard":{shard}'
            payload = payload.replace(_NO_PLACE, place)
        return payload, values


_NO_PLACE = f'"leaf_hash":"{"c" * 64}","leaf_index":0,"shard":1'


def _composed(*, with_intent: bool) -> tuple[str, dict[str, Any], list[tuple[str, str, str]]]:
    """A payload, the same as an object, and the names, values and digests of what it is bound to."""
    from containers_app.audit.record import Fact, compose
    from containers_app.specs.receipt import Receipt

    shared: dict[str, Any] = {**about(1_234_567), "operation_id": str(uuid.uuid4())}
    if with_intent:
        receipt = Receipt(operation_id=shared["operation_id"], shard=1, leaf_index=0, leaf_hash="c" * 64)
        more: dict[str, Any] = {
            "intent": receipt,
            "outcome": "success",
            "duration_ms": 1234,
            "details": {"sha256": "b" * 64},
        }
        fact = Fact(phase="outcome", **shared, **more)
    else:
        fact = Fact(phase="intent", params={"name": "x" * 200}, **shared)
    recorded = compose(fact, datetime.now(UTC))
    texts = [json.loads(one.text) for one in recorded.disclosures]
    digests = [one.digest for one in recorded.disclosures]
    committed = [(name, value, digest) for (_, name, value), digest in zip(texts, digests, strict=True)]
    return recorded.payload, json.loads(recorded.payload), committed


def _insert(model: Any, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """As many rows as there are, by the quickest way of the database."""
    from django.db import connections

    connection, names = connections["audit"], ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(columns))
        plain = [tuple(str(one)[:26] if isinstance(one, datetime) else one for one in row) for row in rows]
        if plain:
            # The names are those of the models.
            cursor.executemany(f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({marks})", plain)  # noqa: S608


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
