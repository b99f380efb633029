"""A planned restore carried out on its Engine: networks, image, container, volumes with content. Nothing is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from containers_app.archives.image_judge import ImageJudge
from containers_app.archives.manifest import Part
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.trees import VolumeTree
from containers_app.errors import EngineError, ImageNotFound
from containers_app.specs.fidelity import FidelityProof
from containers_app.specs.stack_networks import NewNetwork
from containers_app.workflows.content import Ends
from containers_app.workflows.context import Context
from containers_app.workflows.fidelity import proven
from containers_app.workflows.making import make, volume_pairs
from containers_app.workflows.planning import Inspect, Prepared, planned_again
from containers_app.workflows.restore_content import (
    Meter,
    Restored,
    fill_volume,
    import_files,
    prove_files,
    prove_volume,
)
from containers_app.workflows.restore_plan import RestorePlan
from containers_app.workflows.set_reader import SetReader
from containers_app.workflows.undo import remove_image, remove_labelled

_FROM_FILES = "It is made from an image of the files in the backup."
_NO_VALUES = "The backup has no values of it."


@dataclass(frozen=True, kw_only=True)
class RestoredContainer:
    """The container as it was made, with its final plan and what filled it."""

    inspect: Inspect = field(repr=False)
    plan: RestorePlan
    content: tuple[Restored, ...] = ()

    @property
    def id(self) -> str:
        """Its 64-hex id."""
        return str(self.inspect["Id"])


@dataclass(frozen=True, kw_only=True)
class RestoreProof:
    """What was compared of a restored container."""

    configuration: FidelityProof
    content: tuple[Mapping[str, Any], ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs that nobody asked for."""
        return not self.configuration.unexplained and all(tree["equal"] for tree in self.content)

    def document(self) -> dict[str, Any]:
        """As answers and rows have it."""
        return {"configuration": self.configuration.document(), "content": [dict(tree) for tree in self.content]}


def check_parts(context: Context, files: SetReader, plan: RestorePlan) -> None:
    """Read all that the plan needs, before anything is made of it. Raises BackupUnusable."""
    context.stage("check the backup")
    files.check(plan.parts)


def make_restored(context: Context, target: EngineGateway, plan: RestorePlan, files: SetReader) -> RestoredContainer:
    """Make and fill all that the plan needs; how to take it back is written before.

    Every byte is checked once more on its way. Raises BackupUnusable, and the errors of the Engine and the storage.
    """
    context.stage("make networks and image", undo=remove_labelled(context.facts.operation_id), plan=plan.document())
    plan = _with_networks(context, target, plan)
    meter = Meter(context, plan.parts)
    plan, brought = bring_image(context, target, plan, files, meter)
    context.stage("create the container")
    made = make(context, Ends(source=target, target=target), plan.prepared)
    content = list(brought)
    for number, (volume, part) in enumerate(to_fill(plan, made), start=1):
        context.stage(f"fill volume {number}")
        content.append(fill_volume(context, target, files, part, volume=volume, meter=meter))
    return RestoredContainer(inspect=made, plan=plan, content=tuple(content))


def bring_image(
    context: Context, target: EngineGateway, plan: RestorePlan, files: SetReader, meter: Meter
) -> tuple[RestorePlan, tuple[Restored, ...]]:
    """The plan with an image that the Engine has now, and the content that came with it; a stage of its own.

    How to take back what was made is recorded before, but for what carries the label.
    """
    rootfs = plan.image.part if plan.image.kind == "rootfs" else None
    if rootfs is None:
        _load_image(context, target, plan, files, meter)
        return plan, ()
    context.stage("import the file system")
    image_id, facts = import_files(context, target, files, rootfs, meter)
    plan = replace(plan, prepared=replace(plan.prepared, plan=plan.prepared.plan.from_image(image_id)))
    return plan, (Restored(part=rootfs, target_name=plan.prepared.plan.name, facts=facts),)


def prove_restored(
    context: Context,
    target: EngineGateway,
    restored: RestoredContainer,
    *,
    reasons: Mapping[str, str] = MappingProxyType({}),
) -> RestoreProof:
    """Compare configuration and content with the backup. Every difference is a warning, unless `reasons` explain it."""
    context.stage("check the content")
    proofs = []
    for entry in restored.content:
        if entry.part.kind == "rootfs":
            proofs.append(prove_files(context, target, entry, container_id=restored.id))
        else:
            proofs.append(prove_volume(context, target, entry))
    context.stage("check the container")
    explained = dict(reasons)
    if restored.plan.image.kind == "rootfs":
        explained |= dict.fromkeys(("Image", "Config.Image"), _FROM_FILES)
    if restored.plan.lacking:
        explained["Config.Env"] = _NO_VALUES
    configuration = proven(context, restored.plan.prepared, restored.inspect, explained=explained)
    return RestoreProof(configuration=configuration, content=tuple(proofs))


def to_fill(plan: RestorePlan, made: Inspect) -> list[tuple[str, Part]]:
    """The volumes that were made with the container, by name, each with what fills it."""
    parts = {VolumeTree(name=name).place: part for name, part in plan.volumes.items()}
    return [(pair.target_name, parts[pair.source.place]) for pair in volume_pairs(plan.prepared, made)]


def _with_networks(context: Context, target: EngineGateway, plan: RestorePlan) -> RestorePlan:
    """The plan with the real networks in place of those that it makes."""
    if not plan.networks:
        return plan
    for network in plan.networks:
        context.checkpoint()
        make_network(target, network)
    world = replace(plan.prepared.around.world, networks=target.networks())
    return replace(plan, prepared=_same_document(planned_again(context, plan.prepared, world=world), plan.prepared))


def _same_document(prepared: Prepared, before: Prepared) -> Prepared:
    """It is still the plan that was asked for."""
    return replace(prepared, document=before.document)


def make_network(gateway: EngineGateway, network: NewNetwork) -> str:
    """Make one network as planned; its id."""
    return gateway.create_network(
        network.name,
        driver=network.driver,
        internal=network.internal,
        attachable=network.attachable,
        enable_ipv4=network.enable_ipv4,
        enable_ipv6=network.enable_ipv6,
        addressing=network.addressing,
        options=network.options,
        labels=network.labels,
    )


def _load_image(context: Context, target: EngineGateway, plan: RestorePlan, files: SetReader, meter: Meter) -> None:
    """Load or pull the image where the Engine has it not; it gets the name that the plan gives it, if that is free."""
    image, wanted = plan.image, plan.prepared.plan.image_id
    if image.kind not in ("set", "registry") or _has_image(target, wanted):
        return
    undo = remove_image(context.facts.operation_id, wanted, host="")
    if image.part is not None:
        context.stage("load the image", undo=undo)
        _load(target, files, image.part, wanted, meter)
    else:
        context.stage("pull the image", undo=undo)
        target.pull_image(image.reference)
    if not _has_image(target, wanted):
        words = f"The image {wanted} did not come with {image.reference or 'the backup'}"
        raise EngineError(f"{words}: does this Engine keep images in another way than the one of the backup?")
    reference = plan.prepared.plan.create.settings.image
    if reference and reference != wanted and "@" not in reference and not _has_image(target, reference):
        target.tag_image(wanted, reference)


def _load(target: EngineGateway, files: SetReader, part: Part, image_id: str, meter: Meter) -> None:
    """An Engine reads to the end before it does anything: what is refused leaves nothing. Raises BackupUnusable."""
    judge = ImageJudge(image_id, plain_bytes=part.size_bytes)
    with files.opened(part) as source:
        target.load_image(files.harmless(part, source.blocks(meter.add), judge=judge))


def _has_image(gateway: EngineGateway, reference: str) -> bool:
    try:
        gateway.image(reference)
    except ImageNotFound:
        return False
    return True
