"""A compose project planned under a new name: every network, volume and reference, before anything is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.crypto.sealing import keyed_digest
from containers_app.engine.facts import every_volume
from containers_app.engine.gateway import EngineReader
from containers_app.errors import ContainerNotFound
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.collisions import Collision, World, expected_ports
from containers_app.specs.engine import Holding, NetworkSummary
from containers_app.specs.network import endpoints_of
from containers_app.specs.overrides import AS_THE_SOURCE
from containers_app.specs.stack import (
    HOOK_LABELS,
    Member,
    Renaming,
    circles,
    in_order,
    labels_of,
    member,
    with_live_networks,
    with_own_volumes,
)
from containers_app.specs.stack_networks import NewNetwork, new_networks
from containers_app.specs.stack_renaming import renaming_of
from containers_app.specs.stack_volumes import StackVolume, stack_volumes
from containers_app.workflows.content import Ends
from containers_app.workflows.context import Context
from containers_app.workflows.measuring import NOTHING_TO_COPY, Measured
from containers_app.workflows.planning import Surroundings, brought_home, own_holding
from containers_app.workflows.stack_members import MemberWishes, PlannedMember, plan_members, with_what_is_made


@dataclass(frozen=True, kw_only=True)
class StackPlan:
    """The whole project. `members` are in the order in which they are made and started."""

    project: str
    new_project: str
    members: tuple[PlannedMember, ...]
    networks: tuple[NewNetwork, ...]
    volumes: tuple[StackVolume, ...]
    renaming: Renaming
    collisions: tuple[Collision, ...]
    warnings: tuple[PlanWarning, ...]
    hash: str
    content: Measured = NOTHING_TO_COPY

    def with_content(self, content: Measured) -> StackPlan:
        """The same plan with what there is to copy, and what stands in the way of that."""
        return replace(self, content=content, collisions=(*self.collisions, *content.collisions()))

    @property
    def powers(self) -> tuple[str, ...]:
        """Why its members hold power over their host."""
        return tuple(
            dict.fromkeys(f"{entry.new_name}: {power}" for entry in self.members for power in entry.prepared.powers)
        )

    def document(self) -> dict[str, Any]:
        """As answers and rows have it."""
        return {
            "hash": self.hash,
            "project": self.project,
            "newProject": self.new_project,
            "members": [entry.document() for entry in self.members],
            "networks": [network.document() for network in self.networks],
            "volumes": [volume.document() for volume in self.volumes],
            "collisions": [collision.document() for collision in self.collisions],
            "content": self.content.document(),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a plan begins with: the members in their order, and all that is made for them together.

    `bound`: what else the plan's hash is of. `drop_macs`: those of the members may be in use. `warnings`: what is worth
    knowing of what is made.
    """

    project: str
    new_project: str
    members: tuple[Member, ...]
    networks: tuple[NewNetwork, ...]
    volumes: tuple[StackVolume, ...]
    around: Surroundings = field(repr=False)
    drop_macs: bool
    bound: Mapping[str, Any]
    warnings: tuple[PlanWarning, ...] = ()


def plan_stack(
    context: Context, ends: Ends, *, project: str, new_project: str, data: str, bound: Mapping[str, Any]
) -> StackPlan:
    """Look at all that belongs to the project, and plan; the plan's hash stands for what is `bound` too.

    Raises ContainerNotFound where nothing belongs to it.
    """
    live = ends.source.networks()
    inspects = [with_live_networks(ends.source.inspect(name), live) for name in ends.source.project(project)]
    members = with_own_volumes(in_order(map(member, inspects)))
    if not members:
        raise ContainerNotFound(f"no container belongs to the compose project {project}", field="project")
    around = _surroundings(ends, members)
    names = {"project": project, "new_project": new_project}
    raw_networks = [ends.source.network(identifier) for identifier in _network_ids(members, live)]
    networks = new_networks(raw_networks, members, **names, around=around.world.networks)
    volumes = stack_volumes(members, around.known, **names, data=data)
    draft = Draft(
        project=project,
        new_project=new_project,
        members=members,
        networks=networks,
        volumes=volumes,
        around=around,
        drop_macs=not ends.elsewhere,
        bound={**bound, **names, "data": data},
        warnings=tuple(_hooks(members)),
    )
    origins = {entry.id: ends.source for entry in members if ends.elsewhere}
    return plan_draft(context, ends.target, draft, MemberWishes(data=data, origins=origins))


def plan_draft(
    context: Context,
    target: EngineReader,
    draft: Draft,
    wishes: MemberWishes,
    *,
    finish: Callable[[PlannedMember], PlannedMember] = lambda planned: planned,
) -> StackPlan:
    """Plan the members beside what is made for them; `finish` may add to what stands in the way of each."""
    renaming = renaming_of(
        draft.members,
        draft.networks,
        draft.volumes,
        project=draft.project,
        new_project=draft.new_project,
        drop_macs=draft.drop_macs,
    )
    beside = with_what_is_made(draft.around, draft.networks, renaming)
    members = plan_members(context, target, draft.members, renaming=renaming, around=beside, wishes=wishes)
    planned = tuple(finish(entry) for entry in members)
    taken = bool(target.project(draft.new_project))
    collisions = tuple(_collisions(draft, planned, taken=taken))
    return StackPlan(
        project=draft.project,
        new_project=draft.new_project,
        members=planned,
        networks=draft.networks,
        volumes=draft.volumes,
        renaming=renaming,
        collisions=collisions,
        warnings=(*_warnings(draft, planned), *draft.warnings),
        hash=_hash(context, draft, planned=planned, collisions=collisions),
    )


def _network_ids(members: Iterable[Member], live: Iterable[NetworkSummary]) -> tuple[str, ...]:
    """The networks that members are in; one that is gone is reported by the plan of its member."""
    there = {network.id for network in live}
    found = [str(raw.get("NetworkID")) for entry in members for raw in endpoints_of(entry.inspect).values()]
    return tuple(identifier for identifier in dict.fromkeys(found) if identifier in there)


def _surroundings(ends: Ends, members: tuple[Member, ...]) -> Surroundings:
    """What is around; on the same Engine the sources count as running, for a stopped one may be started any time."""
    known = every_volume(ends.source)
    holdings = ends.target.holdings()
    if not ends.elsewhere:
        holdings = (*holdings, *(_asked_for(entry) for entry in members))
    return Surroundings(
        world=World(holdings=holdings, networks=ends.target.networks()),
        known=known,
        there=every_volume(ends.target) if ends.elsewhere else known,
        elsewhere=ends.elsewhere,
    )


def _asked_for(entry: Member) -> Holding:
    """The host ports and addresses that a member is configured to take, whether it runs or not."""
    holding = own_holding(entry.inspect)
    bindings = entry.inspect["HostConfig"].get("PortBindings") or {}
    ports = tuple(
        (str(binding.get("HostIp") or ""), int(binding["HostPort"]), key.partition("/")[2] or "tcp")
        for key, entries in bindings.items()
        for binding in entries or []
        if str(binding.get("HostPort") or "").isdigit() and int(binding["HostPort"])
    )
    configured = [raw.get("IPAMConfig") or {} for raw in endpoints_of(entry.inspect).values()]
    static = [config.get(key) for config in configured for key in ("IPv4Address", "IPv6Address")]
    addresses = (*holding.addresses, *(str(address) for address in static if address))
    return replace(holding, running=True, ports=(*holding.ports, *ports), addresses=addresses)


def _collisions(draft: Draft, planned: tuple[PlannedMember, ...], *, taken: bool) -> Iterator[Collision]:
    if taken:
        message = f"Containers of a project {draft.new_project} are there already: choose another name."
        yield Collision(kind="name", subject=draft.new_project, message=message, blocks="create")
    yield from _of_networks(draft.networks, draft.around)
    yield from _of_volumes(draft.volumes, draft.around)
    for name, other in circles(tuple(entry.member for entry in planned)):
        message = (
            f"{name} refers to {other}, which cannot be made before it: make one of the two anew without the other."
        )
        yield Collision(kind="reference", subject=name, message=message, blocks="create")
    for entry in planned:
        for collision in entry.prepared.collisions:
            yield replace(collision, message=f"{entry.new_name}: {collision.message}")


def _of_networks(networks: tuple[NewNetwork, ...], around: Surroundings) -> Iterator[Collision]:
    present = {network.name for network in around.world.networks}
    yield from _twice("network", [network.name for network in networks])
    for network in networks:
        if network.name in present:
            message = f"A network named {network.name} is there already: choose another project name."
            yield Collision(kind="network", subject=network.name, message=message, blocks="create")
        if network.lost_subnet:
            message = f"No free subnet was found for {network.name}: its members would lose their static addresses."
            yield Collision(kind="address", subject=network.name, message=message, blocks="create")
        if network.shared_parent and not around.elsewhere and network.options.get("macvlan_mode") == "passthru":
            message = f"{network.old_name} has the host's interface {network.shared_parent} to itself (passthru)."
            yield Collision(kind="network", subject=network.name, message=message, blocks="create")


def _of_volumes(volumes: tuple[StackVolume, ...], around: Surroundings) -> Iterator[Collision]:
    yield from _twice("volume", [volume.target for volume in volumes if volume.treatment != "share"])
    for volume in volumes:
        if volume.treatment != "share" and volume.target in around.there:
            message = f"A volume named {volume.target} is there already: choose another project name."
            yield Collision(kind="volume", subject=volume.target, message=message, blocks="create")
        if volume.treatment == "share" and around.elsewhere and volume.source not in around.there:
            message = f"The project uses the volume {volume.source}, which is not on the other host: make it there."
            yield Collision(kind="volume", subject=volume.source, message=message, blocks="create")


def _twice(kind: str, names: list[str]) -> Iterator[Collision]:
    """Parts that compose made under one key at different times, which the clone could not tell apart."""
    for name in sorted({name for name in names if names.count(name) > 1}):
        message = f"The project has two of what would be the {kind} {name}: bring the project up anew first."
        yield Collision(kind=kind, subject=name, message=message, blocks="create")


def _warnings(draft: Draft, planned: tuple[PlannedMember, ...]) -> Iterator[PlanWarning]:
    for entry in planned:
        for warning in entry.prepared.document.warnings:
            yield replace(warning, message=f"{entry.new_name}: {warning.message}")
        if entry.prepared.wish.overrides is not AS_THE_SOURCE:
            ports = ", ".join(str(number) for _, number, _ in expected_ports(entry.prepared.plan, World()))
            message = f"{entry.new_name} gets other host ports than its source, as those are held: {ports}."
            yield PlanWarning(code="PORT_REMAPPED", message=message)
    for network in draft.networks:
        for old, new in network.addresses.items():
            if old != new:
                message = f"The static address {old} becomes {new} in {network.name}."
                yield PlanWarning(code="ADDRESS_MOVED", message=message)
        if network.shared_parent and not draft.around.elsewhere:
            message = (
                f"{network.name} is on the host's interface {network.shared_parent} as {network.old_name} is: some "
                "Engines refuse that, and outside its new addresses are unknown."
            )
            yield PlanWarning(code="PARENT_SHARED", message=message)
    for volume in draft.volumes:
        if volume.treatment == "share":
            message = f"The project only uses the volume {volume.source}, so both projects share it."
            yield PlanWarning(code="VOLUME_SHARED", message=message)
        elif volume.facts.is_elsewhere:
            yield brought_home(volume.source, volume.target)


def _hooks(members: Iterable[Member]) -> Iterable[PlanWarning]:
    """Labels by which other programs would act on the clone as on its source."""
    for entry in members:
        found = sorted(name for name in labels_of(entry.inspect) if name.startswith(HOOK_LABELS))
        if found:
            message = (
                f"{entry.name} has labels that other programs act on, and its clone keeps them: {', '.join(found)}."
            )
            yield PlanWarning(code="HOOK_LABELS", message=message)


def _hash(
    context: Context, draft: Draft, *, planned: tuple[PlannedMember, ...], collisions: tuple[Collision, ...]
) -> str:
    material = {
        "bound": dict(draft.bound),
        "members": [entry.prepared.document.hash for entry in planned],
        "networks": [network.material for network in draft.networks],
        "volumes": [volume.material for volume in draft.volumes],
        "collisions": sorted([collision.kind, collision.subject] for collision in collisions),
    }
    return keyed_digest(json.dumps(material, sort_keys=True).encode(), context.facts.plan_key)
