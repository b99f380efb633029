"""Entries of a backup put into a tree of an Engine by helpers: looked at, staged, put in place, taken back, settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.helper import receiving
from containers_app.engine.layers import RootTree, mounted
from containers_app.engine.transfer import PackedTree, unpack_tree
from containers_app.engine.trees import FolderTree, HelperOptions, Tree, VolumeTree, helper_over
from containers_app.errors import EngineError

_LINES = 2000


@dataclass(frozen=True, kw_only=True)
class PlacedEntry:
    """One entry: `path` in the tree, without a slash in front, and `staged` below the folder of what is new.

    `kind` as an index has it, but for hard links, which are files, and `parent`: a folder on the way, which is made
    only where it is missing. `sha256`, of what a file reads as, is empty where nobody knows it.
    """

    path: bytes
    staged: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size_bytes: int = 0
    sha256: str = ""
    target: bytes = b""

    @property
    def line(self) -> bytes:
        """As the place program reads it."""
        numbers = (b"%d" % number for number in (self.mode, self.uid, self.gid, self.mtime_ns, self.size_bytes))
        words = (self.kind.encode(), self.path, self.staged, *numbers, self.sha256.encode(), self.target)
        return b"\0".join(words) + b"\0"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What putting the entries there does. `verdicts`: of some that are not unchanged, by number; `sha256`: of all."""

    new: int
    overwritten: int
    unchanged: int
    blocked: int
    free_bytes: int
    sha256: str
    verdicts: Mapping[int, str]


def tree_at(place: str) -> Tree:
    """The tree of this place, as `Tree.place` names it. Raises LookupError for one of another kind."""
    kind, _, name = place.partition(" ")
    made: Mapping[str, Callable[[], Tree]] = {
        "volume": lambda: VolumeTree(name=name),
        "folder": lambda: FolderTree(path=name),
        "root": lambda: RootTree(container=name.removeprefix("of ")),
    }
    return made[kind]()


def look(gateway: EngineGateway, tree: Tree, entries: Sequence[PlacedEntry], options: HelperOptions) -> Looked:
    """Compare the entries with what is there; a file without a digest is never the same. Raises as `helper_over`."""
    told = _fed(gateway, ("look", "/source", *tree.options), {"/source": tree}, entries, options)
    facts = told.get("looked")
    if facts is None:
        raise EngineError("The helper container ended without a word about the files.")
    return Looked(
        **{name: int(facts[name]) for name in ("new", "overwritten", "unchanged", "blocked")},
        free_bytes=int(facts["free"]),
        sha256=facts["sha256"],
        verdicts={int(word[5:]): found["verdict"] for word, found in told.items() if word.startswith("entry")},
    )


def stage(
    gateway: EngineGateway, tree: Tree, blocks: Iterator[bytes], options: HelperOptions, *, identifier: str, number: int
) -> None:
    """Unpack a tar beside what is there, where nobody looks for it. Raises what `unpack_tree` raises."""
    with mounted(gateway, tree):
        verb = ("stage", "/target", identifier, str(number))
        unpack_tree(gateway, blocks, sha256=None, target=tree, options=options, verb=verb)


@contextmanager
def staged(
    gateway: EngineGateway, tree: Tree, options: HelperOptions, *, identifier: str, number: int
) -> Iterator[PackedTree]:
    """What was unpacked, as a tar again."""
    command = ("pack", f"/source/.before-{identifier}/new/{number}")
    with (
        mounted(gateway, tree),
        helper_over(gateway, command, {"/source": tree}, options) as helper,
        options.interruptible(helper.abort),
    ):
        yield PackedTree(helper)


def place(
    gateway: EngineGateway, tree: Tree, entries: Sequence[PlacedEntry], options: HelperOptions, *, identifier: str
) -> None:
    """Put what is staged in its place, and keep what that replaces. Raises EngineError where that is blocked."""
    _fed(gateway, ("place", "/target", identifier, *tree.options), {"/target": tree}, entries, options)


def unplace(gateway: EngineGateway, tree: Tree, options: HelperOptions, *, identifier: str) -> int:
    """Take back what `stage` and `place` did; safe to repeat. How many entries stay, as others changed them meanwhile.

    What those replaced stays in `/.before-IDENTIFIER/old`. Raises what `helper_over` raises.
    """
    told = _done(gateway, ("unplace", "/target", identifier, *tree.options), tree, options)
    return int(told.get("left", {}).get("entries", "0"))


def settle(gateway: EngineGateway, tree: Tree, options: HelperOptions, *, identifier: str) -> None:
    """Remove what only a return needs; what was replaced is kept in `/.before-IDENTIFIER/old`. Safe to repeat."""
    _done(gateway, ("settle", "/target", identifier, *tree.options), tree, options)


def _done(
    gateway: EngineGateway, command: tuple[str, ...], tree: Tree, options: HelperOptions
) -> Mapping[str, Mapping[str, str]]:
    """What it told, by word."""
    with mounted(gateway, tree), helper_over(gateway, command, {"/target": tree}, options) as helper:
        told = dict(helper.lines())
        helper.finish()
    return told


def _fed(
    gateway: EngineGateway,
    command: tuple[str, ...],
    trees: Mapping[str, Tree],
    entries: Sequence[PlacedEntry],
    options: HelperOptions,
) -> Mapping[str, Mapping[str, str]]:
    """What a verb told that reads a list of entries."""
    (tree,) = trees.values()
    with (
        mounted(gateway, tree),
        helper_over(gateway, command, trees, options, takes_input=True) as helper,
        options.interruptible(helper.abort),
        receiving(helper) as receiver,
    ):
        for start in range(0, len(entries), _LINES):
            receiver.send(b"".join(entry.line for entry in entries[start : start + _LINES]))
        return receiver.finish()
