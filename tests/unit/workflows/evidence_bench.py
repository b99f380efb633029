"""What the tests of the evidence pack share: a ledger that is written by hand, its signer, and the pack made of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from containers_app.audit import appending, ledger
from containers_app.audit.bundle import Written
from containers_app.audit.evidence import Snapshot
from containers_app.audit.ledger import Actor, Source, Subject
from containers_app.audit.models import Head
from containers_app.audit.selection import Selection
from containers_app.models.identifiers import uuid7
from containers_app.workflows.evidence_pack import pack
from containers_app.workflows.evidence_pack.gathering import Goals
from tests.unit.audit.test_bundle import Signer

API, WORKER = Source(channel="api", ip="192.0.2.7"), Source(channel="worker")
OLGA = Actor(type="user", id="7", label="olga", roles=("operators",), auth="session")
NOVEMBER = Selection(since=datetime(2026, 11, 1, tzinfo=UTC), until=datetime(2026, 12, 1, tzinfo=UTC))
# Text that a page, a spreadsheet or a screen would obey.
MARKUP, FORMULA, REORDERED, FACES = "<script>x</script>", "=cmd|'/C calc'!A0", "a\u202egnp.exe", "\u05d0\u05d1 😀"
WISH: Mapping[str, Any] = {
    "reason": "monthly",
    "ticket": "C-1",
    "params": {"encoding": {"codec": "zstd", "encryption": "age"}, "mode": "new"},
}
SAVED: Mapping[str, Any] = {"backupFile": "web.tar", "backupPath": "/backups", "sizeBytes": 4096, "sha256": "ab" * 32}


class Clock:
    """Gives entries their time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at(1)
        monkeypatch.setattr(appending, "_now", lambda: self.now)

    def at(self, day: int, hour: int = 12, *, month: int = 11) -> None:
        self.now = datetime(2026, month, day, hour, tzinfo=UTC)


def begin(action: str, name: str = "web", wish: Mapping[str, Any] = WISH) -> str:
    """An intent; returns its operation's id."""
    identifier = str(uuid7())
    ledger.intent(action=action, actor=OLGA, source=API, subject=_subject(name), operation_id=identifier, **wish)
    return identifier


def end(identifier: str, action: str, name: str = "web", **fields: Any) -> None:
    """The outcome of an intent, with `result` and `state` as details."""
    details = {"state": fields.pop("state", "succeeded"), "result": dict(fields.pop("result", {}))}
    about: dict[str, Any] = {"outcome": "success", **fields}
    subject = _subject(name)
    ledger.outcome(
        action=action, actor=OLGA, source=WORKER, subject=subject, operation_id=identifier, details=details, **about
    )


def done(action: str, name: str = "web", *, wish: Mapping[str, Any] = WISH, **fields: Any) -> str:
    """An operation with both."""
    identifier = begin(action, name, wish)
    end(identifier, action, name, **fields)
    return identifier


def event(action: str, **fields: Any) -> None:
    """An event of Olga's."""
    ledger.event(**{"action": action, "actor": OLGA, "source": API, **fields})


def _subject(name: str) -> Subject:
    return Subject(type="container", id=name, name=name, host="local")


class Bench:
    """Makes packs of the ledger, signed with a key of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.signer = Signer()
        monkeypatch.setattr(pack, "snapshot", self.snapshot)

    def snapshot(self) -> Snapshot:
        shards = Head.objects.values_list("shard", flat=True)
        return Snapshot(signed={shard: signed for shard in shards if (signed := self.signer(shard))})

    def pack(self, selection: Selection = NOVEMBER, *, operation_id: str = "none", **goals: int) -> Pack:
        target = io.BytesIO()
        request = pack.Request(
            selection=selection,
            goals=Goals(**goals),
            operation_id=operation_id,
            folder=self.folder,
            checkpoint=lambda: None,
        )
        written = pack.write_pack(target, request)
        return Pack(target.getvalue(), written)


class Pack:
    """A finished pack, opened."""

    def __init__(self, content: bytes, written: Written) -> None:
        self.written = written
        self.archive = zipfile.ZipFile(io.BytesIO(content))
        self.facts: dict[str, Any] = json.loads(self.read("evidence.json"))
        self.cover: dict[str, Any] = self.facts["cover"]

    def read(self, path: str) -> bytes:
        return self.archive.read(path)

    def text(self, path: str) -> str:
        return self.read(path).decode()

    def tables(self) -> dict[str, dict[str, Any]]:
        return {table["name"]: table for table in self.facts["tables"]}

    def rows(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.tables()[name]["rows"]
        return found

    def row(self, name: str, *columns: str) -> dict[str, Any] | tuple[Any, ...]:
        """The only row of a table; of these columns, if any."""
        (found,) = self.rows(name)
        return tuple(found[column] for column in columns) if columns else found

    def bundle(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.read("bundle.zip")))
