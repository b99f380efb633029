"""A clone that equals its source field for field: what to send, in which order, built by an allow-list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.errors import EngineError, ImageNotFound
from containers_app.specs.clone_mounts import container_of, inherited_binds, still_gives
from containers_app.specs.clone_networks import Join, NetworkPlan, PlanWarning, has_own_network, plan_networks
from containers_app.specs.engine import LABEL_PREFIX, NetworkSummary
from containers_app.specs.host_settings import HostSettings, PortBinding
from containers_app.specs.network import SHORT_ID_CHARACTERS, EndpointSpec
from containers_app.specs.record import BOOLEAN, INTEGER, KEY_SET, TEXT, TEXT_MAP, TEXTS, Record, engine_field, record

_ADDED_LABEL = "label=disable"
_JOINED_LABELS = ("label=user:", "label=role:", "label=type:", "label=level:")


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Record):
    """Durations are in nanoseconds."""

    test: tuple[str, ...] | None = engine_field("Test", TEXTS, secret=True)
    interval: int | None = engine_field("Interval", INTEGER)
    timeout: int | None = engine_field("Timeout", INTEGER)
    start_period: int | None = engine_field("StartPeriod", INTEGER)
    start_interval: int | None = engine_field("StartInterval", INTEGER)
    retries: int | None = engine_field("Retries", INTEGER)


@dataclass(frozen=True, kw_only=True)
class ContainerSettings(Record):
    """The `Config` of a container (Docker Engine API 1.51, definition ContainerConfig).

    What people keep secrets in (environment, command lines, labels) stays out of the repr.
    """

    hostname: str | None = engine_field("Hostname", TEXT)
    domain_name: str | None = engine_field("Domainname", TEXT)
    user: str | None = engine_field("User", TEXT)
    attach_input: bool | None = engine_field("AttachStdin", BOOLEAN)
    attach_output: bool | None = engine_field("AttachStdout", BOOLEAN)
    attach_errors: bool | None = engine_field("AttachStderr", BOOLEAN)
    exposed_ports: Mapping[str, None] | None = engine_field("ExposedPorts", KEY_SET)
    terminal: bool | None = engine_field("Tty", BOOLEAN)
    open_input: bool | None = engine_field("OpenStdin", BOOLEAN)
    input_once: bool | None = engine_field("StdinOnce", BOOLEAN)
    environment: tuple[str, ...] | None = engine_field("Env", TEXTS, secret=True)
    command: tuple[str, ...] | None = engine_field("Cmd", TEXTS, secret=True)
    healthcheck: Healthcheck | None = engine_field("Healthcheck", record(Healthcheck))
    arguments_escaped: bool | None = engine_field("ArgsEscaped", BOOLEAN)
    image: str | None = engine_field("Image", TEXT)
    volumes: Mapping[str, None] | None = engine_field("Volumes", KEY_SET)
    working_directory: str | None = engine_field("WorkingDir", TEXT)
    entrypoint: tuple[str, ...] | None = engine_field("Entrypoint", TEXTS, secret=True)
    network_disabled: bool | None = engine_field("NetworkDisabled", BOOLEAN)
    mac_address: str | None = engine_field("MacAddress", TEXT)
    on_build: tuple[str, ...] | None = engine_field("OnBuild", TEXTS)
    labels: Mapping[str, str] | None = engine_field("Labels", TEXT_MAP, secret=True)
    stop_signal: str | None = engine_field("StopSignal", TEXT)
    stop_timeout_seconds: int | None = engine_field("StopTimeout", INTEGER)
    shell: tuple[str, ...] | None = engine_field("Shell", TEXTS)


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """Everything `POST /containers/create` is sent, but the name. `platform` is `os/architecture[/variant]` or None."""

    settings: ContainerSettings
    host: HostSettings
    endpoints: Mapping[str, EndpointSpec]
    platform: str | None = None

    def body(self) -> dict[str, Any]:
        """The request's JSON; it holds environment values."""
        endpoints = {key: endpoint.body() for key, endpoint in self.endpoints.items()}
        networking = {"NetworkingConfig": {"EndpointsConfig": endpoints}} if endpoints else {}
        return {**self.settings.body(), "HostConfig": self.host.body(), **networking}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be repeated in an error: `KEY=VALUE` pairs and the log driver's options."""
        options = (self.host.log.options or {}) if self.host.log else {}
        return (*(self.settings.environment or ()), *options.values())


@dataclass(frozen=True, kw_only=True)
class CloneFacts:
    """What had to be looked up on the Engine before a clone can be planned.

    `reference_image_id` is the id that the source's image reference means now, None where it means nothing;
    `image_exists` tells whether the source's own image is there. `volumes_from` gives, for every container the source
    takes volumes from, its inspected `Mounts`, or None where it is gone.
    """

    api: str
    engine: str
    reference_image_id: str | None
    image_exists: bool
    networks: tuple[NetworkSummary, ...]
    volumes_from: Mapping[str, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ClonePlan:
    """The steps to a clone: create, compare its image id, leave and join networks; on a failure remove it.

    `image_id` is what the clone's `Image` must be; where it is not (the tag moved meanwhile), remove the clone and
    create it again from `by_image_id()`. `disconnect_after` (network ids) comes before `connect_after`.
    """

    name: str
    source_id: str
    image_id: str
    create: CreateRequest
    disconnect_after: tuple[str, ...]
    connect_after: tuple[Join, ...]
    warnings: tuple[PlanWarning, ...]

    @property
    def expected_differences(self) -> dict[str, str]:
        """What of the clone cannot equal the source and no inspect explains, with the reason: for `fidelity.prove`."""
        return {name: warning.message for warning in self.warnings for name in warning.fields}

    def by_image_id(self) -> ClonePlan:
        """The same plan, naming the image by its id."""
        settings = replace(self.create.settings, image=self.image_id)
        return replace(self, create=replace(self.create, settings=settings))


def build_clone(source: Mapping[str, Any], facts: CloneFacts, *, name: str, labels: Mapping[str, str]) -> ClonePlan:
    """Plan a clone of an inspected container: configuration only, same image, not started.

    `labels` are ours and replace those that the source carries from an operation of its own.
    Raises ImageNotFound when the source's image is gone, EngineError when the inspect is not understood.
    """
    if not isinstance(source.get("Config"), Mapping) or not isinstance(source.get("HostConfig"), Mapping):
        raise EngineError("The Engine's description of the container has no configuration.")
    api = tuple(int(part) for part in facts.api.split("."))
    networks = plan_networks(source, networks=facts.networks, api=api, engine=facts.engine)
    image, image_warnings = _image(source, facts)
    host, host_warnings = _host(source, facts, networks)
    create = CreateRequest(
        settings=_settings(source, networks, image=image, labels=labels),
        host=host,
        endpoints=networks.at_create,
        platform=_platform(source),
    )
    return ClonePlan(
        name=name,
        source_id=str(source["Id"]),
        image_id=str(source["Image"]),
        create=create,
        disconnect_after=networks.disconnect_after,
        connect_after=networks.connect_after,
        warnings=(*image_warnings, *host_warnings, *networks.warnings, *_collisions(source, create, networks)),
    )


def _image(source: Mapping[str, Any], facts: CloneFacts) -> tuple[str, tuple[PlanWarning, ...]]:
    """The reference while it still means the source's image, else the id."""
    reference, image_id = str(source["Config"].get("Image") or ""), str(source["Image"])
    if reference and facts.reference_image_id == image_id:
        return reference, ()
    if not facts.image_exists:
        raise ImageNotFound(
            f"The image of the container ({reference or image_id}) is no longer on the Engine, so it cannot be cloned: "
            f"load or build the image with the id {image_id} again."
        )
    state = "no longer exists" if facts.reference_image_id is None else "means another image now"
    message = f"The image reference {reference} {state}: the clone names the source's image by its id."
    return image_id, (PlanWarning(code="IMAGE_BY_ID", message=message),)


def _settings(
    source: Mapping[str, Any], networks: NetworkPlan, *, image: str, labels: Mapping[str, str]
) -> ContainerSettings:
    read = ContainerSettings.read(source["Config"], "Config")
    kept = {key: value for key, value in (read.labels or {}).items() if not key.startswith(LABEL_PREFIX)}
    shared = (networks.mode or "").startswith("container:")
    return replace(
        read,
        image=image,
        hostname=_hostname(read, source),
        domain_name=None if shared else read.domain_name,
        exposed_ports=None if shared else read.exposed_ports,
        # Null is read back where somebody emptied the entrypoint, but sent it would mean the image's.
        entrypoint=("",) if read.entrypoint is None else read.entrypoint,
        mac_address=networks.mac_address,
        labels={**kept, **labels},
    )


def _hostname(settings: ContainerSettings, source: Mapping[str, Any]) -> str | None:
    """None where the name was generated or is not the container's own to set."""
    host = source["HostConfig"]
    generated = settings.hostname == str(source["Id"])[:SHORT_ID_CHARACTERS]
    foreign = host.get("UTSMode") == "host" or str(host.get("NetworkMode") or "").startswith("container:")
    return None if generated or foreign else settings.hostname


def _host(
    source: Mapping[str, Any], facts: CloneFacts, networks: NetworkPlan
) -> tuple[HostSettings, tuple[PlanWarning, ...]]:
    read = HostSettings.read(source["HostConfig"], "HostConfig")
    entries = read.volumes_from or ()
    live = {entry: facts.volumes_from.get(container_of(entry)) for entry in entries}
    giving = tuple(entry for entry in entries if still_gives(entry, live[entry], source))
    lost = tuple(entry for entry in entries if entry not in giving)
    binds = inherited_binds(source, [live[entry] or () for entry in giving]) if lost else ()
    host = replace(
        read,
        network_mode=networks.mode,
        links=tuple(_link(link) for link in read.links) if read.links is not None else None,
        mounts=tuple(mount.cleaned() for mount in read.mounts) if read.mounts is not None else None,
        volumes_from=giving if entries else read.volumes_from,
        binds=(*(read.binds or ()), *binds) if binds else read.binds,
        security_options=_security_options(read),
    )
    return host, tuple(_volumes_from_gone(entry) for entry in lost)


def _volumes_from_gone(entry: str) -> PlanWarning:
    message = (
        f"The container {container_of(entry)}, which gave the source volumes, is gone: the clone mounts them itself."
    )
    return PlanWarning(code="VOLUMES_FROM_GONE", message=message)


def _link(read_back: str) -> str:
    """`/database:/web/db` is how a link reads back; `database:db` is how it is sent."""
    target, _, alias = read_back.partition(":")
    return f"{target.removeprefix('/')}:{alias.rsplit('/', 1)[-1]}"


def _security_options(host: HostSettings) -> tuple[str, ...] | None:
    """Without the labels an Engine appends by itself at every create (moby, daemon/create.go, generateSecurityOpt)."""
    options = host.security_options
    if options and (host.privileged or "host" in (host.ipc_mode, host.pid_mode)):
        return options[:-1] if options[-1] == _ADDED_LABEL else options
    joined = any((mode or "").startswith("container:") for mode in (host.ipc_mode, host.pid_mode))
    while joined and options and options[-1].startswith((*_JOINED_LABELS, _ADDED_LABEL)):
        options = options[:-1]
    return options


def _platform(source: Mapping[str, Any]) -> str | None:
    """The platform of the image's variant, which Engines with the containerd store report."""
    platform = (source.get("ImageManifestDescriptor") or {}).get("platform") or {}
    parts = [str(platform.get(key) or "") for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part) if parts[0] and parts[1] else None


def _collisions(source: Mapping[str, Any], create: CreateRequest, networks: NetworkPlan) -> tuple[PlanWarning, ...]:
    """What the source holds while it runs and two running containers cannot share."""
    if not (source.get("State") or {}).get("Running"):
        return ()
    endpoints = (*create.endpoints.values(), *(join.endpoint for join in networks.connect_after))
    addresses = [address for endpoint in endpoints for address in endpoint.static_addresses]
    macs = [mac for mac in (create.settings.mac_address, *(endpoint.mac_address for endpoint in endpoints)) if mac]
    held = (
        ("ADDRESS_HELD", "the static address", addresses),
        ("MAC_HELD", "the MAC address", macs),
        ("PORT_HELD", "the host port", _host_ports(create.host)),
    )
    sentence = "The running source holds {what} {value}: the clone can start only when the source is stopped."
    return tuple(
        PlanWarning(code=code, message=sentence.format(what=what, value=value))
        for code, what, values in held
        for value in values
    )


def _host_ports(host: HostSettings) -> list[str]:
    if not has_own_network(host.network_mode):
        return []
    bindings: list[PortBinding] = [entry for entries in (host.port_bindings or {}).values() for entry in entries or ()]
    return sorted({entry.port for entry in bindings if entry.port and entry.port != "0"})
