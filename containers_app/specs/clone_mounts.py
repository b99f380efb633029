"""What a clone mounts where its source took mounts over from a container that is gone."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "[hidden]"
_SWITCHES = ("ro", "rw")
_DEFAULT_PROPAGATION = ("", "rprivate")


def container_of(entry: str) -> str:
    """The container in a `VolumesFrom` entry such as `data:ro`."""
    return entry.partition(":")[0]


def still_gives(entry: str, live_mounts: Iterable[Mapping[str, Any]] | None, source: Mapping[str, Any]) -> bool:
    """Whether a `VolumesFrom` entry means today what the source got from it; a namesake made since does not count."""
    if live_mounts is None:
        return False
    taken = {str(mount.get("Destination")): _origin(mount) for mount in source.get("Mounts") or []}
    own = own_destinations(source)
    return all(
        taken.get(str(mount.get("Destination"))) == _origin(mount)
        for mount in live_mounts
        if str(mount.get("Destination")) not in own
    )


def own_destinations(source: Mapping[str, Any]) -> frozenset[str]:
    """The paths the source's own configuration mounts something at."""
    host = source["HostConfig"]
    binds = [destination_of(str(bind)) for bind in host.get("Binds") or []]
    mounts = [clean(str(mount.get("Target"))) for mount in host.get("Mounts") or []]
    plain = [clean(path) for path in (*(host.get("Tmpfs") or {}), *(source["Config"].get("Volumes") or {}))]
    return frozenset((*binds, *mounts, *plain))


def unnamed_destinations(source: Mapping[str, Any]) -> frozenset[str]:
    """Paths where the configuration asks for a volume without naming one."""
    host = source["HostConfig"]
    named = {destination_of(str(bind)) for bind in host.get("Binds") or [] if ":" in str(bind)}
    named |= {clean(str(mount.get("Target"))) for mount in host.get("Mounts") or [] if mount.get("Source")}
    return own_destinations(source) - named


def inherited_binds(source: Mapping[str, Any], live: Iterable[Iterable[Mapping[str, Any]]]) -> tuple[str, ...]:
    """Binds for what the source mounts but neither configures itself nor still gets from a live container."""
    explained = own_destinations(source) | {str(mount.get("Destination")) for mounts in live for mount in mounts}
    return tuple(
        as_bind(mount)
        for mount in sorted(source.get("Mounts") or [], key=lambda mount: str(mount.get("Destination")))
        if mount.get("Type") in ("bind", "volume") and str(mount.get("Destination")) not in explained
    )


def as_bind(mount: Mapping[str, Any]) -> str:
    """An inspected mount as an entry of `Binds`."""
    options = ["rw" if mount.get("RW", True) else "ro"]
    options += [word for word in str(mount.get("Mode") or "").split(",") if word and word not in _SWITCHES]
    propagation = str(mount.get("Propagation") or "")
    if mount.get("Type") == "bind" and propagation not in (*_DEFAULT_PROPAGATION, *options):
        options.append(propagation)
    return f"{_origin(mount)}:{mount.get('Destination')}:{','.join(options)}"


def _origin(mount: Mapping[str, Any]) -> str:
    return str(mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source"))


def destination_of(bind: str) -> str:
    """Where an entry of `Binds` is mounted."""
    parts = bind.split(":")
    return clean(parts[1] if len(parts) > 1 else parts[0])


def clean(path: str) -> str:
    """A path in the container as an Engine compares it (moby, volume/mounts, filepath.Clean)."""
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path


def shown_mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `HostConfig.Mounts` without the values of labels and of options, which hold passwords."""
    options = dict(mount.get("VolumeOptions") or {})
    if not options:
        return dict(mount)
    driver = dict(options.get("DriverConfig") or {})
    if driver.get("Options"):
        options["DriverConfig"] = {**driver, "Options": dict.fromkeys(driver["Options"], HIDDEN)}
    if options.get("Labels"):
        options["Labels"] = dict.fromkeys(options["Labels"], HIDDEN)
    return {**mount, "VolumeOptions": options}


def renamed_bind(bind: str, names: Mapping[str, str]) -> str:
    """An entry of `Binds` with its volume's new name."""
    origin, colon, rest = bind.partition(":")
    return f"{names[origin]}:{rest}" if colon and origin in names else bind


def renamed_mount(mount: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """An entry of `Mounts` with its volume's new name.

    The driver's options belong to the volume that is replaced; the new one is made before the container.
    """
    if mount.get("Type") != "volume" or str(mount.get("Source")) not in names:
        return dict(mount)
    options = {key: value for key, value in (mount.get("VolumeOptions") or {}).items() if key in ("NoCopy", "Subpath")}
    return {**renamed_volume(mount, names, "Source"), "VolumeOptions": options or None}


def renamed_volume(mount: Mapping[str, Any], names: Mapping[str, str], key: str) -> dict[str, Any]:
    """A mount whose volume stands under `key`, with the volume's new name."""
    name = str(mount.get(key))
    return {**mount, key: names[name]} if mount.get("Type") == "volume" and name in names else dict(mount)
