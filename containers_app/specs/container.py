"""A clone that equals its source field for field: what to send, in which order, built by an allow-list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.errors import EngineError
from containers_app.specs.clone_mounts import clean, container_of, inherited_binds, own_destinations, still_gives
from containers_app.specs.clone_networks import Join, NetworkPlan, PlanWarning, chosen_networks, plan_networks
from containers_app.specs.engine import LABEL_PREFIX, NetworkSummary
from containers_app.specs.host_settings import HostSettings
from containers_app.specs.image_defaults import without_image_defaults
from containers_app.specs.network import SHORT_ID_CHARACTERS, EndpointSpec
from containers_app.specs.overrides import AS_THE_SOURCE, Overrides
from containers_app.specs.overriding import overridden
from containers_app.specs.settings import ContainerSettings, CreateRequest

_ADDED_LABEL = "label=disable"
_JOINED_LABELS = ("label=user:", "label=role:", "label=type:", "label=level:")


@dataclass(frozen=True, kw_only=True)
class CloneFacts:
    """What had to be looked up on the Engine before a clone can be planned.

    `reference_image_id` is the id that the source's image reference means now, None where it means nothing;
    `image_exists` tells whether the source's own image is there. `image_config` is that image's own configuration and
    `chosen_image_id` what an override's image means; both are looked up for an override only. `image_to_move`: the
    image is on the source's Engine and not on the target's. `volumes_from` gives, for every container the source takes
    volumes from, its inspected `Mounts`, or None where it is gone.
    """

    api: str
    engine: str
    reference_image_id: str | None
    image_exists: bool
    networks: tuple[NetworkSummary, ...]
    image_config: Mapping[str, Any] | None = field(default=None, repr=False)
    chosen_image_id: str | None = None
    image_to_move: bool = False
    volumes_from: Mapping[str, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ClonePlan:
    """The steps to a clone: create, compare its image id, leave and join networks; on a failure remove it.

    `image_id` is what the clone's `Image` must be; where it is not (the tag moved meanwhile), remove the clone and
    create it again from `by_image_id()`. `disconnect_after` (network ids) comes before `connect_after`.
    `missing_image` says that the image is not on the Engine, `missing_networks` which of the chosen ones are not: then
    nothing can be created. `image_to_move` says that another Engine has it, which the clone's does not.
    """

    name: str
    source_id: str
    image_id: str
    create: CreateRequest
    disconnect_after: tuple[str, ...]
    connect_after: tuple[Join, ...]
    warnings: tuple[PlanWarning, ...]
    missing_image: str | None = None
    missing_networks: tuple[str, ...] = ()
    image_to_move: bool = False

    @property
    def expected_differences(self) -> dict[str, str]:
        """What of the clone cannot equal the source and no inspect explains, with the reason: for `fidelity.prove`."""
        return {name: warning.message for warning in self.warnings for name in warning.fields}

    def by_image_id(self) -> ClonePlan:
        """The same plan, naming the image by its id."""
        return self.from_image(self.image_id)

    def from_image(self, image_id: str) -> ClonePlan:
        """The same plan with another image."""
        settings = replace(self.create.settings, image=image_id)
        return replace(self, image_id=image_id, create=replace(self.create, settings=settings))

    @property
    def endpoints(self) -> tuple[EndpointSpec, ...]:
        """Every endpoint that the clone gets."""
        return (*self.create.endpoints.values(), *(join.endpoint for join in self.connect_after))


@dataclass(frozen=True, kw_only=True)
class _ImageChoice:
    """The image to name, its id, and what a plan has to say of it."""

    reference: str
    id: str
    missing: str | None = None
    warnings: tuple[PlanWarning, ...] = ()


def build_clone(
    source: Mapping[str, Any],
    facts: CloneFacts,
    *,
    name: str,
    labels: Mapping[str, str],
    overrides: Overrides = AS_THE_SOURCE,
) -> ClonePlan:
    """Plan a clone of an inspected container: its configuration with the overrides, not started.

    `labels` are ours and replace those that the source carries from an operation of its own.
    Raises EngineError when the inspect is not understood, InvalidRequest for an override that its networks rule out.
    """
    if not isinstance(source.get("Config"), Mapping) or not isinstance(source.get("HostConfig"), Mapping):
        raise EngineError("The Engine's description of the container has no configuration.")
    networks = _networks(source, facts, overrides)
    image = _image(source, facts) if overrides.image is None else _chosen_image(overrides.image, facts)
    host, host_warnings = _host(source, facts, networks)
    create = CreateRequest(
        settings=_settings(source, networks, facts, overrides, image=image.reference),
        host=host,
        endpoints=networks.at_create,
        platform=_platform(source) if overrides.image is None else None,
    )
    create = overridden(create, overrides, _image_environment(facts, overrides))
    return ClonePlan(
        name=name,
        source_id=str(source["Id"]),
        image_id=image.id,
        create=_labelled(create, labels),
        disconnect_after=networks.disconnect_after,
        connect_after=networks.connect_after,
        warnings=(
            *image.warnings,
            *host_warnings,
            *networks.warnings,
            *_returning(source, create.host, facts, overrides),
        ),
        missing_image=image.missing,
        missing_networks=networks.missing,
        image_to_move=facts.image_to_move and overrides.image is None,
    )


def _networks(source: Mapping[str, Any], facts: CloneFacts, overrides: Overrides) -> NetworkPlan:
    api = tuple(int(part) for part in facts.api.split("."))
    if overrides.networks is not None:
        return chosen_networks(overrides.networks, networks=facts.networks, api=api)
    return plan_networks(source, networks=facts.networks, api=api, engine=facts.engine)


def _labelled(create: CreateRequest, labels: Mapping[str, str]) -> CreateRequest:
    settings = replace(create.settings, labels={**(create.settings.labels or {}), **labels})
    return replace(create, settings=settings)


def _image_environment(facts: CloneFacts, overrides: Overrides) -> frozenset[str]:
    """The variables that the image may define; of another image any, as only the source's own is looked into."""
    if overrides.image is not None:
        return frozenset(overrides.environment.drop)
    return frozenset(str(entry).partition("=")[0] for entry in (facts.image_config or {}).get("Env") or [])


def _returning(
    source: Mapping[str, Any], host: HostSettings, facts: CloneFacts, overrides: Overrides
) -> Iterator[PlanWarning]:
    """What an override drops and the image or `VolumesFrom` brings back: an Engine has no way to say no to these."""
    config = facts.image_config if overrides.image is None else None
    for name in sorted(set(overrides.labels.drop) & set((config or {}).get("Labels") or {})):
        message = f"The label {name} is the image's own and comes back: set it to an empty text instead."
        yield PlanWarning(code="LABEL_OF_IMAGE", message=message)
    brought = {clean(path) for path in (config or {}).get("Volumes") or {}}
    if host.volumes_from:
        brought |= {str(mount.get("Destination")) for mount in source.get("Mounts") or []} - own_destinations(source)
    for path in sorted({mount.target for mount in overrides.mounts if mount.kind == "none"} & brought):
        message = f"The image, or VolumesFrom, mounts a volume at {path}, which comes back: mount another one there."
        yield PlanWarning(code="MOUNT_RETURNS", message=message)


def _image(source: Mapping[str, Any], facts: CloneFacts) -> _ImageChoice:
    """The reference while it still means the source's image, else the id."""
    reference, image_id = str(source["Config"].get("Image") or ""), str(source["Image"])
    if reference and facts.reference_image_id == image_id:
        return _ImageChoice(reference=reference, id=image_id)
    if not facts.image_exists:
        words = (
            f"The image of the container ({reference or image_id}) is no longer on the Engine, so it cannot be cloned: "
            f"load or build the image with the id {image_id} again."
        )
        return _ImageChoice(reference=image_id, id=image_id, missing=words)
    state = "no longer exists" if facts.reference_image_id is None else "means another image now"
    message = f"The image reference {reference} {state}: the clone names the source's image by its id."
    return _ImageChoice(reference=image_id, id=image_id, warnings=(PlanWarning(code="IMAGE_BY_ID", message=message),))


def _chosen_image(reference: str, facts: CloneFacts) -> _ImageChoice:
    """An override's image, and a word where the source's own defaults could not be told from its settings."""
    if facts.chosen_image_id is None:
        words = f"The image {reference} is not on the Engine: pull, load or build it there, or choose another one."
        return _ImageChoice(reference=reference, id="", missing=words)
    message = "The source's image is gone, so its defaults could not be told apart: the clone keeps them."
    warnings = () if facts.image_config is not None else (PlanWarning(code="IMAGE_DEFAULTS_KEPT", message=message),)
    return _ImageChoice(reference=reference, id=facts.chosen_image_id, warnings=warnings)


def _settings(
    source: Mapping[str, Any], networks: NetworkPlan, facts: CloneFacts, overrides: Overrides, *, image: str
) -> ContainerSettings:
    read = ContainerSettings.read(source["Config"], "Config")
    kept = {key: value for key, value in (read.labels or {}).items() if not key.startswith(LABEL_PREFIX)}
    read = replace(read, labels=kept)
    if overrides.image is not None and facts.image_config is not None:
        read = without_image_defaults(read, facts.image_config)
    elif read.entrypoint is None:
        # Null is read back where somebody emptied the entrypoint, but sent it would mean the image's.
        read = replace(read, entrypoint=("",))
    shared = (networks.mode or "").startswith("container:")
    return replace(
        read,
        image=image,
        hostname=_hostname(read, source, networks),
        domain_name=None if shared else read.domain_name,
        exposed_ports=None if shared else read.exposed_ports,
        mac_address=networks.mac_address,
    )


def _hostname(settings: ContainerSettings, source: Mapping[str, Any], networks: NetworkPlan) -> str | None:
    """None where the name was generated or is not the container's own to set."""
    host = source["HostConfig"]
    generated = settings.hostname == str(source["Id"])[:SHORT_ID_CHARACTERS]
    modes = (networks.mode, host.get("NetworkMode"))
    foreign = host.get("UTSMode") == "host" or any(str(mode or "").startswith("container:") for mode in modes)
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
        links=_links(read, networks),
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


def _links(host: HostSettings, networks: NetworkPlan) -> tuple[str, ...] | None:
    """None where the host's network was chosen instead: an Engine refuses links there."""
    return None if host.links is None or networks.mode == "host" else tuple(_link(link) for link in host.links)


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
