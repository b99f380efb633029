"""A recorded backup set: where its files are, who else needs them, and the one way to change its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from containers_app.archives.checking import CORRUPT, MISSING, Reading, Verdict, check_manifest, check_parts, worst
from containers_app.archives.manifest import Manifest
from containers_app.archives.stores.local import LocalStore, Location
from containers_app.audit import ledger
from containers_app.errors import BackupCorrupt, BackupDamaged, BackupDeleted, BackupMissing, NotFound
from containers_app.models import Backup, BackupPart, Operation, State
from containers_app.models.backups import USABLE_STATES, BackupState
from containers_app.models.operations import ACTIVE_STATES
from containers_app.workflows.context import Context

# Of the result of a restore in place: what the set is that it made before.
SAFETY_STATE = "safetyState"
_STATES = {MISSING: BackupState.MISSING, CORRUPT: BackupState.CORRUPT}


def take_backup(context: Context, backup_id: str) -> Backup:
    """The backup, locked: nothing else verifies or deletes it meanwhile. Raises Busy, NotFound and BackupDeleted."""
    context.stage("look at the backup")
    rows = Backup.objects.select_related("host", "operation", "container").prefetch_related("parts")
    row = rows.filter(pk=backup_id).first()
    if row is None:
        raise NotFound("there is no such backup")
    context.pin_target(str(row.pk), row.file_name, lock=True)
    row.refresh_from_db(fields=("state",))
    if row.state == BackupState.DELETED:
        raise BackupDeleted(f"{row.file_name} was deleted")
    return row


def location_of(store: LocalStore, row: Backup) -> Location:
    """Where its first file is; the others stand beside it. Raises InvalidRequest for a root of other settings."""
    path = PurePosixPath(row.path)
    return store.locate(str(path.parent), path.name)


def manifest_path(row: Backup) -> str:
    """The absolute path of its manifest."""
    return str(PurePosixPath(row.path).with_name(row.manifest_name))


def check_set(store: LocalStore, row: Backup, reading: Reading) -> tuple[Verdict, ...]:
    """Read all files of a set, its manifest first. Raises StorageError, and what the checkpoint raises."""
    location, parts = location_of(store, row), tuple(part.as_part() for part in row.parts.all())

    def agrees(manifest: Manifest) -> bool:
        recorded = (row.container_engine_id, row.container_name, row.consistency_grade)
        container = manifest.container
        return manifest.parts == parts and recorded == (container.id, container.name, manifest.consistency_grade)

    manifest = check_manifest(store, location.beside(row.manifest_name), agrees)
    reading.advance(manifest.bytes_read)
    return (manifest, *check_parts(store, location, parts, reading))


def state_of(row: Backup, verdicts: tuple[Verdict, ...]) -> BackupState:
    """The state that a set with these verdicts should have."""
    return _STATES.get(worst(verdicts), whole_state(row))


def whole_state(row: Backup) -> BackupState:
    """What a set is whose files are all as they were made."""
    if row.is_usable:
        return BackupState(row.state)
    told = (row.operation.result or {}).get(SAFETY_STATE)
    if told in USABLE_STATES:
        # A restore may be partial for what its backup lacks, and the set that it made before be whole.
        return BackupState(told)
    return BackupState.PARTIAL if row.operation.state == State.PARTIAL else BackupState.COMPLETE


def change_state(
    row: Backup, found: BackupState, *, actor: ledger.Actor, source: ledger.Source, operation_id: str, **columns: Any
) -> bool:
    """Write the state, other columns and the ledger event, or nothing; False when it has another state by now.

    Raises AuditUnavailable.
    """
    now = timezone.now()
    with transaction.atomic():
        if not Backup.objects.filter(pk=row.pk, state=row.state).update(state=found, checked_at=now, **columns):
            return False
        if found != row.state:
            ledger.event(
                action=f"backup.found_{found}",
                actor=actor,
                source=source,
                subject=subject_of(row),
                operation_id=operation_id,
                outcome="success" if found in USABLE_STATES else "failure",
                details={"before": str(row.state), "sha256": row.sha256, "size_bytes": row.size_bytes},
            )
    return True


def subject_of(row: Backup) -> ledger.Subject:
    """The backup as the ledger names it."""
    return ledger.Subject(type="backup", id=str(row.pk), name=row.file_name, host=row.host.name)


def recorded_paths() -> frozenset[str]:
    """The manifests of all recorded sets, and of those whose deletion is not finished."""
    deletions = unfinished().filter(kind="deleteBackup").values_list("params", flat=True)
    being_deleted = [params.get("backup") for params in deletions]
    rows = Backup.objects.filter(~Q(state=BackupState.DELETED) | Q(pk__in=being_deleted))
    return frozenset(manifest_path(row) for row in rows.only("path", "manifest_name"))


def unfinished() -> QuerySet[Operation]:
    """The operations that are not over, or that still have something to do."""
    return Operation.objects.filter(Q(state__in=ACTIVE_STATES) | ~Q(undo=[]))


def why_recorded(path: str, operation_id: str) -> str:
    """Why the set with the manifest of this path, made by this operation, is no orphan; empty for one."""
    if path in recorded_paths():
        return "this backup is recorded, or its deletion is not finished"
    if operation_id in {str(pk) for pk in unfinished().values_list("pk", flat=True)}:
        return "the operation that made this backup is not over, or is still taken back: wait for it"
    return ""


def sharing(row: Backup, file_name: str) -> list[Backup]:
    """The other sets that need this file: an image's file is there once for all sets of a folder."""
    parts = BackupPart.objects.filter(file_name=file_name).exclude(backup=row)
    rows = Backup.objects.select_related("host", "operation").filter(parts__in=parts).exclude(state=BackupState.DELETED)
    return [other for other in rows.order_by("pk").distinct() if _folder(other) == _folder(row)]


def _folder(row: Backup) -> PurePosixPath:
    return PurePosixPath(row.path).parent


def shown(verdicts: Iterable[Verdict]) -> list[Mapping[str, Any]]:
    """The verdicts as results have them."""
    return [
        {
            "kind": verdict.kind,
            "name": verdict.name,
            "path": verdict.path,
            "verdict": verdict.verdict,
            "bytesRead": verdict.bytes_read,
            "decoded": verdict.decoded,
            "problem": verdict.message or None,
        }
        for verdict in verdicts
    ]


def timestamp(moment: datetime) -> str:
    """UTC with milliseconds and Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def damage(name: str, verdicts: Sequence[Verdict], result: Mapping[str, Any]) -> BackupDamaged:
    """The error that says which files are not as they were recorded."""
    error = BackupMissing if worst(verdicts) == MISSING else BackupCorrupt
    return error(f"{name} is not as it was recorded: {explained(verdicts)}", finding=result)


def explained(verdicts: Iterable[Verdict]) -> str:
    """What is not intact, in words."""
    return "; ".join(f"{one.path} is {one.verdict}: {one.message}" for one in verdicts if one.message)
