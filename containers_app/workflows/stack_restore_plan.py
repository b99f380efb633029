"""The restore of a compose project planned: a stack clone whose sources, and their Engines, are what sets remember."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.archives.manifest import Part
from containers_app.engine.facts import every_volume
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import VolumeFacts
from containers_app.specs.collisions import World
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.overrides import AS_THE_SOURCE
from containers_app.specs.saved_networks import saved_stack_networks
from containers_app.specs.stack import Member, in_order, member, with_live_networks, with_own_volumes
from containers_app.specs.stack_volumes import StackVolume, saved_volumes
from containers_app.workflows.context import Context
from containers_app.workflows.planning import Surroundings
from containers_app.workflows.restore_plan import RestorePlan, Supply, Wanted, names_there, supply_of, told
from containers_app.workflows.set_reader import SetReader
from containers_app.workflows.stack_members import MemberWishes, PlannedMember
from containers_app.workflows.stack_plan import Draft, StackPlan, plan_draft
from containers_app.workflows.stack_sets import StackSets

_AS_SAVED = Wanted(name="", parts=None, overrides=AS_THE_SOURCE, bound={})


@dataclass(frozen=True, kw_only=True)
class MemberSet:
    """A member's set, and what of it is restored; a volume of several members comes from the first one's alone."""

    files: SetReader = field(repr=False)
    supply: Supply


@dataclass(frozen=True, kw_only=True)
class StackRestorePlan:
    """`sets`: by the member's id as it was saved."""

    stack: StackPlan
    sets: Mapping[str, MemberSet]

    @property
    def whole(self) -> bool:
        """Whether the sets have all that the containers had."""
        return all(self.of(planned).whole for planned in self.stack.members)

    def of(self, planned: PlannedMember) -> RestorePlan:
        """The member's restore by this plan of its container."""
        return self.sets[planned.member.id].supply.plan(planned.prepared)

    def shared(self, planned: PlannedMember) -> list[tuple[str, Part]]:
        """The volumes with a name that are filled from this member's set, each with what fills it."""
        parts = self.sets[planned.member.id].supply.volumes
        own = planned.member.own
        return [
            (volume.target, parts[volume.source])
            for volume in self.stack.volumes
            if volume.source in parts and volume.source not in own
        ]

    def document(self) -> dict[str, Any]:
        """As answers and rows have it: a stack clone's plan, and where things come from."""
        members = [{**planned.document(), "plan": self.of(planned).document()} for planned in self.stack.members]
        return {**self.stack.document(), "members": members}


def plan_stack_restore(
    context: Context,
    target: EngineGateway,
    opened: StackSets,
    *,
    new_project: str | None,
    bound: Mapping[str, Any],
) -> StackRestorePlan:
    """Look up what has to be known, and plan; nothing is changed. `new_project`: None for the saved name.

    Raises InvalidRequest, ArchiveInvalid, and the errors of the Engine and the storage.
    """
    project = opened.identity.project
    names = {"project": project, "new_project": new_project or project}
    members, found = _members(target, opened.files)
    sets = _assigned(members, found)
    filled = frozenset(name for entry in sets.values() for name in entry.supply.volumes)
    around = Surroundings(
        world=World(holdings=target.holdings(), networks=target.networks()),
        known=_known_volumes(sets),
        there=every_volume(target),
        elsewhere=True,
    )
    networks = saved_stack_networks(_networks(sets).values(), members, **names, around=around.world.networks)
    volumes = saved_volumes(members, around.known, **names, filled=filled, taken=around.there)
    draft = Draft(
        project=project,
        new_project=names["new_project"],
        members=members,
        networks=networks,
        volumes=volumes,
        around=around,
        drop_macs=names["new_project"] != project,
        bound={**bound, **names, "sets": [sets[entry.id].supply.material for entry in members]},
        warnings=tuple(_renamed(volumes, around.there)),
    )
    wishes = MemberWishes(
        data="volumes",
        origins={key: entry.supply.origin for key, entry in sets.items()},
        empty=frozenset(name for entry in members for name in entry.own) - filled,
        there=names_there(around.world),
        keep_ports=names["new_project"] == project,
    )
    stack = plan_draft(context, target, draft, wishes, finish=lambda planned: _told(planned, sets))
    return StackRestorePlan(stack=stack, sets=sets)


def _told(planned: PlannedMember, sets: Mapping[str, MemberSet]) -> PlannedMember:
    return replace(planned, prepared=told(sets[planned.member.id].supply.plan(planned.prepared)).prepared)


def _members(target: EngineGateway, files: tuple[SetReader, ...]) -> tuple[tuple[Member, ...], dict[str, MemberSet]]:
    """The containers in their order, and what the sets have of each, by its id."""
    every = [MemberSet(files=one, supply=supply_of(target, one, _AS_SAVED)) for one in files]
    found = {str(entry.supply.saved.container["Id"]): entry for entry in every}
    live = tuple(_summary(raw) for raw in _networks(found).values())
    inspects = [with_live_networks(entry.supply.saved.container, live) for entry in every]
    return with_own_volumes(in_order(map(member, inspects))), found


def _assigned(members: tuple[Member, ...], found: Mapping[str, MemberSet]) -> dict[str, MemberSet]:
    """Each volume is filled from one set: its owner's, or that of the first who mounts it and has its content."""
    own = {name: entry.id for entry in members for name in entry.own}
    givers: dict[str, str] = {}
    for entry in members:
        for name in found[entry.id].supply.volumes:
            if own.get(name, entry.id) == entry.id:
                givers.setdefault(name, entry.id)
    return {key: replace(entry, supply=_only(entry.supply, key, givers)) for key, entry in found.items()}


def _only(supply: Supply, member_id: str, givers: Mapping[str, str]) -> Supply:
    volumes = {name: part for name, part in supply.volumes.items() if givers.get(name) == member_id}
    without = tuple(name for name in supply.without if name not in givers)
    return replace(supply, volumes=volumes, without=without)


def _networks(sets: Mapping[str, MemberSet]) -> dict[str, Mapping[str, Any]]:
    """The saved networks, by name: all sets are of one moment."""
    return {name: raw for entry in sets.values() for name, raw in entry.supply.saved.networks.items()}


def _known_volumes(sets: Mapping[str, MemberSet]) -> dict[str, VolumeFacts]:
    return {name: facts for entry in sets.values() for name, facts in every_volume(entry.supply.origin).items()}


def _summary(raw: Mapping[str, Any]) -> NetworkSummary:
    return NetworkSummary(id=str(raw.get("Id") or ""), name=str(raw.get("Name")), driver=str(raw.get("Driver") or ""))


def _renamed(volumes: tuple[StackVolume, ...], there: Mapping[str, VolumeFacts]) -> Iterator[PlanWarning]:
    for volume in volumes:
        if volume.source in there and volume.target != volume.source:
            words = f"A volume {volume.source} is there and stays as it is"
            yield PlanWarning(code="VOLUME_RENAMED", message=f"{words}: the restored one is {volume.target}.")
