"""The disk is waited for after the lock is free, and before anybody is told."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connections

from containers_app.audit import ledger
from containers_app.audit.ledger import Actor, Source
from containers_app.errors import AuditUnavailable

pytestmark = pytest.mark.django_db(databases=["audit"], transaction=True)


def record() -> int:
    return ledger.event(action="system.start", actor=Actor(type="system"), source=Source(channel="engine"))


def synchronous() -> int:
    with connections["audit"].cursor() as cursor:
        cursor.execute("PRAGMA synchronous")
        return int(cursor.fetchone()[0])


def test_the_log_is_flushed_once_others_may_write_and_see_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    flushed = os.fdatasync
    record()
    file = connections["audit"].settings_dict["NAME"]

    def flush(descriptor: int) -> None:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            (entries,) = other.execute("SELECT count(*) FROM audit_entry").fetchone()
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, entries))
        flushed(descriptor)

    monkeypatch.setattr(os, "fdatasync", flush)
    record()
    assert seen == [(Path(file).name + "-wal", 2)]
    connections["audit"].close()
    seen.clear()
    record()
    assert [name for name, _ in seen] == [Path(file).parent.name, Path(file).name + "-wal"]


def test_everybody_else_commits_as_before() -> None:
    full = synchronous()
    record()
    assert synchronous() == full == 2


def test_who_writes_and_fails_leaves_it_so_too() -> None:
    record()
    with pytest.raises(RuntimeError, match="durable"), ledger.together(), connections["audit"].cursor() as cursor:
        cursor.execute("SELECT 1")
        raise RuntimeError("durable")
    assert synchronous() == 2


def test_without_the_flush_there_is_no_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    record()
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(AuditUnavailable) as caught:
        record()
    assert "was not flushed" in str(caught.value.__cause__)
    monkeypatch.undo()
    assert record() >= 1
