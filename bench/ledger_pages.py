"""How fast the auditor's pages are: `python -m bench.ledger_pages [ENTRIES] [--postgres]`, 1,000,000 by default.

A ledger of two shards with a valid tree is written row by row into a database of its own (SQLite, or a private
PostgreSQL server) below /tmp, and removed afterwards. Then each page is asked for, as an auditor who has signed in, in
this process: the figures hold routing, rights, queries and templates, and no network. CPU is what this process took of
it, without a server of PostgreSQL. A page with a `COUNT(`, with more
than 12 queries, or with a p95 over 300 ms ends the run with code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.product import PROJECT

ENTRIES = 1_000_000
AT_ONCE = 2_000
ROUNDS = 21
MOST_QUERIES = 12
MOST_SECONDS = 0.3
DAYS = 400
ABSENT = "nothing-has-this"
HOT, COLD = "c" * 64, "d" * 64
_COLUMNS = (
    *("shard", "leaf_index", "payload", "leaf_hash", "time", "phase", "action", "category", "outcome", "operation_id"),
    *("ticket", "actor_type", "actor_id", "object_type", "object_id", "object_name", "host", "request_id", "channel"),
)
_INSERT = f"INSERT INTO audit_entry ({', '.join(_COLUMNS)}) VALUES ({', '.join(['%s'] * len(_COLUMNS))})"  # noqa: S608 - names of columns


def main() -> int:
    """Fill, measure, and print a row of a table for each page."""
    parser = argparse.ArgumentParser(description="Measure the pages of the ledger.")
    parser.add_argument("entries", nargs="?", type=int, default=ENTRIES)
    parser.add_argument("--postgres", action="store_true", help="in a private server, not in SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="myco-ledger-bench-") as name, _database(Path(name), options.postgres):
        # The guards compare each row with those before: here nothing is guarded.
        os.environ.update(MYCO_DATA_DIR=name, DJANGO_SETTINGS_MODULE="mycodocker.settings", MYCO_AUDIT_GUARDS="false")
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


@contextmanager
def _database(folder: Path, wanted: bool) -> Iterator[None]:
    """Both databases in one private server, or, if none is wanted, the files of the settings."""
    if not wanted:
        yield
        return
    import psycopg

    server = [str(PROJECT / "bin" / "postgres")]
    place = f"{folder}-postgres"  # beside it: the server's user may not look into a private folder
    subprocess.run([*server, "start", place], check=True, stdout=subprocess.DEVNULL)

    def url(name: str) -> str:
        return subprocess.run([*server, "url", place, name], check=True, capture_output=True, text=True).stdout.strip()

    try:
        with psycopg.connect(url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE ledger")
        os.environ.update(MYCO_DATABASE_URL=url("postgres"), MYCO_AUDIT_DATABASE_URL=url("ledger"))
        yield
    finally:
        subprocess.run([*server, "destroy", place], check=True, stdout=subprocess.DEVNULL)


def fill(entries: int) -> None:
    """Write so many entries over the last 400 days, with common, rare and absent values in each column."""
    from django.db.models import QuerySet

    from containers_app.audit.models import Disclosure, Head, Subtree

    made = _Entries(entries)
    QuerySet(Disclosure, using="audit").bulk_create(made.disclosures())
    with _without_indexes() as cursor:
        for begin in range(0, entries, AT_ONCE):
            cursor.executemany(_INSERT, [made.row(number) for number in range(begin, min(begin + AT_ONCE, entries))])
    QuerySet(Subtree, using="audit").bulk_create(made.subtrees, batch_size=100)
    heads = [Head(shard=shard, size=tree.size, frontier=tree.to_text()) for shard, tree in made.trees.items()]
    QuerySet(Head, using="audit").bulk_create(heads)


@contextmanager
def _without_indexes() -> Iterator[Any]:
    """A cursor in one transaction, at whose end the indexes are made: much faster than row by row."""
    from django.db import connections, transaction

    from containers_app.audit.models import Entry

    connection = connections["audit"]
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA cache_size = -500000")
    else:
        connection.cursor().execute("SET statement_timeout = 0")
    with connection.schema_editor() as editor:
        for index in Entry._meta.indexes:
            editor.remove_index(Entry, index)
    with transaction.atomic(using="audit"), connection.cursor() as cursor:
        yield cursor
    with connection.schema_editor() as editor:
        for index in Entry._meta.indexes:
            editor.add_index(Entry, index)
    connection.close()


class _Entries:
    """Payloads in canonical form: half of them intents with their outcomes, the rest events."""

    labels = tuple(hashlib.sha256(bytes([number])).hexdigest()[:43] for number in range(50))

    def __init__(self, entries: int) -> None:
        from django.db import connections

        self._entries = entries
        self._random = random.Random(7)  # noqa: S311 - the same entries each time
        self._begin = datetime.now(UTC) - timedelta(days=DAYS)
        self._step = timedelta(days=DAYS) / (entries + 1)
        self._open: list[dict[str, Any]] = []
        self._stored: Any = connections["audit"].ops.adapt_datetimefield_value
        self.trees: dict[int, Any] = {}
        self.subtrees: list[Any] = []

    @classmethod
    def disclosures(cls) -> list[Any]:
        """The names of the actors. They do not fit their commitments, which costs as much to find out."""
        from containers_app.audit.models import Disclosure

        text = '["c2FsdHNhbHRzYWx0c2FsdA","actor_label","person"]'
        return [Disclosure(commitment=one, kind="actor_label", text=text) for one in cls.labels]

    def row(self, number: int) -> tuple[Any, ...]:
        """The columns of _COLUMNS, of a leaf that is added to the tree of its year."""
        from containers_app.audit.merkle import Frontier

        moment = self._begin + number * self._step
        payload = self._outcome() if number % 2 and self._open else self._begun(number)
        payload |= {"v": 1, "id": str(uuid.UUID(int=number)), "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        leaf = hashlib.sha256(b"\x00" + text.encode()).digest()
        tree = self.trees.get(moment.year, Frontier())
        self._keep_subtrees(moment.year, tree, leaf)
        self.trees[moment.year] = tree.append(leaf)
        actor, source, subject = payload["actor"], payload["source"], payload["object"]
        copied = (
            payload.get(name, "") for name in ("phase", "action", "category", "outcome", "operation_id", "ticket")
        )
        return (
            *(moment.year, tree.size, text, leaf.hex(), self._stored(moment), *copied, actor["type"], actor["id"]),
            *(subject["type"], subject["id"], subject["name"], subject["host"]),
            *(source["request_id"], source["channel"]),
        )

    def _keep_subtrees(self, shard: int, tree: Any, leaf: bytes) -> None:
        from containers_app.audit.models import Subtree
        from containers_app.audit.tree import STEP

        completed = tree.completed(leaf)
        for level in range(STEP, len(completed), STEP):
            number, root = tree.size >> level, completed[level].hex()
            self.subtrees.append(Subtree(shard=shard, level=level, number=number, root=root))

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
        return {
            **self._open.pop(),
            "phase": "outcome",
            "outcome": end,
            "details": {"sha256": "b" * 64},
            "duration_ms": 9,
        }

    def _event(self, *, rare: bool) -> dict[str, Any]:
        names = (
            {"privacy.erase": "audit"}
            if rare
            else {"auth.login": "auth", "backup.download": "operation", "authz.denied": "authz", "audit.view": "audit"}
        )
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


def _pages() -> dict[str, str]:
    """The address of each page, by what the table calls it."""
    from django.utils import timezone

    from containers_app.audit.ledger import entries

    ledger, interface = "/admin/audit/entry/", "/api/ledger/entries"
    newest = entries().order_by("-time").first()
    assert newest is not None
    quarter = newest.time - timedelta(days=DAYS // 4)
    deep = f"o{int((newest.time - timedelta(days=DAYS * 0.9)).timestamp() * 1e6)}-0"
    filters = {
        **{f"preset {word}": f"period={word}" for word in ("today", "30d", "last-month", "quarter", "year")},
        "from, to": f"since={quarter:%Y-%m-%d}&until={quarter + timedelta(days=9):%Y-%m-%d}",
        "a range without entries": "since=2001-01-01&until=2001-12-31",
        "busy actor": "actor=0",
        "rare actor": "actor=40",
        "absent actor": f"actor={ABSENT}",
        "common verb": "verb=container.backup",
        "rare verb": "verb=privacy.erase",
        "absent verb": "verb=engine.unattributed",
        "common category": "category=operation",
        "absent category": "category=config",
        "busy object by id": f"object={HOT}",
        "busy object by name": "object=hot-1",
        "rare object": f"object={COLD}",
        "absent object": f"object={ABSENT}",
        "common outcome": "outcome=success",
        "rare outcome": "outcome=unknown",
        "denied only": "denied=true",
        "reads only": "reads=true",
        "common channel": "channel=ui",
        "rare channel": "channel=link",
        "absent channel": "channel=cli",
        "common host": "host=local",
        "rare host": "host=site-z",
        "one request": f"request={newest.request_id}",
        "absent operation": f"operation={ABSENT}",
        "absent ticket": f"ticket={ABSENT}",
        "older shard": f"shard={timezone.now().year - 1}",
        "phase": "phase=event",
        "absent actor type": "actorType=schedule",
        "find nothing": f"q={ABSENT}",
        "two rare ones": "actor=40&verb=privacy.erase",
        "rare and common": "outcome=unknown&channel=ui",
        "two common ones that no entry has": "actor=0&channel=api",
        "six at once": "actor=0&channel=ui&category=operation&outcome=failure&host=local&period=year",
        "flagged": "mark=flagged",
        "not reviewed": "mark=unreviewed&actor=1",
    }
    return {
        "list": ledger,
        "list, deep page": f"{ledger}?cursor={deep}",
        **{f"list, {name}": f"{ledger}?{query}" for name, query in filters.items()},
        "timeline of a busy object": f"{ledger}timeline/?object={HOT}",
        "timeline of an operation": f"{ledger}timeline/?operation={newest.operation_id or ABSENT}",
        "entry": f"{ledger}{newest.pk // 2}/change/",
        "proof": f"{ledger}{newest.pk // 2}/proof/",
        "saved views": f"{ledger}views/",
        "API list": interface,
        "API list, 200 entries, deep": f"{interface}?limit=200&cursor={deep}",
        "API list, two common ones": f"{interface}?actor=0&channel=api",
        "API list, nothing": f"{interface}?object={ABSENT}",
        "API entry": f"{interface}/1000",
        "API proof": f"{interface}/1000/proof",
    }


def _measure() -> int:
    from django.conf import settings
    from django.contrib.auth.models import Group, User
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    auditor = User.objects.create_user("bench", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="auditors"))
    client = Client()
    client.force_login(auditor)
    print("| Page | p50 | p95 | CPU | Queries |\n|---|---|---|---|---|")
    slow = [name for name, address in _pages().items() if not _is_good(client, name, address)]
    print(f"load {os.getloadavg()[0]:.1f}" + "".join(f"\nnot good: {name}" for name in slow))
    return 1 if slow else 0


def _is_good(client: Any, name: str, address: str) -> bool:
    """Print the row of a page; false where it is too slow, asks too much, or counts."""
    asked = _queries(client, address)
    busy = time.process_time()
    seconds = sorted(_seconds(client, address) for _ in range(ROUNDS))
    busy = (time.process_time() - busy) / ROUNDS
    p50, p95 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.95)]
    print(f"| {name} | {p50 * 1e3:.0f} ms | {p95 * 1e3:.0f} ms | {busy * 1e3:.0f} ms | {len(asked)} |", flush=True)
    return p95 <= MOST_SECONDS and len(asked) <= MOST_QUERIES and not any("COUNT(" in sql for sql in asked)


def _queries(client: Any, address: str) -> list[str]:
    """What is asked of both databases; the page is read once before."""
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connections["default"]) as one, CaptureQueriesContext(connections["audit"]) as other:
        _seconds(client, address)
    return [query["sql"] for queries in (one, other) for query in queries.captured_queries]


def _seconds(client: Any, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
