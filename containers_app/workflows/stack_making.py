"""A compose project's plan carried out on its Engine: made member by member, started in the order of dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.specs.clone_mounts import renamed_volume
from containers_app.specs.stack import ENDED_WELL, Renaming, awaited
from containers_app.specs.stack_renaming import giver_mounts, wanted_source
from containers_app.workflows import inventory
from containers_app.workflows.content import Ends
from containers_app.workflows.context import Context
from containers_app.workflows.health import wait_until_ended, wait_until_healthy
from containers_app.workflows.making import make, make_volume
from containers_app.workflows.planning import Givers, Inspect, Prepared, planned_again
from containers_app.workflows.restore_making import make_network
from containers_app.workflows.stack_members import PlannedMember
from containers_app.workflows.stack_plan import StackPlan

_DEPENDENCY_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class MadeMember:
    """What was made of a member; `planned` has its final plan, `child` the operation that is about it."""

    planned: PlannedMember
    inspect: Inspect = field(repr=False)
    child: str
    committed: bool = False

    @property
    def id(self) -> str:
        """Its 64-hex id."""
        return str(self.inspect["Id"])

    @property
    def prepared(self) -> Prepared:
        """Its plan, in which volumes that the Engine named are its own.

        What the member takes over from others is compared by these.
        """
        names, prepared = anonymous_of(self.planned, self.inspect), self.planned.prepared
        mounts = [renamed_volume(mount, names, "Name") for mount in prepared.wanted.get("Mounts") or []]
        wanted = {**prepared.wanted, "Mounts": mounts}
        return replace(prepared, source=wanted, wanted=wanted)


@contextmanager
def kept_on_failure(context: Context, undo: Mapping[str, Any], *, keep: bool) -> Iterator[None]:
    """Forget how to take back where a foreseen failure shall leave what was made, and say so."""
    try:
        yield
    except MycoError:
        if keep:
            context.forget_undo(undo)
            context.warn("KEPT", "what was made before the failure is kept, as asked; remove it by hand")
        raise


def made_around(context: Context, target: EngineGateway, stack: StackPlan) -> Renaming:
    """Networks and volumes; the renaming then has the networks' real ids."""
    real: dict[str, tuple[str, str]] = {}
    for network in stack.networks:
        context.checkpoint()
        made = (network.name, make_network(target, network))
        real |= dict.fromkeys((network.old_id, network.old_name), made)
    for volume in stack.volumes:
        if volume.treatment != "share":
            make_volume(target, volume.target, volume.facts, labels=volume.labels)
    return replace(stack.renaming, networks=real)


def made_members(
    context: Context,
    target: EngineGateway,
    stack: StackPlan,
    children: Iterable[str],
    *,
    renaming: Renaming,
    bring: Callable[[PlannedMember], PlannedMember],
) -> tuple[MadeMember, ...]:
    """Every member in its order: whatever one refers to is there before it, under its real id.

    `bring` sees to it that the member's image is on the Engine, and returns the member with it.
    """
    networks = target.networks() if stack.networks else stack.members[0].prepared.around.world.networks
    containers, volumes = dict(renaming.containers), dict(renaming.volumes)
    givers: dict[str, tuple[Mapping[str, Any], ...] | None] = {}
    made: list[MadeMember] = []
    for number, (planned, child) in enumerate(zip(stack.members, children, strict=True), 1):
        context.stage(f"make container {number} of {len(stack.members)}")
        entry = planned.member
        known = replace(renaming, containers=containers, volumes=volumes)
        final = bring(_as_it_is(context, planned, known, givers=givers, networks=networks))
        inspect = make(context, Ends(source=target, target=target), final.prepared)
        made.append(MadeMember(planned=final, inspect=inspect, child=child))
        containers |= dict.fromkeys(entry.keys, str(inspect["Id"]))
        volumes |= anonymous_of(final, inspect)
        givers[str(inspect["Id"])] = giver_mounts(entry, replace(known, volumes=volumes))
    return tuple(made)


def _as_it_is(
    context: Context, planned: PlannedMember, renaming: Renaming, *, givers: Givers, networks: Any
) -> PlannedMember:
    """The member by its plan, with what is really there by now."""
    prepared, source = planned.prepared, wanted_source(planned.member, renaming)
    world = replace(prepared.around.world, networks=networks)
    if source == prepared.source and world == prepared.around.world:
        return planned
    again = planned_again(context, prepared, source=source, world=world, givers=givers)
    return replace(planned, prepared=again)


def anonymous_of(planned: PlannedMember, inspect: Inspect) -> dict[str, str]:
    """The source's volumes without a name, and those that the Engine made for the member at the same places."""
    places = {str(mount.get("Destination")): str(mount.get("Name")) for mount in inspect.get("Mounts") or []}
    return {old: places[path] for old, path in planned.member.own.items() if path in places}


def started(context: Context, target: EngineGateway, made: tuple[MadeMember, ...], *, wait_seconds: int) -> bool:
    """Start every member in its order; one that others wait for is waited for here too. Whether all came up."""
    waited = awaited(entry.planned.member for entry in made)
    up = True
    for entry in made:
        service = entry.planned.member.service
        context.stage(f"start {entry.planned.new_name}")
        target.start(entry.id, secrets=entry.planned.prepared.plan.create.secrets)
        if service in waited:
            up = _is_up(context, target, entry, _DEPENDENCY_SECONDS, ends_well=waited[service] == ENDED_WELL) and up
    if wait_seconds:
        context.stage("wait until all are healthy")
        lasting = [entry for entry in made if waited.get(entry.planned.member.service) != ENDED_WELL]
        results = [_is_up(context, target, entry, wait_seconds) for entry in lasting]
        up = all(results) and up
    return up


def _is_up(
    context: Context, target: EngineGateway, entry: MadeMember, seconds: float, *, ends_well: bool = False
) -> bool:
    """Whether it came up, or ended as it should; else a warning says why."""
    wait = wait_until_ended if ends_well else wait_until_healthy
    verdict = wait(context, target, entry.id, limit_seconds=seconds)
    if not verdict.up:
        context.warn(verdict.code, f"{entry.planned.new_name}: {verdict.message}")
    return verdict.up


def list_members(host: DockerHost, target: EngineGateway, made: Iterable[MadeMember], *, ran: bool) -> None:
    """Put them into the inventory; what was started may have changed, or be gone by now."""
    for entry in made:
        if ran:
            inventory.refresh(host, target, entry.id)
        else:
            inventory.remember(host, entry.inspect)
