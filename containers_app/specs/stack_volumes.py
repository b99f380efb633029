"""The volumes with a name that a compose project's containers mount, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from containers_app.specs.clone_volumes import Treatment, VolumeFacts
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


def stack_volumes(
    members: Iterable[Member], known: Mapping[str, VolumeFacts], *, project: str, new_project: str, data: str
) -> tuple[StackVolume, ...]:
    """What the project made is made anew; what it only uses is shared, or expected on the other host."""
    every = tuple(members)
    own = {name for entry in every for name in entry.own}
    places: dict[str, list[str]] = {}
    for entry in every:
        for mount in entry.inspect.get("Mounts") or []:
            if mount.get("Type") == "volume" and str(mount.get("Name")) not in own:
                places.setdefault(str(mount.get("Name")), []).append(f"{entry.name}:{mount.get('Destination')}")
    volumes = []
    for name, points in sorted(places.items()):
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
