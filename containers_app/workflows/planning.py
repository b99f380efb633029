"""A clone planned before anything is made: what clone, stack clone and restore share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from containers_app.engine.facts import Origin, clone_facts, every_volume, volume_facts
from containers_app.engine.gateway import EngineReader
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import VolumeFacts, VolumePlan, plan_volumes, with_volumes
from containers_app.specs.collisions import Collision, World, find_collisions
from containers_app.specs.container import CloneFacts, ClonePlan, build_clone
from containers_app.specs.elsewhere import foreign_references, newer_fields
from containers_app.specs.engine import OPERATION_LABEL, TOKEN_LABEL, Holding, NetworkSummary
from containers_app.specs.network import endpoints_of
from containers_app.specs.overrides import AS_THE_SOURCE, Overrides
from containers_app.specs.plan import PlanDocument, plan_document
from containers_app.specs.privilege import effective_powers
from containers_app.workflows.context import Context

Inspect = Mapping[str, Any]
# Every Engine has its own of these.
OWN_NETWORKS = frozenset({"bridge", "host", "none"})
# Mounts of containers that do not exist yet, by the id under which others refer to them.
Givers = Mapping[str, tuple[Mapping[str, Any], ...] | None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a clone, besides its source. `name` None: the default, which was not asked for (`named`).

    `volumes`: treatments by volume name or mount point.

    `thorough`: look at everything that the target's Engine has, not only at what the source itself holds.
    `made_volumes`: volumes that are made by others, and used as they are; `made_containers`: ids and names of what is
    made before the clone. `bound`: what else the plan's hash is of. `apart`: no volume gets the name that the source's
    has.
    """

    name: str | None = None
    overrides: Overrides = AS_THE_SOURCE
    data: str = "none"
    volumes: Mapping[str, str] = field(default_factory=dict)
    thorough: bool = False
    made_volumes: frozenset[str] = frozenset()
    made_containers: frozenset[str] = frozenset()
    named: bool = True
    bound: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the Engines have besides the source. `known`: the source Engine's volumes; `there`: the target's.

    `elsewhere`: these are two.
    """

    world: World
    known: Mapping[str, VolumeFacts]
    there: Mapping[str, VolumeFacts]
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with all that was looked up for it.

    `wanted` is the source's inspect as if it had the clone's volumes: what the clone must equal but for overrides.
    """

    source: Inspect = field(repr=False)
    wanted: Inspect = field(repr=False)
    wish: Wish
    facts: CloneFacts
    around: Surroundings = field(repr=False)
    elsewhere: tuple[Collision, ...]
    plan: ClonePlan
    document: PlanDocument
    volumes: tuple[VolumePlan, ...]
    powers: tuple[str, ...]

    @property
    def collisions(self) -> tuple[Collision, ...]:
        """What stands in the way."""
        return self.document.collisions


def look_around(reader: EngineReader, source: Inspect, wish: Wish, *, origin: Origin | None = None) -> Surroundings:
    """Look at both Engines. Raises their errors."""
    known = volume_facts(origin or reader, source, wish.overrides)
    return Surroundings(
        world=World(
            holdings=reader.holdings() if wish.thorough else (own_holding(source),),
            networks=reader.networks() if wish.thorough else (own_networks(source) or reader.networks()),
        ),
        known=known,
        there=known if origin is None else every_volume(reader),
        elsewhere=origin is not None,
    )


def prepare(
    context: Context,
    reader: EngineReader,
    source: Inspect,
    wish: Wish,
    *,
    origin: Origin | None = None,
    around: Surroundings | None = None,
    givers: Givers = MappingProxyType({}),
) -> Prepared:
    """Look up what has to be known, and plan; `reader` is the target's Engine, `origin` the source's if it is another.

    Of a source that a backup remembers, `origin` is what it remembers of its Engine. Nothing is changed. Raises
    InvalidRequest and the Engine's errors.
    """
    if wish.name is None:
        wish = replace(wish, name=default_name(source), named=False)
    around = around or look_around(reader, source, wish, origin=origin)
    volumes = plan_volumes(
        source,
        clone_name=str(wish.name),
        data=wish.data,
        choices=wish.volumes,
        known=around.known,
        taken=frozenset(around.there),
        elsewhere=origin is not None,
        made=wish.made_volumes,
        replaced=frozenset(mount.target for mount in wish.overrides.mounts),
        apart=wish.apart,
    )
    wanted = with_volumes(source, volumes)
    facts = clone_facts(reader, wanted, wish.overrides, networks=around.world.networks, origin=origin)
    facts = replace(facts, volumes_from={**facts.volumes_from, **givers})
    first = _planned(context, source, wish, facts=facts, around=around, volumes=volumes, elsewhere=())
    if origin is None:
        return first
    elsewhere = tuple(_elsewhere(reader, origin, first))
    return _planned(context, source, wish, facts=facts, around=around, volumes=volumes, elsewhere=elsewhere)


def planned_again(
    context: Context,
    prepared: Prepared,
    *,
    source: Inspect | None = None,
    overrides: Overrides | None = None,
    world: World | None = None,
    givers: Givers = MappingProxyType({}),
) -> Prepared:
    """The same wish with something else in it, by what was looked up already."""
    around = replace(prepared.around, world=world or prepared.around.world)
    return _planned(
        context,
        source or prepared.source,
        prepared.wish if overrides is None else replace(prepared.wish, overrides=overrides),
        facts=replace(
            prepared.facts,
            networks=around.world.networks,
            volumes_from={**prepared.facts.volumes_from, **givers},
        ),
        around=around,
        volumes=prepared.volumes,
        elsewhere=prepared.elsewhere,
    )


def with_content(prepared: Prepared, content: Mapping[str, Any] | None, found: tuple[Collision, ...]) -> Prepared:
    """The same plan with what there is to copy, and what stands in the way of that; its hash is of neither."""
    document = prepared.document
    return replace(prepared, document=replace(document, content=content, collisions=(*document.collisions, *found)))


def _planned(
    context: Context,
    source: Inspect,
    wish: Wish,
    *,
    facts: CloneFacts,
    around: Surroundings,
    volumes: tuple[VolumePlan, ...],
    elsewhere: tuple[Collision, ...],
) -> Prepared:
    name = str(wish.name)
    wanted = with_volumes(source, volumes)
    labels = labels_for(context)
    plan = build_clone(wanted, facts, name=name, labels=labels, overrides=wish.overrides)
    host = plan.create.host.body()
    powers = effective_powers(source, host, volumes=volumes, known=around.there, overrides=wish.overrides)
    document = plan_document(
        plan,
        build_clone(source, facts, name=name, labels=labels) if wish.thorough else plan,
        volumes=volumes,
        collisions=(*find_collisions(plan, around.world), *elsewhere, *_privilege(powers)),
        warnings=(*_told(plan.warnings, around), *_shared(source, volumes), *_brought_home(volumes)),
        key=context.facts.plan_key,
        named=wish.named,
        bound={"data": wish.data, **wish.bound},
    )
    return Prepared(
        source=source,
        wanted=wanted,
        wish=wish,
        facts=facts,
        around=around,
        elsewhere=elsewhere,
        plan=plan,
        document=document,
        volumes=volumes,
        powers=powers,
    )


def _elsewhere(reader: EngineReader, origin: Origin, first: Prepared) -> Iterator[Collision]:
    """What another Engine cannot give."""
    wanted, plan = first.wanted, first.plan
    here, there = origin.version().platform, reader.version().platform
    if here != there and wanted["Image"] == plan.image_id:
        message = f"The image is for {here}, and the other Engine is {there}: choose an image that is there."
        yield Collision(kind="image", subject=plan.image_id, message=message, blocks="create")
    yield from foreign_references(wanted, plan, made=first.wish.made_containers)
    for field_name, api in newer_fields(plan.create.body(), api=reader.api):
        message = f"The other Engine speaks API {reader.api}, and {field_name} needs {api}: it would be left out."
        yield Collision(kind="api", subject=field_name, message=message)


def labels_for(context: Context) -> dict[str, str]:
    """Our own labels, by which what an operation made is found again."""
    return {OPERATION_LABEL: context.facts.operation_id, TOKEN_LABEL: str(context.facts.lease_token)}


def default_name(source: Inspect) -> str:
    """`<source>-clone-<epoch milliseconds>`, as published."""
    return f"{str(source.get('Name', '')).removeprefix('/')}-clone-{time.time_ns() // 1_000_000}"


def own_networks(source: Inspect) -> tuple[NetworkSummary, ...]:
    """The Engine's own networks, where the source is in no other: their names mean one thing, and they never go."""
    endpoints = endpoints_of(source)
    if not endpoints or not set(endpoints) <= OWN_NETWORKS:
        return ()
    return tuple(
        NetworkSummary(id=str(raw.get("NetworkID") or name), name=name, driver=name) for name, raw in endpoints.items()
    )


def own_holding(source: Inspect) -> Holding:
    """What the source itself holds while it runs."""
    state = source.get("State") or {}
    bound = (source.get("NetworkSettings") or {}).get("Ports") or {}
    endpoints = endpoints_of(source).values()
    addresses = [endpoint.get(key) for endpoint in endpoints for key in ("IPAddress", "GlobalIPv6Address")]
    return Holding(
        id=str(source["Id"]),
        name=str(source.get("Name", "")).removeprefix("/"),
        running=bool(state.get("Running")),
        ports=tuple(
            (str(entry.get("HostIp") or ""), int(entry["HostPort"]), key.partition("/")[2] or "tcp")
            for key, entries in bound.items()
            for entry in entries or []
            if str(entry.get("HostPort") or "").isdigit()
        ),
        addresses=tuple(str(address) for address in addresses if address),
        macs=tuple(str(endpoint["MacAddress"]).lower() for endpoint in endpoints if endpoint.get("MacAddress")),
    )


def _privilege(powers: tuple[str, ...]) -> tuple[Collision, ...]:
    return tuple(
        Collision(
            kind="privilege",
            subject=power,
            message=f"The clone would hold power over its host: {power}",
            resolution={"confirmPrivileged": True},
            blocks="confirm",
        )
        for power in powers
    )


def _told(warnings: Iterable[PlanWarning], around: Surroundings) -> Iterator[PlanWarning]:
    """The warnings in words for where the clone goes: another host's networks are others in any case."""
    for warning in warnings:
        if not (around.elsewhere and warning.code == "NETWORK_REPLACED"):
            yield warning
            continue
        name = warning.fields[0].removeprefix("NetworkSettings.Networks.").removesuffix(".NetworkID")
        if name not in OWN_NETWORKS:
            message = f"The clone joins the network {name} of the other host, which has the source's name alone."
            yield replace(warning, code="NETWORK_OF_HOST", message=message)


def _brought_home(volumes: tuple[VolumePlan, ...]) -> Iterator[PlanWarning]:
    for volume in volumes:
        if volume.target and volume.facts.is_elsewhere:
            yield brought_home(volume.source, volume.target)


def brought_home(source: str, target: str) -> PlanWarning:
    """A second volume with the source's options would be the same files."""
    words = f"The volume {source} is kept in a place that its options name; {target} is made without them"
    return PlanWarning(code="VOLUME_BROUGHT_HOME", message=f"{words}, on the Engine's host.")


def _shared(source: Inspect, volumes: tuple[VolumePlan, ...]) -> tuple[PlanWarning, ...]:
    """A volume with two writers is how databases are lost."""
    mounts = [mount for mount in source.get("Mounts") or [] if mount.get("Type") == "volume" and mount.get("RW")]
    writable = {str(mount.get("Name")) for mount in mounts}
    return tuple(
        PlanWarning(
            code="VOLUME_SHARED",
            message=f"The clone shares the volume {volume.source} with its source: ask for a copy or an empty one.",
        )
        for volume in volumes
        if volume.treatment == "share" and volume.source in writable
    )
