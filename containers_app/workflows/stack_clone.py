"""Clone a whole compose project under a new name: all of it, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from containers_app.models import DockerHost
from containers_app.workflows.admission import check_admission, check_room, may_look
from containers_app.workflows.content import Ends
from containers_app.workflows.context import ChildTarget, Context, Done
from containers_app.workflows.fidelity import proven
from containers_app.workflows.making import cloned, taken_back, target_of, with_image
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import check_quiet
from containers_app.workflows.stack_content import Filled, fill, measured
from containers_app.workflows.stack_making import (
    MadeMember,
    kept_on_failure,
    list_members,
    made_around,
    made_members,
    started,
)
from containers_app.workflows.stack_members import PlannedMember
from containers_app.workflows.stack_plan import StackPlan, plan_stack


@dataclass(frozen=True, kw_only=True)
class StackCloneParams:
    """`project` and `new_project`: compose's names. `host`: the target host, None for the source's.

    `data`, `consistency`, `start`, `dry_run`, `plan_hash`: as of a clone. `keep_on_failure`: leave what was made.
    """

    project: str
    new_project: str
    host: str | None = None
    data: str = "none"
    consistency: str = "live"
    start: bool = False
    wait_healthy_seconds: int = 0
    keep_on_failure: bool = False
    confirm_privileged: bool = False
    confirm_protected: bool = False
    dry_run: bool = False
    plan_hash: str | None = None


def clone_stack(context: Context, params: StackCloneParams) -> Done:
    """Plan the project; unless that is all, make it, fill it, prove it, and start it if asked.

    Raises ContainerNotFound for an empty project, PermissionDenied, Collides, PlanChanged, and the Engine's errors;
    then nothing is left behind, unless it was asked to keep it.
    """
    context.stage("find the project")
    with context.gateway() as gateway, target_of(context, params.host, gateway) as target:
        ends = Ends(source=gateway, target=target, host="" if target is gateway else str(params.host))
        bound = {
            "host": params.host,
            "data": params.data,
            "consistency": params.consistency,
            "start": params.start,
        }
        stack = plan_stack(
            context,
            ends,
            project=params.project,
            new_project=params.new_project,
            data=params.data,
            bound=bound,
        )
        for entry in stack.members:
            check_protected(context, entry.member.inspect, confirmed=params.confirm_protected)
            if params.data != "none":
                check_quiet(entry.member.inspect, params.consistency, field="consistency")
        if params.dry_run:
            if may_look(context, powers=stack.powers, collisions=stack.collisions):
                stack = stack.with_content(measured(context, ends, stack, data=params.data))
            plan = stack.document()
            context.stage("plan", plan=plan)
            return Done(result={"success": True, "action": "stackClone", "dryRun": True, "plan": plan})
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
        stack = stack.with_content(measured(context, ends, stack, data=params.data))
        check_room(stack.content.collisions())
        undo = taken_back(context, ends)
        context.stage("make networks and volumes", undo=undo, plan=stack.document())
        with kept_on_failure(context, undo, keep=params.keep_on_failure):
            return _cloned(context, ends, params, stack)


def _cloned(context: Context, ends: Ends, params: StackCloneParams, stack: StackPlan) -> Done:
    lock = params.data != "none"
    children = context.begin_children([_child_target(planned, lock=lock) for planned in stack.members])
    renaming = made_around(context, ends.target, stack)
    bring = partial(_brought, context, ends)
    made = made_members(context, ends.target, stack, children, renaming=renaming, bring=bring)
    filled = fill(context, ends, stack, made, data=params.data, consistency=params.consistency)
    context.stage("check the clones")
    whole = _described(context, filled)
    up = not params.start or started(context, ends.target, filled.made, wait_seconds=params.wait_healthy_seconds)
    host = DockerHost.objects.get(name=params.host or context.facts.host_name)
    list_members(host, ends.target, filled.made, ran=params.start)
    content = [dict(document) for document in filled.content]
    return Done(result=_result(params, filled), proof={"content": content}, partial=not (whole and up))


def _brought(context: Context, ends: Ends, planned: PlannedMember) -> PlannedMember:
    return replace(planned, prepared=with_image(context, ends, planned.prepared))


def _child_target(planned: PlannedMember, *, lock: bool) -> ChildTarget:
    entry = planned.member
    params = {"container": entry.id, "name": planned.new_name}
    return ChildTarget(kind="clone", container_id=entry.id, name=entry.name, params=params, lock=lock)


def _described(context: Context, filled: Filled) -> bool:
    """Prove each clone, and say in its own operation what came of it; whether all is as it should be."""
    shared = all(document["equal"] for document in filled.content)
    whole = shared
    for entry in filled.made:
        proof = proven(context, entry.prepared, entry.inspect, committed=entry.committed)
        result = cloned(entry.planned.member.id, entry.id, entry.planned.new_name)
        content = _content_of(entry, filled)
        faithful = not proof.unexplained and all(document["equal"] for document in content)
        done = Done(result=result, proof={"configuration": proof.document(), "content": content}, partial=not faithful)
        context.describe_child(entry.child, done)
        whole = whole and not proof.unexplained
    return whole


def _content_of(entry: MadeMember, filled: Filled) -> list[dict[str, Any]]:
    """The proofs of the trees that a member's clone has: its layer, and every volume that it mounts."""
    mounted = {str(mount.get("Name")) for mount in entry.inspect.get("Mounts") or []}
    names = {*mounted, entry.planned.new_name}
    return [dict(document) for document in filled.content if document["target"] in names]


def _result(params: StackCloneParams, filled: Filled) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Stack cloned successfully",
        "action": "stackClone",
        "project": params.project,
        "newProject": params.new_project,
        "containers": [
            {
                "service": entry.planned.member.service,
                "sourceId": entry.planned.member.id,
                "newId": entry.id,
                "newName": entry.planned.new_name,
            }
            for entry in filled.made
        ],
        "quietSeconds": filled.quiet_seconds,
    }
