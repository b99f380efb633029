"""The content of a restore: out of the backup onto an Engine, then read again and compared with the backup."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from containers_app.archives.beside import Beside
from containers_app.archives.manifest import Part
from containers_app.archives.tar_tree import TarTree, TreeFacts
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import packed_tree, unpack_tree
from containers_app.engine.trees import VolumeTree
from containers_app.workflows.content import options_of
from containers_app.workflows.context import Context
from containers_app.workflows.making import FRESH
from containers_app.workflows.planning import labels_for
from containers_app.workflows.set_reader import SetReader

METHOD = "the tar in the backup and a tar of what was restored, entry by entry"
_PROGRESS_SECONDS = 0.5
_SHOWN_PATHS = 3
# What an Engine puts into every container by itself, and so what these are in: their times are its own.
_MADE = b".dockerenv dev dev/console dev/pts dev/shm etc etc/hosts etc/hostname etc/mtab etc/resolv.conf proc sys"
ENGINES_OWN = frozenset((b"", *_MADE.split()))


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A part that is on the Engine now. `facts`: what the backup has; `target_name`: the volume or the container."""

    part: Part
    target_name: str
    facts: TreeFacts = field(repr=False)


class Meter:
    """How far all parts together are, told at most twice a second."""

    def __init__(self, context: Context, parts: Sequence[Part]) -> None:
        self._context = context
        self._done_bytes = 0
        self._told_at = time.monotonic()
        context.progress(0, bytes_total=sum(part.size_bytes for part in parts))

    def add(self, block: bytes) -> None:
        """A block was read. Raises what `context.checkpoint` raises."""
        self._context.checkpoint()
        self._done_bytes += len(block)
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._context.progress(self._done_bytes)


def import_files(
    context: Context, gateway: EngineGateway, files: SetReader, part: Part, meter: Meter
) -> tuple[str, TreeFacts]:
    """Make an image of a saved file system; its id, and what is in it. What it makes carries the label."""
    tree = TarTree(undated=ENGINES_OWN)
    with files.opened(part) as source, Beside(tree.feed) as reading:
        blocks = files.harmless(part, source.blocks(_both(meter.add, reading.feed)))
        image_id = gateway.import_image(blocks, labels=labels_for(context))
        reading.finish()
    return image_id, tree.finish()


def fill_volume(
    context: Context, gateway: EngineGateway, files: SetReader, part: Part, *, volume: str, meter: Meter
) -> Restored:
    """Unpack a part into a volume that was made for it; what an Engine put there out of the image gives way."""
    tree = TarTree()
    with files.opened(part) as source, Beside(tree.feed) as reading:
        unpack_tree(
            gateway,
            files.harmless(part, source.blocks(_both(meter.add, reading.feed))),
            sha256=part.sha256,
            target=VolumeTree(name=volume, options=FRESH),
            options=options_of(context),
        )
        reading.finish()
    return Restored(part=part, target_name=volume, facts=tree.finish())


def prove_volume(context: Context, gateway: EngineGateway, restored: Restored) -> dict[str, Any]:
    """Pack the volume as a backup would, and compare."""
    with packed_tree(gateway, VolumeTree(name=restored.target_name), options_of(context)) as packed:
        found = read_tree(context, packed, TarTree())
        packed.finish()
    return _compared(context, restored, found)


def prove_files(context: Context, gateway: EngineGateway, restored: Restored, *, container_id: str) -> dict[str, Any]:
    """Export the container, which has not been started, and compare."""
    with gateway.export(container_id) as stream, context.interruptible(stream.abort):
        found = read_tree(context, stream, TarTree(undated=ENGINES_OWN))
    return _compared(context, restored, found)


def read_tree(context: Context, source: ByteSource, tree: TarTree) -> TreeFacts:
    """What is in a tar that is read to its end. Raises what the source, the tree and `context.checkpoint` raise."""
    with Beside(tree.feed) as reading:
        while block := source.read(CHUNK_BYTES):
            context.checkpoint()
            reading.feed(block)
        reading.finish()
    return tree.finish()


def _both(first: Callable[[bytes], None], second: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def watch(block: bytes) -> None:
        first(block)
        second(block)

    return watch


def _compared(context: Context, restored: Restored, found: TreeFacts) -> dict[str, Any]:
    """The document of one proof. A difference is a warning that names some of it."""
    part, differing = restored.part, restored.facts.differing(found)
    if differing:
        paths = ", ".join(_shown(path) for path in differing[:_SHOWN_PATHS])
        words = f"{len(differing)} entries of the {part.kind} {part.name} are not as in the backup, such as {paths}"
        context.warn("CONTENT_DIFFERS", f"{words}: restore again, or look at them.")
    return {
        "kind": part.kind,
        "name": part.name,
        "target": restored.target_name,
        "equal": not differing,
        "method": METHOD,
        "source": restored.facts.document(),
        "copy": found.document(),
    }


def _shown(path: bytes) -> str:
    """A name that a container chose, as plain ASCII."""
    return ascii(path[:200].decode("utf-8", "surrogateescape"))
