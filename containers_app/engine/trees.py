"""Trees of files on one Engine: measured, proved and copied by a helper container, which sees them where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.engine.helper import Helper, HelperMount, HelperTask, running_helper
from containers_app.engine.helper_image import ensure_helper_image
from containers_app.errors import EngineError

Interruptible = Callable[[Callable[[], None]], AbstractContextManager[None]]
Progress = Callable[[int], None]


class Tree(Protocol):
    """What a helper can mount: a volume, or a container's writable layer."""

    @property
    def options(self) -> tuple[str, ...]:
        """What the tree program has to know about it; a layer is nothing without its trusted.* attributes."""

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The mount of the tree. Raises EngineError when it is not there."""


@dataclass(frozen=True, kw_only=True)
class VolumeTree:
    """The content of a volume."""

    name: str
    options: tuple[str, ...] = ()

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The volume by name; asked for first, because an Engine makes a volume that is missing."""
        reader.volume(self.name)
        return HelperMount(kind="volume", source=self.name, target=target, read_only=read_only)


@dataclass(frozen=True, kw_only=True)
class TreeSize:
    """What a copy has to do. `elsewhere` counts entries of a layer whose content is in another layer."""

    entries: int
    bytes: int
    elsewhere: int


@dataclass(frozen=True, kw_only=True)
class TreeProof:
    """What a tree is: equal proofs, equal trees. With `changed`, it changed meanwhile, and this proves nothing."""

    entries: int
    bytes: int
    sha256: str
    changed: bool = False

    def same_as(self, other: TreeProof) -> bool:
        """Whether both are proofs of the same tree."""
        return not self.changed and self == other


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A copy that came to its end; with `changed`, files of the source vanished or changed meanwhile."""

    changed: bool


@dataclass(frozen=True, kw_only=True)
class HelperOptions:
    """How helpers run: their image (the setting MYCO_HELPER_IMAGE, or None), and whether trusted.* attributes count.

    `interruptible` is what a workflow's context offers: while inside, a cancellation calls the function it got.
    """

    image: str | None = None
    trusted: bool = True
    interruptible: Interruptible = lambda abort: nullcontext()


def tree_size(
    gateway: EngineGateway,
    tree: Tree,
    options: HelperOptions | None = None,
    *,
    on_progress: Progress = lambda done: None,
) -> TreeSize:
    """Count what is in a tree. Raises EngineError, EngineUnavailable, TimedOut."""
    facts, _ = _told(gateway, ("measure", "/source"), {"/source": tree}, options, on_progress)
    return TreeSize(entries=int(facts["entries"]), bytes=int(facts["bytes"]), elsewhere=int(facts["elsewhere"]))


def tree_proof(
    gateway: EngineGateway,
    tree: Tree,
    options: HelperOptions | None = None,
    *,
    on_progress: Progress = lambda done: None,
) -> TreeProof:
    """Read all of a tree once, and say what it is. Raises EngineError, EngineUnavailable, TimedOut."""
    facts, changed = _told(gateway, ("prove", "/source", *tree.options), {"/source": tree}, options, on_progress)
    return TreeProof(entries=int(facts["entries"]), bytes=int(facts["bytes"]), sha256=facts["sha256"], changed=changed)


def copy_tree(
    gateway: EngineGateway,
    *,
    source: Tree,
    target: Tree,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
) -> Copied:
    """Copy a tree into another one of the same kind on the same Engine; what is in a layer goes first.

    Raises EngineError (a volume that is not empty, a full disk, an unreadable file), EngineUnavailable, TimedOut.
    """
    if source == target:
        raise EngineError("A tree is not copied into itself.")
    command = ("copy", "/source", "/target", *target.options)
    _, changed = _told(gateway, command, {"/source": source, "/target": target}, options, on_progress)
    return Copied(changed=changed)


def copy_volume(
    gateway: EngineGateway,
    *,
    source: str,
    target: str,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
) -> Copied:
    """Copy a volume into an empty one, both by name, on the same Engine. Raises what `copy_tree` raises."""
    return copy_tree(
        gateway,
        source=VolumeTree(name=source),
        target=VolumeTree(name=target),
        options=options,
        on_progress=on_progress,
    )


@contextmanager
def helper_over(
    gateway: EngineGateway,
    command: tuple[str, ...],
    trees: Mapping[str, Tree],
    options: HelperOptions | None,
    *,
    takes_input: bool = False,
) -> Iterator[Helper]:
    """A helper that runs one verb over trees, by their place in it; only `/target` is writable."""
    options = options or HelperOptions()
    mounts = tuple(tree.mount(gateway, place, read_only=place != "/target") for place, tree in trees.items())
    task = HelperTask(
        image_id=ensure_helper_image(gateway, options.image),
        arguments=command,
        mounts=mounts,
        trusted=options.trusted or any(tree.options for tree in trees.values()),
        takes_input=takes_input,
    )
    with running_helper(gateway, task) as helper:
        yield helper


def _interruptible(options: HelperOptions | None, helper: Helper) -> AbstractContextManager[None]:
    return (options or HelperOptions()).interruptible(helper.abort)


def _told(
    gateway: EngineGateway,
    command: tuple[str, ...],
    trees: Mapping[str, Tree],
    options: HelperOptions | None,
    on_progress: Progress,
) -> tuple[Mapping[str, str], bool]:
    """The last facts that a verb tells, and whether something changed meanwhile."""
    last: Mapping[str, str] = {}
    with helper_over(gateway, command, trees, options) as helper, _interruptible(options, helper):
        for word, facts in helper.lines():
            if word == "progress":
                on_progress(int(facts["bytes"]))
            else:
                last = facts
        return last, helper.finish()
