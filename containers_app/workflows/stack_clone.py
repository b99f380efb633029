"""Clone a whole compose project under a new name: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.specs.clone_mounts import renamed_volume
from containers_app.specs.stack import ENDED_WELL, Renaming, awaited
from containers_app.specs.stack_renaming import giver_mounts, wanted_source
from containers_app.workflows import inventory
from containers_app.workflows.admission import check_admission, check_room, may_look
from containers_app.workflows.content import Ends
from containers_app.workflows.context import ChildTarget, Context, Done
from containers_app.workflows.fidelity import proven
from containers_app.workflows.health import wait_until_ended, wait_until_healthy
from containers_app.workflows.making import (
    cloned,
    make,
    make_volume,
    taken_back,
    target_of,
    with_image,
)
from containers_app.workflows.planning import Givers, Inspect, planned_again
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import check_quiet
from containers_app.workflows.stack_content import Filled, MadeMember, fill, measured
from containers_app.workflows.stack_members import PlannedMember
from containers_app.workflows.stack_plan import StackPlan, plan_stack

_DEPENDENCY_SECONDS = 120


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
        with _kept_on_failure(context, undo, keep=params.keep_on_failure):
            return _cloned(context, ends, params, stack)


@contextmanager
def _kept_on_failure(context: Context, undo: Mapping[str, Any], *, keep: bool) -> Iterator[None]:
    """Forget how to take back where a foreseen failure shall leave what was made, and say so."""
    try:
        yield
    except MycoError:
        if keep:
            context.forget_undo(undo)
            context.warn("KEPT", "what was made before the failure is kept, as asked; remove it by hand")
        raise


def _cloned(context: Context, ends: Ends, params: StackCloneParams, stack: StackPlan) -> Done:
    lock = params.data != "none"
    children = context.begin_children([_child_target(planned, lock=lock) for planned in stack.members])
    made = _made_members(context, ends, stack, _made_around(context, ends, stack), children)
    filled = fill(context, ends, stack, made, data=params.data, consistency=params.consistency)
    context.stage("check the clones")
    whole = _described(context, filled)
    up = not params.start or _started(context, ends, params, filled.made)
    host = DockerHost.objects.get(name=params.host or context.facts.host_name)
    for entry in filled.made:
        # What was started may have changed, or be gone by now.
        if params.start:
            inventory.refresh(host, ends.target, entry.id)
        else:
            inventory.remember(host, entry.inspect)
    content = [dict(document) for document in filled.content]
    return Done(result=_result(params, filled), proof={"content": content}, partial=not (whole and up))


def _made_around(context: Context, ends: Ends, stack: StackPlan) -> Renaming:
    """Networks and volumes; the renaming then has the networks' real ids."""
    real: dict[str, tuple[str, str]] = {}
    for network in stack.networks:
        context.checkpoint()
        identifier = ends.target.create_network(
            network.name,
            driver=network.driver,
            internal=network.internal,
            attachable=network.attachable,
            enable_ipv4=network.enable_ipv4,
            enable_ipv6=network.enable_ipv6,
            addressing=network.addressing,
            options=network.options,
            labels=network.labels,
        )
        real |= dict.fromkeys((network.old_id, network.old_name), (network.name, identifier))
    for volume in stack.volumes:
        if volume.treatment != "share":
            make_volume(ends.target, volume.target, volume.facts, labels=volume.labels)
    return replace(stack.renaming, networks=real)


def _made_members(
    context: Context, ends: Ends, stack: StackPlan, renaming: Renaming, children: Iterable[str]
) -> tuple[MadeMember, ...]:
    """Every member in its order: whatever one refers to is there before it, under its real id."""
    networks = ends.target.networks() if stack.networks else stack.members[0].prepared.around.world.networks
    containers, volumes = dict(renaming.containers), dict(renaming.volumes)
    givers: dict[str, tuple[Mapping[str, Any], ...] | None] = {}
    made: list[MadeMember] = []
    for number, (planned, child) in enumerate(zip(stack.members, children, strict=True), 1):
        context.stage(f"make container {number} of {len(stack.members)}")
        entry = planned.member
        known = replace(renaming, containers=containers, volumes=volumes)
        inspect, final = _made_member(context, ends, planned, known, givers=givers, networks=networks)
        made.append(MadeMember(planned=final, inspect=inspect, child=child))
        containers |= dict.fromkeys(entry.keys, str(inspect["Id"]))
        volumes |= _anonymous_of(final, inspect)
        givers[str(inspect["Id"])] = giver_mounts(entry, replace(known, volumes=volumes))
    return tuple(made)


def _child_target(planned: PlannedMember, *, lock: bool) -> ChildTarget:
    entry = planned.member
    params = {"container": entry.id, "name": planned.new_name}
    return ChildTarget(kind="clone", container_id=entry.id, name=entry.name, params=params, lock=lock)


def _made_member(
    context: Context,
    ends: Ends,
    planned: PlannedMember,
    renaming: Renaming,
    *,
    givers: Givers,
    networks: Any,
) -> tuple[Inspect, PlannedMember]:
    """The member by its plan, with what is really there by now."""
    prepared, source = planned.prepared, wanted_source(planned.member, renaming)
    world = replace(prepared.around.world, networks=networks)
    if source != prepared.source or world != prepared.around.world:
        prepared = planned_again(context, prepared, source=source, world=world, givers=givers)
    prepared = with_image(context, ends, prepared)
    return make(context, ends, prepared), replace(planned, prepared=prepared)


def _anonymous_of(planned: PlannedMember, inspect: Inspect) -> dict[str, str]:
    """The source's volumes without a name, and those that the Engine made for the clone at the same places."""
    places = {str(mount.get("Destination")): str(mount.get("Name")) for mount in inspect.get("Mounts") or []}
    return {old: places[path] for old, path in planned.member.own.items() if path in places}


def _described(context: Context, filled: Filled) -> bool:
    """Prove each clone, and say in its own operation what came of it; whether all is as it should be."""
    shared = all(document["equal"] for document in filled.content)
    whole = shared
    for entry in filled.made:
        prepared = entry.planned.prepared
        # Volumes that the Engine named for the clone are its own; what it takes over from others is compared by these.
        names = _anonymous_of(entry.planned, entry.inspect)
        mounts = [renamed_volume(mount, names, "Name") for mount in prepared.wanted.get("Mounts") or []]
        wanted = {**prepared.wanted, "Mounts": mounts}
        prepared = replace(prepared, source=wanted, wanted=wanted)
        proof = proven(context, prepared, entry.inspect, committed=entry.committed)
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


def _started(context: Context, ends: Ends, params: StackCloneParams, made: tuple[MadeMember, ...]) -> bool:
    """Start every member in its order; one that others wait for is waited for here too. Whether all came up."""
    waited = awaited(entry.planned.member for entry in made)
    up = True
    for entry in made:
        service = entry.planned.member.service
        context.stage(f"start {entry.planned.new_name}")
        ends.target.start(entry.id, secrets=entry.planned.prepared.plan.create.secrets)
        if service in waited:
            up = _is_up(context, ends, entry, _DEPENDENCY_SECONDS, ends_well=waited[service] == ENDED_WELL) and up
    if params.wait_healthy_seconds:
        context.stage("wait until all are healthy")
        lasting = [entry for entry in made if waited.get(entry.planned.member.service) != ENDED_WELL]
        results = [_is_up(context, ends, entry, params.wait_healthy_seconds) for entry in lasting]
        up = all(results) and up
    return up


def _is_up(context: Context, ends: Ends, entry: MadeMember, seconds: float, *, ends_well: bool = False) -> bool:
    """Whether it came up, or ended as it should; else a warning says why."""
    wait = wait_until_ended if ends_well else wait_until_healthy
    verdict = wait(context, ends.target, entry.id, limit_seconds=seconds)
    if not verdict.up:
        context.warn(verdict.code, f"{entry.planned.new_name}: {verdict.message}")
    return verdict.up


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
