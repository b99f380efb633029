"""Content carried from a source to its copy, on one Engine or between two, with a proof of both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import stream_tree
from containers_app.engine.trees import HelperOptions, Tree, TreeProof, copy_tree, tree_proof, tree_size
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
    """The two Engines; `elsewhere` when they are not the same."""

    source: EngineGateway
    target: EngineGateway

    @property
    def elsewhere(self) -> bool:
        """Whether the target is another Engine."""
        return self.source is not self.target


def options_of(context: Context) -> HelperOptions:
    """How helpers of this operation run."""
    return HelperOptions(image=context.helper_image, interruptible=context.interruptible)


def measure(context: Context, gateway: EngineGateway, pairs: Sequence[Pair]) -> int:
    """The bytes of all trees; they become the operation's total."""
    options = options_of(context)
    total = 0
    for pair in pairs:
        context.checkpoint()
        total += tree_size(gateway, pair.source, options).bytes
    context.progress(0, bytes_total=total)
    return total


def carry(context: Context, ends: Ends, pairs: Sequence[Pair]) -> tuple[Carried, ...]:
    """Copy every tree and prove its source: to be called while the source is quiet. Raises what the copies raise."""
    progress = _Progress(context)
    options = options_of(context)
    carried = []
    for number, pair in enumerate(pairs, 1):
        context.stage(f"copy {pair.kind} {number} of {len(pairs)}")
        changed = _copied(ends, pair, options, progress.report)
        progress.next()
        proof = tree_proof(ends.source, pair.source, options)
        carried.append(Carried(pair=pair, proof=proof, changed=changed or proof.changed))
    return tuple(carried)


def prove(context: Context, ends: Ends, carried: Sequence[Carried]) -> list[dict[str, Any]]:
    """Read every copy again and compare: one document a tree. A difference is a warning that names it."""
    options = options_of(context)
    documents = []
    for entry in carried:
        context.checkpoint()
        target = tree_proof(ends.target, entry.pair.target, options)
        equal = entry.proof.same_as(target)
        if not equal:
            context.warn(*_difference(entry))
        documents.append(_document(entry, target, equal=equal))
    return documents


def _copied(ends: Ends, pair: Pair, options: HelperOptions, report: Callable[[int], None]) -> bool:
    if ends.elsewhere:
        streamed = stream_tree(
            ends.source, ends.target, source=pair.source, target=pair.target, options=options, on_progress=report
        )
        return streamed.changed
    copied = copy_tree(ends.target, source=pair.source, target=pair.target, options=options, on_progress=report)
    return copied.changed


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
    """Bytes of all trees together, told at most twice a second."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._before = self._last = 0
        self._told_at = time.monotonic()

    def report(self, bytes_done: int) -> None:
        self._last = bytes_done
        if time.monotonic() - self._told_at >= _PROGRESS_SECONDS:
            self._tell()

    def next(self) -> None:
        """The tree is done."""
        self._before, self._last = self._before + self._last, 0
        self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self._context.checkpoint()
        self._context.progress(self._before + self._last)
