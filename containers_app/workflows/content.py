"""Content carried from a source to its copy, on one Engine or between two, with a proof of both sides."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import stream_tree
from containers_app.engine.trees import HelperOptions, Tree, TreeProof, TreeTask, run_tasks
from containers_app.workflows.context import Context

_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One tree and the place it is copied to. `kind`: `volume` or `layer`; `name`: as people know the source."""

    kind: str
    name: str
    target_name: str
    source: Tree
    target: Tree


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What was copied, with the source's proof; `changed`: the source did not hold still."""

    pair: Pair
    proof: TreeProof
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The two Engines; `elsewhere` when they are not the same: then `host` is the target's name."""

    source: EngineGateway
    target: EngineGateway
    host: str = ""

    @property
    def elsewhere(self) -> bool:
        """Whether the target is another Engine."""
        return self.source is not self.target


def options_of(context: Context) -> HelperOptions:
    """How helpers of this operation run."""
    return HelperOptions(image=context.helper_image, interruptible=context.interruptible)


def carry(context: Context, ends: Ends, pairs: Sequence[Pair], sizes_bytes: Sequence[int]) -> tuple[Carried, ...]:
    """Copy every tree and prove its source: to be called while the source is quiet. Raises what the copies raise.

    `sizes_bytes` are what was measured; together they become the operation's total.
    """
    if not pairs:
        return ()
    context.progress(0, bytes_total=sum(sizes_bytes))
    progress = _Progress(context, pairs, sizes_bytes)
    return _streamed(context, ends, pairs, progress) if ends.elsewhere else _copied(context, ends, pairs, progress)


def _copied(context: Context, ends: Ends, pairs: Sequence[Pair], progress: _Progress) -> tuple[Carried, ...]:
    """All on one Engine, in one helper: a copy and a proof in turn."""
    tasks = [
        task
        for pair in pairs
        for task in (
            TreeTask(verb="copy", source=pair.source, target=pair.target),
            TreeTask(verb="prove", source=pair.source),
        )
    ]

    def begin(number: int) -> None:
        progress.begin(number // 2, counts=number % 2 == 0)

    ended = run_tasks(ends.target, tasks, options_of(context), on_progress=progress.report, on_task=begin)
    progress.end()
    return tuple(
        Carried(pair=pair, proof=(proof := TreeProof.of(proven)), changed=copy.changed or proof.changed)
        for pair, copy, proven in zip(pairs, ended[::2], ended[1::2], strict=True)
    )


def _streamed(context: Context, ends: Ends, pairs: Sequence[Pair], progress: _Progress) -> tuple[Carried, ...]:
    """Each through this process; then all sources are proved in one helper."""
    options, changed = options_of(context), []
    for number, pair in enumerate(pairs):
        progress.begin(number, counts=True)
        streamed = stream_tree(
            ends.source,
            ends.target,
            source=pair.source,
            target=pair.target,
            options=options,
            on_progress=progress.report,
        )
        changed.append(streamed.changed)
    progress.end()
    proofs = _proofs(context, ends, ends.source, [pair.source for pair in pairs])
    return tuple(
        Carried(pair=pair, proof=proof, changed=moved or proof.changed)
        for pair, proof, moved in zip(pairs, proofs, changed, strict=True)
    )


def prove(context: Context, ends: Ends, carried: Sequence[Carried]) -> list[dict[str, Any]]:
    """Read every copy again and compare: one document a tree. A difference is a warning that names it."""
    documents = []
    targets = _proofs(context, ends, ends.target, [entry.pair.target for entry in carried])
    for entry, target in zip(carried, targets, strict=True):
        equal = not entry.changed and entry.proof.same_as(target)
        if not equal:
            context.warn(*_difference(entry))
        documents.append(_document(entry, target, equal=equal))
    return documents


def _proofs(context: Context, ends: Ends, gateway: EngineGateway, trees: Sequence[Tree]) -> tuple[TreeProof, ...]:
    if not trees:
        return ()
    # A socket is nothing without the process that made it, and no tar has any.
    options = ("streamed",) if ends.elsewhere else ()
    tasks = [TreeTask(verb="prove", source=tree, options=options) for tree in trees]
    told = run_tasks(gateway, tasks, options_of(context), on_progress=lambda done: context.checkpoint())
    return tuple(TreeProof.of(end) for end in told)


def _difference(entry: Carried) -> tuple[str, str]:
    if entry.changed:
        words = "changed while it was copied, so the copy is of no single moment: use 'pause' or 'stop'"
        return "CONTENT_CHANGED", f"The {entry.pair.kind} {entry.pair.name} {words}."
    return "CONTENT_DIFFERS", f"The {entry.pair.kind} {entry.pair.name} and its copy are not the same: clone again."


def _document(entry: Carried, target: TreeProof, *, equal: bool) -> dict[str, Any]:
    return {
        "kind": entry.pair.kind,
        "name": entry.pair.name,
        "target": entry.pair.target_name,
        "equal": equal,
        "source": _figures(entry.proof),
        "copy": _figures(target),
    }


def _figures(proof: TreeProof) -> Mapping[str, Any]:
    return {"entries": proof.entries, "bytes": proof.bytes, "sha256": proof.sha256}


class _Progress:
    """The stage of the tree that is copied now, and the bytes of all trees together, told at most twice a second."""

    def __init__(self, context: Context, pairs: Sequence[Pair], sizes_bytes: Sequence[int]) -> None:
        self._context = context
        self._pairs = pairs
        self._sizes = list(sizes_bytes)
        self._number = 0
        self._counts = True
        self._told_at = time.monotonic()

    def begin(self, number: int, *, counts: bool) -> None:
        """The tree of this number is copied next, or, where it no longer counts, is proved."""
        self._number, self._counts = number, counts
        if counts:
            self._context.stage(f"copy {self._pairs[number].kind} {number + 1} of {len(self._pairs)}")
            self._tell(0)

    def report(self, bytes_done: int) -> None:
        """So many bytes of this tree: what is sent is a little more than what was measured."""
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            size_bytes = self._sizes[self._number]
            self._tell(min(bytes_done, size_bytes) if self._counts else size_bytes)

    def end(self) -> None:
        """All trees are copied."""
        self._number = len(self._sizes)
        self._tell(0)

    def _tell(self, bytes_done: int) -> None:
        self._told_at = time.monotonic()
        self._context.checkpoint()
        self._context.progress(sum(self._sizes[: self._number]) + bytes_done)
