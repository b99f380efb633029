"""A planned container made on its Engine: image, volumes, the container, its networks. It is not started."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.layers import LayerTree, layer_obstacle
from containers_app.engine.patience import patiently
from containers_app.engine.transfer import move_image
from containers_app.engine.trees import VolumeTree
from containers_app.specs.clone_volumes import VolumeFacts
from containers_app.specs.container import ClonePlan
from containers_app.workflows.content import Ends, Pair
from containers_app.workflows.context import Context
from containers_app.workflows.planning import Prepared
from containers_app.workflows.undo import Step, remove_image, remove_labelled

Inspect = Mapping[str, Any]
REDIRECTED = "files were renamed in a way that refers to the image's layers"
# A volume that was made for this: what the Engine put into it out of the image gives way to the source's content.
FRESH = ("replace",)


def target_of(context: Context, host: str | None, source: EngineGateway) -> AbstractContextManager[EngineGateway]:
    """The gateway to make things through: another one only for another host."""
    return nullcontext(source) if host in (None, context.facts.host_name) else context.gateway(host)


def taken_back(context: Context, ends: Ends) -> Step:
    """The step that takes back what is made on the target; another source's is recorded here: helpers run there."""
    if ends.elsewhere:
        context.remember_undo(remove_labelled(context.facts.operation_id))
    return remove_labelled(context.facts.operation_id, host=ends.host)


def with_image(context: Context, ends: Ends, prepared: Prepared) -> Prepared:
    """Bring the image to the other Engine where it is missing there; the plan names it as that Engine does."""
    plan = prepared.plan
    if not (ends.elsewhere and plan.image_to_move):
        return prepared
    reference = plan.create.settings.image
    named = reference if reference != plan.image_id else None
    context.stage("move the image", undo=remove_image(context.facts.operation_id, plan.image_id, host=ends.host))
    moved = move_image(
        ends.source,
        ends.target,
        image_id=plan.image_id,
        reference=named,
        on_progress=lambda done: context.checkpoint(),
    )
    if moved.same_id:
        return prepared
    context.remember_undo(remove_image(context.facts.operation_id, moved.image_id, host=ends.host))
    by_name = replace(plan, image_id=moved.image_id)
    return replace(prepared, plan=by_name if named else plan.from_image(moved.image_id))


def make(context: Context, ends: Ends, prepared: Prepared) -> Inspect:
    """Make everything that the plan needs; returns the container's inspect. What it makes carries the label."""
    for volume in prepared.volumes:
        if volume.target:
            make_volume(ends.target, volume.target, volume.facts, labels=volume.facts.labels)
    known = {*prepared.around.there, *(volume.target for volume in prepared.volumes)}
    for mount in prepared.wish.overrides.mounts:
        if mount.kind == "volume" and mount.source and mount.source not in known:
            # An Engine would make it by itself, without the label.
            ends.target.create_volume(mount.source)
    return create(context, ends.target, prepared.plan)


def make_volume(gateway: EngineGateway, name: str, facts: VolumeFacts, *, labels: Mapping[str, str]) -> None:
    """Fresh, with the source's driver; its options too, unless they name a place that both would share."""
    options = {} if facts.is_elsewhere else facts.options
    gateway.create_volume(name, driver=facts.driver, options=options, labels=labels)


def cloned(source: str, new_id: str, name: str) -> dict[str, Any]:
    """The published body of one clone; `source` as it is to be named in it."""
    return {
        "success": True,
        "message": "Container cloned successfully",
        "action": "clone",
        "sourceId": source,
        "newId": new_id,
        "newName": name,
    }


def create(context: Context, gateway: EngineGateway, plan: ClonePlan) -> Inspect:
    """Create, by the image's id if its tag moved in between; then leave and join networks."""
    new_id = gateway.create(plan.create, plan.name)
    made = gateway.inspect(new_id)
    if made["Image"] != plan.image_id:
        gateway.remove(new_id)
        plan = plan.by_image_id()
        new_id = gateway.create(plan.create, plan.name)
        made = gateway.inspect(new_id)
    for network_id in plan.disconnect_after:
        gateway.disconnect(network_id, new_id)
    for join in plan.connect_after:
        context.checkpoint()
        gateway.connect(join.network_id, new_id, join.endpoint)
    changed = plan.disconnect_after or plan.connect_after
    return gateway.inspect(new_id) if changed else made


def volume_pairs(prepared: Prepared, made: Inspect) -> tuple[Pair, ...]:
    """The volumes to copy: to the named ones that were made, or to those that the Engine made at the same places."""
    places = {str(mount.get("Destination")): str(mount.get("Name")) for mount in made.get("Mounts") or []}
    pairs = []
    for volume in prepared.volumes:
        targets = [volume.target] if volume.target else [places[path] for path in volume.destinations if path in places]
        for target in targets if volume.treatment == "copy" else ():
            source = VolumeTree(name=volume.source)
            name = volume.destinations[0] if volume.anonymous else volume.source
            pair = Pair(
                kind="volume",
                name=name,
                target_name=target,
                source=source,
                target=VolumeTree(name=target, options=FRESH),
            )
            pairs.append(pair)
    return tuple(pairs)


def layer_pair(ends: Ends, source: Inspect, made: Inspect) -> Pair | str:
    """The writable layers as trees, or why they cannot be taken as such."""
    reason = layer_obstacle(ends.source, source) or layer_obstacle(ends.target, made)
    if reason is None and source["Image"] != made["Image"]:
        reason = "the clone has another image"
    if reason is not None:
        return reason
    return Pair(
        kind="layer",
        name=str(source["Name"]).removeprefix("/"),
        target_name=str(made["Name"]).removeprefix("/"),
        source=LayerTree(container=str(source["Id"])),
        target=LayerTree(container=str(made["Id"])),
    )


def committed_layer(source: Inspect, made: Inspect) -> dict[str, Any]:
    """What a proof says of a layer that came by a commit: nothing, so the clone is not proved to be whole."""
    names = {"name": str(source["Name"]).removeprefix("/"), "target": str(made["Name"]).removeprefix("/")}
    return {"kind": "layer", **names, "equal": None, "method": "commit"}


def make_from_commit(context: Context, ends: Ends, prepared: Prepared, made: Inspect, *, reason: str) -> Inspect:
    """The container again, from an image of the source as it is now: where its layer cannot be copied as a folder."""
    context.stage("commit the source")
    source_id = str(prepared.source["Id"])
    # Without the Engine's own pause: to keep the source quiet is the caller's.
    image_id = patiently(lambda: ends.source.commit(source_id, pause=False), tick=context.checkpoint)
    if ends.elsewhere:
        moved = move_image(ends.source, ends.target, image_id=image_id, on_progress=lambda done: context.checkpoint())
        ends.source.remove_image(image_id)
        image_id = moved.image_id
    message = (
        f"The clone is made from an image of the source ({image_id}), which it needs as long as it exists: {reason}. "
        "Extended attributes and access lists of what the source has written may be lost, which is not proved."
    )
    context.warn("LAYER_COMMITTED", message)
    ends.target.remove(str(made["Id"]))
    return create(context, ends.target, prepared.plan.from_image(image_id))
