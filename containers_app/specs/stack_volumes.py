"""The volumes with a name that a compose project's containers mount, and what becomes of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from containers_app.specs.clone_volumes import Treatment, VolumeFacts, free_name
from containers_app.specs.stack import VOLUME_LABEL, Member, new_resource_name, of_project


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

    @property
    def material(self) -> list[Any]:
        """All that makes it this volume, for the plan's hash."""
        kind = [self.facts.driver, dict(self.facts.options), dict(self.facts.labels)]
        return [self.source, self.target, self.treatment, list(self.mount_points), *kind]


def named_volumes(members: Iterable[Member]) -> list[tuple[str, list[str]]]:
    """The volumes that belong to no member alone, by name, each with its mount points as `<container>:<path>`."""
    every = tuple(members)
    own = {name for entry in every for name in entry.own}
    places: dict[str, list[str]] = {}
    for entry in every:
        for mount in entry.inspect.get("Mounts") or []:
            if mount.get("Type") == "volume" and str(mount.get("Name")) not in own:
                places.setdefault(str(mount.get("Name")), []).append(f"{entry.name}:{mount.get('Destination')}")
    return sorted(places.items())


def stack_volumes(
    members: Iterable[Member], known: Mapping[str, VolumeFacts], *, project: str, new_project: str, data: str
) -> tuple[StackVolume, ...]:
    """What the project made is made anew; what it only uses is shared, or expected on the other host."""
    volumes = []
    for name, points in named_volumes(members):
        facts = known.get(name, VolumeFacts(name=name))
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


def saved_volumes(
    members: Iterable[Member],
    known: Mapping[str, VolumeFacts],
    *,
    project: str,
    new_project: str,
    filled: Collection[str],
    taken: Collection[str],
) -> tuple[StackVolume, ...]:
    """Every one is made anew, with content where the backup has it; one whose name is taken gets another one."""
    volumes: list[StackVolume] = []
    for name, points in named_volumes(members):
        facts = known.get(name, VolumeFacts(name=name))
        renamed = new_resource_name(facts.labels, VOLUME_LABEL, project, new_project)
        wanted = name if renamed is None or new_project == project else renamed
        volumes.append(
            StackVolume(
                source=name,
                target=free_name(wanted, {*taken, *(volume.target for volume in volumes)}),
                treatment="copy" if name in filled else "empty",
                mount_points=tuple(points),
                facts=facts,
                labels=of_project(facts.labels, new_project) if renamed else facts.labels,
            )
        )
    return tuple(volumes)
