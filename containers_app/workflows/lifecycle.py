"""Start, stop, restart and remove. None of them can be taken back, so each says what was before and what is now."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.patience import patiently
from containers_app.errors import ContainerNotFound, ContainerRunning, EngineError, InvalidRequest
from containers_app.models import DockerHost
from containers_app.workflows import inventory
from containers_app.workflows.context import Context, Done
from containers_app.workflows.health import wait_until_healthy
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import stop_seconds

_GONE_SECONDS, _POLL_SECONDS = 30.0, 0.1
_RUNNING = ("running", "paused", "restarting")


@dataclass(frozen=True, kw_only=True)
class StartParams:
    """`container`: as the client wrote it. `wait_healthy_seconds`: 0 does not wait for the healthcheck."""

    container: str
    wait_healthy_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class StopParams:
    """Of stop and of restart. `timeout_seconds`: from the request to stop to the kill; None is the container's own."""

    container: str
    timeout_seconds: int | None = None
    confirm_protected: bool = False


@dataclass(frozen=True, kw_only=True)
class RemoveParams:
    """`confirm`: the container's name, typed. `force`: also when it runs. `volumes`: its anonymous volumes too."""

    container: str
    confirm: str
    force: bool = False
    volumes: bool = False
    confirm_protected: bool = False


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The container before anything is done to it; `raw` holds environment values."""

    reference: str
    id: str
    name: str
    state: str
    raw: dict[str, Any] = field(repr=False)


def start(context: Context, params: StartParams) -> Done:
    """Start the container, and wait for its healthcheck if asked to.

    Raises Busy, PortTaken and the Engine's other refusals. One that runs already is fine; one that does not come up is
    a partial success with a warning.
    """
    with context.gateway() as gateway:
        target = _take(context, gateway, params.container)
        context.stage("start the container")
        if not gateway.start(target.id):
            context.warn("ALREADY_STARTED", f"{target.name} ran already")
        up = True
        if params.wait_healthy_seconds:
            context.stage("wait until it is healthy")
            up = _healthy(context, gateway, target, params.wait_healthy_seconds)
        return _done(context, gateway, target, action="start", word="started", partial=not up)


def stop(context: Context, params: StopParams) -> Done:
    """Stop the container: its stop signal, then the kill. One that does not run is fine. Raises Busy."""
    with context.gateway() as gateway:
        target = _take(context, gateway, params.container, confirmed=params.confirm_protected)
        timeout_seconds = _stop_seconds(target, params)
        context.stage("stop the container")
        stopped = patiently(lambda: gateway.stop(target.id, timeout_seconds=timeout_seconds), tick=context.checkpoint)
        if not stopped:
            context.warn("ALREADY_STOPPED", f"{target.name} did not run")
        elif target.raw["HostConfig"].get("AutoRemove"):
            _wait_until_gone(context, gateway, target)
            context.warn("REMOVED_ITSELF", f"{target.name} was made to be removed when it stops, and is gone")
        return _done(context, gateway, target, action="stop", word="stopped")


def restart(context: Context, params: StopParams) -> Done:
    """Stop the container if it runs, and start it. Raises Busy, PortTaken and the Engine's other refusals."""
    with context.gateway() as gateway:
        target = _take(context, gateway, params.container, confirmed=params.confirm_protected)
        timeout_seconds = _stop_seconds(target, params)
        context.stage("restart the container")
        patiently(lambda: gateway.restart(target.id, timeout_seconds=timeout_seconds), tick=context.checkpoint)
        return _done(context, gateway, target, action="restart", word="restarted")


def remove(context: Context, params: RemoveParams) -> Done:
    """Remove the container, whose name was typed. Raises Busy, InvalidRequest for another name, ContainerRunning."""
    with context.gateway() as gateway:
        target = _take(context, gateway, params.container, confirmed=params.confirm_protected)
        if params.confirm != target.name:
            raise InvalidRequest(
                f"'options.confirm' must be the container's name, exactly: {target.name}", field="options.confirm"
            )
        if target.state in _RUNNING and not params.force:
            raise ContainerRunning(f"{target.name} is {target.state}: stop it first, or send 'options.force': true")
        context.stage("remove the container")
        gateway.remove(target.id, force=params.force, volumes=params.volumes)
        _wait_until_gone(context, gateway, target)
        return _done(context, gateway, target, action="remove", word="removed")


def _take(context: Context, gateway: EngineGateway, reference: str, *, confirmed: bool = True) -> _Target:
    """The container, locked, as it is now: every act on one goes through here, and is refused here or not at all."""
    context.stage("resolve the container")
    summary = gateway.resolve(reference)
    context.pin_target(summary.id, summary.name, lock=True)
    raw = gateway.inspect(summary.id)
    check_protected(context, raw, confirmed=confirmed)
    return _Target(
        reference=reference, id=summary.id, name=summary.name, state=str(raw["State"].get("Status", "")), raw=raw
    )


def _stop_seconds(target: _Target, params: StopParams) -> int:
    """As asked, else the container's own, else the Engine's; -1 waits for ever."""
    return stop_seconds(target.raw) if params.timeout_seconds is None else params.timeout_seconds


def _healthy(context: Context, gateway: EngineGateway, target: _Target, limit_seconds: float) -> bool:
    verdict = wait_until_healthy(context, gateway, target.id, limit_seconds=limit_seconds)
    if not verdict.up:
        context.warn(verdict.code, verdict.message)
    return verdict.up


def _wait_until_gone(context: Context, gateway: EngineGateway, target: _Target) -> None:
    """An Engine may answer before a removal is over. Raises EngineError when it does not end."""
    until = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < until:
        context.checkpoint()
        try:
            gateway.inspect(target.id)
        except ContainerNotFound:
            return
        time.sleep(_POLL_SECONDS)
    raise EngineError(f"the Engine has not removed {target.name} within {_GONE_SECONDS:g} s: look at its state")


def _done(
    context: Context, gateway: EngineGateway, target: _Target, *, action: str, word: str, partial: bool = False
) -> Done:
    """The result, with the state as the inventory has it now too."""
    row = inventory.refresh(DockerHost.objects.get(pk=context.facts.host_id), gateway, target.id)
    result = {
        "success": True,
        "message": f"Container {word} successfully" if not partial else f"Container {word}, with a warning",
        "action": action,
        "containerId": target.reference,
        "name": target.name,
        "stateBefore": target.state,
        "stateAfter": row.state if row else "removed",
        "exitCode": row.exit_code if row else None,
        "health": (row.health or None) if row else None,
    }
    return Done(result=result, partial=partial)
