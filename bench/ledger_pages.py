"""How fast the auditor's pages are: `python -m bench.ledger_pages [ENTRIES] [--postgres]`, 1,000,000 by default.

A ledger of two shards with a valid tree is written row by row into a database of its own (SQLite, or a private
PostgreSQL server) below /tmp, and removed afterwards. Then each page is asked for, as an auditor who has signed in, in
this process: the figures hold routing, rights, queries and templates, and no network. A page with a `COUNT(`, with more
than 12 queries, or with a p95 over 300 ms ends the run with code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.ledger import AT_ONCE, _database

ENTRIES = 1_000_000
ROUNDS = 21
MOST_QUERIES = 12
MOST_SECONDS = 0.3
DAYS = 400
ABSENT = "nothing-has-this"
HOT, COLD = "c" * 64, "d" * 64


def main() -> int:
    """Fill, measure, and print a row of a table for each page."""
    parser = argparse.ArgumentParser(description="Measure the pages of the ledger.")
    parser.add_argument("entries", nargs="?", type=int, default=ENTRIES)
    parser.add_argument("--postgres", action="store_true", help="in a private server, not in SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="myco-ledger-bench-") as name, _database(Path(name), options.postgres):
        os.environ.update(MYCO_DATA_DIR=name, DJANGO_SETTINGS_MODULE="mycodocker.settings")
        import django
        from django.core.management import call_command

        django.setup()
        for database in ("default", "audit"):
            call_command("migrate", database=database, verbosity=0)
        begun = time.perf_counter()
        fill(options.entries)
        _settle(Path(name))
        print(f"{options.entries:,} entries in {time.perf_counter() - begun:.0f} s, load {os.getloadavg()[0]:.1f}")
        return _measure()


def fill(entries: int) -> None:
    """Write so many entries over the last 400 days, with common, rare and absent values in each column."""
    from django.db.models import QuerySet

    from containers_app.audit.merkle import Frontier
    from containers_app.audit.models import Disclosure, Entry, Head, Subtree
    from containers_app.audit.tree import STEP

    trees: dict[int, Frontier] = {}
    rows: list[Any] = []
    subtrees: list[Any] = []

    def write() -> None:
        QuerySet(Entry, using="audit").bulk_create(rows)
        QuerySet(Subtree, using="audit").bulk_create(subtrees)
        rows.clear()
        subtrees.clear()

    QuerySet(Disclosure, using="audit").bulk_create(_Entries.disclosures())
    for moment, payload in _Entries(entries).payloads():
        shard = moment.year
        tree = trees.get(shard, Frontier())
        leaf = hashlib.sha256(b"\x00" + payload.encode()).digest()
        completed = tree.completed(leaf)
        for level in range(STEP, len(completed), STEP):
            subtrees.append(Subtree(shard=shard, level=level, number=tree.size >> level, root=completed[level].hex()))
        rows.append(_row(shard, tree.size, payload, leaf))
        trees[shard] = tree.append(leaf)
        if len(rows) >= AT_ONCE:
            write()
    write()
    heads = [Head(shard=shard, size=tree.size, frontier=tree.to_text()) for shard, tree in trees.items()]
    QuerySet(Head, using="audit").bulk_create(heads)


def _row(shard: int, index: int, payload: str, leaf: bytes) -> Any:
    from containers_app.audit.models import Entry
    from containers_app.audit.record import projection

    return Entry(
        shard=shard, leaf_index=index, payload=payload, leaf_hash=leaf.hex(), **projection(json.loads(payload))
    )


class _Entries:
    """Payloads in canonical form: half of them intents with their outcomes, the rest events."""

    labels = tuple(hashlib.sha256(bytes([number])).hexdigest()[:43] for number in range(50))

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._random = random.Random(7)
        self._begin = datetime.now(UTC) - timedelta(days=DAYS)
        self._step = timedelta(days=DAYS) / (entries + 1)
        self._open: list[dict[str, Any]] = []

    @classmethod
    def disclosures(cls) -> list[Any]:
        """The names of the actors. They do not fit their commitments, which costs as much to find out."""
        from containers_app.audit.models import Disclosure

        text = '["c2FsdHNhbHRzYWx0c2FsdA","actor_label","person"]'
        return [Disclosure(commitment=one, kind="actor_label", text=text) for one in cls.labels]

    def payloads(self) -> Iterator[tuple[datetime, str]]:
        """Oldest first."""
        for number in range(self._entries):
            moment = self._begin + number * self._step
            payload = self._outcome() if number % 2 and self._open else self._begun(number)
            payload |= {"v": 1, "id": str(uuid.UUID(int=number)), "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
            yield moment, json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def _begun(self, number: int) -> dict[str, Any]:
        rare = number % (self._entries // 4 or 1) == 0
        person = 40 if rare else min(39, int(self._random.expovariate(0.2)))
        about: dict[str, Any] = {
            "actor": {"type": "user", "auth": "session", "id": str(person), "label_c": self.labels[person]},
            # The busiest person works with the console alone: two common values that no entry has both.
            "source": {"channel": self._channel(person, rare=rare), "request_id": f"request-{number}"},
            "object": self._object(number, rare=rare),
        }
        if number % 100 == 2:
            about["ticket"] = f"CHG-{number}"
        if number % 4 == 2:
            return about | self._event(rare=number % (self._entries // 8 or 1) == 2)
        noun = ("backup", "clone", "start")[self._random.randrange(3)]
        about |= {"action": f"container.{noun}", "category": "operation", "operation_id": str(uuid.UUID(int=number))}
        self._open.append(about)
        return {**about, "phase": "intent", "params": {"name": "x" * 200}}

    def _outcome(self) -> dict[str, Any]:
        end = self._random.choices(("success", "failure", "error"), (97, 2, 0.2))[0]
        return {**self._open.pop(), "phase": "outcome", "outcome": end, "details": {"sha256": "b" * 64}, "duration_ms": 9}

    def _event(self, *, rare: bool) -> dict[str, Any]:
        names = {"privacy.erase": "audit"} if rare else {
            "auth.login": "auth", "backup.download": "operation", "authz.denied": "authz", "audit.view": "audit"
        }
        action = self._random.choice(list(names))
        outcome = "denied" if action == "authz.denied" else "unknown" if rare else "success"
        return {"phase": "event", "action": action, "category": names[action], "outcome": outcome}

    def _channel(self, person: int, *, rare: bool) -> str:
        return "link" if rare else "ui" if person == 0 else self._random.choice(("api", "ui", "scheduler"))

    def _object(self, number: int, *, rare: bool) -> dict[str, str]:
        if rare:
            return {"type": "container", "id": COLD, "name": "cold-1", "host": "site-z"}
        one = 0 if number % 5 == 0 else self._random.randrange(2_000)
        name, identity = ("hot-1", HOT) if one == 0 else (f"web-{one}", f"{one:064x}")
        return {"type": "container", "id": identity, "name": name, "host": "local" if one % 9 else "site-b"}


def _settle(folder: Path) -> None:
    """Sign, anchor nothing, and let the database learn what is in its tables, as it does by itself in time."""
    from django.db import connections

    from containers_app.audit.signer import Signer
    from containers_app.audit.signer_folder import SignerFolder

    Signer(SignerFolder(folder / "signer"), name="bench", heartbeat_seconds=3600).look()
    with connections["audit"].cursor() as cursor:
        if connections["audit"].vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    sys.exit(main())
