"""The content of a whole project: measured while nobody waits for it, copied while all sources are quiet together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from containers_app.engine.trees import Tree, VolumeTree
from containers_app.errors import Collides
from containers_app.workflows.content import Ends, Pair, carry, prove
from containers_app.workflows.context import Context
from containers_app.workflows.making import (
    FRESH,
    REDIRECTED,
    committed_layer,
    layer_pair,
    make_from_commit,
    volume_pairs,
)
from containers_app.workflows.measuring import NOTHING_TO_COPY, Measured, measure, trees_of
from containers_app.workflows.quiesce import quiet
from containers_app.workflows.stack_making import MadeMember
from containers_app.workflows.stack_plan import StackPlan


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The members with their content, its proofs, and how long their sources were kept quiet."""

    made: tuple[MadeMember, ...]
    content: tuple[Mapping[str, Any], ...] = ()
    quiet_seconds: float = 0.0


def measured(context: Context, ends: Ends, stack: StackPlan, *, data: str) -> Measured:
    """What there is to copy of all members."""
    if data == "none":
        return NOTHING_TO_COPY
    trees: list[Tree] = [VolumeTree(name=volume.source) for volume in stack.volumes if volume.treatment == "copy"]
    for entry in stack.members:
        trees += trees_of(ends.source, entry.member.inspect, entry.prepared.volumes, layer=data == "all")
    plans = [entry.prepared.plan for entry in stack.members]
    images = [plan.image_id for plan in plans if ends.elsewhere and plan.image_to_move]
    return measure(context, ends, trees, images=images)


def fill(
    context: Context, ends: Ends, stack: StackPlan, made: tuple[MadeMember, ...], *, data: str, consistency: str
) -> Filled:
    """Copy what was asked for, all of it as it was at one moment, and prove it.

    Raises Collides where others refer to a member that would have to be made again.
    """
    if data == "none":
        return Filled(made=made)
    layers = [layer_pair(ends, entry.planned.member.inspect, entry.inspect) for entry in made if data == "all"]
    layers = [REDIRECTED if _is_redirected(stack, layer) else layer for layer in layers]
    reasons = _reasons(made, layers)
    with _all_quiet(context, ends, made, consistency) as begun:
        made = tuple(_made_again(context, ends, entry, reasons.get(entry.id)) for entry in made)
        pairs = (*(layer for layer in layers if isinstance(layer, Pair)), *_volume_pairs(stack, made))
        carried = carry(context, ends, pairs, [stack.content.of(pair.source).bytes for pair in pairs])
    quiet_seconds = 0.0 if consistency == "live" else round(time.monotonic() - begun, 1)
    context.stage("check the content")
    unproved = [committed_layer(entry.planned.member.inspect, entry.inspect) for entry in made if entry.committed]
    return Filled(made=made, content=(*unproved, *prove(context, ends, carried)), quiet_seconds=quiet_seconds)


@contextmanager
def _all_quiet(context: Context, ends: Ends, made: tuple[MadeMember, ...], consistency: str) -> Iterator[float]:
    """Dependents are put to sleep first and woken last; yields when that began."""
    begun = time.monotonic()
    with ExitStack() as quieted:
        for entry in reversed(made):
            quieted.enter_context(quiet(context, ends.source, entry.planned.member.inspect, consistency))
        yield begun


def _is_redirected(stack: StackPlan, layer: Pair | str) -> bool:
    return isinstance(layer, Pair) and stack.content.of(layer.source).elsewhere > 0


def _reasons(made: tuple[MadeMember, ...], layers: Sequence[Pair | str]) -> dict[str, str]:
    """Why a member's layer cannot be copied as a folder, by its clone's id. Raises Collides."""
    reasons = {}
    for entry, layer in zip(made, layers, strict=False):
        if isinstance(layer, str):
            _check_unreferenced(entry, made, reason=layer)
            reasons[entry.id] = layer
    return reasons


def _check_unreferenced(entry: MadeMember, made: tuple[MadeMember, ...], *, reason: str) -> None:
    """A member that is made again gets another id, which others could not refer to any more."""
    name = entry.planned.member.name
    referring = [
        other.planned.member.name for other in made if entry.planned.member.id in other.planned.member.references
    ]
    if referring:
        raise Collides(
            f"the writable layer of {name} cannot be copied as a folder ({reason}), and {', '.join(referring)} refers "
            "to its container: clone with 'data': 'volumes'"
        )


def _made_again(context: Context, ends: Ends, entry: MadeMember, reason: str | None) -> MadeMember:
    """Where there is a reason, the member from an image of its source."""
    if reason is None:
        return entry
    again = make_from_commit(context, ends, entry.planned.prepared, entry.inspect, reason=reason)
    return replace(entry, inspect=again, committed=True)


def _volume_pairs(stack: StackPlan, made: tuple[MadeMember, ...]) -> tuple[Pair, ...]:
    """The project's volumes, and those that only one member has."""
    own = [pair for entry in made for pair in volume_pairs(entry.planned.prepared, entry.inspect)]
    return (*(_pair(volume.source, volume.target) for volume in stack.volumes if volume.treatment == "copy"), *own)


def _pair(source: str, target: str) -> Pair:
    return Pair(
        kind="volume",
        name=source,
        target_name=target,
        source=VolumeTree(name=source),
        target=VolumeTree(name=target, options=FRESH),
    )
