"""Which volumes a clone gets: its source's, fresh ones, or fresh ones with the content."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from containers_app.errors import InvalidRequest
from containers_app.specs import fields
from containers_app.specs.clone_mounts import (
    as_bind,
    own_destinations,
    renamed_bind,
    renamed_mount,
    renamed_volume,
    unnamed_destinations,
)
from containers_app.specs.reference import is_full_id

Treatment = Literal["copy", "empty", "share"]
TREATMENTS = ("copy", "empty", "share")
DATA_CHOICES = ("none", "volumes", "all")
_LONGEST_NAME = 200
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True)
class VolumeFacts:
    """A volume as its Engine describes it; options stay out of the repr, as they hold passwords of file servers."""

    name: str
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_elsewhere(self) -> bool:
        """Whether its options name a place that a second volume with the same options would share."""
        kind = str(self.options.get("type") or "").lower()
        return bool(self.options) and not (self.driver == "local" and kind == "tmpfs")


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """One volume of the source and what becomes of it.

    `target` is the new volume's name; None where the clone shares the source's, or where the Engine makes a fresh
    volume without a name at each of `destinations`.
    """

    source: str
    destinations: tuple[str, ...]
    treatment: Treatment
    anonymous: bool
    target: str | None
    facts: VolumeFacts

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {
            "source": self.source,
            "target": self.target,
            "mountPoints": list(self.destinations),
            "treatment": self.treatment,
        }


def plan_volumes(
    source: Mapping[str, Any],
    *,
    clone_name: str,
    data: str,
    choices: Mapping[str, str],
    known: Mapping[str, VolumeFacts],
    taken: Collection[str] = (),
    elsewhere: bool = False,
    made: Collection[str] = (),
) -> tuple[VolumePlan, ...]:
    """What becomes of each volume: by its own choice (under its name or a mount point), else by `data`.

    `known` are the source Engine's volumes, `taken` the names that the target has; `elsewhere`: the target is another
    Engine, with which nothing can be shared; `made` are left alone. Raises InvalidRequest for a choice that cannot be.
    """
    mounts = [mount for mount in source.get("Mounts") or [] if mount.get("Type") == "volume"]
    names = dict.fromkeys(str(mount.get("Name")) for mount in mounts if str(mount.get("Name")) not in made)
    places = {name: _destinations(mounts, name) for name in names}
    _check_choices(choices, places, elsewhere=elsewhere)
    unnamed = unnamed_destinations(source)
    plans: list[VolumePlan] = []
    for name, destinations in places.items():
        anonymous = is_full_id(name) and set(destinations) <= unnamed
        treatment = _treatment(name, destinations, choices, data=data, fresh=anonymous or elsewhere)
        prefix = "" if elsewhere and not is_full_id(name) else f"{clone_name}_"
        given = {*taken, *(plan.target for plan in plans if plan.target)}
        plans.append(
            VolumePlan(
                source=name,
                destinations=destinations,
                treatment=treatment,
                anonymous=anonymous,
                target=None if anonymous or treatment == "share" else _name(prefix, name, destinations[0], given),
                facts=known.get(name, VolumeFacts(name=name)),
            )
        )
    return tuple(plans)


def with_volumes(source: Mapping[str, Any], plans: tuple[VolumePlan, ...]) -> dict[str, Any]:
    """The source's inspect as if it mounted the new volumes.

    Volumes taken over from another container get a mount of their own once one of them is not shared: `VolumesFrom`
    takes over all or nothing.
    """
    names = {plan.source: plan.target for plan in plans if plan.target}
    host = dict(source["HostConfig"])
    own = own_destinations(source)
    mounts = list(source.get("Mounts") or [])
    inherited = [mount for mount in mounts if str(mount.get("Destination")) not in own]
    split = bool(host.get("VolumesFrom")) and any(str(mount.get("Name")) in names for mount in inherited)
    kept = {path for plan in plans if plan.anonymous and plan.treatment == "share" for path in plan.destinations}
    added = [as_bind(mount) for mount in mounts if str(mount.get("Destination")) in kept]
    added += [as_bind(mount) for mount in inherited] if split else []
    binds = [*(host.get("Binds") or []), *(bind for bind in added if bind not in (host.get("Binds") or []))]
    host["Binds"] = [renamed_bind(str(bind), names) for bind in binds] or host.get("Binds")
    host["Mounts"] = [renamed_mount(mount, names) for mount in host.get("Mounts") or []] or host.get("Mounts")
    host["VolumesFrom"] = None if split else host.get("VolumesFrom")
    return {**source, "HostConfig": host, "Mounts": [renamed_volume(mount, names, "Name") for mount in mounts]}


def _destinations(mounts: list[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    return tuple(sorted(str(mount.get("Destination")) for mount in mounts if str(mount.get("Name")) == name))


def _check_choices(choices: Mapping[str, str], places: Mapping[str, tuple[str, ...]], *, elsewhere: bool) -> None:
    known = {*places, *(path for paths in places.values() for path in paths)}
    for name in choices:
        if name not in known:
            field_name = f"options.volumes.{fields.printable(name)}"
            words = f"the container has these: {', '.join(sorted(known)) or 'none'}"
            raise InvalidRequest(f"'{field_name}' names no volume and no mount point; {words}", field=field_name)
        if elsewhere and choices[name] == "share":
            field_name = f"options.volumes.{fields.printable(name)}"
            raise InvalidRequest(f"'{field_name}' cannot be shared with another host: copy it", field=field_name)


def _treatment(
    name: str, destinations: tuple[str, ...], choices: Mapping[str, str], *, data: str, fresh: bool
) -> Treatment:
    chosen = next((choices[key] for key in (name, *destinations) if key in choices), None)
    default: Treatment = "copy" if data != "none" else "empty" if fresh else "share"
    return next((treatment for treatment in _treatments() if treatment == chosen), default)


def _treatments() -> Iterator[Treatment]:
    yield from ("copy", "empty", "share")


def _name(prefix: str, name: str, destination: str, taken: Collection[str]) -> str:
    """A name that tells whose it is: `<clone>_<volume>`, or by its mount point where the volume has only an id."""
    word = _UNFIT.sub("-", destination).strip("-.") if is_full_id(name) else name
    wanted = f"{prefix}{word or 'data'}"[:_LONGEST_NAME]
    numbered = (wanted if number == 1 else f"{wanted}_{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)
