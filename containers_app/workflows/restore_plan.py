"""A restore planned before anything is made: a clone whose source, and its Engine, are what a backup remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.archives.manifest import Manifest, Part
from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.errors import ImageNotFound, InvalidRequest
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.collisions import Collision, World
from containers_app.specs.engine import EngineVersion
from containers_app.specs.isolation import Isolated
from containers_app.specs.overrides import Overrides
from containers_app.specs.saved import SavedConfiguration
from containers_app.specs.saved_networks import lost_networks, network_collisions
from containers_app.specs.stack_networks import NewNetwork
from containers_app.workflows.context import Context
from containers_app.workflows.planning import Prepared, Wish, look_around, prepare
from containers_app.workflows.set_reader import SetReader


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of a restored container. `parts`: kinds and names of the parts to restore; None: all.

    `replaces`: the id of the container whose place it takes, which does not stand in its way. `bound`: what else the
    plan's hash is of. `isolated`: what to make instead of what the backup says.
    """

    name: str
    parts: tuple[str, ...] | None
    overrides: Overrides
    bound: Mapping[str, Any]
    replaces: str = ""
    isolated: Isolated | None = None


@dataclass(frozen=True, kw_only=True)
class SavedEngine:
    """The Engine that the container was on, as the backup remembers it."""

    saved: SavedConfiguration
    manifest: Manifest

    def version(self) -> EngineVersion:
        """Its versions and platform at the time of the backup."""
        manifest = self.manifest
        return EngineVersion(
            engine=manifest.engine_version, api=manifest.api_version, platform=manifest.container.platform
        )

    def image(self, reference_or_id: str, /) -> Mapping[str, Any]:
        """The container's own image, by its id or a name that it had. Raises ImageNotFound."""
        image, own_id = self.saved.image, str(self.saved.container.get("Image"))
        names = {own_id, *(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])}
        if {reference_or_id, f"{reference_or_id}:latest"} & names:
            return {**image, "Id": own_id}
        raise ImageNotFound("The backup knows of no such image.")

    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """The container's own."""
        return self.saved.volumes


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Where the image comes from: `rootfs` and `set` are parts of the backup, `engine` has it, `registry` gives it.

    `override`: the request chose one. `missing`: nobody has it. `reference`: what a registry is asked for.
    """

    kind: str
    part: Part | None = None
    reference: str = ""

    def document(self) -> dict[str, Any]:
        """As plans show it."""
        return {"from": self.kind, "reference": self.reference or None}


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """All that a restored container needs. `volumes`: the parts that fill its volumes, by the saved volume's name.

    `lacking`: names whose values the backup does not have. `without`: volumes that stay empty, `binds`: parts that are
    left alone.
    """

    prepared: Prepared
    image: ImageSource
    networks: tuple[NewNetwork, ...]
    volumes: Mapping[str, Part]
    lacking: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    binds: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that are read."""
        return (*((self.image.part,) if self.image.part else ()), *self.volumes.values())

    @property
    def whole(self) -> bool:
        """Whether the backup has all that the container had."""
        return not (self.lacking or self.without or self.binds)

    def document(self) -> dict[str, Any]:
        """As answers and rows have it: a clone's plan, and where things come from."""
        return {
            **self.prepared.document.body(),
            "image": self.image.document(),
            "networks": [network.document() for network in self.networks],
            "parts": [{"kind": part.kind, "name": part.name, "sizeBytes": part.size_bytes} for part in self.parts],
        }


@dataclass(frozen=True, kw_only=True)
class Supply:
    """What a set gives for its container. `saved`: the configuration to make, without what it lacks.

    `parts`: those to restore; the other fields are those of the plan that they make.
    """

    saved: SavedConfiguration = field(repr=False)
    origin: SavedEngine = field(repr=False)
    parts: tuple[Part, ...]
    image: ImageSource
    volumes: Mapping[str, Part]
    lacking: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    binds: tuple[Part, ...] = ()

    @property
    def material(self) -> dict[str, Any]:
        """All of it that a plan's hash is of."""
        parts = sorted(part.sha256 for part in self.parts)
        return {"image": self.image.kind, "lacking": list(self.lacking), "parts": parts}

    def plan(self, prepared: Prepared, networks: tuple[NewNetwork, ...] = ()) -> RestorePlan:
        """With what is made of it."""
        return RestorePlan(
            prepared=prepared,
            image=self.image,
            networks=networks,
            volumes=self.volumes,
            lacking=self.lacking,
            without=self.without,
            binds=self.binds,
        )


def supply_of(target: EngineReader, files: SetReader, wanted: Wanted) -> Supply:
    """What the set has of what is wanted.

    Raises InvalidRequest, ArchiveInvalid, and the errors of the Engine and the storage.
    """
    whole = wanted.isolated.saved if wanted.isolated else files.configuration()
    saved, parts = whole.without_lacking(), _chosen(files, wanted.parts)
    fillings, mounted = _fillings(parts, wanted.isolated), _mounted(saved, wanted.overrides)
    return Supply(
        saved=saved,
        origin=SavedEngine(saved=saved, manifest=files.manifest),
        parts=parts,
        image=_image_source(target, saved, parts, wanted.overrides),
        volumes={name: part for name, part in fillings.items() if name in mounted},
        lacking=_unanswered(whole, wanted.overrides),
        without=tuple(name for name in mounted if name not in fillings),
        binds=tuple(part for part in parts if part.kind == "bind" and part not in fillings.values()),
    )


def plan_restore(context: Context, target: EngineGateway, files: SetReader, wanted: Wanted) -> RestorePlan:
    """Look up what has to be known, and plan; nothing is changed.

    Raises InvalidRequest, ArchiveInvalid, and the errors of the Engine and the storage.
    """
    supply = supply_of(target, files, wanted)
    saved, origin = supply.saved, supply.origin
    wish = Wish(
        name=wanted.name,
        overrides=wanted.overrides,
        data="volumes",
        volumes=dict.fromkeys(supply.without, "empty"),
        thorough=True,
        apart=wanted.isolated is not None,
    )
    around = look_around(target, saved.container, wish, origin=origin)
    networks = () if wanted.overrides.networks is not None else _networks(saved, around.world)
    world = _without(around.world, wanted.replaces)
    around = replace(around, world=replace(world, networks=(*world.networks, *(one.summary for one in networks))))
    wish = replace(
        wish,
        made_containers=names_there(world),
        bound={**wanted.bound, **supply.material, "networks": [network.material for network in networks]},
    )
    prepared = prepare(context, target, saved.container, wish, origin=origin, around=around)
    return told(supply.plan(prepared, networks))


def names_there(world: World) -> frozenset[str]:
    """The ids and names by which a container can refer to those that are there."""
    return frozenset(word for holding in world.holdings for word in (holding.id, holding.name))


def _chosen(files: SetReader, wanted: tuple[str, ...] | None) -> tuple[Part, ...]:
    every = files.parts("rootfs", "volume", "bind", "image")
    known = {word for part in every for word in (part.kind, part.name)}
    for word in wanted or ():
        if word not in known:
            raise InvalidRequest("'parts' names something that is not in the backup", field="parts")
    return tuple(part for part in every if wanted is None or {part.kind, part.name} & set(wanted))


def _fillings(parts: tuple[Part, ...], isolated: Isolated | None) -> dict[str, Part]:
    """What fills each volume; in a drill some stand for folders of the host."""
    stand_ins = isolated.stand_ins if isolated else {}
    folders = {stand_ins[part.name]: part for part in parts if part.kind == "bind" and part.name in stand_ins}
    return folders | {part.name: part for part in parts if part.kind == "volume"}


def _mounted(saved: SavedConfiguration, overrides: Overrides) -> tuple[str, ...]:
    """The volumes that the restored container has in place of the saved one's."""
    replaced = {mount.target for mount in overrides.mounts}
    mounts = [mount for mount in saved.container.get("Mounts") or [] if mount.get("Destination") not in replaced]
    return tuple(dict.fromkeys(str(mount.get("Name")) for mount in mounts if mount.get("Type") == "volume"))


def _unanswered(saved: SavedConfiguration, overrides: Overrides) -> tuple[str, ...]:
    return tuple(name for name in saved.lacking if name not in overrides.environment.set)


def _without(world: World, container_id: str) -> World:
    return replace(world, holdings=tuple(holding for holding in world.holdings if holding.id != container_id))


def _networks(saved: SavedConfiguration, world: World) -> tuple[NewNetwork, ...]:
    return lost_networks(saved.container, saved.networks, world.networks)


def _image_source(
    reader: EngineReader, saved: SavedConfiguration, parts: tuple[Part, ...], overrides: Overrides
) -> ImageSource:
    """A saved file system before everything else: an image does not have what the container wrote."""
    if overrides.image is not None:
        return ImageSource(kind="override")
    by_kind = {part.kind: part for part in parts if part.kind in ("rootfs", "image")}
    if "rootfs" in by_kind:
        return ImageSource(kind="rootfs", part=by_kind["rootfs"])
    try:
        reader.image(str(saved.container.get("Image")))
        return ImageSource(kind="engine")
    except ImageNotFound:
        digests = saved.image.get("RepoDigests") or []
    if "image" in by_kind:
        return ImageSource(kind="set", part=by_kind["image"])
    return ImageSource(kind="registry", reference=str(digests[0])) if digests else ImageSource(kind="missing")


def told(plan: RestorePlan) -> RestorePlan:
    """The plan with what stands in its way and what is worth knowing, besides what a clone's plan says."""
    document = plan.prepared.document
    kept = [warning for warning in document.warnings if warning.code != "IMAGE_BY_ID" or plan.image.kind != "rootfs"]
    document = replace(
        document,
        collisions=(*document.collisions, *network_collisions(plan.networks), *_no_image(plan)),
        warnings=(*kept, *_warnings(plan)),
    )
    return replace(plan, prepared=replace(plan.prepared, document=document))


def _no_image(plan: RestorePlan) -> Iterator[Collision]:
    image_id = plan.prepared.plan.image_id
    if plan.image.kind == "missing":
        words = f"The image {image_id} is not on the Engine and not in the backup, and no registry is known to have it"
        message = f"{words}: load it, or choose another by 'overrides.image'."
        yield Collision(kind="image", subject=image_id, message=message, blocks="create")


def _warnings(plan: RestorePlan) -> Iterator[PlanWarning]:
    if plan.lacking:
        words = f"The backup has no values, only names, of: {', '.join(plan.lacking)}"
        yield PlanWarning(code="SECRETS_MISSING", message=f"{words}. Give them by 'overrides.env'.")
    for name in plan.without:
        yield PlanWarning(code="VOLUME_WITHOUT_CONTENT", message=f"The volume {name} is not restored: it is empty.")
    for part in plan.binds:
        words = "stays as the host has it: what the backup has of it is not written there"
        yield PlanWarning(code="BIND_LEFT_ALONE", message=f"The folder {part.name} {words}.")
    if plan.image.kind != "rootfs":
        words = "The files that the container wrote outside of its volumes are not restored"
        yield PlanWarning(code="ROOTFS_FROM_IMAGE", message=f"{words}: its file system is its image's.")
    for volume in plan.prepared.volumes:
        if volume.target and volume.target != volume.source:
            words = f"A volume {volume.source} is there and stays as it is"
            yield PlanWarning(code="VOLUME_RENAMED", message=f"{words}: the restored one is {volume.target}.")
