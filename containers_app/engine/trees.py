"""Trees of files on one Engine: measured, proved and copied by a helper container, which sees them where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.engine.helper import CHANGED, Helper, HelperMount, HelperTask, running_helper
from containers_app.engine.helper_image import ensure_helper_image
from containers_app.errors import EngineError

Interruptible = Callable[[Callable[[], None]], AbstractContextManager[None]]
Progress = Callable[[int], None]


class Tree(Protocol):
    """What a helper can mount: a volume, or a container's writable layer."""

    @property
    def place(self) -> str:
        """What it is on its Engine, whatever its options."""

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

    @property
    def place(self) -> str:
        """Unlike that of any other tree."""
        return f"volume {self.name}"

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The volume by name; asked for first, because an Engine makes a volume that is missing."""
        reader.volume(self.name)
        return HelperMount(kind="volume", source=self.name, target=target, read_only=read_only)


@dataclass(frozen=True, kw_only=True)
class FolderTree:
    """A folder of the Engine's host, by its absolute path: whoever names one must have been asked whether it may."""

    path: str
    options: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Unlike that of any other tree."""
        return f"folder {self.path}"

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The folder by path; the Engine refuses one that is missing."""
        return HelperMount(kind="bind", source=self.path, target=target, read_only=read_only)


@dataclass(frozen=True, kw_only=True)
class TreeTask:
    """One verb of the tree program: `measure` or `prove` a tree, `copy` one into another, or tell the free `space`.

    `options`: the verb's own, such as `streamed` for a proof of what went through a tar.
    """

    verb: str
    source: Tree | None = None
    target: Tree | None = None
    options: tuple[str, ...] = ()

    @property
    def trees(self) -> tuple[Tree, ...]:
        """What it is about, the source first."""
        return tuple(tree for tree in (self.source, self.target) if tree is not None)


@dataclass(frozen=True, kw_only=True)
class TaskEnd:
    """What a task told last, and whether its source changed meanwhile."""

    facts: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False


@dataclass(frozen=True, kw_only=True)
class TreeSize:
    """What a copy has to do. `elsewhere` counts entries of a layer whose content is in another layer."""

    entries: int
    bytes: int
    elsewhere: int

    @classmethod
    def of(cls, end: TaskEnd) -> TreeSize:
        """What a `measure` told."""
        return cls(**{name: int(end.facts[name]) for name in ("entries", "bytes", "elsewhere")})


@dataclass(frozen=True, kw_only=True)
class TreeProof:
    """What a tree is: equal proofs, equal trees. With `changed`, it changed meanwhile, and this proves nothing."""

    entries: int
    bytes: int
    sha256: str
    changed: bool = False

    @classmethod
    def of(cls, end: TaskEnd) -> TreeProof:
        """What a `prove` told."""
        facts = end.facts
        return cls(
            entries=int(facts["entries"]), bytes=int(facts["bytes"]), sha256=facts["sha256"], changed=end.changed
        )

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


def run_tasks(
    gateway: EngineGateway,
    tasks: Sequence[TreeTask],
    options: HelperOptions | None = None,
    *,
    on_progress: Progress = lambda done: None,
    on_task: Callable[[int], None] = lambda number: None,
) -> tuple[TaskEnd, ...]:
    """Do the tasks one after the other in one helper, whose start costs more than most of them.

    `on_task` gets the number, from 0, of the one that begins; `on_progress` its bytes so far. Raises EngineError (a
    volume that is not empty, a full disk, an unreadable file), EngineUnavailable, TimedOut.
    """
    places = _places(tasks)
    words = [word for task in tasks for word in _words(task, places)]
    trees = {place: tree for tree, place in places.items()}
    ends: list[TaskEnd] = []
    last: Mapping[str, str] = {}
    on_task(0)
    with helper_over(gateway, ("each", *words), trees, options) as helper, _interruptible(options, helper):
        for word, facts in helper.lines():
            if word == "progress":
                on_progress(int(facts["bytes"]))
            elif word != "ended":
                last = facts
            else:
                ends.append(TaskEnd(facts=last, changed=int(facts["code"]) == CHANGED))
                if len(ends) < len(tasks):
                    on_task(len(ends))
        helper.finish()
    if len(ends) != len(tasks):
        raise EngineError("The helper container ended without a word about all of its work.")
    return tuple(ends)


def _places(tasks: Sequence[TreeTask]) -> dict[Tree, str]:
    """Where each tree is mounted: what is written to is below /target."""
    targets = [task.target for task in tasks if task.target is not None]
    sources = dict.fromkeys(task.source for task in tasks if task.source is not None)
    written = {tree.place for tree in targets}
    if written & {tree.place for tree in sources}:
        raise EngineError("A tree is not copied into itself.")
    if len(written) != len(targets):
        raise EngineError("Two trees are not copied into one.")
    places: dict[Tree, str] = {tree: f"/source/{number}" for number, tree in enumerate(sources)}
    return places | {tree: f"/target/{number}" for number, tree in enumerate(targets)}


def _words(task: TreeTask, places: Mapping[Tree, str]) -> tuple[str, ...]:
    own = task.trees[-1].options if task.trees else ()
    return (task.verb, *(places[tree] for tree in task.trees), *own, *task.options, "--")


def tree_proof(
    gateway: EngineGateway,
    tree: Tree,
    options: HelperOptions | None = None,
    *,
    on_progress: Progress = lambda done: None,
) -> TreeProof:
    """Read all of a tree once, and say what it is. Raises what `run_tasks` raises."""
    (end,) = run_tasks(gateway, [TreeTask(verb="prove", source=tree)], options, on_progress=on_progress)
    return TreeProof.of(end)


def copy_tree(
    gateway: EngineGateway,
    *,
    source: Tree,
    target: Tree,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
) -> Copied:
    """Copy a tree into another one of the same kind on the same Engine; what is in a layer goes first.

    Raises what `run_tasks` raises.
    """
    task = TreeTask(verb="copy", source=source, target=target)
    (end,) = run_tasks(gateway, [task], options, on_progress=on_progress)
    return Copied(changed=end.changed)


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
    """A helper that runs one verb over trees, by their place in it; only what is below `/target` is writable."""
    options = options or HelperOptions()
    mounts = tuple(
        tree.mount(gateway, place, read_only=not place.startswith("/target")) for place, tree in trees.items()
    )
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
