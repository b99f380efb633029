"""Why a container holds power over its host: whoever clones it gets the same power, so that needs its own permission.

Judged on the resolved mounts, as one host path can be reached by a bind, a mount, a volume's options or another
container's volumes. Symbolic links on the host cannot be seen from here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from containers_app.specs.clone_volumes import VolumeFacts, VolumePlan
from containers_app.specs.overrides import Overrides

Inspect = Mapping[str, Any]

SENSITIVE_PATHS = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt/containerd",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run",
    "/var/spool/cron",
)
# Read only, these tell nothing that an image does not hold as well.
HARMLESS_READ_ONLY = frozenset(
    {"/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs", "/usr/share/zoneinfo"}
)
_HOME = re.compile(r"/home(?:/[^/]+)?(?:/\.(?:ssh|docker|kube|gnupg|aws|config)(?:/.*)?)?")
_ENGINE_SOCKET = re.compile(r"(?:^|[/\\])(?:docker|containerd|podman|crio|buildkitd)\.sock$|docker_engine$")
_WINDOWS_ROOT = re.compile(r"[A-Za-z]:[\\/]?")
_ORDINARY_RUNTIMES = ("", "runc", "io.containerd.runc.v2", "crun")
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "tmpfs")


def host_powers(inspect: Inspect, volumes: Mapping[str, Inspect]) -> tuple[str, ...]:
    """Sentences that each name one reason; an empty tuple says there is none.

    `volumes` maps names to inspected volumes; a volume that is mounted but missing from it counts as a reason,
    because it could not be examined.
    """
    host: Inspect = inspect["HostConfig"]
    found = (*_flags(host), *_namespaces(host), *_devices(host), *_security(host), *_limits(host))
    return tuple(dict.fromkeys((*found, *_binds(inspect), *_volumes(inspect, volumes))))


def effective_powers(
    source: Inspect,
    host: Inspect,
    *,
    volumes: tuple[VolumePlan, ...],
    known: Mapping[str, VolumeFacts],
    overrides: Overrides,
) -> tuple[str, ...]:
    """The powers of a planned clone: by the host settings it would be created with, and the mounts it would have.

    A volume that is made for the clone is a plain one, so its source's options do not count; `known` are all volumes
    of the clone's Engine, which makes a plain one of a name that it does not know. What the request itself chose counts
    more than what the source has: each path of the host, and each volume that is there and not the source's.
    """
    own = {str(mount.get("Name")) for mount in source.get("Mounts") or [] if mount.get("Type") == "volume"}
    made = {volume.source for volume in volumes if volume.target or (volume.anonymous and volume.treatment != "share")}
    # Which of its mounts another container gives, and would give again, cannot be told apart.
    replaced = set() if host.get("VolumesFrom") else {mount.target for mount in overrides.mounts}
    mounts = [mount for mount in source.get("Mounts") or [] if _is_kept(mount, replaced, made)]
    mounts += [
        {"Type": "volume", "Name": mount.source, "Destination": mount.target, "RW": True}
        for mount in overrides.mounts
        if mount.kind == "volume" and mount.source in known
    ]
    options = {name: {"Options": facts.options} for name, facts in known.items()}
    found = host_powers({"HostConfig": host, "Mounts": mounts}, options)
    return tuple(dict.fromkeys((*found, *_chosen(overrides, own=own, known=known))))


def _is_kept(mount: Inspect, replaced: Collection[str], made: Collection[str]) -> bool:
    is_made = mount.get("Type") == "volume" and str(mount.get("Name")) in made
    return not is_made and mount.get("Destination") not in replaced


def _chosen(overrides: Overrides, *, own: Collection[str], known: Collection[str]) -> Iterator[str]:
    """Symbolic links can lead from any path of the host to its sensitive ones, and whoever asked chose the path."""
    for mount in overrides.mounts:
        if mount.kind == "bind":
            yield f"It binds the host's path {mount.source}, which the request chose."
        if mount.kind == "volume" and mount.source in known and mount.source not in own:
            yield f"It mounts the volume {mount.source}, which is there and not its source's."


def _flags(host: Inspect) -> Iterator[str]:
    if host.get("Privileged"):
        yield "It is privileged."
    for capability in host.get("CapAdd") or []:
        yield f"It adds the capability {capability}."
    if host.get("CgroupParent"):
        yield f"It runs in the control group {host['CgroupParent']}."
    if str(host.get("Runtime") or "") not in _ORDINARY_RUNTIMES:
        yield f"It uses the runtime {host['Runtime']}."


def _namespaces(host: Inspect) -> Iterator[str]:
    kinds = (
        ("PidMode", "process"),
        ("IpcMode", "inter-process communication"),
        ("NetworkMode", "network"),
        ("UTSMode", "host name"),
        ("UsernsMode", "user"),
    )
    for key, words in kinds:
        if host.get(key) == "host":
            yield f"It shares the host's {words} namespace."
    for key, words in kinds[:2]:
        if str(host.get(key) or "").startswith("container:"):
            yield f"It shares the {words} namespace of another container."


def _devices(host: Inspect) -> Iterator[str]:
    for device in host.get("Devices") or []:
        yield f"It uses the host's device {device.get('PathOnHost', '')}."
    for rule in host.get("DeviceCgroupRules") or []:
        yield f"It may use devices by the rule {rule}."
    if host.get("DeviceRequests"):
        yield "It asks for devices of a driver, such as graphics processors."


def _security(host: Inspect) -> Iterator[str]:
    for option in host.get("SecurityOpt") or []:
        kind, _, value = str(option).replace(":", "=", 1).partition("=")
        if kind == "seccomp" and value not in ("builtin", "unconfined"):
            yield "It brings a seccomp profile of its own."
        elif value == "unconfined" or (kind == "label" and value.startswith(("disable", "type"))):
            yield f"It loosens the host's protection: {kind}={value}."
    unmasked = any(
        host.get(key) is not None and path not in host[key]
        for key, path in (("MaskedPaths", "/proc/kcore"), ("ReadonlyPaths", "/proc/sys"))
    )
    if unmasked:
        yield "It sees system paths of the host that are hidden or read only otherwise."


def _limits(host: Inspect) -> Iterator[str]:
    """Sysctls and ulimits of a container reach its own namespaces only, so they are no power over the host."""
    if int(host.get("OomScoreAdj") or 0) < 0:
        yield "It is spared when the host runs out of memory."
    if host.get("OomKillDisable"):
        yield "It is never killed when memory runs out."


def _binds(inspect: Inspect) -> Iterator[str]:
    host = inspect["HostConfig"]
    for mount in inspect.get("Mounts") or []:
        if mount.get("Type") in ("bind", "npipe"):
            yield from _path_power(str(mount.get("Source", "")), read_only=not mount.get("RW", True))
        if str(mount.get("Propagation") or "").endswith("shared"):
            yield f"Its mounts at {mount.get('Destination', '')} appear on the host (shared propagation)."
    for bind in host.get("Binds") or []:
        source, _, rest = str(bind).partition(":")
        yield from _path_power(source, read_only="ro" in rest.rpartition(":")[2].split(","))
    for mount in host.get("Mounts") or []:
        if mount.get("Type") in ("bind", "npipe"):
            yield from _path_power(str(mount.get("Source", "")), read_only=bool(mount.get("ReadOnly")))
        if str((mount.get("BindOptions") or {}).get("Propagation") or "").endswith("shared"):
            yield f"Its mounts at {mount.get('Target', '')} appear on the host (shared propagation)."
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        yield from _volume_power(str(mount.get("Source") or "unnamed"), driver.get("Options") or {})


def _volumes(inspect: Inspect, volumes: Mapping[str, Inspect]) -> Iterator[str]:
    for mount in inspect.get("Mounts") or []:
        if mount.get("Type") != "volume":
            continue
        name = str(mount.get("Name", ""))
        if name in volumes:
            yield from _volume_power(name, volumes[name].get("Options") or {})
        else:
            yield f"Its volume {name} could not be examined."


def host_devices(options: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of the host that a volume's driver options name; a block device or an overlay is as much the host's.

    Driver options mount what they please. Those of a mount flag (`lowerdir=/x:/y`) are not taken apart.
    """
    kind, device = str(options.get("type") or "").lower(), str(options.get("device") or "")
    flags = str(options.get("o") or "").split(",")
    if kind in _NETWORK_FILE_SYSTEMS and not {"bind", "rbind"} & set(flags):
        return ()
    named = [device, *(str(value) for key, value in options.items() if key not in ("o", "device"))]
    return (*(path for path in named if path.startswith("/")), *(flag for flag in flags if "=/" in flag))


def _volume_power(name: str, options: Mapping[str, str]) -> Iterator[str]:
    for path in host_devices(options):
        if path.startswith("/"):
            yield from (f"Through the volume {name}: {sentence}" for sentence in _path_power(path, read_only=False))
        else:
            yield f"Through the volume {name}: It mounts paths of the host by options."
            return


def _path_power(path: str, *, read_only: bool) -> Iterator[str]:
    if _ENGINE_SOCKET.search(path):
        yield f"It binds the Engine's socket {path}."
    elif _WINDOWS_ROOT.fullmatch(path):
        yield f"It binds the host's drive {path}."
    elif path.startswith("/"):
        clean = "/" + posixpath.normpath(path).lstrip("/")
        if not (read_only and clean in HARMLESS_READ_ONLY) and _is_sensitive(clean):
            yield f"It binds the host's path {clean}."


def _is_sensitive(path: str) -> bool:
    """Whether the path is one of the host's own, lies in one, or holds one."""
    if path == "/" or _HOME.fullmatch(path):
        return True
    return any(path == own or path.startswith(own + "/") or own.startswith(path + "/") for own in SENSITIVE_PATHS)
