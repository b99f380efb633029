"""Restore a whole compose project as a stack backup has it: every container new, all of it proved, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from containers_app.archives.codecs import Keys
from containers_app.engine.gateway import EngineGateway
from containers_app.models import DockerHost
from containers_app.workflows.admission import check_admission
from containers_app.workflows.context import ChildTarget, Context, Done
from containers_app.workflows.restore_content import Meter, Restored, fill_volume
from containers_app.workflows.restore_making import (
    RestoredContainer,
    RestoreProof,
    bring_image,
    check_parts,
    prove_restored,
    to_fill,
)
from containers_app.workflows.stack_making import (
    MadeMember,
    kept_on_failure,
    list_members,
    made_around,
    made_members,
    started,
)
from containers_app.workflows.stack_members import PlannedMember
from containers_app.workflows.stack_restore_plan import StackRestorePlan, plan_stack_restore
from containers_app.workflows.stack_sets import open_stack
from containers_app.workflows.undo import remove_labelled


@dataclass(frozen=True, kw_only=True)
class StackRestoreParams:
    """`backup`: the id of any set of the stack's backup. `new_project`: compose's name, None for the saved one.

    The others are those of a stack clone; `keys`: what opens encrypted sets.
    """

    backup: str
    new_project: str | None = None
    start: bool = False
    wait_healthy_seconds: int = 0
    keep_on_failure: bool = False
    confirm_privileged: bool = False
    dry_run: bool = False
    plan_hash: str | None = None
    keys: Keys = field(default_factory=Keys, repr=False)


def recorded_stack_restore(params: StackRestoreParams) -> dict[str, Any]:
    """The params as the row and the ledger keep them: without what is write-only."""
    return {entry.name: getattr(params, entry.name) for entry in fields(params) if entry.name != "keys"}


def sealed_stack_restore(params: StackRestoreParams) -> dict[str, Any]:
    """What of the params is write-only."""
    return params.keys.sealed


def reopened_stack_restore(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a row, with what was sealed."""
    return {**recorded, "keys": Keys.reopened(sealed)}


def restore_stack(context: Context, params: StackRestoreParams) -> Done:
    """Open all sets and plan; unless that is all, make the project, fill it, prove it, and start it if asked.

    Raises InvalidRequest, BackupUnusable, and the errors of the archives, the storage, the Engine and admission; then
    nothing is left behind, unless it was asked to keep it.
    """
    context.stage("open the backups")
    sets = open_stack(context, params.backup, params.keys, field="backupId")
    bound = {"backup": sets.identity.operation_id, "host": context.facts.host_name, "start": params.start}
    with context.gateway() as target:
        plan = plan_stack_restore(context, target, sets, new_project=params.new_project, bound=bound)
        stack = plan.stack
        context.stage("plan", plan=plan.document())
        if params.dry_run:
            return Done(result={"success": True, "action": "stackRestore", "dryRun": True, "plan": plan.document()})
        check_admission(
            context,
            plan_hash=stack.hash,
            bound_to=params.plan_hash,
            powers=stack.powers,
            confirmed=params.confirm_privileged,
            collisions=stack.collisions,
            warnings=stack.warnings,
            start=params.start,
            name_field="newProject",
        )
        for planned in stack.members:
            check_parts(context, plan.sets[planned.member.id].files, plan.of(planned))
        undo = remove_labelled(context.facts.operation_id)
        context.stage("make networks and volumes", undo=undo)
        with kept_on_failure(context, undo, keep=params.keep_on_failure):
            return _restored(context, target, params, plan)


def _restored(context: Context, target: EngineGateway, params: StackRestoreParams, plan: StackRestorePlan) -> Done:
    children = context.begin_children([_child(plan, planned) for planned in plan.stack.members])
    making = _Making(context, target, plan)
    renaming = made_around(context, target, plan.stack)
    made = made_members(context, target, plan.stack, children, renaming=renaming, bring=making.bring)
    for entry in made:
        making.fill(entry)
    proofs = [making.prove(entry) for entry in made]
    up = not params.start or started(context, target, made, wait_seconds=params.wait_healthy_seconds)
    list_members(DockerHost.objects.get(pk=context.facts.host_id), target, made, ran=params.start)
    equal = all(proof.equal for proof in proofs)
    content = [dict(tree) for proof in proofs for tree in proof.content]
    return Done(
        result=_result(params, plan, made), proof={"content": content}, partial=not (up and equal and plan.whole)
    )


class _Making:
    """The restore of each member, with what its set has been read for so far."""

    def __init__(self, context: Context, target: EngineGateway, plan: StackRestorePlan) -> None:
        self._context, self._target, self._plan = context, target, plan
        self._meter = Meter(context, [part for planned in plan.stack.members for part in plan.of(planned).parts])
        self._content: dict[str, list[Restored]] = {}

    def bring(self, planned: PlannedMember) -> PlannedMember:
        """The member with an image that the Engine has now."""
        files = self._plan.sets[planned.member.id].files
        restore, content = bring_image(self._context, self._target, self._plan.of(planned), files, self._meter)
        self._content[planned.member.id] = list(content)
        return replace(planned, prepared=restore.prepared)

    def fill(self, entry: MadeMember) -> None:
        """Unpack the volumes that come from the member's set."""
        planned, content = entry.planned, self._content[entry.planned.member.id]
        files = self._plan.sets[planned.member.id].files
        for volume, part in (*self._plan.shared(planned), *to_fill(self._plan.of(planned), entry.inspect)):
            self._context.stage(f"fill {volume}")
            filled = fill_volume(self._context, self._target, files, part, volume=volume, meter=self._meter)
            content.append(filled)

    def prove(self, entry: MadeMember) -> RestoreProof:
        """Compare the member with its set, and say in its own operation what came of it."""
        planned = entry.planned
        restore = replace(self._plan.of(planned), prepared=entry.prepared)
        content = tuple(self._content[planned.member.id])
        restored = RestoredContainer(inspect=entry.inspect, plan=restore, content=content)
        proof = prove_restored(self._context, self._target, restored)
        done = Done(
            result=_member_result(self._plan, entry),
            proof=proof.document(),
            partial=not (proof.equal and restore.whole),
        )
        self._context.describe_child(entry.child, done)
        return proof


def _child(plan: StackRestorePlan, planned: PlannedMember) -> ChildTarget:
    entry = planned.member
    params = {"backup": str(plan.sets[entry.id].files.backup.pk), "mode": "new", "name": planned.new_name}
    return ChildTarget(kind="restore", container_id=entry.id, name=entry.name, params=params)


def _member_result(plan: StackRestorePlan, entry: MadeMember) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Container restored successfully",
        "action": "restore",
        "mode": "new",
        "newId": entry.id,
        "newName": entry.planned.new_name,
        "backupId": str(plan.sets[entry.planned.member.id].files.backup.pk),
    }


def _result(params: StackRestoreParams, plan: StackRestorePlan, made: tuple[MadeMember, ...]) -> dict[str, Any]:
    shown = ("newId", "newName", "backupId")
    members = [(entry.planned.member.service, _member_result(plan, entry)) for entry in made]
    return {
        "success": True,
        "message": "Stack restored successfully",
        "action": "stackRestore",
        "project": plan.stack.project,
        "newProject": plan.stack.new_project,
        "backupId": params.backup,
        "containers": [{"service": service, **{name: body[name] for name in shown}} for service, body in members],
    }
