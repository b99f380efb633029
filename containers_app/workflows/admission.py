"""What is asked of every plan before anything is made: is it still that plan, may it be, can it be."""

from __future__ import annotations

from collections.abc import Iterable

from containers_app.errors import Collides, ImageNotFound, MycoError, NameTaken, PermissionDenied, PlanChanged
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.collisions import Collision
from containers_app.workflows.context import Context

_PRIVILEGED = "containers_app.clone_privileged"


def may_look(context: Context, *, powers: tuple[str, ...], collisions: Iterable[Collision]) -> bool:
    """Whether a plan's content is worth measuring: nothing forbids the clone, and the asker may have its power."""
    stopped = any(collision.blocks == "create" for collision in collisions)
    return not stopped and (not powers or context.facts.may(_PRIVILEGED))


def check_room(collisions: tuple[Collision, ...]) -> None:
    """Raise Collides where what is to be copied does not fit."""
    blocking = [collision for collision in collisions if collision.blocks == "create"]
    if blocking:
        raise _refusal(blocking, "")


def check_admission(
    context: Context,
    *,
    plan_hash: str,
    bound_to: str | None,
    powers: tuple[str, ...],
    confirmed: bool,
    collisions: Iterable[Collision],
    warnings: Iterable[PlanWarning],
    start: bool,
    name_field: str = "options.name",
) -> None:
    """Refuse what may not or cannot be done, and say what else is worth knowing; `name_field`: where a name is chosen.

    Raises PlanChanged, PermissionDenied, NameTaken, ImageNotFound or Collides with every reason at once.
    """
    if bound_to is not None and bound_to != plan_hash:
        raise PlanChanged("the plan is no longer the one that the request is bound to: plan again and compare")
    _check_power(context, powers, confirmed=confirmed)
    found = tuple(collisions)
    stops = ("create", "start") if start else ("create",)
    blocking = [collision for collision in found if collision.blocks in stops]
    if blocking:
        raise _refusal(blocking, name_field)
    for warning in warnings:
        context.warn(warning.code, warning.message)
    for collision in found:
        if collision.blocks == "start":
            context.warn(f"{collision.kind.upper()}_HELD", collision.message)


def _refusal(blocking: list[Collision], name_field: str) -> MycoError:
    words = "; ".join(dict.fromkeys(collision.message for collision in blocking))
    kinds = {collision.kind for collision in blocking}
    if kinds == {"name"}:
        return NameTaken(words, field=name_field)
    return ImageNotFound(words) if kinds == {"image"} else Collides(words)


def _check_power(context: Context, powers: tuple[str, ...], *, confirmed: bool) -> None:
    """A clone has its source's power over the host, so it needs its own permission and an explicit word."""
    if not powers:
        return
    reasons = "; ".join(powers)
    held = f"the container holds power over its host, and its clone would too ({reasons})"
    if not context.facts.may(_PRIVILEGED):
        raise PermissionDenied(f"{held}: ask an administrator")
    if not confirmed:
        raise PermissionDenied(f"{held}: confirm with 'confirmPrivileged': true")
    context.warn("HOST_POWER", f"the clone holds power over its host, as its source does: {reasons}")
