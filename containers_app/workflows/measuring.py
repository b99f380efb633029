"""What there is to copy, and whether there is room for it: looked at for the plan, before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.layers import LayerTree, layer_obstacle
from containers_app.engine.trees import TaskEnd, Tree, TreeSize, TreeTask, VolumeTree, run_tasks
from containers_app.specs.clone_volumes import VolumePlan
from containers_app.specs.collisions import Collision, no_room
from containers_app.workflows.content import Ends, options_of
from containers_app.workflows.context import Context
from containers_app.workflows.making import taken_back
from containers_app.workflows.planning import Inspect

_NOTHING = TreeSize(entries=0, bytes=0, elsewhere=0)
_SPACE = TreeTask(verb="space")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Sizes by the place of each tree. `image_bytes`: images to move. `free_bytes`: what the target has left.

    On the same Engine that is the most that any of the file systems has: volumes may have one of their own. Of another
    Engine (`elsewhere`) only the one of its containers is seen.
    """

    sizes: Mapping[str, TreeSize] = field(default_factory=dict)
    image_bytes: int = 0
    free_bytes: int = 0
    elsewhere: bool = False

    def of(self, tree: Tree) -> TreeSize:
        """The size of one tree; nothing for one that was not there to be measured."""
        return self.sizes.get(tree.place, _NOTHING)

    @property
    def bytes(self) -> int:
        """The content of all trees."""
        return sum(size.bytes for size in self.sizes.values())

    def document(self) -> dict[str, Any] | None:
        """As plans show it; None where there is nothing to copy."""
        if not self.sizes:
            return None
        entries = sum(size.entries for size in self.sizes.values())
        sizes = {"entries": entries, "bytes": self.bytes, "imageBytes": self.image_bytes}
        return {**sizes, "freeBytes": self.free_bytes}

    def collisions(self) -> tuple[Collision, ...]:
        """One where it does not fit."""
        needed_bytes = self.bytes + self.image_bytes
        if not self.sizes or needed_bytes <= self.free_bytes:
            return ()
        return (no_room(needed_bytes, self.free_bytes, certain=not self.elsewhere),)


NOTHING_TO_COPY = Measured()


def trees_of(
    gateway: EngineGateway, source: Inspect, volumes: Iterable[VolumePlan], *, layer: bool
) -> tuple[Tree, ...]:
    """What a clone of this source copies: with `layer` its own files, where they are a folder, and its volumes."""
    own = [LayerTree(container=str(source["Id"]))] if layer and layer_obstacle(gateway, source) is None else []
    return (*own, *(VolumeTree(name=volume.source) for volume in volumes if volume.treatment == "copy"))


def measure(context: Context, ends: Ends, trees: Sequence[Tree], *, images: Iterable[str] = ()) -> Measured:
    """Look at every tree by a helper that is gone afterwards, and at what is free on the target; a stage of its own.

    How to take the helper back is written before. `images` are ids of those to be moved. Raises EngineError and what
    else `run_tasks` raises.
    """
    if not trees:
        return NOTHING_TO_COPY
    context.stage("measure the content", undo=taken_back(context, ends))
    measuring = [TreeTask(verb="measure", source=tree) for tree in dict.fromkeys(trees)]
    if ends.elsewhere:
        told = (*_run(context, ends.source, measuring), *_run(context, ends.target, [_SPACE]))
    else:
        told = _run(context, ends.source, [*measuring, _SPACE])
    *sizes, there = told
    seen = (there,) if ends.elsewhere else told
    return Measured(
        sizes={tree.place: TreeSize.of(end) for tree, end in zip(dict.fromkeys(trees), sizes, strict=True)},
        image_bytes=sum(int(ends.source.image(image_id).get("Size") or 0) for image_id in dict.fromkeys(images)),
        free_bytes=max(int(end.facts["free"]) for end in seen),
        elsewhere=ends.elsewhere,
    )


def _run(context: Context, gateway: EngineGateway, tasks: Sequence[TreeTask]) -> tuple[TaskEnd, ...]:
    return run_tasks(gateway, tasks, options_of(context), on_progress=lambda done: context.checkpoint())
