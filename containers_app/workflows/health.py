"""Whether a container that was started has come up: by its healthcheck, or by running for a while without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.errors import ContainerNotFound
from containers_app.workflows.context import Context

SETTLE_SECONDS = 2.0
_SHORTEST_SECONDS, _LONGEST_SECONDS, _SHARE = 0.1, 1.0, 0.1
_OVER = ("exited", "dead", "removing")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`up`, or the warning that says why not: its code, and words that name no output of the healthcheck.

    `sign`: by what it is up: `healthy`, `running` or `ended`.
    """

    up: bool
    code: str = ""
    message: str = ""
    sign: str = ""


def wait_until_healthy(
    context: Context,
    gateway: EngineReader,
    container_id: str,
    *,
    limit_seconds: float,
    settle_seconds: float = SETTLE_SECONDS,
) -> Verdict:
    """Look at a started container until it is up, can no longer come up, or the limit has passed.

    Up is `healthy`; without a healthcheck, running since the same start for `settle_seconds`, or the limit if that is
    shorter. Raises what `context.checkpoint` raises, and the Engine's errors.
    """
    settle_seconds = min(settle_seconds, limit_seconds)
    since, started_at = time.monotonic(), ""

    def judge(raw: Mapping[str, Any]) -> Verdict | None:
        nonlocal since, started_at
        # It was started before the first look, which may come late.
        seen = str(raw["State"].get("StartedAt", ""))
        if started_at not in ("", seen):
            since = time.monotonic()
        started_at = seen
        return _judged(raw, running_seconds=time.monotonic() - since, settle_seconds=settle_seconds)

    return _watched(context, gateway, container_id, limit_seconds=limit_seconds, judge=judge, late=_late)


def start_and_wait(
    context: Context,
    gateway: EngineGateway,
    container_id: str,
    *,
    what: str,
    secrets: tuple[str, ...],
    wait_seconds: float,
) -> bool:
    """Start what was made, and wait for it as long as asked: whether it is up, else a warning says why not.

    A start that fails is raised. `what`: what stages call it.
    """
    context.stage(f"start {what}")
    gateway.start(container_id, secrets=secrets)
    if not wait_seconds:
        return True
    context.stage("wait until it is healthy")
    verdict = wait_until_healthy(context, gateway, container_id, limit_seconds=wait_seconds)
    if not verdict.up:
        context.warn(verdict.code, verdict.message)
    return verdict.up


def wait_until_ended(context: Context, gateway: EngineReader, container_id: str, *, limit_seconds: float) -> Verdict:
    """Look at a started container until it has ended, or the limit has passed; up is an end with exit code 0.

    Raises what `context.checkpoint` raises, and the Engine's errors.
    """
    return _watched(context, gateway, container_id, limit_seconds=limit_seconds, judge=_ended, late=_not_ended)


def _watched(
    context: Context,
    gateway: EngineReader,
    container_id: str,
    *,
    limit_seconds: float,
    judge: Callable[[Mapping[str, Any]], Verdict | None],
    late: Callable[[Mapping[str, Any], float], Verdict],
) -> Verdict:
    """Look, in growing pauses, until there is a verdict."""
    begun = time.monotonic()
    while True:
        context.checkpoint()
        try:
            raw = gateway.inspect(container_id)
        except ContainerNotFound:
            return Verdict(up=False, code="ENDED", message="the container ended, and was removed as it was made to be")
        waited = time.monotonic() - begun
        verdict = judge(raw)
        if verdict or waited >= limit_seconds:
            return verdict or late(raw, limit_seconds)
        pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, waited * _SHARE))
        time.sleep(min(pause, limit_seconds - waited))


def _ended(raw: Mapping[str, Any]) -> Verdict | None:
    state = raw["State"]
    if state.get("Status") not in _OVER:
        return None
    code = state.get("ExitCode")
    message = f"{_name(raw)} ended with exit code {code}: read its logs"
    return Verdict(up=code == 0, code="ENDED", message=message, sign="" if code else "ended")


def _not_ended(raw: Mapping[str, Any], limit_seconds: float) -> Verdict:
    message = f"{_name(raw)} has not ended after {limit_seconds:g} s, and others wait for its end"
    return Verdict(up=False, code="NOT_ENDED_IN_TIME", message=message)


def _name(raw: Mapping[str, Any]) -> str:
    return str(raw.get("Name", "")).removeprefix("/")


def _judged(raw: Mapping[str, Any], *, running_seconds: float, settle_seconds: float) -> Verdict | None:
    """The verdict if this inspect answer has one."""
    ended = _ended(raw)
    if ended:
        return replace(ended, up=False, sign="")
    if raw["State"].get("Status") != "running":
        return None
    health = _health(raw)
    if health == "unhealthy":
        return Verdict(up=False, code="UNHEALTHY", message=f"{_name(raw)} is unhealthy: {_last_check(raw)}")
    if health == "healthy" or (not health and running_seconds >= settle_seconds):
        return Verdict(up=True, sign=health or "running")
    return None


def _health(raw: Mapping[str, Any]) -> str:
    """The Engine's word, or an empty text where there is no healthcheck."""
    return str((raw["State"].get("Health") or {}).get("Status", "")).replace("none", "")


def _late(raw: Mapping[str, Any], limit_seconds: float) -> Verdict:
    state = _health(raw) or str(raw["State"].get("Status", ""))
    message = f"{_name(raw)} is still {state} after {limit_seconds:g} s: {_last_check(raw)}"
    return Verdict(up=False, code="NOT_HEALTHY_IN_TIME", message=message)


def _last_check(raw: Mapping[str, Any]) -> str:
    """The last check's exit code; its output may hold a secret and stays on the Engine."""
    log = (raw["State"].get("Health") or {}).get("Log") or []
    if not log:
        return "no healthcheck has ended yet"
    return f"its last healthcheck had the exit code {log[-1].get('ExitCode')}"
