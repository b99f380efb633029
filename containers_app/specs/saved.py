"""A container's configuration as a backup keeps it: the Engine's own words, with what may be secret apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from containers_app.errors import ArchiveInvalid
from containers_app.specs.secret_texts import DRIVER_OPTIONS

FORMAT = "mycodocker-config"
SECRETS_FORMAT = "mycodocker-secrets"
VERSION = 1
# Every Engine has its own of these.
OWN_NETWORKS = frozenset({"bridge", "host", "none"})
# Options of drivers hold passwords of file servers and keys of log collectors.
_HIDDEN = frozenset({"Env", *DRIVER_OPTIONS})
_KEYS = frozenset({"format", "version", "container", "networks", "volumes", "image"})


@dataclass(frozen=True, kw_only=True)
class SavedConfiguration:
    """What an Engine told of a container: its inspect, its networks and volumes by name, and its image."""

    container: Mapping[str, Any] = field(repr=False)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    image: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The configuration without values that may be secret, and those values by JSON pointer (RFC 6901)."""
        values: dict[str, Any] = {}
        plain = _without(self._whole(), "", values)
        head = {"format": FORMAT, "version": VERSION}
        return {**head, **plain}, {"format": SECRETS_FORMAT, "version": VERSION, "values": values}

    @property
    def lacking(self) -> tuple[str, ...]:
        """What a container like it needs and only its name is known of: variables and options of drivers."""
        own = {name: raw for name, raw in self.networks.items() if name not in OWN_NETWORKS}
        return tuple(
            dict.fromkeys(_lacking({"container": self.container, "networks": own, "volumes": self.volumes}, ""))
        )

    def without_lacking(self) -> SavedConfiguration:
        """The same without these, as far as a container can be made without them."""
        whole = _stripped(self._whole(), "")
        return SavedConfiguration(**whole)

    def _whole(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("container", "networks", "volumes", "image")}

    @classmethod
    def of(cls, document: Any, secrets: Any = None) -> SavedConfiguration:
        """What `documents` wrote, with the values where they are there. Raises ArchiveInvalid."""
        _check(document, FORMAT, _KEYS)
        whole = {name: document[name] for name in _KEYS - {"format", "version"}}
        if secrets is not None:
            _check(secrets, SECRETS_FORMAT, frozenset({"format", "version", "values"}))
            for pointer, value in _object(secrets["values"]).items():
                whole = _with(whole, pointer.split("/")[1:], value)
        _check_volumes(_object(whole["container"]))
        return cls(**{name: _object(value) for name, value in whole.items()})


def _check_volumes(container: Mapping[str, Any]) -> None:
    """An Engine lists every volume of a container in `Mounts`, which is what is judged and made anew.

    Raises ArchiveInvalid for one that only the other lists name: it would be somebody else's.
    """
    host = container.get("HostConfig") or {}
    known = {str(mount.get("Name")) for mount in container.get("Mounts") or [] if mount.get("Type") == "volume"}
    bound = {str(entry).partition(":")[0] for entry in host.get("Binds") or []}
    mounted = {str(mount.get("Source") or "") for mount in host.get("Mounts") or [] if mount.get("Type") == "volume"}
    if {name for name in bound | mounted if name and not name.startswith("/")} - known:
        raise ArchiveInvalid("The backup's configuration names a volume that the container did not have.")


def _without(value: Any, place: str, values: dict[str, Any]) -> Any:
    """The value without what is hidden, which goes to `values`."""
    if isinstance(value, Mapping):
        return {
            key: _covered(entry, f"{place}/{_escaped(key)}", values)
            if _is_hidden(key, place)
            else _without(entry, f"{place}/{_escaped(key)}", values)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without(entry, f"{place}/{number}", values) for number, entry in enumerate(value)]
    return value


def _is_hidden(key: str, place: str) -> bool:
    return key in _HIDDEN or (key == "Config" and place.endswith("/LogConfig"))


def _lacking(value: Any, place: str) -> Iterator[str]:
    """The names that `_covered` left."""
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _lacking(entry, place)
    if not isinstance(value, Mapping):
        return
    for key, entry in value.items():
        if _is_hidden(key, place) and key == "Env":
            yield from (str(name) for name in entry or [] if "=" not in str(name))
        elif _is_hidden(key, place) and isinstance(entry, Mapping):
            yield from (str(name) for name, text in entry.items() if text is None)
        else:
            yield from _lacking(entry, f"{place}/{_escaped(key)}")


def _stripped(value: Any, place: str) -> Any:
    """The value without the names that have no value."""
    if isinstance(value, list | tuple):
        return [_stripped(entry, place) for entry in value]
    if not isinstance(value, Mapping):
        return value
    kept: dict[str, Any] = {}
    for key, entry in value.items():
        if _is_hidden(key, place) and key == "Env":
            kept[key] = [name for name in entry or [] if "=" in str(name)]
        elif _is_hidden(key, place) and isinstance(entry, Mapping):
            kept[key] = {name: text for name, text in entry.items() if text is not None}
        else:
            kept[key] = _stripped(entry, f"{place}/{_escaped(key)}")
    return kept


def _covered(value: Any, place: str, values: dict[str, Any]) -> Any:
    """Names instead of values: `NAME` for `NAME=value`, null for an option's value."""
    if not value:
        return value
    values[place] = value
    if isinstance(value, Mapping):
        return dict.fromkeys(value)
    if isinstance(value, list | tuple):
        return [str(entry).partition("=")[0] for entry in value]
    return None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _with(value: Any, path: list[str], found: Any) -> Any:
    """A copy of the value that has `found` at the path."""
    if not path:
        return found
    step, rest = path[0].replace("~1", "/").replace("~0", "~"), path[1:]
    if isinstance(value, Mapping) and step in value:
        return {**value, step: _with(value[step], rest, found)}
    if isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
        number = int(step)
        return [*value[:number], _with(value[number], rest, found), *value[number + 1 :]]
    raise ArchiveInvalid("The backup's secrets do not belong to its configuration.")


def _check(document: Any, expected: str, keys: frozenset[str]) -> None:
    if not isinstance(document, dict) or set(document) != keys:
        raise ArchiveInvalid(f"The backup's {expected.removeprefix('mycodocker-')} has not the keys it should have.")
    if document["format"] != expected or document["version"] != VERSION:
        raise ArchiveInvalid(f"The backup's {expected.removeprefix('mycodocker-')} is of another format or version.")


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ArchiveInvalid("The backup's configuration has a list or a text where an object should be.")
    return value
