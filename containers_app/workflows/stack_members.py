"""Every member of a compose project planned in its order, beside what is made for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.engine.facts import Origin
from containers_app.engine.gateway import EngineReader
from containers_app.specs.clone_volumes import VolumeFacts
from containers_app.specs.collisions import expected_ports
from containers_app.specs.engine import Holding
from containers_app.specs.overrides import read_overrides
from containers_app.specs.placeholder import placeholder_id
from containers_app.specs.stack import Member, Renaming
from containers_app.specs.stack_networks import NewNetwork
from containers_app.specs.stack_renaming import giver_mounts, wanted_source
from containers_app.workflows.context import Context
from containers_app.workflows.planning import Givers, Prepared, Surroundings, Wish, planned_again, prepare


@dataclass(frozen=True, kw_only=True)
class MemberWishes:
    """What is asked of all members. `data`: `none`, `volumes` or `all`.

    `origins`: the Engine of each by its id, where that is not the target. `empty`: volumes of their own that stay empty
    all the same. `there`: what they may refer to besides each other. `keep_ports`: one that is held stands in the way.
    """

    data: str
    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False)
    empty: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()
    keep_ports: bool = False

    def volumes(self, entry: Member) -> dict[str, str]:
        """The treatment of each volume that is the member's own."""
        return {name: "empty" if self.data == "none" or name in self.empty else "copy" for name in entry.own}


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


def with_what_is_made(around: Surroundings, networks: tuple[NewNetwork, ...], renaming: Renaming) -> Surroundings:
    """The surroundings of a member. What is made for the clone is plain, so it gives no power over the host."""
    world = replace(around.world, networks=(*around.world.networks, *(network.summary for network in networks)))
    plain = {name: VolumeFacts(name=name) for name in renaming.volumes.values()}
    return replace(around, world=world, there={**plain, **around.there})


def plan_members(
    context: Context,
    target: EngineReader,
    members: tuple[Member, ...],
    *,
    renaming: Renaming,
    around: Surroundings,
    wishes: MemberWishes,
) -> tuple[PlannedMember, ...]:
    """Each member's plan, with host ports that neither the others nor the sources hold."""
    planned: list[PlannedMember] = []
    givers: Givers = {renaming.containers[entry.id]: giver_mounts(entry, renaming) for entry in members}
    made = frozenset((*renaming.containers.values(), *renaming.names.values()))
    for entry in members:
        source = wanted_source(entry, renaming)
        mounted = {str(mount.get("Name")) for mount in source.get("Mounts") or [] if mount.get("Type") == "volume"}
        wish = Wish(
            name=renaming.names[entry.name],
            volumes=wishes.volumes(entry),
            thorough=True,
            made_volumes=frozenset(mounted - set(entry.own)),
            made_containers=made | wishes.there,
        )
        origin = wishes.origins.get(entry.id)
        prepared = prepare(context, target, source, wish, origin=origin, around=around, givers=givers)
        prepared = prepared if wishes.keep_ports else _with_free_ports(context, prepared)
        planned.append(PlannedMember(member=entry, prepared=prepared))
        ports = expected_ports(prepared.plan, around.world)
        name = prepared.plan.name
        taken = Holding(id=placeholder_id(name), name=name, running=True, ports=ports)
        around = replace(around, world=replace(around.world, holdings=(*around.world.holdings, taken)))
    return tuple(planned)


def _with_free_ports(context: Context, prepared: Prepared) -> Prepared:
    """The plan with the ports that it proposes itself where others hold the wanted ones."""
    proposal = next((found.resolution for found in prepared.collisions if found.kind == "port"), None)
    if proposal is None:
        return prepared
    return planned_again(context, prepared, overrides=read_overrides(proposal["overrides"]))
