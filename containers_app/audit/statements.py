"""The SQL of one append. Written out, because query sets cost a writer more than all the rest that it does."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from django.db import connections
from django.db.models import Model

from containers_app.audit.models import Head, Subtree
from containers_app.audit.router import ALIAS
from containers_app.specs.receipt import Receipt

Statement = tuple[str, Sequence[Any]]

GROW: Final = "UPDATE audit_head SET size = %s, frontier = %s WHERE shard = %s AND size = %s"
# The standing counts even where there is no head: a database that was emptied is halted, not new.
_STANDING_AND_HEADS: Final = (
    "SELECT last.state, head.shard, head.size, head.frontier"
    " FROM (SELECT (SELECT state FROM audit_standing ORDER BY id DESC LIMIT 1) AS state) last"
    " LEFT JOIN audit_head head ON 1 = 1"
)
_TOLD_OF: Final = (
    "SELECT phase, shard, leaf_index, leaf_hash FROM audit_entry"
    " WHERE operation_id = %s AND phase IN ('intent', 'outcome')"
)
# A row that somebody wrote there before holds no entry back: `tree.false_subtrees` finds it. ON CONFLICT would not do:
# a guard refuses what would be in conflict.
_UNLESS_THERE: Final = (
    "SELECT * FROM (VALUES {}) given WHERE NOT EXISTS"
    " (SELECT 1 FROM audit_subtree WHERE shard = column1 AND level = column2 AND number = column3)"
)
_TRUSTED_SECONDS: Final = 1.0
_here = threading.local()


def drop_dead_connection() -> None:
    """Close the connection if it died idle, so that a new one is opened; asked only when there may be a reason."""
    connection = connections[ALIAS]
    idle, _here.used_at = time.monotonic() - getattr(_here, "used_at", 0.0), time.monotonic()
    if connection.connection is None or connection.in_atomic_block or connection.vendor == "sqlite":
        return
    # A server that hung up has sent something that nobody asked for.
    has_news = bool(select.select([connection.connection.fileno()], [], [], 0)[0])
    if (has_news or idle > _TRUSTED_SECONDS) and not connection.is_usable():
        connection.close()


def standing_and_heads() -> tuple[str | None, dict[int, Head]]:
    """The last standing's state, if any, and the heads by shard, with one question. Raises django.db.Error."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_STANDING_AND_HEADS)
        rows = cursor.fetchall()
    heads = [Head(shard=shard, size=size, frontier=frontier) for _, shard, size, frontier in rows if shard is not None]
    return rows[0][0], {head.shard: head for head in heads}


def told_of(operation_id: str) -> dict[str, Receipt]:
    """Where the intent and the outcome of an operation are, by phase. Raises django.db.Error."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_TOLD_OF, [operation_id])
        rows = cursor.fetchall()
    return {
        phase: Receipt(operation_id=operation_id, shard=shard, leaf_index=index, leaf_hash=digest)
        for phase, shard, index, digest in rows
    }


def insertions(rows: Iterable[Model]) -> list[Statement]:
    """A statement for each run of rows of one table; their numbers are the database's to give."""
    return [_insertion(model, list(these)) for model, these in groupby(rows, key=type)]


def run(these: Sequence[Statement]) -> int:
    """Run them in turn and return how many rows the last one wrote: on a server all with one round trip."""
    with connections[ALIAS].cursor() as cursor:
        if connections[ALIAS].vendor == "postgresql":
            cursor.execute("; ".join(sql for sql, _ in these), [value for _, values in these for value in values])
            while cursor.nextset():
                pass
        else:
            for sql, values in these:
                cursor.execute(sql, values)
        return int(cursor.rowcount)


def _insertion(model: type[Model], rows: Sequence[Model]) -> Statement:
    connection = connections[ALIAS]
    fields = [field for field in model._meta.local_concrete_fields if not field.db_returning]
    names = ", ".join(str(field.column) for field in fields)
    places = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(rows))
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows for field in fields]
    given = _UNLESS_THERE.format(places) if model is Subtree else f"VALUES {places}"
    return f"INSERT INTO {model._meta.db_table} ({names}) {given}", values
