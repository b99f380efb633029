"""A source kept quiet while its content is read; how to wake it stands in the row before it is put to sleep."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from containers_app.engine.gateway import LONGEST_STOP_SECONDS, EngineGateway
from containers_app.engine.patience import patiently
from containers_app.errors import InvalidRequest
from containers_app.workflows.context import Context
from containers_app.workflows.undo import Step, restore_state, wake

DEFAULT_STOP_SECONDS = 10
CONSISTENCIES = ("live", "pause", "stop")
_GRADES = {"paused": "paused", "created": "stopped", "exited": "stopped", "dead": "stopped"}
# From the end of the grace that a stop gives to the end of the stop.
_KILL_SECONDS = 10.0


def grade_of(source: Mapping[str, Any]) -> str:
    """What reading it as it is now is worth: `live`, `paused` or `stopped`."""
    return _GRADES.get(state_of(source), "live")


def state_of(inspect: Mapping[str, Any]) -> str:
    """The Engine's word for an inspected container's state."""
    return str((inspect.get("State") or {}).get("Status", ""))


def stop_seconds(inspect: Mapping[str, Any]) -> int:
    """The container's own time from the request to stop to the kill, else the Engine's; -1 waits for ever."""
    own = inspect["Config"].get("StopTimeout")
    return DEFAULT_STOP_SECONDS if own is None else max(int(own), -1)


def check_quiet(source: Mapping[str, Any], consistency: str, *, field: str = "options.consistency") -> None:
    """Raise InvalidRequest where this source cannot be kept quiet in this way: to be called before anything is done.

    `field` is where the request has its choice.
    """
    words = None
    if consistency == "stop" and grade_of(source) == "live" and source["HostConfig"].get("AutoRemove"):
        words = "the source removes itself when it stops: use 'pause'"
    if consistency == "pause" and state_of(source) == "restarting":
        words = "the source is restarting, and an Engine pauses only what runs: use 'stop', or 'live'"
    if words is not None:
        raise InvalidRequest(f"'{field}' cannot be '{consistency}': {words}", field=field)


@contextmanager
def quiet(context: Context, gateway: EngineGateway, source: Mapping[str, Any], consistency: str) -> Iterator[None]:
    """Keep the source paused or stopped while inside, and put it back as it was.

    A source that does not run, or that somebody paused, is quiet already and is left alone. After an error inside, the
    operation's undo wakes it.
    """
    if consistency == "live" or grade_of(source) != "live":
        yield
        return
    step = _paused(context, gateway, source) if consistency == "pause" else _stopped(context, gateway, source)
    yield
    if step is not None:
        wake(gateway, step)
        context.forget_undo(step)


def _paused(context: Context, gateway: EngineGateway, source: Mapping[str, Any]) -> Step:
    step = restore_state(str(source["Id"]), "unpaused")
    context.stage("pause the source", undo=step)
    gateway.pause(str(source["Id"]))
    return step


def _stopped(context: Context, gateway: EngineGateway, source: Mapping[str, Any]) -> Step | None:
    """How to start it again; None when it had ended by itself before it was asked to."""
    source_id, seconds = str(source["Id"]), stop_seconds(source)
    grace_seconds = seconds if seconds >= 0 else LONGEST_STOP_SECONDS
    step = restore_state(
        source_id,
        "running",
        started_at=str(source["State"].get("StartedAt", "")),
        until_epoch_seconds=time.time() + grace_seconds + _KILL_SECONDS,
    )
    context.stage("stop the source", undo=step)
    if patiently(lambda: gateway.stop(source_id, timeout_seconds=seconds), tick=context.checkpoint):
        return step
    context.forget_undo(step)
    return None
