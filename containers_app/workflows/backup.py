"""Backup: the container's file system as one plain tar, complete and checked before it has its name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from containers_app import VERSION
from containers_app.archives.manifest import ContainerIdentity, Manifest, Part
from containers_app.archives.stores.local import ArchiveWriter, Location
from containers_app.archives.writer import ReceivedArchive, receive
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import NameTaken
from containers_app.models import Backup, Container
from containers_app.specs.engine import ContainerSummary, EngineVersion
from containers_app.workflows.context import Context, Done
from containers_app.workflows.protected import check_protected
from containers_app.workflows.undo import remove_files

_GRADES = {"paused": "paused", "created": "stopped", "exited": "stopped", "dead": "stopped"}
_MEBIBYTE = 1024 * 1024
_LONGEST_NAME = 160


@dataclass(frozen=True, kw_only=True)
class BackupParams:
    """`container`: as the client wrote it. `name`: the file's name, `path`: its folder; None for the defaults.

    `confirm_protected`: back up a protected container all the same.
    """

    container: str
    name: str | None = None
    path: str | None = None
    confirm_protected: bool = False


@dataclass(frozen=True, kw_only=True)
class _Source:
    """What is known of the container before its first byte: it may be gone when the last one has come."""

    summary: ContainerSummary
    image_id: str
    image: str
    version: EngineVersion
    grade: str


def back_up(context: Context, params: BackupParams) -> Done:
    """Stream the container's export to the backup storage. The manifest beside it is written last.

    Raises the errors of the Engine, the archive and the storage; then nothing is left on the storage.
    """
    context.store.locate(params.path, params.name or "default.tar")
    context.stage("resolve the container")
    with context.gateway() as gateway:
        source = _look(context, gateway, params)
        started = time.monotonic()
        location, writer = _open(context, params, source)
        with writer:
            context.remember_undo(remove_files(location, operation_id=context.facts.operation_id, inode=writer.inode))
            context.stage("stream the file system")
            received = _receive(context, gateway, source, writer)
            context.stage("check and publish")
            writer.seal(received.stored_sha256, received.stored_bytes, checkpoint=context.checkpoint)
            context.checkpoint()
            moment = datetime.now(UTC)
            writer.publish(_manifest(context, source, location, received, moment).to_bytes())
    backup = _row(context, source, location, received)
    backup.duration_seconds, backup.created_at = round(time.monotonic() - started, 3), moment
    return Done(result=_result(params, backup), record=lambda: _record(backup))


def _look(context: Context, gateway: EngineGateway, params: BackupParams) -> _Source:
    summary = gateway.resolve(params.container)
    context.pin_target(summary.id, summary.name, lock=True)
    raw = gateway.inspect(summary.id)
    check_protected(context, raw, confirmed=params.confirm_protected)
    state = str(raw.get("State", {}).get("Status", ""))
    return _Source(
        summary=summary,
        image=str(raw.get("Config", {}).get("Image", "")),
        image_id=str(raw.get("Image", "")),
        version=gateway.version(),
        grade=_GRADES.get(state, "live"),
    )


def _open(context: Context, params: BackupParams, source: _Source) -> tuple[Location, ArchiveWriter]:
    """The file's place, taken. A default name that is taken waits for the next second: the name stays true."""
    while True:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
        default = f"{source.summary.name[:_LONGEST_NAME]}-backup-{stamp}.tar"
        location = context.store.locate(params.path, params.name or default)
        try:
            return location, context.store.open_for_write(location, context.facts.operation_id)
        except NameTaken:
            if params.name is not None:
                raise
        context.checkpoint()
        time.sleep(0.05)


def _receive(context: Context, gateway: EngineGateway, source: _Source, writer: ArchiveWriter) -> ReceivedArchive:
    with gateway.export(source.summary.id) as stream, context.interruptible(stream.abort):
        return receive(stream, writer, on_progress=context.progress, checkpoint=context.checkpoint)


def _manifest(
    context: Context, source: _Source, location: Location, received: ReceivedArchive, moment: datetime
) -> Manifest:
    part = Part(
        kind="rootfs",
        name=source.summary.name,
        path=location.name,
        size_bytes=received.size_bytes,
        stored_bytes=received.stored_bytes,
        sha256=received.sha256,
        stored_sha256=received.stored_sha256,
        members=received.members,
    )
    return Manifest(
        product_version=VERSION,
        operation_id=context.facts.operation_id,
        created_at=_timestamp(moment),
        container=ContainerIdentity(
            id=source.summary.id,
            name=source.summary.name,
            image=source.image,
            image_id=source.image_id,
            platform=source.version.platform,
        ),
        host=context.facts.host_name,
        engine_version=source.version.engine,
        api_version=source.version.api,
        consistency_grade=source.grade,
        warnings=(),
        parts=(part,),
    )


def _row(context: Context, source: _Source, location: Location, received: ReceivedArchive) -> Backup:
    known = Container.objects.filter(host_id=context.facts.host_id, engine_id=source.summary.id).first()
    return Backup(
        operation_id=context.facts.operation_id,
        host_id=context.facts.host_id,
        container=known,
        container_engine_id=source.summary.id,
        container_name=source.summary.name,
        file_name=location.name,
        path=context.store.path_of(location),
        size_bytes=received.size_bytes,
        members=received.members or 0,  # a tar that was walked has at least one
        sha256=received.sha256,
        consistency_grade=source.grade,
    )


def _record(backup: Backup) -> None:
    backup.save(force_insert=True)


def _result(params: BackupParams, backup: Backup) -> dict[str, Any]:
    """The published body, and our additions after it."""
    return {
        "success": True,
        "message": "Container backup created successfully",
        "action": "backup",
        "containerId": params.container,
        "backupFile": backup.file_name,
        "backupPath": backup.path,
        "sizeBytes": backup.size_bytes,
        "sizeMB": size_in_mebibytes(backup.size_bytes),
        "timestamp": _timestamp(backup.created_at),
        "backupId": str(backup.id),
        "sha256": backup.sha256,
        "consistencyGrade": backup.consistency_grade,
        "warnings": [],
    }


def size_in_mebibytes(size_bytes: int) -> float | int:
    """MiB with two decimals; a whole number without a fraction, as the published endpoint writes it."""
    rounded = round(size_bytes / _MEBIBYTE, 2)
    return int(rounded) if rounded.is_integer() else rounded


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
