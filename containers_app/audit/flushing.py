"""Durable before anybody is told, but the ledger's one lock is not held while the disk works.

A commit inside `afterwards` is ordered, whole and seen by the next writer at once, and waits for no disk. `flush` does,
after the lock is free: one flush of the disk then serves all the writers that wait for it. A machine that loses its
power before may lose the last entries, each with all after it; nobody was given a receipt for one of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from containers_app.audit.router import ALIAS

# For the transaction that it is said in; PostgreSQL only. SQLite's is set by `afterwards`.
LATER: Final = "SET LOCAL synchronous_commit = off"
# Writes to the log and nowhere else; its own commit waits for the disk, hence for all that was written before it.
FLUSH: Final = "SELECT pg_logical_emit_message(true, 'mycodocker', '')"
_here = threading.local()


@contextmanager
def afterwards() -> Iterator[None]:
    """What is committed inside is on the disk when this returns. Raises django.db.Error when it may not be."""
    connection = connections[ALIAS]
    if connection.in_atomic_block:  # `atomic` itself says whether that may be
        yield
        return
    with _hasty(connection):
        yield
    flush()


def flush() -> None:
    """Return when everything that this connection can see is on the disk. Raises django.db.Error."""
    connection = connections[ALIAS]
    if connection.vendor == "sqlite":
        _flush_file(connection)
    else:
        with connection.cursor() as cursor:
            cursor.execute(FLUSH)


@contextmanager
def _hasty(connection: BaseDatabaseWrapper) -> Iterator[None]:
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            cursor.execute("PRAGMA synchronous = FULL")


def _flush_file(connection: BaseDatabaseWrapper) -> None:
    """What is not in the log beside the database any more is on the disk: SQLite sees to it before it begins anew."""
    log = Path(f"{connection.settings_dict['NAME']}-wal")
    try:
        # As long as a connection is open its log stays the same file: the folder has to keep its name only once.
        if getattr(_here, "connection", None) is not connection.connection:
            _sync(log.parent)
            _here.connection = connection.connection
        _sync(log)
    except OSError as failure:
        raise OperationalError(f"the ledger's log was not flushed: {failure.strerror}") from failure


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
