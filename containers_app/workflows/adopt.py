"""Adopt: a set that stands in the storage and that no record knows gets one, once every byte of it was compared."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from containers_app.archives.checking import INTACT, Reading, check_parts, read_manifest, worst
from containers_app.archives.manifest import Manifest
from containers_app.archives.stores.local import LocalStore, Location
from containers_app.archives.stores.paths import MANIFEST_SUFFIX, is_manifest_name
from containers_app.errors import ArchiveInvalid, BackupCorrupt, InvalidRequest, NameTaken, NotFound, PermissionDenied
from containers_app.models import Backup, BackupPart, Container
from containers_app.workflows.context import Context, Done
from containers_app.workflows.foreign_set import judge_parts
from containers_app.workflows.set_record import damage, shown, timestamp, why_recorded

SYSTEM = "audit.view_entry"
# Of a warning that is not known here, something may be missing.
_HARMLESS = frozenset(
    (
        *("PROTECTED", "SECRETS_LEFT_OUT", "SECRETS_UNENCRYPTED", "CONTENT_CHOSEN"),
        *("NO_HOOKS_KNOWN", "HOOKS_SKIPPED", "INDEX_LEFT_OUT"),
    )
)
_LONGEST_NAME = 255
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class AdoptParams:
    """`path`: the manifest's absolute path."""

    path: str

    @property
    def name(self) -> str:
        """The manifest's file name."""
        return self.path.rpartition("/")[2]


def adopt(context: Context, params: AdoptParams) -> Done:
    """Record a set from its manifest alone, read strictly; its parts must have the sizes and hashes that it names.

    Raises PermissionDenied, InvalidRequest, NotFound, NameTaken for a set that is recorded, and BackupCorrupt or
    BackupMissing with the finding, also for archives that could do harm; then nothing is recorded.
    """
    if not context.facts.may(SYSTEM):
        raise PermissionDenied(f"you may not do this: it needs the permission '{SYSTEM}'")
    context.stage("read the manifest")
    location, manifest = look(context.store, params.path)
    context.pin_target(str(uuid.uuid5(uuid.NAMESPACE_URL, params.path)), location.name, lock=True)
    _require_unrecorded(params.path, manifest)
    context.stage("read every byte")
    context.progress(0, bytes_total=sum(part.stored_bytes for part in manifest.parts))
    reading = Reading(report=context.progress, checkpoint=context.checkpoint)
    verdicts = check_parts(context.store, location, manifest.parts, reading)
    row, whole = _row(context, location, manifest), worst(verdicts) == INTACT
    result = {
        "success": whole,
        "message": "The backup is adopted" if whole else "The backup is damaged, so it is not adopted",
        "action": "adopt",
        "backupFile": row.file_name,
        "backupPath": row.path,
        "timestamp": timestamp(row.created_at),
        "backupId": str(row.pk) if whole else None,
        "bytesRead": reading.bytes_done,
        "parts": shown(verdicts),
    }
    if not whole:
        raise damage(row.file_name, verdicts, result)
    context.stage("judge the archives")
    judge_parts(context, location, manifest.parts)
    return Done(result=result, record=lambda: _record(params.path, manifest, row), partial=not _is_whole(manifest))


def look(store: LocalStore, path: str) -> tuple[Location, Manifest]:
    """Where a manifest of this path is, and what it says.

    Raises InvalidRequest (field `path`), NotFound, BackupCorrupt for what is no manifest of ours, and StorageError.
    """
    location = _located(store, path)
    if store.stored_size(location) is None:
        raise NotFound("no manifest stands there")
    try:
        manifest = read_manifest(store, location)
        _check_storable(manifest)
    except ArchiveInvalid as error:
        raise BackupCorrupt(error.message) from error
    return location, manifest


def _located(store: LocalStore, path: str) -> Location:
    folder, _, name = path.rpartition("/")
    with suppress(InvalidRequest):
        if is_manifest_name(name):
            location = store.locate(folder, name.removesuffix(MANIFEST_SUFFIX)).manifest
            # One set has one path: another spelling of it would not be the one that is recorded.
            if store.path_of(location) == path:
                return location
    raise InvalidRequest("'path' must be the path of a manifest, as the list of orphans has it", field="path")


def _check_storable(manifest: Manifest) -> None:
    """What a manifest may say, and a record cannot keep. Raises ArchiveInvalid."""
    names = [manifest.container.name, manifest.stack.project if manifest.stack else ""]
    texts = [*names, *(part.name for part in manifest.parts)]
    if any(len(name) > _LONGEST_NAME for name in names) or any("\0" in text for text in texts):
        raise ArchiveInvalid("The manifest is invalid: a name is too long, or holds a NUL.")
    if any(part.path.endswith(MANIFEST_SUFFIX) for part in manifest.parts):
        raise ArchiveInvalid("The manifest is invalid: it names a manifest as a part.")
    if _moment(manifest) > datetime.now(UTC) + _CLOCK_SKEW:
        raise ArchiveInvalid("The manifest is invalid: it was made in the future.")


def _require_unrecorded(path: str, manifest: Manifest) -> None:
    why = why_recorded(path, manifest.operation_id)
    if why:
        raise NameTaken(why, field="path")


def _row(context: Context, location: Location, manifest: Manifest) -> Backup:
    container, first = manifest.container, manifest.parts[0]
    return Backup(
        operation_id=context.facts.operation_id,
        host_id=context.facts.host_id,
        container=Container.objects.filter(host_id=context.facts.host_id, engine_id=container.id).first(),
        container_engine_id=container.id,
        container_name=container.name,
        stack=manifest.stack.project if manifest.stack else "",
        state="complete" if _is_whole(manifest) else "partial",
        file_name=first.path,
        path=context.store.path_of(location.beside(first.path)),
        manifest_name=location.name,
        size_bytes=first.stored_bytes,
        stored_bytes=sum(part.stored_bytes for part in manifest.parts),
        members=first.members,
        sha256=first.stored_sha256,
        consistency_grade=manifest.consistency_grade,
        duration_seconds=0.0,
        # No clock that is ahead makes it newer than what is made from now on.
        created_at=min(_moment(manifest), datetime.now(UTC)),
    )


def _record(path: str, manifest: Manifest, row: Backup) -> None:
    _require_unrecorded(path, manifest)
    row.verified_at = row.checked_at = datetime.now(UTC)
    row.save(force_insert=True)
    BackupPart.objects.bulk_create(BackupPart.of(row, number, part) for number, part in enumerate(manifest.parts))


def _is_whole(manifest: Manifest) -> bool:
    return all(warning.code in _HARMLESS for warning in manifest.warnings)


def _moment(manifest: Manifest) -> datetime:
    return datetime.fromisoformat(manifest.created_at)
