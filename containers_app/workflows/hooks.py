"""Hooks around the reading of a container; how to run the hook after stands in the row before the first one starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from containers_app.engine.exec_verbs import NOT_STARTED_CODES, ExecEnd
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import Cancelled, HookFailed, LeaseLost, MycoError, TimedOut
from containers_app.specs.hooks import Hook, Hooks
from containers_app.workflows.context import Context
from containers_app.workflows.undo import run_hook


class Hooked:
    """What came of the hooks; `after_failed` is known when the context has ended: the result is partial then."""

    def __init__(self) -> None:
        self.after_failed = False


@contextmanager
def hooked(
    context: Context,
    gateway: EngineGateway,
    source: Mapping[str, Any],
    hooks: Hooks | None,
    *,
    restarts: bool = False,
) -> Iterator[Hooked]:
    """Run the hook before, then what is inside, then the hook after. Pausing and stopping belong inside.

    `source` is the container's inspect answer; `restarts` says that it is stopped and started again inside. A source
    that does not run has no hooks, and a warning. Raises HookFailed where the hook before fails; after any error the
    operation's undo runs the hook after, once the container is woken. A hook after that fails is a warning.
    """
    outcome = Hooked()
    status = str((source.get("State") or {}).get("Status", ""))
    if hooks is not None and status != "running":
        context.warn("HOOKS_SKIPPED", f"no hook was run, because the container is not running but {status}")
        hooks = None
    if hooks is None:
        yield outcome
        return
    started_at = "" if restarts else str(source["State"].get("StartedAt", ""))
    step = run_hook(str(source["Id"]), hooks, started_at=started_at)
    context.stage("run the hook before", undo=step)
    _prepare(context, gateway, source, hooks)
    yield outcome
    outcome.after_failed = not _ended_well(context, gateway, source, hooks)
    context.forget_undo(step)


def _prepare(context: Context, gateway: EngineGateway, source: Mapping[str, Any], hooks: Hooks) -> None:
    if hooks.before is None:
        return
    wrong = _mistake(hooks, _run(context, gateway, source, hooks, hooks.before))
    if wrong:
        raise HookFailed(f"the hook before {wrong}. {_advice(source)}", field="options.hooks")


def _ended_well(context: Context, gateway: EngineGateway, source: Mapping[str, Any], hooks: Hooks) -> bool:
    """Run the hook after; what is wrong with it becomes a warning, for what it follows is done."""
    if hooks.after is None:
        return True
    context.stage("run the hook after")
    try:
        wrong = _mistake(hooks, _run(context, gateway, source, hooks, hooks.after))
    except (Cancelled, TimedOut, LeaseLost):
        raise
    except MycoError as error:
        wrong = f"could not be run: {error.message}"
    if wrong:
        context.warn("HOOK_AFTER_FAILED", f"the hook after {wrong}. {_advice(source)}")
    return not wrong


def _run(context: Context, gateway: EngineGateway, source: Mapping[str, Any], hooks: Hooks, hook: Hook) -> ExecEnd:
    return gateway.run_exec(
        str(source["Id"]), hook.command, timeout_seconds=hooks.timeout_seconds, tick=context.checkpoint
    )


def _mistake(hooks: Hooks, end: ExecEnd) -> str:
    """Why it did not succeed; empty where it did. Its output may hold a secret, and stays where it is."""
    if end.exit_code is None:
        left = "may still run in the container" if end.left_running else "was ended"
        return f"did not end within {hooks.timeout_seconds} s and {left}"
    if end.exit_code in NOT_STARTED_CODES:
        return f"could not be started (exit code {end.exit_code}): the container lacks the program, or /bin/sh"
    return f"ended with exit code {end.exit_code}" if end.exit_code else ""


def _advice(source: Mapping[str, Any]) -> str:
    name = str(source.get("Name", "")).removeprefix("/")
    return f"What it prints is kept nowhere: try it by hand with `docker exec {name}`"
