"""A container replaced by what a backup has of it: made beside, proved, then swapped; the old one is kept as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.errors import Collides, ContainerNotFound, EngineError, InvalidRequest
from containers_app.models import Backup
from containers_app.workflows.context import Context
from containers_app.workflows.quiesce import grade_of, quiet, state_of, stop
from containers_app.workflows.restore_making import (
    RestoredContainer,
    RestoreProof,
    check_parts,
    make_restored,
    prove_restored,
)
from containers_app.workflows.restore_plan import RestorePlan
from containers_app.workflows.set_making import (
    SetFigures,
    SetWish,
    begin_set,
    looked_at,
    publish,
    record,
    row_of,
    save_files,
    save_rest,
)
from containers_app.workflows.set_reader import SetReader
from containers_app.workflows.set_writer import SetWriter
from containers_app.workflows.undo import remove_labelled, restore_name

_ID_CHARACTERS = 8
_EVERYTHING = ("rootfs", "config", "volumes")


@dataclass(frozen=True, kw_only=True)
class Old:
    """The container that gives way. `ran`: it does, so its successor will. `kept_as`: its name afterwards."""

    inspect: Mapping[str, Any] = field(repr=False)
    name: str
    kept_as: str
    ran: bool

    @property
    def id(self) -> str:
        """Its 64-hex id."""
        return str(self.inspect["Id"])

    def document(self) -> dict[str, Any]:
        """As plans show it: its volumes stay its own."""
        mounts = [mount for mount in self.inspect.get("Mounts") or [] if mount.get("Type") == "volume"]
        volumes = sorted({str(mount.get("Name")) for mount in mounts})
        return {"id": self.id, "name": self.name, "keptAs": self.kept_as, "keptVolumes": volumes}


@dataclass(frozen=True, kw_only=True)
class SafetySet:
    """What the container was, as a set on the storage; its row is not stored yet."""

    row: Backup
    files: SetWriter
    whole: bool

    def record(self) -> None:
        """Store the row and those of its parts."""
        record(self.row, self.files)


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """What came of it: the new container under the old one's name, and the old one's state as a backup of its own."""

    restored: RestoredContainer
    proof: RestoreProof
    safety: SafetySet


def find_old(context: Context, target: EngineGateway, name: str) -> Old:
    """The container of this name, if it can be swapped. Raises ContainerNotFound, Collides."""
    inspect = target.find(name)
    if str(inspect["Name"]).removeprefix("/") != name:
        raise ContainerNotFound(f"No container is named {name}: restore it with the mode 'new'.")
    state = state_of(inspect)
    if state in ("paused", "restarting", "removing", "dead"):
        raise Collides(f"the container {name} is {state}, and could not be put back so: start or stop it first")
    if inspect["HostConfig"].get("AutoRemove"):
        words = "removes itself when it stops, and could not be kept: use the mode 'new'"
        raise Collides(f"the container {name} {words}")
    suffix = context.facts.operation_id[-_ID_CHARACTERS:]
    return Old(inspect=inspect, name=name, kept_as=f"{name}.before-{suffix}", ran=state == "running")


def check_typed(old: Old, confirm: str | None) -> None:
    """Raise InvalidRequest unless the name of what is replaced was typed."""
    if confirm != old.name:
        words = f"must be the name of the container that is replaced: {old.name}"
        raise InvalidRequest(f"'confirm' {words}", field="confirm")


def swap(
    context: Context,
    target: EngineGateway,
    files: SetReader,
    plan: RestorePlan,
    *,
    old: Old,
    start: Callable[[RestoredContainer], bool] | None,
) -> Swapped:
    """Save the old one, make and prove the new one beside it, then let it take the old one's place.

    `start` says whether the new one is up; None: it is not started. Whatever fails is raised; then the undo gives the
    old container its name and its state again.
    """
    check_parts(context, files, plan)
    safety = _saved(context, target, files, old)
    beside = f"{old.name}.restored-{context.facts.operation_id[-_ID_CHARACTERS:]}"
    restored = make_restored(context, target, _named(plan, beside), files)
    proof = prove_restored(context, target, restored)
    if not proof.equal:
        raise EngineError("what was restored is not what the backup has, so the container was not replaced")
    _take_place(context, target, old, restored)
    if start is not None and not start(restored):
        raise EngineError("the restored container did not come up, so the old one is put back")
    _warn_of_policy(context, old)
    return Swapped(restored=restored, proof=proof, safety=safety)


def _saved(context: Context, target: EngineGateway, files: SetReader, old: Old) -> SafetySet:
    """The present state first, as a backup like any other."""
    wish = SetWish(
        contents=_EVERYTHING,
        consistency="pause" if grade_of(old.inspect) == "live" else "live",
        note=f"before the restore of {files.backup.file_name}",
    )
    source, started = looked_at(context, target, wish, old.inspect), time.monotonic()
    written = begin_set(context, wish, old.name)
    with quiet(context, target, old.inspect, wish.consistency):
        whole = save_files(context, target, wish, source, written)
    quiet_seconds = time.monotonic() - started if wish.consistency == "pause" else 0.0
    whole = save_rest(context, target, wish, source, written) and whole
    context.stage("publish the backup of the present state")
    figures = SetFigures(
        operation_id=context.facts.operation_id,
        created_at=publish(context, source, written),
        started_monotonic=started,
        quiet_seconds=round(quiet_seconds, 3),
        whole=whole,
    )
    return SafetySet(row=row_of(context, wish, source, written, figures), files=written, whole=whole)


def _named(plan: RestorePlan, name: str) -> RestorePlan:
    prepared = plan.prepared
    return replace(plan, prepared=replace(prepared, plan=replace(prepared.plan, name=name)))


def _take_place(context: Context, target: EngineGateway, old: Old, restored: RestoredContainer) -> None:
    """Stop and rename. Taken back in this order: the new one goes, the old one gets its name, then it is started."""
    if old.ran:
        stop(context, target, old.inspect, what="the old container")
    context.stage("swap the names", undo=restore_name(old.id, old.name))
    context.remember_undo(remove_labelled(context.facts.operation_id))
    target.rename(old.id, old.kept_as)
    target.rename(restored.id, old.name)


def _warn_of_policy(context: Context, old: Old) -> None:
    """Engines start these when they start, though somebody stopped them."""
    if (old.inspect["HostConfig"].get("RestartPolicy") or {}).get("Name") == "always":
        words = "would be started again with its Engine, as its restart policy is 'always': remove it, or change that"
        context.warn("KEPT_MAY_START", f"The old container {old.kept_as} {words}.")
