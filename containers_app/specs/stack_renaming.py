"""The new names of a compose project's parts, and its members as they would be under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.specs.clone_mounts import renamed_volume
from containers_app.specs.placeholder import placeholder_id
from containers_app.specs.stack import Member, Renaming, new_container_name, renamed
from containers_app.specs.stack_networks import NewNetwork
from containers_app.specs.stack_volumes import StackVolume


def renaming_of(
    members: tuple[Member, ...],
    networks: tuple[NewNetwork, ...],
    volumes: tuple[StackVolume, ...],
    *,
    project: str,
    new_project: str,
    drop_macs: bool,
) -> Renaming:
    """Old to new, with an id that is none for all that has yet to be made."""
    names = {entry.name: new_container_name(entry, project, new_project) for entry in members}
    anonymous = {
        name: placeholder_id(f"{names[entry.name]}:{path}") for entry in members for name, path in entry.own.items()
    }
    return Renaming(
        project=project,
        new_project=new_project,
        names={key: names[entry.name] for entry in members for key in entry.keys},
        containers={key: placeholder_id(names[entry.name]) for entry in members for key in entry.keys},
        networks={
            key: (network.name, network.summary.id)
            for network in networks
            for key in (network.old_id, network.old_name)
        },
        volumes={**anonymous, **{volume.source: volume.target for volume in volumes if volume.treatment != "share"}},
        addresses={old: new for network in networks for old, new in network.addresses.items()},
        drop_macs=drop_macs,
    )


def wanted_source(entry: Member, renaming: Renaming) -> dict[str, Any]:
    """The member as it should be in the new project; its own volumes without a name stay what they are copied from."""
    kept = {old: new for old, new in renaming.volumes.items() if old not in entry.own}
    return renamed(entry.inspect, replace(renaming, volumes=kept))


def giver_mounts(entry: Member, renaming: Renaming) -> tuple[Mapping[str, Any], ...]:
    """What others get from the member's clone by `VolumesFrom`."""
    return tuple(renamed_volume(mount, renaming.volumes, "Name") for mount in entry.inspect.get("Mounts") or [])
