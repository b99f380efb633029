"""Trees and images from one Engine to another, through this process, in constant memory, without touching its disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.helper import Helper, Receiver, receiving
from containers_app.engine.streams import ByteStream
from containers_app.engine.trees import HelperOptions, Progress, Tree, helper_over
from containers_app.errors import EngineError, ImageNotFound

_BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A tree that arrived: the tar's size and SHA-256, which the other side computed as well."""

    stream_bytes: int
    stream_sha256: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Patterns of paths in a tree, as `tree_program.Choice` reads them: `include` none means everything."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """For the tree program."""
        return (*(f"include={pattern}" for pattern in self.include), *(f"exclude={found}" for found in self.exclude))


@dataclass(frozen=True, kw_only=True)
class Packed:
    """How a packing ended: the entries that were there before it began (None: unknown), and whether some changed."""

    entries: int | None
    changed: bool


@dataclass(frozen=True, kw_only=True)
class MovedImage:
    """An image that is on the target now.

    `image_id` is its id there; `same_id` is False where the two Engines' image stores number images differently.
    `loaded` says that it was not there before, `tagged` that it got the name.
    """

    image_id: str
    same_id: bool
    loaded: bool
    tagged: bool


def stream_tree(
    source_gateway: EngineGateway,
    target_gateway: EngineGateway,
    *,
    source: Tree,
    target: Tree,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
) -> Streamed:
    """Copy a tree to another Engine: tar out of a helper there, into a helper here; both must say that it went well.

    Raises EngineError, EngineUnavailable (StreamStalled, StreamBroken), TimedOut.
    """
    packing = ("pack", "/source", *source.options)
    unpacking = ("unpack", "/target", *target.options)
    with (
        helper_over(target_gateway, unpacking, {"/target": target}, options, takes_input=True) as receiver,
        helper_over(source_gateway, packing, {"/source": source}, options) as sender,
    ):

        def abort() -> None:
            receiver.abort()
            sender.abort()

        with (options or HelperOptions()).interruptible(abort), receiving(receiver) as fed:
            size_bytes, sha256 = _pumped(sender, fed, on_progress)
            changed = _judged(sender, fed, sha256)
    return Streamed(stream_bytes=size_bytes, stream_sha256=sha256, changed=changed)


class PackedTree:
    """A tree as a tar that is read like a file. Read it to its end, then ask for the verdict."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self._blocks = helper.data()
        self._waiting = memoryview(b"")

    def read(self, size_bytes: int, /) -> bytes:
        """`size_bytes` bytes; fewer only at the end, b"" at and after it. Raises StreamBroken, StreamStalled."""
        pieces, missing_bytes = [], size_bytes
        while missing_bytes:
            # They come in pieces of 32 KiB, and whoever hashes and writes has much to do for each.
            self._waiting = self._waiting or memoryview(next(self._blocks, b""))
            if not self._waiting:
                break
            pieces.append(self._waiting[:missing_bytes])
            self._waiting = self._waiting[missing_bytes:]
            missing_bytes -= len(pieces[-1])
        return b"".join(pieces)

    def finish(self) -> Packed:
        """What it was. Raises EngineError with the helper's words when it failed."""
        changed = self._helper.finish()
        return Packed(entries=self._helper.entries, changed=changed)


@contextmanager
def packed_tree(
    gateway: EngineGateway, tree: Tree, options: HelperOptions | None = None, *, choice: Choice | None = None
) -> Iterator[PackedTree]:
    """A tree on its way out of its Engine, by a helper that is gone afterwards. Raises what `helper_over` raises."""
    options, chosen = options or HelperOptions(), choice.words if choice else ()
    command = ("pack", "/source", "count", *chosen, *tree.options)
    with helper_over(gateway, command, {"/source": tree}, options) as helper, options.interruptible(helper.abort):
        yield PackedTree(helper)


def unpack_tree(
    gateway: EngineGateway,
    blocks: Iterator[bytes],
    *,
    sha256: str | None,
    target: Tree,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
    verb: tuple[str, ...] = ("unpack", "/target"),
) -> None:
    """Unpack a tar that comes in blocks into a tree, by a helper that says it got the one of this SHA-256.

    Without one, it is that of the blocks. `verb`: of the helper's program, which tells the hash as `unpack` does. What
    the blocks raise ends it before the helper has heard of an end. Raises what `helper_over` raises.
    """
    options, hashed, size_bytes = options or HelperOptions(), hashlib.sha256(), 0
    with (
        helper_over(gateway, (*verb, *target.options), {"/target": target}, options, takes_input=True) as helper,
        options.interruptible(helper.abort),
        receiving(helper) as receiver,
    ):
        for block in blocks:
            size_bytes += len(block)
            if sha256 is None:
                hashed.update(block)
            receiver.send(block)
            on_progress(size_bytes)
        if receiver.finish().get("unpacked", {}).get("sha256") != (sha256 or hashed.hexdigest()):
            raise EngineError("What arrived in the helper container is not what was sent.")


def move_image(
    source_gateway: EngineGateway,
    target_gateway: EngineGateway,
    *,
    image_id: str,
    reference: str | None = None,
    on_progress: Progress = lambda done: None,
) -> MovedImage:
    """Bring an image to another Engine, unless it is there; name it where the name means nothing there.

    What `on_progress` raises ends it. Raises ImageNotFound when the source has none, EngineError when the target has
    none of this content afterwards.
    """
    present = _image(target_gateway, image_id)
    arrived = present or _loaded(source_gateway, target_gateway, image_id, on_progress)
    tagged = reference is not None and _image(target_gateway, reference) is None
    if reference is not None and tagged:
        target_gateway.tag_image(arrived, reference)
    return MovedImage(image_id=arrived, same_id=arrived == image_id, loaded=present is None, tagged=tagged)


def _loaded(source_gateway: EngineGateway, target_gateway: EngineGateway, image_id: str, on_progress: Progress) -> str:
    source_gateway.image(image_id)  # an Engine answers a save of what it lacks in many ways
    before = set(target_gateway.image_ids())
    with source_gateway.save_image(image_id) as stream:
        target_gateway.load_image(_blocks(stream, on_progress))
    return _image(target_gateway, image_id) or _new_image(target_gateway, before)


def _pumped(sender: Helper, receiver: Receiver, on_progress: Progress) -> tuple[int, str]:
    """All that one helper prints, written to the other; its size and hash."""
    hashed, size_bytes = hashlib.sha256(), 0
    for block in sender.data():
        hashed.update(block)
        size_bytes += len(block)
        receiver.send(block)
        on_progress(size_bytes)
    return size_bytes, hashed.hexdigest()


def _judged(sender: Helper, receiver: Receiver, sha256: str) -> bool:
    """Both verdicts, and that what arrived is what was sent; whether the source changed meanwhile."""
    changed = sender.finish()
    if receiver.finish().get("unpacked", {}).get("sha256") != sha256:
        raise EngineError("What arrived on the other Engine is not what was sent.")
    return changed


def _blocks(stream: ByteStream, on_progress: Progress) -> Iterator[bytes]:
    size_bytes = 0
    while block := stream.read_some(_BLOCK_BYTES):
        yield block
        size_bytes += len(block)
        on_progress(size_bytes)


def _image(gateway: EngineGateway, reference: str) -> str | None:
    try:
        return str(gateway.image(reference)["Id"])
    except ImageNotFound:
        return None


def _new_image(gateway: EngineGateway, before: set[str]) -> str:
    """The one image that came with a load under another id."""
    new = set(gateway.image_ids()) - before
    if len(new) != 1:
        raise EngineError("The other Engine took the image and does not show it under its id: its image store differs.")
    return new.pop()
