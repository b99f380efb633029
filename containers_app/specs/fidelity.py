"""Proof that a clone equals its source: every configuration field compared, what belongs to the instance left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.specs.clone_mounts import as_bind, shown_mount, unnamed_destinations
from containers_app.specs.engine import LABEL_PREFIX
from containers_app.specs.host_settings import MountSpec
from containers_app.specs.network import SHORT_ID_CHARACTERS, own_aliases
from containers_app.specs.reference import is_full_id

SHOWN_CHARACTERS = 200
HIDDEN = "[hidden]"
ABSENT = "[absent]"
_ENDPOINT_FIELDS = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")
_WRITE_ONLY = frozenset(f"Config.{key}" for key in ("Cmd", "Entrypoint", "Healthcheck", "Labels", "OnBuild"))
_MOUNT_FIELDS = ("Type", "Driver", "RW", "Propagation")

Inspect = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One configuration field that is not equal; values are short texts, secret ones are hidden."""

    field: str
    source: str
    clone: str


def differences(source: Inspect, clone: Inspect) -> tuple[Difference, ...]:
    """Compare two inspects; an empty tuple says that the clone is faithful.

    Left out, as they belong to the instance: id, name, times, state, log and host-file paths, generated host name and
    MAC, endpoint ids and addresses given out, names of fresh anonymous volumes, and labels of our own operations.
    Null, absent and empty lists or objects are equal.
    """
    return (
        *_compared("", {"Image": source.get("Image")}, {"Image": clone.get("Image")}),
        *_compared("Config.", _config(source, source), _config(clone, source)),
        *_environment(source["Config"].get("Env") or [], clone["Config"].get("Env") or []),
        *_log_options(source["HostConfig"], clone["HostConfig"]),
        *_compared("HostConfig.", _host(source, source), _host(clone, source)),
        *_mounts(source, clone),
        *_networks(source, clone),
    )


def _compared(prefix: str, left: Inspect, right: Inspect) -> Iterator[Difference]:
    for key in sorted({*left, *right}):
        if not _same(left.get(key), right.get(key)):
            sides = [_told(prefix + key, side.get(key)) for side in (left, right)]
            yield Difference(field=prefix + key, source=sides[0], clone=sides[1])


def _told(field: str, value: Any) -> str:
    """A value as it may be read: people keep secrets in command lines, labels, health tests and volume options."""
    if field in _WRITE_ONLY:
        return ABSENT if _bare(value) is None else HIDDEN
    return _shown([shown_mount(mount) for mount in value or []] if field == "HostConfig.Mounts" else value)


def _same(left: Any, right: Any) -> bool:
    return bool(_bare(left) == _bare(right))


def _bare(value: Any) -> Any:
    """Without null and empty members, which Engines read and write in both ways."""
    if isinstance(value, Mapping):
        kept = {key: _bare(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry is not None} or None
    if isinstance(value, list | tuple):
        return [_bare(entry) for entry in value] or None
    return value


def _shown(value: Any) -> str:
    text = ABSENT if value is None else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _config(inspect: Inspect, source: Inspect) -> dict[str, Any]:
    config = {key: value for key, value in inspect["Config"].items() if key != "Env"}
    # A set: its members are empty objects, which must not count as absent.
    for key in ("Volumes", "ExposedPorts"):
        config[key] = sorted(config.get(key) or {})
    labels = config.get("Labels") or {}
    config["Labels"] = {key: value for key, value in labels.items() if not key.startswith(LABEL_PREFIX)}
    if not _has_own_hostname(inspect):
        config["Hostname"] = None
    if config.get("Image") == inspect.get("Image"):
        # Named by its id, because the source's reference has moved or is gone; the id itself is compared.
        config["Image"] = source["Config"].get("Image")
    return config


def _has_own_hostname(inspect: Inspect) -> bool:
    host = inspect["HostConfig"]
    foreign = host.get("UTSMode") == "host" or str(host.get("NetworkMode") or "").startswith("container:")
    return not foreign and inspect["Config"].get("Hostname") != str(inspect["Id"])[:SHORT_ID_CHARACTERS]


def _environment(source: list[str], clone: list[str]) -> Iterator[Difference]:
    if source == clone:
        return
    left, right = (dict(entry.partition("=")[::2] for entry in entries) for entries in (source, clone))
    changed = [key for key in sorted({*left, *right}) if left.get(key) != right.get(key)]
    for key in changed:
        yield Difference(field=f"Config.Env.{key}", source=_hidden(left, key), clone=_hidden(right, key))
    if not changed:
        yield Difference(field="Config.Env", source="[one order or spelling]", clone="[another]")


def _log_options(source: Inspect, clone: Inspect) -> Iterator[Difference]:
    left, right = (((host.get("LogConfig") or {}).get("Config") or {}) for host in (source, clone))
    for key in sorted({*left, *right}):
        if left.get(key) != right.get(key):
            field = f"HostConfig.LogConfig.Config.{key}"
            yield Difference(field=field, source=_hidden(left, key), clone=_hidden(right, key))


def _hidden(values: Mapping[str, str], key: str) -> str:
    return HIDDEN if key in values else ABSENT


def _host(inspect: Inspect, source: Inspect) -> dict[str, Any]:
    host = {key: value for key, value in inspect["HostConfig"].items() if key != "ContainerIDFile"}
    host["LogConfig"] = (host.get("LogConfig") or {}).get("Type")
    host["Links"] = sorted(_link(str(link)) for link in host.get("Links") or [])
    host["Mounts"] = [_mount_body(mount) for mount in host.get("Mounts") or []]
    host["NetworkMode"] = _network_name(host.get("NetworkMode"), {**_endpoints(inspect), **_endpoints(source)})
    if not source["HostConfig"].get("Runtime"):
        # An Engine fills its default in at the first start.
        host["Runtime"] = None
    if inspect is not source:
        host["Binds"], host["VolumesFrom"] = _without_inherited(host, source)
    return host


def _mount_body(mount: Inspect) -> dict[str, Any]:
    """A mount as it is sent; options that have no field in the record are compared too."""
    typed = MountSpec.read(mount, "HostConfig.Mounts").cleaned().body()
    return {**typed, **{key: value for key, value in mount.items() if not key.endswith("Options")}}


def _link(read_back: str) -> str:
    target, _, alias = read_back.partition(":")
    return f"{target.removeprefix('/')}:{alias.rsplit('/', 1)[-1]}"


def _network_name(mode: str | None, endpoints: Mapping[str, Inspect]) -> str:
    """The name of the network that a mode means where the endpoints tell it: a mode may be an id or its prefix."""
    name = "bridge" if mode in (None, "", "default") else str(mode)
    fitting = [key for key, raw in endpoints.items() if key != name and _id_of(raw).startswith(name)]
    return fitting[0] if len(fitting) == 1 else name


def _id_of(endpoint: Inspect) -> str:
    return str(endpoint.get("NetworkID") or "")


def _without_inherited(host: Inspect, source: Inspect) -> tuple[list[str], list[str]]:
    """Binds and VolumesFrom of a clone, taking as equal the binds that stand for a container that is gone."""
    binds, taken = list(host.get("Binds") or []), list(host.get("VolumesFrom") or [])
    configured = list(source["HostConfig"].get("VolumesFrom") or [])
    own = list(source["HostConfig"].get("Binds") or [])
    mounted = {as_bind(mount) for mount in source.get("Mounts") or []}
    lost = taken != configured and set(taken) <= set(configured)
    if lost and binds[: len(own)] == own and set(binds[len(own) :]) <= mounted:
        return own, configured
    return binds, taken


def _mounts(source: Inspect, clone: Inspect) -> Iterator[Difference]:
    left, right = ({str(m.get("Destination")): m for m in inspect.get("Mounts") or []} for inspect in (source, clone))
    for path in sorted({*left, *right}):
        one, other = (_mount(side.get(path), path, source) for side in (left, right))
        if one != other:
            yield Difference(field=f"Mounts.{path}", source=_shown(one), clone=_shown(other))


def _mount(mount: Inspect | None, path: str, source: Inspect) -> dict[str, Any] | None:
    if mount is None:
        return None
    origin = str(mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source"))
    fresh = mount.get("Type") == "volume" and is_full_id(origin) and path in unnamed_destinations(source)
    return {**{key: mount.get(key) for key in _MOUNT_FIELDS}, "Origin": "[fresh]" if fresh else origin}


def _endpoints(inspect: Inspect) -> Mapping[str, Inspect]:
    return (inspect.get("NetworkSettings") or {}).get("Networks") or {}


def _networks(source: Inspect, clone: Inspect) -> Iterator[Difference]:
    left, right = _endpoints(source), _endpoints(clone)
    matched = {name: _counterpart(name, raw, right) for name, raw in left.items()}
    for name, counterpart in matched.items():
        field = f"NetworkSettings.Networks.{name}"
        if counterpart is None:
            yield Difference(field=field, source="[joined]", clone=ABSENT)
        else:
            ours, theirs = _endpoint(left[name], source), _endpoint(right[counterpart], clone)
            yield from _compared(f"{field}.", ours, theirs)
    yield from _additional(right, matched.values())


def _additional(clone: Mapping[str, Inspect], matched: Iterable[str | None]) -> Iterator[Difference]:
    for name in sorted(set(clone) - {key for key in matched if key is not None}):
        yield Difference(field=f"NetworkSettings.Networks.{name}", source=ABSENT, clone="[joined]")


def _counterpart(name: str, raw: Inspect, others: Mapping[str, Inspect]) -> str | None:
    if name in others:
        return name
    network_id = _id_of(raw) or name
    fitting = [
        key for key, other in others.items() if network_id.startswith(_id_of(other) or key) or _id_of(other) == name
    ]
    fitting += [key for key, other in others.items() if _id_of(other).startswith(name)]
    return fitting[0] if fitting else None


def _endpoint(raw: Inspect, inspect: Inspect) -> dict[str, Any]:
    aliases = own_aliases(tuple(raw.get("Aliases") or ()), str(inspect["Id"]))
    return {**{key: raw.get(key) for key in _ENDPOINT_FIELDS}, "Aliases": sorted(aliases or ())}
