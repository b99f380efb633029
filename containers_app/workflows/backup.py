"""Backup: a container's files and configuration as one set, complete and checked before its manifest makes it one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.workflows.context import Context, Done
from containers_app.workflows.hooks import hooked
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import grade_of, quiet
from containers_app.workflows.set_making import (
    SetFigures,
    SetWish,
    backed_up,
    begin_set,
    check_rights,
    looked_at,
    publish,
    record,
    row_of,
    save_files,
    save_rest,
)


@dataclass(frozen=True, kw_only=True)
class BackupParams(SetWish):
    """`container`: as the client wrote it. `confirm_protected`: back up a protected container all the same."""

    container: str


def back_up(context: Context, params: BackupParams) -> Done:
    """Save what was asked for, while the container is as quiet as was asked. The manifest is written last.

    Raises the errors of the Engine, the archives and the storage; then nothing is left on the storage.
    """
    context.store.locate(params.path, params.name or "default.tar")
    check_rights(context, params)
    context.stage("resolve the container")
    with context.gateway() as gateway:
        inspect = gateway.find(params.container)
        context.pin_target(str(inspect["Id"]), str(inspect["Name"]).removeprefix("/"), lock=True)
        check_protected(context, inspect, confirmed=params.confirm_protected)
        source = looked_at(context, gateway, params, inspect)
        started = time.monotonic()
        files = begin_set(context, params, source.name)
        with hooked(context, gateway, inspect, source.hooks, restarts=params.consistency == "stop") as hooks:
            quiet_from = time.monotonic()
            with quiet(context, gateway, inspect, params.consistency):
                whole = save_files(context, gateway, params, source, files)
            quiet_seconds = time.monotonic() - quiet_from if _is_quieted(params, inspect) else 0.0
        whole = save_rest(context, gateway, params, source, files) and whole and not hooks.after_failed
    context.stage("check and publish")
    figures = SetFigures(
        operation_id=context.facts.operation_id,
        created_at=publish(context, source, files),
        started_monotonic=started,
        quiet_seconds=round(quiet_seconds, 3),
        whole=whole,
    )
    row = row_of(context, params, source, files, figures)
    return Done(result=backed_up(params.container, row), record=lambda: record(row, files), partial=not whole)


def _is_quieted(params: BackupParams, inspect: Mapping[str, Any]) -> bool:
    """Whether the container was paused or stopped for this."""
    return params.consistency != "live" and grade_of(inspect) == "live"
