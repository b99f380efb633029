"""One operation from the terminal: ask for it, tell its progress, and say in an exit code how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.errors import InvalidRequest, MycoError, NotFound
from containers_app.models import Operation, State
from containers_app.operations.answers import finished_body, published_error
from containers_app.operations.submit import Request, submit
from containers_app.operations.transitions import unqueue
from containers_app.operations.waiting import wait_until
from containers_app.templatetags.console import size

DONE, FAILED, UNCLEAR, PARTIAL = 0, 1, 2, 3
# The worst comes first: one failure among many is a failure.
_WORST_FIRST = (FAILED, UNCLEAR, PARTIAL, DONE)
_LOOK_SECONDS = 2.0
_FOR_EVER_SECONDS = 10.0 * 365 * 24 * 3600
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`code` is the exit code, `body` what `--json` prints. `error`: why it is not done; empty when it is.

    `stopped`: Ctrl-C ended the waiting.
    """

    code: int
    body: dict[str, Any] = field(repr=False)
    error: str = ""
    stopped: bool = False


def carry_out(request: Request, *, seconds: float | None, tell: Tell) -> Outcome:
    """Submit, and wait so long for the end; None: for ever, 0: not at all. Raises what `submit` raises."""
    submitted = submit(request)
    if not submitted.published and unqueue(submitted.operation):
        return _not_done(FAILED, "QUEUE_UNAVAILABLE", "no worker can be told now; nothing was done: is the broker up?")
    try:
        tell(f"operation {submitted.operation.pk}")
        if seconds == 0:
            return _asked_for(submitted.operation)
        return ended(_follow(submitted.operation, seconds=_FOR_EVER_SECONDS if seconds is None else seconds, tell=tell))
    except KeyboardInterrupt:
        row = Operation.objects.get(pk=submitted.operation.pk)
        return replace(ended(row), stopped=True)


def _asked_for(row: Operation) -> Outcome:
    return Outcome(code=DONE, body={"operationId": str(row.pk), "state": row.visible_state})


def ended(row: Operation) -> Outcome:
    """How it ended; one that is not over may still do either."""
    if not row.is_finished:
        known = {"operationId": str(row.pk), "state": row.visible_state}
        return _not_done(UNCLEAR, "NOT_FINISHED", f"operation {row.pk} is not over, and goes on", **known)
    error = published_error(row)
    if error is None:
        return Outcome(code=PARTIAL if row.state == State.PARTIAL else DONE, body=finished_body(row))
    code = UNCLEAR if row.error_code == InvalidRequest.code else FAILED
    return _not_done(code, error["code"], error["error"], operationId=str(row.pk), state=str(row.state))


def refused(error: MycoError, words: str) -> Outcome:
    """A wish that was no operation: what makes no sense is unlike what may not be, or cannot be now."""
    return _not_done(UNCLEAR if isinstance(error, InvalidRequest | NotFound) else FAILED, error.code, words)


def stopped() -> Outcome:
    """Ctrl-C came before it was known whether there is an operation."""
    words = "stopped before there was an answer: look whether there is an operation"
    return replace(_not_done(UNCLEAR, "NOT_FINISHED", words), stopped=True)


def worst(outcomes: Iterable[Outcome]) -> int:
    """The exit code of several."""
    codes = {outcome.code for outcome in outcomes}
    return next((code for code in _WORST_FIRST if code in codes), DONE)


def _follow(operation: Operation, *, seconds: float, tell: Tell) -> Operation:
    """Tell each stage, and how many bytes have passed, until it is over or the time is."""
    row, told, deadline = operation, "", time.monotonic() + seconds
    while not row.is_finished and (left := deadline - time.monotonic()) > 0:
        row = wait_until(row, seconds=min(_LOOK_SECONDS, left), reached=_has_moved_from(row.stage))
        words = f"{row.stage or row.visible_state}, {size(row.bytes_done)}"
        if words != told and not row.is_finished:
            tell(words)
            told = words
    return row


def _has_moved_from(stage: str) -> Callable[[Operation], bool]:
    return lambda row: row.is_finished or row.stage != stage


def _not_done(code: int, error_code: str, words: str, **more: Any) -> Outcome:
    return Outcome(code=code, body={"error": words, "code": error_code, **more}, error=words)
