"""A compose project planned under a new name: every network, volume and reference, before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.crypto.sealing import keyed_digest
from containers_app.engine.facts import every_volume
from containers_app.errors import ContainerNotFound
from containers_app.specs.clone_mounts import renamed_volume, unnamed_destinations
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import Treatment, VolumeFacts
from containers_app.specs.collisions import Collision, World
from containers_app.specs.engine import Holding
from containers_app.specs.network import endpoints_of
from containers_app.specs.overrides import AS_THE_SOURCE, read_overrides
from containers_app.specs.placeholder import placeholder_id
from containers_app.specs.reference import is_full_id
from containers_app.specs.stack import (
    HOOK_LABELS,
    VOLUME_LABEL,
    Member,
    Renaming,
    in_order,
    labels_of,
    member,
    new_container_name,
    new_resource_name,
    of_project,
    renamed,
)
from containers_app.specs.stack_networks import NewNetwork, new_networks
from containers_app.workflows.content import Ends
from containers_app.workflows.context import Context
from containers_app.workflows.planning import (
    Givers,
    Prepared,
    Surroundings,
    Wish,
    own_holding,
    planned_again,
    prepare,
)


@dataclass(frozen=True, kw_only=True)
class StackVolume:
    """A volume that members name, and what becomes of it. `target` is the source itself where both share it."""

    source: str
    target: str
    treatment: Treatment
    mount_points: tuple[str, ...]
    facts: VolumeFacts
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {
            "source": self.source,
            "target": self.target,
            "treatment": self.treatment,
            "mountPoints": list(self.mount_points),
        }


@dataclass(frozen=True, kw_only=True)
class PlannedMember:
    """One container of the project with the plan of its clone."""

    member: Member
    prepared: Prepared

    @property
    def new_name(self) -> str:
        """The clone's name."""
        return self.prepared.plan.name

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {
            "name": self.member.name,
            "newName": self.new_name,
            "service": self.member.service,
            "plan": self.prepared.document.body(),
        }


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
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


def plan_stack(
    context: Context, ends: Ends, *, project: str, new_project: str, data: str, bound: Mapping[str, Any]
) -> StackPlan:
    """Look at all that belongs to the project, and plan; the plan's hash stands for what is `bound` too.

    Raises ContainerNotFound where nothing belongs to it.
    """
    members = in_order(member(ends.source.inspect(identifier)) for identifier in ends.source.project(project))
    if not members:
        raise ContainerNotFound(f"no container belongs to the compose project {project}", field="project")
    around = _surroundings(ends, members)
    found = [ends.source.network(identifier) for identifier in _network_ids(members)]
    raw_networks = list({str(raw["Id"]): raw for raw in found}.values())
    networks = new_networks(
        raw_networks, members, project=project, new_project=new_project, around=around.world.networks
    )
    volumes = _volumes(members, around, project=project, new_project=new_project, data=data, elsewhere=ends.elsewhere)
    renaming = _renaming(members, networks, volumes, project=project, new_project=new_project, ends=ends)
    world = replace(around.world, networks=(*around.world.networks, *(network.summary for network in networks)))
    # What is made for the clone is plain, so it gives no power over the host.
    plain = {new: VolumeFacts(name=new) for old, new in renaming.volumes.items() if old != new}
    beside = replace(around, world=world, there={**plain, **around.there})
    planned = _members(context, ends, members, renaming, beside, data=data)
    collisions = tuple(_collisions(ends, planned, networks, volumes, around, new_project=new_project))
    return StackPlan(
        project=project,
        new_project=new_project,
        members=planned,
        networks=networks,
        volumes=volumes,
        renaming=renaming,
        collisions=collisions,
        warnings=(*_warnings(planned, networks, volumes), *_hooks(members)),
        hash=_hash(context, bound, planned=planned, networks=networks, volumes=volumes, collisions=collisions),
    )


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
    """The host ports that a member is configured to take, whether it runs or not."""
    holding = own_holding(entry.inspect)
    bindings = entry.inspect["HostConfig"].get("PortBindings") or {}
    ports = tuple(
        (str(binding.get("HostIp") or ""), int(binding["HostPort"]), key.partition("/")[2] or "tcp")
        for key, entries in bindings.items()
        for binding in entries or []
        if str(binding.get("HostPort") or "").isdigit() and int(binding["HostPort"])
    )
    return replace(holding, name=entry.name, running=True, ports=(*holding.ports, *ports))


def _network_ids(members: Iterable[Member]) -> tuple[str, ...]:
    """One that never was started knows its networks by name alone."""
    endpoints = [item for entry in members for item in endpoints_of(entry.inspect).items()]
    return tuple(dict.fromkeys(str(raw.get("NetworkID") or name) for name, raw in endpoints))


def own_anonymous(entry: Member) -> dict[str, str]:
    """The volumes without a name that are a member's own, with their mount points."""
    unnamed = unnamed_destinations(entry.inspect)
    return {
        str(mount.get("Name")): str(mount.get("Destination"))
        for mount in entry.inspect.get("Mounts") or []
        if mount.get("Type") == "volume" and is_full_id(str(mount.get("Name"))) and mount.get("Destination") in unnamed
    }


def _volumes(
    members: tuple[Member, ...],
    around: Surroundings,
    *,
    project: str,
    new_project: str,
    data: str,
    elsewhere: bool,
) -> tuple[StackVolume, ...]:
    """The named volumes. What the project made is made anew; what it only uses is shared, or expected elsewhere."""
    places: dict[str, list[str]] = {}
    anonymous = {name for entry in members for name in own_anonymous(entry)}
    for entry in members:
        for mount in entry.inspect.get("Mounts") or []:
            if mount.get("Type") == "volume" and str(mount.get("Name")) not in anonymous:
                places.setdefault(str(mount.get("Name")), []).append(f"{entry.name}:{mount.get('Destination')}")
    volumes = []
    for name, points in sorted(places.items()):
        facts = around.known.get(name, VolumeFacts(name=name))
        target = new_resource_name(facts.labels, VOLUME_LABEL, project, new_project)
        treatment: Treatment = "share" if target is None else "copy" if data != "none" else "empty"
        volumes.append(
            StackVolume(
                source=name,
                target=target or name,
                treatment=treatment,
                mount_points=tuple(points),
                facts=facts,
                labels=of_project(facts.labels, new_project) if target else {},
            )
        )
    return tuple(volumes)


def _renaming(
    members: tuple[Member, ...],
    networks: tuple[NewNetwork, ...],
    volumes: tuple[StackVolume, ...],
    *,
    project: str,
    new_project: str,
    ends: Ends,
) -> Renaming:
    names = {entry.name: new_container_name(entry, project, new_project) for entry in members}
    containers = {key: placeholder_id(names[entry.name]) for entry in members for key in (entry.id, entry.name)}
    anonymous = {
        name: placeholder_id(f"{names[entry.name]}:{path}")
        for entry in members
        for name, path in own_anonymous(entry).items()
    }
    return Renaming(
        project=project,
        new_project=new_project,
        names=names,
        containers=containers,
        networks={
            key: (network.name, network.summary.id)
            for network in networks
            for key in (network.old_id, network.old_name)
        },
        volumes={**anonymous, **{volume.source: volume.target for volume in volumes}},
        addresses={old: new for network in networks for old, new in network.addresses.items()},
        drop_macs=not ends.elsewhere,
    )


def wanted_source(entry: Member, renaming: Renaming) -> dict[str, Any]:
    """The member as it should be in the new project; its own volumes without a name stay what they are copied from."""
    own = own_anonymous(entry)
    kept = {old: new for old, new in renaming.volumes.items() if old not in own}
    return renamed(entry.inspect, replace(renaming, volumes=kept))


def giver_mounts(entry: Member, renaming: Renaming) -> tuple[Mapping[str, Any], ...]:
    """What others get from the member's clone by `VolumesFrom`."""
    return tuple(renamed_volume(mount, renaming.volumes, "Name") for mount in entry.inspect.get("Mounts") or [])


def _members(
    context: Context,
    ends: Ends,
    members: tuple[Member, ...],
    renaming: Renaming,
    around: Surroundings,
    *,
    data: str,
) -> tuple[PlannedMember, ...]:
    """Each member's plan, with host ports that neither the others nor the sources hold."""
    planned: list[PlannedMember] = []
    givers: Givers = {renaming.containers[entry.id]: giver_mounts(entry, renaming) for entry in members}
    for entry in members:
        source = wanted_source(entry, renaming)
        own = own_anonymous(entry)
        mounted = {str(mount.get("Name")) for mount in source.get("Mounts") or [] if mount.get("Type") == "volume"}
        wish = Wish(
            name=renaming.names[entry.name],
            volumes=dict.fromkeys(own, "copy" if data != "none" else "empty"),
            thorough=True,
            made_volumes=frozenset(mounted - set(own)),
        )
        origin = ends.source if ends.elsewhere else None
        prepared = prepare(context, ends.target, source, wish, origin=origin, around=around, givers=givers)
        prepared = _with_free_ports(context, prepared)
        planned.append(PlannedMember(member=entry, prepared=prepared))
        taken = Holding(id=placeholder_id(prepared.plan.name), name="", running=True, ports=_ports(prepared))
        around = replace(around, world=replace(around.world, holdings=(*around.world.holdings, taken)))
    return tuple(planned)


def _with_free_ports(context: Context, prepared: Prepared) -> Prepared:
    """The plan with the ports that it proposes itself where others hold the wanted ones."""
    proposal = next((found.resolution for found in prepared.collisions if found.kind == "port"), None)
    if proposal is None:
        return prepared
    return planned_again(context, prepared, overrides=read_overrides(proposal["overrides"]))


def _ports(prepared: Prepared) -> tuple[tuple[str, int, str], ...]:
    bindings = prepared.plan.create.host.port_bindings or {}
    return tuple(
        (binding.address or "", int(binding.port or 0), key.partition("/")[2] or "tcp")
        for key, entries in bindings.items()
        for binding in entries or ()
        if (binding.port or "").isdigit()
    )


def _collisions(
    ends: Ends,
    planned: tuple[PlannedMember, ...],
    networks: tuple[NewNetwork, ...],
    volumes: tuple[StackVolume, ...],
    around: Surroundings,
    *,
    new_project: str,
) -> Iterable[Collision]:
    if ends.target.project(new_project):
        message = f"Containers of a project {new_project} are there already: choose another name."
        yield Collision(kind="name", subject=new_project, message=message, blocks="create")
    present = {network.name for network in around.world.networks}
    for network in networks:
        if network.name in present:
            message = f"A network named {network.name} is there already: choose another project name."
            yield Collision(kind="network", subject=network.name, message=message, blocks="create")
        if network.lost_subnet:
            message = f"No free subnet was found for {network.name}: its members would lose their static addresses."
            yield Collision(kind="address", subject=network.name, message=message, blocks="create")
    for volume in volumes:
        if volume.treatment != "share" and volume.target in around.there:
            message = f"A volume named {volume.target} is there already: choose another project name."
            yield Collision(kind="volume", subject=volume.target, message=message, blocks="create")
        if volume.treatment == "share" and ends.elsewhere and volume.source not in around.there:
            message = f"The project uses the volume {volume.source}, which is not on the other host: make it there."
            yield Collision(kind="volume", subject=volume.source, message=message, blocks="create")
    for entry in planned:
        for collision in entry.prepared.collisions:
            yield replace(collision, message=f"{entry.new_name}: {collision.message}")


def _warnings(
    planned: tuple[PlannedMember, ...], networks: tuple[NewNetwork, ...], volumes: tuple[StackVolume, ...]
) -> Iterable[PlanWarning]:
    for entry in planned:
        for warning in entry.prepared.document.warnings:
            yield replace(warning, message=f"{entry.new_name}: {warning.message}")
        if entry.prepared.wish.overrides is not AS_THE_SOURCE:
            ports = ", ".join(str(number) for _, number, _ in _ports(entry.prepared))
            message = f"{entry.new_name} gets other host ports than its source, which holds them: {ports}."
            yield PlanWarning(code="PORT_REMAPPED", message=message)
    for network in networks:
        for old, new in network.addresses.items():
            message = f"The static address {old} becomes {new} in {network.name}."
            yield PlanWarning(code="ADDRESS_MOVED", message=message)
    for volume in volumes:
        if volume.treatment == "share":
            message = f"The project only uses the volume {volume.source}, so both projects share it."
            yield PlanWarning(code="VOLUME_SHARED", message=message)


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
    context: Context,
    bound: Mapping[str, Any],
    *,
    planned: tuple[PlannedMember, ...],
    networks: tuple[NewNetwork, ...],
    volumes: tuple[StackVolume, ...],
    collisions: tuple[Collision, ...],
) -> str:
    material = {
        "bound": dict(bound),
        "members": [entry.prepared.document.hash for entry in planned],
        "networks": [network.document() for network in networks],
        "volumes": [volume.document() for volume in volumes],
        "collisions": sorted([collision.kind, collision.subject] for collision in collisions),
    }
    return keyed_digest(json.dumps(material, sort_keys=True).encode(), context.facts.plan_key)
