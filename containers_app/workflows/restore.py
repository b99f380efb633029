"""Restore: a container, or one of its volumes, as a backup has it; all of it and proved, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from containers_app.archives.codecs import Keys
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import PermissionDenied
from containers_app.models import DockerHost
from containers_app.specs.overrides import AS_THE_SOURCE, Overrides, read_overrides
from containers_app.workflows import inventory
from containers_app.workflows.admission import check_admission
from containers_app.workflows.context import Context, Done
from containers_app.workflows.health import start_and_wait
from containers_app.workflows.path_plan import PathPlan, plan_paths
from containers_app.workflows.path_source import find_paths, path_of
from containers_app.workflows.protected import check_protected, check_sharers
from containers_app.workflows.restore_in_place import check_typed, find_old, swap
from containers_app.workflows.restore_making import RestoredContainer, check_parts, make_restored, prove_restored
from containers_app.workflows.restore_path import check_confirmed, find_target, put_paths
from containers_app.workflows.restore_plan import RestorePlan, Wanted, plan_restore
from containers_app.workflows.restore_volume import fill_new_volume, plan_volume
from containers_app.workflows.set_reader import SetReader, open_set
from containers_app.workflows.set_record import SAFETY_STATE
from containers_app.workflows.undo import remove_labelled

MODES = ("new", "inPlace", "volume", "path")
# Without a look, whatever takes the place of what ran would count as up.
LEAST_WAIT_SECONDS = 30
REPLACE_PERMISSION = "containers_app.remove_container"


@dataclass(frozen=True, kw_only=True)
class RestoreParams:
    """`backup`: its record's id. `mode`: one of MODES. `name`: of what is made, None for the name in the backup.

    `parts`: kinds or names of the parts to restore, None for all. `volume`: the one to restore, by name or mount point.
    `paths`: files and folders as the container sees them; `container` gets them, in its folder `target`.
    `confirm`: the name of the container that is replaced, or in which files are, typed. `start`: start the container,
    and wait up to `wait_healthy_seconds`. `keys`: what opens an encrypted backup.
    """

    backup: str
    mode: str = "new"
    name: str | None = None
    parts: tuple[str, ...] | None = None
    volume: str | None = None
    paths: tuple[str, ...] = ()
    container: str | None = None
    target: str | None = None
    start: bool = False
    wait_healthy_seconds: int = 0
    dry_run: bool = False
    plan_hash: str | None = None
    confirm: str | None = None
    confirm_privileged: bool = False
    confirm_protected: bool = False
    overrides: Overrides = AS_THE_SOURCE
    keys: Keys = field(default_factory=Keys, repr=False)


def recorded_restore(params: RestoreParams) -> dict[str, Any]:
    """The params as the row and the ledger keep them: without what is write-only."""
    kept = {entry.name: getattr(params, entry.name) for entry in fields(params) if entry.name != "keys"}
    return {**kept, "overrides": params.overrides.shown}


def sealed_restore(params: RestoreParams) -> dict[str, Any]:
    """What of the params is write-only."""
    overrides = params.overrides.raw
    return {**({"overrides": overrides} if overrides else {}), **params.keys.sealed}


def reopened_restore(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a row, with what was sealed."""
    parts = recorded.get("parts")
    overrides = read_overrides(sealed.get("overrides") or {})
    lists = {"parts": None if parts is None else tuple(parts), "paths": tuple(recorded.get("paths") or ())}
    return {**recorded, **lists, "overrides": overrides, "keys": Keys.reopened(sealed)}


def restore(context: Context, params: RestoreParams) -> Done:
    """Open the backup and do what the mode says.

    Raises BackupUnusable, and the errors of the archives, the storage, the Engine and admission; then nothing is left
    behind.
    """
    context.stage("open the backup")
    files = open_set(context, params.backup, params.keys)
    work = {
        "new": _restored_container,
        "inPlace": _replaced_container,
        "volume": _restored_volume,
        "path": _restored_paths,
    }
    return work[params.mode](context, params, files)


def _replaced_container(context: Context, params: RestoreParams, files: SetReader) -> Done:
    """In place of the container of that name, which is kept under another one."""
    _check_may_replace(context)
    with context.gateway() as target:
        old = find_old(context, target, params.name or files.manifest.container.name)
        context.pin_target(old.id, old.name, lock=not params.dry_run)
        check_protected(context, old.inspect, confirmed=params.confirm_protected)
        wait_seconds = params.wait_healthy_seconds or LEAST_WAIT_SECONDS
        params = replace(params, start=params.start or old.ran, wait_healthy_seconds=wait_seconds)
        plan = plan_restore(context, target, files, _wanted(params, files, replaces=old.id))
        document = {**plan.document(), "replaces": old.document()}
        context.stage("plan", plan=document)
        if params.dry_run:
            return _planned(document)
        check_typed(old, params.confirm)
        _check_admission(context, params, plan)
        start = (lambda made: _started(context, target, params, made)) if params.start else None
        swapped = swap(context, target, files, plan, old=old, start=start)
        for container_id in (old.id, swapped.restored.id):
            inventory.refresh(_host(context), target, container_id)
    own = {"keptId": old.id, "keptName": old.kept_as, "safetyBackupId": str(swapped.safety.row.pk)}
    own[SAFETY_STATE] = str(swapped.safety.row.state)
    message = "Container replaced successfully"
    return Done(
        result={**_result(params, files, message, new_id=swapped.restored.id, name=old.name), **own},
        proof=swapped.proof.document(),
        record=swapped.safety.record,
        partial=not (plan.whole and swapped.safety.whole),
    )


def _restored_volume(context: Context, params: RestoreParams, files: SetReader) -> Done:
    """One volume alone, under a name that no other has."""
    bound = {"backup": params.backup, "mode": params.mode}
    with context.gateway() as target:
        plan = plan_volume(context, target, files, wanted=str(params.volume), name=params.name, bound=bound)
        context.stage("plan", plan=plan.document())
        if params.dry_run:
            return _planned(plan.document())
        check_admission(
            context,
            plan_hash=plan.hash,
            bound_to=params.plan_hash,
            powers=(),
            confirmed=False,
            collisions=plan.collisions,
            warnings=plan.warnings,
            start=False,
            name_field="name",
        )
        proofs = fill_new_volume(context, target, files, plan)
    return Done(
        result=_result(params, files, "Volume restored successfully", new_id=None, name=plan.name),
        proof={"content": [dict(proof) for proof in proofs]},
        partial=not all(proof["equal"] for proof in proofs),
    )


def _check_may_replace(context: Context) -> None:
    if not context.facts.may(REPLACE_PERMISSION):
        raise PermissionDenied(
            f"to change a container that is there you need the permission '{REPLACE_PERMISSION}' too"
        )


def _restored_paths(context: Context, params: RestoreParams, files: SetReader) -> Done:
    """Files and folders, into a container that is there."""
    _check_may_replace(context)
    with context.gateway() as target:
        inspect = find_target(target, files, params.container)
        context.pin_target(str(inspect["Id"]), str(inspect["Name"]).removeprefix("/"), lock=not params.dry_run)
        check_protected(context, inspect, confirmed=params.confirm_protected)
        plan = _path_plan(context, target, params, files, inspect)
        trees = tuple(place.tree for place in plan.places)
        check_sharers(context, target, trees, besides=plan.container_id, confirmed=params.confirm_protected)
        context.stage("plan", plan=plan.document())
        if params.dry_run:
            return _planned(plan.document())
        check_confirmed(plan, params.confirm)
        check_admission(
            context,
            plan_hash=plan.hash,
            bound_to=params.plan_hash,
            powers=(),
            confirmed=False,
            collisions=plan.collisions,
            warnings=plan.warnings,
            start=False,
        )
        placed = put_paths(context, target, files, plan)
    entries = {name: plan.total(name) for name in ("new", "overwritten", "unchanged")}
    own = {"containerId": plan.container_id, "entries": entries, "keptIn": list(placed.kept)}
    message = "Files restored successfully"
    return Done(
        result={**_result(params, files, message, new_id=None, name=plan.container_name), **own},
        proof={"content": [dict(proof) for proof in placed.proofs]},
        settling=placed.settling,
    )


def _path_plan(
    context: Context, target: EngineGateway, params: RestoreParams, files: SetReader, inspect: Mapping[str, Any]
) -> PathPlan:
    context.stage("look at the files", undo=remove_labelled(context.facts.operation_id))
    folder = None if params.target is None else path_of(params.target, field_name="target")
    bound = {"backup": params.backup, "mode": params.mode, "paths": sorted(params.paths), "target": params.target}
    found = find_paths(context, files, params.paths)
    return plan_paths(context, target, inspect, found, target=folder, bound=bound)


def _planned(plan: Mapping[str, Any]) -> Done:
    return Done(result={"success": True, "action": "restore", "dryRun": True, "plan": plan})


def _restored_container(context: Context, params: RestoreParams, files: SetReader) -> Done:
    """A new container with all that the backup has of it."""
    with context.gateway() as target:
        plan = plan_restore(context, target, files, _wanted(params, files))
        document = plan.document()
        context.stage("plan", plan=document)
        if params.dry_run:
            return _planned(document)
        _check_admission(context, params, plan)
        check_parts(context, files, plan)
        restored = make_restored(context, target, plan, files)
        proof = prove_restored(context, target, restored)
        up = not params.start or _started(context, target, params, restored)
        _list(context, target, params, restored)
    name = restored.plan.prepared.plan.name
    return Done(
        result=_result(params, files, "Container restored successfully", new_id=restored.id, name=name),
        proof=proof.document(),
        partial=not (up and proof.equal and plan.whole),
    )


def _wanted(params: RestoreParams, files: SetReader, *, replaces: str = "") -> Wanted:
    return Wanted(
        name=params.name or files.manifest.container.name,
        parts=params.parts,
        overrides=params.overrides,
        bound={"backup": params.backup, "mode": params.mode, "start": params.start, "replaces": replaces},
        replaces=replaces,
    )


def _check_admission(context: Context, params: RestoreParams, plan: RestorePlan) -> None:
    document = plan.prepared.document
    check_admission(
        context,
        plan_hash=document.hash,
        bound_to=params.plan_hash,
        powers=plan.prepared.powers,
        confirmed=params.confirm_privileged,
        collisions=document.collisions,
        warnings=document.warnings,
        start=params.start,
        name_field="name",
    )


def _started(context: Context, target: EngineGateway, params: RestoreParams, restored: RestoredContainer) -> bool:
    return start_and_wait(
        context,
        target,
        restored.id,
        what="the container",
        secrets=restored.plan.prepared.plan.create.secrets,
        wait_seconds=params.wait_healthy_seconds,
    )


def _list(context: Context, target: EngineGateway, params: RestoreParams, restored: RestoredContainer) -> None:
    """Put it into the inventory; one that was started may have changed, or be gone by now."""
    if params.start:
        inventory.refresh(_host(context), target, restored.id)
    else:
        inventory.remember(_host(context), restored.inspect)


def _host(context: Context) -> DockerHost:
    return DockerHost.objects.get(pk=context.facts.host_id)


def _result(params: RestoreParams, files: SetReader, message: str, *, new_id: str | None, name: str) -> dict[str, Any]:
    return {
        "success": True,
        "message": message,
        "action": "restore",
        "mode": params.mode,
        "newId": new_id,
        "newName": name,
        "backupId": str(files.backup.pk),
    }
