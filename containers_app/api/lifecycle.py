"""Start, stop, restart and remove as the published endpoint takes them, beside clone and backup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from containers_app.operations.kinds import REMOVE, RESTART, START, STOP, Kind, Params
from containers_app.specs import fields
from containers_app.workflows.lifecycle import RemoveParams, StartParams, StopParams

LONGEST_SECONDS = 3600
_INSIDE = "options."


def _start(container: str, options: Mapping[str, Any]) -> Params:
    fields.only(options, frozenset({"waitHealthySeconds"}), inside=_INSIDE)
    wait_seconds = fields.whole(options, "waitHealthySeconds", inside=_INSIDE, highest=LONGEST_SECONDS)
    return StartParams(container=container, wait_healthy_seconds=wait_seconds or 0)


def _stop(container: str, options: Mapping[str, Any]) -> Params:
    fields.only(options, frozenset({"timeoutSeconds", "confirmProtected"}), inside=_INSIDE)
    timeout_seconds = fields.whole(options, "timeoutSeconds", inside=_INSIDE, highest=LONGEST_SECONDS)
    confirmed = fields.flag(options, "confirmProtected", inside=_INSIDE)
    return StopParams(container=container, timeout_seconds=timeout_seconds, confirm_protected=confirmed)


def _remove(container: str, options: Mapping[str, Any]) -> Params:
    fields.only(options, frozenset({"confirm", "force", "volumes", "confirmProtected"}), inside=_INSIDE)
    return RemoveParams(
        container=container,
        confirm=fields.required_text(options, "confirm", inside=_INSIDE),
        force=fields.flag(options, "force", inside=_INSIDE),
        volumes=fields.flag(options, "volumes", inside=_INSIDE),
        confirm_protected=fields.flag(options, "confirmProtected", inside=_INSIDE),
    )


READERS: Mapping[str, tuple[Kind, Callable[[str, Mapping[str, Any]], Params]]] = {
    "start": (START, _start),
    "stop": (STOP, _stop),
    "restart": (RESTART, _stop),
    "remove": (REMOVE, _remove),
}
