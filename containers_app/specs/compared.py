"""Which fields of two inspects are compared, one by one, and what is left out because it belongs to the instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.specs.clone_mounts import unnamed_destinations
from containers_app.specs.engine import LABEL_PREFIX
from containers_app.specs.host_settings import MountSpec
from containers_app.specs.network import SHORT_ID_CHARACTERS, generated_mac, own_aliases
from containers_app.specs.reference import is_full_id
from containers_app.specs.shown import ABSENT, HIDDEN, shown, shown_under

Inspect = Mapping[str, Any]

_TOP_FIELDS = ("Image", "ImageManifestDescriptor", "Platform")
_PARTS = frozenset({*_TOP_FIELDS, "Config", "HostConfig", "Mounts", "NetworkSettings"})
_ENDPOINT_FIELDS = ("IPAMConfig", "Links", "DriverOpts", "GwPriority")
_MOUNT_FIELDS = ("Type", "Driver", "RW", "Propagation")
_MOUNT_KEYS = frozenset({*_MOUNT_FIELDS, "Destination", "Name", "Source"})
# Sets: their members are empty objects, which must not count as absent.
_SETS = ("Volumes", "ExposedPorts")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One field of both: its name, whether it is equal, and where not its values as short texts without secrets."""

    name: str
    equal: bool
    source: str = ""
    clone: str = ""


def compare(source: Inspect, clone: Inspect) -> Iterator[Compared]:
    """Every configuration field of either. Null, absent and empty lists or objects are equal."""
    yield from _each("", _top(source), _top(clone), shown)
    yield from _each("Config.", _config(source), _config(clone), shown_under)
    yield from _environment(source["Config"].get("Env") or [], clone["Config"].get("Env") or [])
    yield from _each("Config.Labels.", _labels(source), _labels(clone), _hidden)
    yield from _each("HostConfig.", _host(source, source), _host(clone, source), shown_under)
    yield from _each("HostConfig.LogConfig.Config.", _log_options(source), _log_options(clone), _hidden)
    yield from _mounts(source, clone)
    yield from _networks(source, clone)


def left_out(*inspects: Inspect) -> tuple[str, ...]:
    """What the Engine reports besides, and nobody compared: a new Engine's new field is seen here."""
    names = {"Config.Labels." + LABEL_PREFIX + "*", "HostConfig.ContainerIDFile"}
    if any((inspect.get("State") or {}).get("Status") != "created" for inspect in inspects):
        # Once started, an Engine tells the configured ones no longer, or not from those it generated.
        names.add("NetworkSettings.Networks.*.MacAddress")
    for inspect in inspects:
        names |= set(inspect) - _PARTS
        names |= {f"NetworkSettings.{key}" for key in (inspect.get("NetworkSettings") or {}) if key != "Networks"}
        names |= {f"Mounts.*.{key}" for mount in inspect.get("Mounts") or [] for key in mount if key not in _MOUNT_KEYS}
        for endpoint in endpoints_of(inspect).values():
            known = (*_ENDPOINT_FIELDS, "Aliases", "NetworkID", "MacAddress")
            names |= {f"NetworkSettings.Networks.*.{key}" for key in endpoint if key not in known}
    return tuple(sorted(names))


def endpoints_of(inspect: Inspect) -> Mapping[str, Inspect]:
    """The endpoints of a container, by the Engine's key, which is a name or an id."""
    return (inspect.get("NetworkSettings") or {}).get("Networks") or {}


def _each(prefix: str, left: Inspect, right: Inspect, show: Callable[..., str]) -> Iterator[Compared]:
    for key in sorted({*left, *right}):
        one, other = left.get(key), right.get(key)
        if one == other or _bare(one) == _bare(other):
            yield Compared(name=prefix + key, equal=True)
            continue
        texts = (show(one), show(other)) if show is shown else (show(key, one), show(key, other))
        yield Compared(name=prefix + key, equal=False, source=texts[0], clone=texts[1])


def _hidden(_key: str, value: Any) -> str:
    return ABSENT if value is None else HIDDEN


def _bare(value: Any) -> Any:
    """Without null and empty members, which Engines read and write in both ways."""
    if isinstance(value, Mapping):
        kept = {key: _bare(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry is not None} or None
    if isinstance(value, list | tuple):
        return [_bare(entry) for entry in value] or None
    return value


def _top(inspect: Inspect) -> dict[str, Any]:
    return {key: inspect[key] for key in _TOP_FIELDS if key in inspect}


def _config(inspect: Inspect) -> dict[str, Any]:
    config = {key: value for key, value in inspect["Config"].items() if key not in ("Env", "Labels")}
    for key in _SETS:
        config[key] = sorted(config.get(key) or {})
    if not _has_own_hostname(inspect):
        config["Hostname"] = None
    return config


def _has_own_hostname(inspect: Inspect) -> bool:
    host = inspect["HostConfig"]
    foreign = host.get("UTSMode") == "host" or str(host.get("NetworkMode") or "").startswith("container:")
    return not foreign and inspect["Config"].get("Hostname") != str(inspect["Id"])[:SHORT_ID_CHARACTERS]


def _labels(inspect: Inspect) -> dict[str, Any]:
    labels = inspect["Config"].get("Labels") or {}
    return {key: value for key, value in labels.items() if not key.startswith(LABEL_PREFIX)}


def _environment(source: list[str], clone: list[str]) -> Iterator[Compared]:
    left, right = (dict(entry.partition("=")[::2] for entry in entries) for entries in (source, clone))
    yield from _each("Config.Env.", left, right, _hidden)
    moved = source != clone and left == right
    yield Compared(
        name="Config.Env",
        equal=not moved,
        source="[one order or spelling]",
        clone="[another]" if moved else "[one order or spelling]",
    )


def _log_options(inspect: Inspect) -> Mapping[str, Any]:
    return (inspect["HostConfig"].get("LogConfig") or {}).get("Config") or {}


def _host(inspect: Inspect, source: Inspect) -> dict[str, Any]:
    host = {key: value for key, value in inspect["HostConfig"].items() if key != "ContainerIDFile"}
    host["LogConfig"] = (host.get("LogConfig") or {}).get("Type")
    host["Links"] = sorted(_link(str(link)) for link in host.get("Links") or [])
    host["Mounts"] = [_mount_body(mount) for mount in host.get("Mounts") or []]
    host["NetworkMode"] = _network_name(host.get("NetworkMode"), {**endpoints_of(inspect), **endpoints_of(source)})
    if not source["HostConfig"].get("Runtime"):
        # An Engine fills its default in at the first start.
        host["Runtime"] = None
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


def _mounts(source: Inspect, clone: Inspect) -> Iterator[Compared]:
    left, right = (
        {path: _mount(mount, path, source) for path, mount in _by_destination(inspect).items()}
        for inspect in (source, clone)
    )
    yield from _each("Mounts.", left, right, shown)


def _by_destination(inspect: Inspect) -> dict[str, Inspect]:
    return {str(mount.get("Destination")): mount for mount in inspect.get("Mounts") or []}


def _mount(mount: Inspect, path: str, source: Inspect) -> dict[str, Any]:
    return {**{key: mount.get(key) for key in _MOUNT_FIELDS}, "Origin": _origin(mount, path, source)}


def _origin(mount: Inspect, path: str, source: Inspect) -> str:
    if mount.get("Type") == "image":
        # A folder of the container's own; which image it shows stands in HostConfig.
        return "[image]"
    if mount.get("Type") != "volume":
        return str(mount.get("Source"))
    name = str(mount.get("Name"))
    return "[fresh]" if is_full_id(name) and path in unnamed_destinations(source) else name


def _networks(source: Inspect, clone: Inspect) -> Iterator[Compared]:
    left, right = endpoints_of(source), endpoints_of(clone)
    matched = {name: _counterpart(name, raw, right) for name, raw in left.items()}
    foreign = set(right) - {key for key in matched.values() if key is not None}
    for name in sorted({*left, *foreign}):
        counterpart = matched.get(name) if name in left else name
        field = f"NetworkSettings.Networks.{name}"
        texts = ["[joined]" if present else ABSENT for present in (name in left, counterpart is not None)]
        yield Compared(name=field, equal=texts[0] == texts[1], source=texts[0], clone=texts[1])
        if name in left and counterpart is not None:
            yield from _endpoint_fields(f"{field}.", (left[name], source), (right[counterpart], clone))


def _counterpart(name: str, raw: Inspect, others: Mapping[str, Inspect]) -> str | None:
    if name in others:
        return name
    network_id = _id_of(raw) or name
    fitting = [
        key for key, other in others.items() if network_id.startswith(_id_of(other) or key) or _id_of(other) == name
    ]
    fitting += [key for key, other in others.items() if _id_of(other).startswith(name)]
    return fitting[0] if fitting else None


def _endpoint_fields(prefix: str, one: tuple[Inspect, Inspect], other: tuple[Inspect, Inspect]) -> Iterator[Compared]:
    left, right = _endpoint(*one), _endpoint(*other)
    identities = [_id_of(raw) for raw, _ in (one, other)]
    if all(identities):
        left["NetworkID"], right["NetworkID"] = identities
    if not _running(one[1]) and not _running(other[1]):
        # Of a running one nobody can tell whether the MAC is configured or generated.
        left["MacAddress"], right["MacAddress"] = (_configured_mac(raw) for raw, _ in (one, other))
    yield from _each(prefix, left, right, _shown_of_endpoint)


def _configured_mac(endpoint: Inspect) -> str | None:
    mac = str(endpoint.get("MacAddress") or "")
    return mac if mac and not generated_mac(mac, str(endpoint.get("IPAddress") or "")) else None


def _shown_of_endpoint(key: str, value: Any) -> str:
    """Options of network drivers may be secret, the rest is not."""
    return _hidden(key, value) if key == "DriverOpts" else shown(value)


def _running(inspect: Inspect) -> bool:
    return bool((inspect.get("State") or {}).get("Running"))


def _endpoint(raw: Inspect, inspect: Inspect) -> dict[str, Any]:
    aliases = own_aliases(tuple(raw.get("Aliases") or ()), str(inspect["Id"]))
    return {**{key: raw.get(key) for key in _ENDPOINT_FIELDS}, "Aliases": sorted(aliases or ())}
