"""Verify: read every byte of a backup back from the storage, and record what became of it. No Engine is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from containers_app.archives.checking import INTACT, Reading, Verdict, worst
from containers_app.audit import ledger
from containers_app.errors import Busy
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.workflows.context import Context, Done
from containers_app.workflows.set_record import (
    change_state,
    check_set,
    damage,
    sharing,
    shown,
    state_of,
    take_backup,
    timestamp,
)

_VERIFIER = ledger.Actor(type="system", label="verifier")


@dataclass(frozen=True, kw_only=True)
class VerifyParams:
    """`backup`: its id. `name`: its file's name, for people."""

    backup: str
    name: str


def verify(context: Context, params: VerifyParams) -> Done:
    """Compare every stored byte, and the content of what is not encrypted, with the record and the manifest.

    Raises BackupCorrupt or BackupMissing with the finding, once the backup's state says so; StorageError when the
    storage did not let it be read, and then the state stays.
    """
    row = take_backup(context, params.backup)
    context.stage("read every byte")
    context.progress(0, bytes_total=sum(part.stored_bytes for part in row.parts.all()))
    reading = Reading(report=context.progress, checkpoint=context.checkpoint)
    verdicts = check_set(context.store, row, reading)
    context.stage("record what was found")
    found, moment = state_of(row, verdicts), datetime.now(UTC)
    whole = worst(verdicts) == INTACT
    result = {
        "success": whole,
        "message": "Every byte of the backup is as it was recorded" if whole else "The backup is damaged",
        "action": "verify",
        "backupFile": row.file_name,
        "backupPath": row.path,
        "backupId": str(row.pk),
        "state": str(found),
        "verifiedAt": timestamp(moment) if whole else None,
        "bytesRead": reading.bytes_done,
        "parts": shown(verdicts),
    }
    if not whole:
        _record_damage(context, row, found, verdicts)
        raise damage(row.file_name, verdicts, result)
    return Done(result=result, record=lambda: _record(context, row, found, verified_at=moment))


def _record_damage(context: Context, row: Backup, found: BackupState, verdicts: Iterable[Verdict]) -> None:
    """The finding stays although the operation fails; sets that need the same file have the same finding."""
    _record(context, row, found)
    for verdict in verdicts:
        for other in sharing(row, verdict.path) if verdict.verdict != INTACT else ():
            if other.is_usable:
                _record(context, other, state_of(other, (verdict,)))


def _record(context: Context, row: Backup, found: BackupState, **columns: Any) -> None:
    source, operation_id = ledger.Source(channel="worker"), context.facts.operation_id
    if not change_state(row, found, actor=_VERIFIER, source=source, operation_id=operation_id, **columns):
        raise Busy(f"the state of {row.file_name} was changed while it was read: verify it again")
