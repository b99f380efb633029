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
    clean,
    destination_of,
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
_LONGEST_PREFIX = 100
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
        kind, flags = str(self.options.get("type") or "").lower(), str(self.options.get("o") or "").lower()
        # With such a flag the kernel binds the device, whatever the type says (mount(2), MS_BIND).
        bound = {"bind", "rbind"} & {flag.strip() for flag in flags.split(",")}
        return bool(self.options) and not (self.driver == "local" and kind == "tmpfs" and not bound)


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
    replaced: Collection[str] = (),
    apart: bool = False,
) -> tuple[VolumePlan, ...]:
    """What becomes of each volume: by its own choice (under its name or a mount point), else by `data`.

    `known` are the source Engine's volumes, `taken` the names that the target has; `elsewhere`: the target is another
    Engine, with which nothing can be shared; `replaced` are mount points that an override fills; `apart`: even there
    each is named after the clone. Raises InvalidRequest for a choice that cannot be.
    """
    every = [mount for mount in source.get("Mounts") or [] if mount.get("Type") == "volume"]
    mounts = [mount for mount in every if mount.get("Destination") not in replaced]
    names = dict.fromkeys(str(mount.get("Name")) for mount in mounts if str(mount.get("Name")) not in made)
    places = {name: _destinations(mounts, name) for name in names}
    _check_choices(choices, places, elsewhere=elsewhere)
    unnamed, doubtful = unnamed_destinations(source), bool(source["HostConfig"].get("VolumesFrom"))
    plans: list[VolumePlan] = []
    for name, destinations in places.items():
        chosen = next((choices[key] for key in (name, *destinations) if key in choices), None)
        # Where `VolumesFrom` brings a volume, the one that is asked for at its path without a name is never made: what
        # stands there may be either, so that nothing is filled there but a volume with a name.
        anonymous = is_full_id(name) and set(destinations) <= unnamed and (not doubtful or chosen == "share")
        treatment = _treatment(chosen, data=data, fresh=anonymous or elsewhere)
        prefix = "" if elsewhere and not apart and not is_full_id(name) else volume_prefix(clone_name)
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
    mounts = [mount for mount in source.get("Mounts") or [] if mount.get("Type") in ("bind", "volume")]
    configured = own_destinations(source) - unnamed_destinations(source)
    inherited = [mount for mount in mounts if str(mount.get("Destination")) not in configured]
    split = bool(host.get("VolumesFrom")) and any(str(mount.get("Name")) in names for mount in inherited)
    kept = {path for plan in plans if plan.anonymous and plan.treatment == "share" for path in plan.destinations}
    named = inherited if split else [mount for mount in mounts if str(mount.get("Destination")) in kept]
    host = _without_unnamed(host, {str(mount.get("Destination")) for mount in named})
    binds = [*(host.get("Binds") or []), *(as_bind(mount) for mount in named)]
    host = renamed_volumes({**host, "Binds": binds or host.get("Binds")}, names)
    if split:
        host["VolumesFrom"] = None
    renamed = [renamed_volume(mount, names, "Name") for mount in source.get("Mounts") or []]
    return {**source, "HostConfig": host, "Mounts": renamed}


def _without_unnamed(host: dict[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """Without the entries that ask for a volume without a name at these paths: an Engine takes one mount for a path."""
    if not paths:
        return host
    binds, mounts = host.get("Binds") or [], host.get("Mounts") or []
    kept = [bind for bind in binds if ":" in str(bind) or destination_of(str(bind)) not in paths]
    rest = [mount for mount in mounts if mount.get("Source") or clean(str(mount.get("Target"))) not in paths]
    return {**host, "Binds": kept, "Mounts": rest}


def _destinations(mounts: list[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    return tuple(sorted(str(mount.get("Destination")) for mount in mounts if str(mount.get("Name")) == name))


def _check_choices(choices: Mapping[str, str], places: Mapping[str, tuple[str, ...]], *, elsewhere: bool) -> None:
    known = {*places, *(path for paths in places.values() for path in paths)}
    _check_agreement(choices, places)
    for name in choices:
        if name not in known:
            field_name = f"options.volumes.{fields.printable(name)}"
            words = f"the container has these: {', '.join(sorted(known)) or 'none'}"
            raise InvalidRequest(f"'{field_name}' names no volume and no mount point; {words}", field=field_name)
        if elsewhere and choices[name] == "share":
            field_name = f"options.volumes.{fields.printable(name)}"
            raise InvalidRequest(f"'{field_name}' cannot be shared with another host: copy it", field=field_name)


def _check_agreement(choices: Mapping[str, str], places: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse two choices for one volume, which may be mounted at several places."""
    for name, destinations in places.items():
        given = [key for key in (name, *destinations) if key in choices]
        other = next((key for key in given if choices[key] != choices[given[0]]), None)
        if other is not None:
            field_name = f"options.volumes.{fields.printable(other)}"
            words = f"the same volume as {given[0]}, for which something else is chosen"
            raise InvalidRequest(f"'{field_name}' means {words}", field=field_name)


def _treatment(chosen: str | None, *, data: str, fresh: bool) -> Treatment:
    default: Treatment = "copy" if data != "none" else "empty" if fresh else "share"
    return next((treatment for treatment in _treatments() if treatment == chosen), default)


def _treatments() -> Iterator[Treatment]:
    yield from ("copy", "empty", "share")


def volume_prefix(clone_name: str) -> str:
    """How the names of a clone's own volumes begin; short enough to leave room for the rest."""
    return f"{clone_name[-_LONGEST_PREFIX:].lstrip('_.-')}_"


def _name(prefix: str, name: str, destination: str, taken: Collection[str]) -> str:
    """A name that tells whose it is: `<clone>_<volume>`, or by its mount point where the volume has only an id."""
    word = _UNFIT.sub("-", destination).strip("-.") if is_full_id(name) else name
    return free_name(f"{prefix}{word or 'data'}"[:_LONGEST_NAME], taken)


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name, with a number behind it where it is taken."""
    numbered = (wanted if number == 1 else f"{wanted}_{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)


def renamed_volumes(host: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A `HostConfig` that mounts volumes of other names."""
    renamed = dict(host)
    if host.get("Binds"):
        renamed["Binds"] = [renamed_bind(str(bind), names) for bind in host["Binds"]]
    if host.get("Mounts"):
        renamed["Mounts"] = [renamed_mount(mount, names) for mount in host["Mounts"]]
    return renamed
