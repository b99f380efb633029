"""Back up a whole compose project: a set for each container, all of them as they were at one moment, or none."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from containers_app.archives.manifest import StackIdentity
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import ContainerNotFound
from containers_app.models import Backup
from containers_app.specs.stack import Member, in_order, member
from containers_app.workflows.context import ChildTarget, Context, Done
from containers_app.workflows.hooks import Hooked, hooked
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import quiet
from containers_app.workflows.set_making import (
    SetFigures,
    SetWish,
    Source,
    backed_up,
    check_rights,
    looked_at,
    publish,
    record,
    recorded_wish,
    row_of,
    save_files,
    save_rest,
)
from containers_app.workflows.set_record import timestamp
from containers_app.workflows.set_writer import SetWriter


@dataclass(frozen=True, kw_only=True)
class StackBackupParams(SetWish):
    """`project`: compose's name. `name` begins the names of all files."""

    project: str


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """A member with its set, the operation that is about it, and when it was begun."""

    member: Member
    source: Source
    files: SetWriter
    child: str
    started_monotonic: float


def back_up_stack(context: Context, params: StackBackupParams) -> Done:
    """Save every member while all of them are as quiet as was asked; the manifests are written when all is there.

    Raises ContainerNotFound for an empty project, and what a backup raises; then nothing is left on the storage.
    """
    context.store.locate(params.path, f"{params.name or params.project}.tar")
    check_rights(context, params)
    context.stage("find the project")
    with context.gateway() as gateway:
        members = _members(context, gateway, params)
        saved = _begun(context, gateway, params, members)
        wholes, quiet_seconds = _saved(context, gateway, params, saved)
        for number, entry in enumerate(saved):
            written = [part for other in saved for part in other.files.parts if part.kind == "image"]
            wholes[number] &= save_rest(context, gateway, params, entry.source, entry.files, written=written)
    context.stage("check and publish")
    rows = [
        _published(context, params, saved, entry, whole=whole, quiet_seconds=quiet_seconds)
        for entry, whole in zip(saved, wholes, strict=True)
    ]
    return Done(
        result=_result(params, rows, quiet_seconds),
        record=lambda: _record(rows, saved),
        partial=not all(wholes),
    )


def _members(context: Context, gateway: EngineGateway, params: StackBackupParams) -> tuple[Member, ...]:
    """The containers of the project, each before those that depend on it."""
    members = in_order(member(gateway.inspect(found)) for found in gateway.project(params.project))
    if not members:
        raise ContainerNotFound(f"the project {params.project} has no containers on this host")
    for entry in members:
        check_protected(context, entry.inspect, confirmed=params.confirm_protected)
    return members


def _begun(
    context: Context, gateway: EngineGateway, params: StackBackupParams, members: Sequence[Member]
) -> list[_Saved]:
    """A set with a free name for each member, recorded as a part of this operation."""
    prefix = params.name or f"{params.project}-backup-{datetime.now(UTC).strftime('%Y-%m-%dT%H-%M-%S')}"
    sources = [looked_at(context, gateway, params, entry.inspect) for entry in members]
    writers = [
        SetWriter(context, context.store.locate(params.path, f"{prefix}-{entry.name}.tar"), params.encoding)
        for entry in members
    ]
    for writer in writers:
        writer.require_free()
    shown = recorded_wish(params)
    targets = [
        ChildTarget(
            kind="backup",
            container_id=entry.id,
            name=entry.name,
            params={**shown, "container": entry.id, "name": writer.base.name},
            lock=True,
        )
        for entry, writer in zip(members, writers, strict=True)
    ]
    children = context.begin_children(targets)
    return [
        _Saved(member=entry, source=source, files=writer, child=child, started_monotonic=time.monotonic())
        for entry, source, writer, child in zip(members, sources, writers, children, strict=True)
    ]


def _saved(
    context: Context, gateway: EngineGateway, params: StackBackupParams, saved: Sequence[_Saved]
) -> tuple[list[bool], float]:
    """Write all files while all members are quiet. Whether each is whole, and the seconds that it took."""
    with _all_hooked(context, gateway, saved, params.consistency) as hooks:
        began = time.monotonic()
        with _all_quiet(context, gateway, saved, params.consistency):
            wholes = [save_files(context, gateway, params, entry.source, entry.files) for entry in saved]
        quiet_seconds = time.monotonic() - began
    wholes = [whole and not hook.after_failed for whole, hook in zip(wholes, hooks, strict=True)]
    return wholes, 0.0 if params.consistency == "live" else round(quiet_seconds, 3)


@contextmanager
def _all_hooked(
    context: Context, gateway: EngineGateway, saved: Sequence[_Saved], consistency: str
) -> Iterator[list[Hooked]]:
    """The hooks before in the order of the members, those after in the other one."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                hooked(context, gateway, entry.source.inspect, entry.source.hooks, restarts=consistency == "stop")
            )
            for entry in saved
        ]


@contextmanager
def _all_quiet(context: Context, gateway: EngineGateway, saved: Sequence[_Saved], consistency: str) -> Iterator[None]:
    """Dependents are put to sleep first and woken last."""
    with ExitStack() as quieted:
        for entry in reversed(saved):
            quieted.enter_context(quiet(context, gateway, entry.member.inspect, consistency))
        yield


def _published(
    context: Context,
    params: StackBackupParams,
    saved: Sequence[_Saved],
    entry: _Saved,
    *,
    whole: bool,
    quiet_seconds: float,
) -> Backup:
    identity = StackIdentity(
        project=params.project,
        service=entry.member.service,
        operation_id=context.facts.operation_id,
        members=tuple(other.member.name for other in saved),
    )
    figures = SetFigures(
        operation_id=entry.child,
        created_at=publish(context, entry.source, entry.files, stack=identity),
        started_monotonic=entry.started_monotonic,
        quiet_seconds=quiet_seconds,
        whole=whole,
    )
    row = row_of(context, params, entry.source, entry.files, figures)
    context.describe_child(entry.child, Done(result=backed_up(entry.member.id, row), partial=not whole))
    return row


def _record(rows: Sequence[Backup], saved: Sequence[_Saved]) -> None:
    for row, entry in zip(rows, saved, strict=True):
        record(row, entry.files)


def _result(params: StackBackupParams, rows: Sequence[Backup], quiet_seconds: float) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Stack backup created successfully",
        "action": "stackBackup",
        "project": params.project,
        "sizeBytes": sum(row.stored_bytes for row in rows),
        "timestamp": timestamp(max(row.created_at for row in rows)),
        "backups": [
            {
                "containerId": row.container_engine_id,
                "name": row.container_name,
                "backupFile": row.file_name,
                "backupPath": row.path,
                "backupId": str(row.pk),
                "sha256": row.sha256,
                "consistencyGrade": row.consistency_grade,
            }
            for row in rows
        ],
        "quietSeconds": quiet_seconds,
        "warnings": [],
    }
