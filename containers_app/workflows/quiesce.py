"""A source kept quiet while its content is read; how to wake it stands in the row before it is put to sleep."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from containers_app.engine.gateway import LONGEST_STOP_SECONDS, EngineGateway
from containers_app.engine.patience import patiently
from containers_app.errors import EngineError, EngineUnavailable, InvalidRequest
from containers_app.workflows.context import Context
from containers_app.workflows.undo import Step, restore_state, wake

DEFAULT_STOP_SECONDS = 10
CONSISTENCIES = ("live", "pause", "stop")
_GRADES = {"paused": "paused", "created": "stopped", "exited": "stopped", "dead": "stopped"}
# From the end of the grace that a stop gives to the end of the stop.
_KILL_SECONDS = 10.0
# A process starts in a few hundredths of a second; on a host that is busy, in some seconds.
_START_SECONDS, _LOOK_SECONDS = 10.0, 0.02


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
    step = _paused(context, gateway, source) if consistency == "pause" else stop(context, gateway, source)
    yield
    if step is not None:
        _wake(gateway, step, name=str(source["Name"]).removeprefix("/"))
        context.forget_undo(step)


def _wake(gateway: EngineGateway, step: Step, *, name: str) -> None:
    """As `wake`, with words on what to do where an Engine hangs over a paused container."""
    try:
        wake(gateway, step)
    except EngineUnavailable as error:
        if step["state"] != "unpaused":
            raise
        raise EngineUnavailable(
            f"The source {name} is still PAUSED: the Engine does not answer the request to unpause it, which is sent "
            "again until it does. If it hangs over a process that was frozen in its start, run on the Engine's host: "
            f"pkill -KILL -f '^runc .* exec .*{step['container']}'"
        ) from error


def _paused(context: Context, gateway: EngineGateway, source: Mapping[str, Any]) -> Step:
    step = restore_state(str(source["Id"]), "unpaused")
    context.stage("pause the source", undo=step)
    until = time.monotonic() + _START_SECONDS
    while not _frozen(context, gateway, str(source["Id"]), until):
        time.sleep(_LOOK_SECONDS)
    return step


def _frozen(context: Context, gateway: EngineGateway, source_id: str, until: float) -> bool:
    """Pause the source, once nothing is being started in it; False where it was too busy, and goes on."""
    _let_execs_start(context, gateway, source_id, until)
    try:
        gateway.pause(source_id)
    except EngineError as error:
        # runc's word, on cgroup v1, for processes that were faster than the freezer.
        if "unable to freeze" not in error.message or time.monotonic() > until:
            raise
        return False
    return True


def _let_execs_start(context: Context, gateway: EngineGateway, source_id: str, until: float) -> None:
    """Return at once when nothing is being started in the source: what runs already can be frozen.

    With containerd 1.6 or Docker 20.10, a process that is frozen in its start hangs the Engine for this container, and
    it cannot be unpaused. Raises EngineError, and the source is not paused, where something still is being started at
    `until` (of the monotonic clock).
    """
    harmless = set[str]()
    while unknown := [found for found in gateway.execs(source_id) if found not in harmless]:
        starting = [found for found in unknown if gateway.is_starting(found)]
        harmless.update(set(unknown).difference(starting))
        context.checkpoint()
        if time.monotonic() > until:
            raise EngineError(
                f"In {_START_SECONDS:g} seconds there was no moment to pause the source in, for processes are started "
                "in it all the time (docker exec, health checks): clone again later, or use 'stop' or 'live'."
            )
        if starting:
            time.sleep(_LOOK_SECONDS)


def stop(
    context: Context, gateway: EngineGateway, source: Mapping[str, Any], *, what: str = "the source"
) -> Step | None:
    """Stop a container that runs. How to start it again, which is written before; None when it had ended by itself.

    `what`: what the stage calls it.
    """
    source_id, seconds = str(source["Id"]), stop_seconds(source)
    grace_seconds = seconds if seconds >= 0 else LONGEST_STOP_SECONDS
    step = restore_state(
        source_id,
        "running",
        started_at=str(source["State"].get("StartedAt", "")),
        until_epoch_seconds=time.time() + grace_seconds + _KILL_SECONDS,
    )
    context.stage(f"stop {what}", undo=step)
    if patiently(lambda: gateway.stop(source_id, timeout_seconds=seconds), tick=context.checkpoint):
        return step
    context.forget_undo(step)
    return None
