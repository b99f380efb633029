"""A source kept quiet while its content is read; how to wake it stands in the row before it is put to sleep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.errors import InvalidRequest
from containers_app.workflows.context import Context
from containers_app.workflows.undo import restore_state, wake

DEFAULT_STOP_SECONDS = 10
CONSISTENCIES = ("live", "pause", "stop")
_GRADES = {"paused": "paused", "created": "stopped", "exited": "stopped", "dead": "stopped"}


def grade_of(source: Mapping[str, Any]) -> str:
    """What reading it as it is now is worth: `live`, `paused` or `stopped`."""
    return _GRADES.get(state_of(source), "live")


def state_of(inspect: Mapping[str, Any]) -> str:
    """The Engine's word for an inspected container's state."""
    return str((inspect.get("State") or {}).get("Status", ""))


@contextmanager
def quiet(context: Context, gateway: EngineGateway, source: Mapping[str, Any], consistency: str) -> Iterator[str]:
    """Keep the source paused or stopped while inside, and put it back as it was; gives the grade that is reached.

    A source that does not run, or that somebody paused, is quiet already and is left alone. Raises InvalidRequest for
    a stop that would remove the source.
    """
    if consistency == "live" or grade_of(source) != "live":
        yield grade_of(source)
        return
    if consistency == "stop" and source["HostConfig"].get("AutoRemove"):
        words = "the source removes itself when it stops: use 'pause'"
        raise InvalidRequest(f"'options.consistency' cannot be 'stop': {words}", field="options.consistency")
    source_id = str(source["Id"])
    step = restore_state(source_id, "running")
    context.stage(f"{consistency} the source", undo=step)
    if consistency == "pause":
        gateway.pause(source_id)
    else:
        gateway.stop(source_id, timeout_seconds=int(source["Config"].get("StopTimeout") or DEFAULT_STOP_SECONDS))
    yield "paused" if consistency == "pause" else "stopped"
    wake(gateway, step)
    context.forget_undo(step)
