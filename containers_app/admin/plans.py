"""Plans in the console: asked for as an operation like any other, waited for briefly, shown before the confirmation."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from containers_app.admin.base import asker_of
from containers_app.admin.clone_text import as_fields
from containers_app.errors import PlanChanged, TooManyWaiting
from containers_app.models import DockerHost, Operation
from containers_app.operations.answers import published_error
from containers_app.operations.kinds import Kind
from containers_app.operations.submit import Submitted
from containers_app.operations.visibility import visible_to
from containers_app.operations.waiting import place, wait_until

PLAN_SECONDS = 5.0
BEGIN_SECONDS = 2.0
_BLOCKS = {
    "create": ("bad", "fail", "nothing can be created"),
    "start": ("warn", "warn", "it cannot start"),
    "confirm": ("warn", "warn", "needs an explicit word"),
}
_ADVICE = ("mute", "info", "advice")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the form says to a plan's questions: whether the clone starts, and whether its power is confirmed."""

    start: bool
    confirmed: bool
    may_confirm: bool


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """One collision as a page shows it. `fills`: the fields of the form that its proposal fills, with their values."""

    number: int
    kind: str
    message: str
    tone: str
    icon: str
    words: str
    fills: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Look:
    """An operation that plans, as its page shows it. `why_not`: what stands in the way of doing it."""

    operation: Operation
    plan: Mapping[str, Any] | None
    error: str
    obstacles: tuple[Obstacle, ...]
    why_not: tuple[str, ...]


def waited(submitted: Submitted) -> Operation:
    """The operation when it is finished, or as it is after a few seconds; at once when no worker was told."""
    if not submitted.published:
        return submitted.operation
    return _when(submitted.operation, PLAN_SECONDS, begun=False)


def plan_changed(operation: Operation) -> bool:
    """Whether the confirmed plan was refused as another one now; waits until the work has begun."""
    return _when(operation, BEGIN_SECONDS, begun=True).error_code == PlanChanged.code


def _when(operation: Operation, seconds: float, *, begun: bool) -> Operation:
    """Waiting has a limited number of places; without one, the row as it is."""
    try:
        with place():
            return wait_until(
                operation, seconds=seconds, reached=lambda row: row.is_finished or (begun and row.plan is not None)
            )
    except TooManyWaiting:
        return operation


def own_plan(request: HttpRequest, kind: Kind, subject: str, host: DockerHost) -> Operation | None:
    """The plan that the page names, if the user asked for it and it is of this subject on this host."""
    try:
        identifier = UUID(request.POST.get("planned", ""))
    except ValueError:
        return None
    asker = asker_of(request)
    rows = visible_to(asker, "operation").filter(pk=identifier, kind=kind.name, host=host, principal=asker.principal)
    return next((row for row in rows if row.params.get("dry_run") and _subject(row) == subject), None)


def unfinished(request: HttpRequest, kind: Kind, subject: str, host: DockerHost) -> Operation | None:
    """The plan that the user looks for again; one that failed is made anew."""
    found = own_plan(request, kind, subject, host) if "again" in request.POST else None
    return None if found is None or (found.is_finished and found.plan is None) else found


def _subject(row: Operation) -> str:
    return str(row.params.get("backup") or row.params.get("container") or row.params.get("project"))


def proposal(operation: Operation | None, number: str, *, fields: Container[str]) -> dict[str, str]:
    """The fields of a form that a plan's proposal fills."""
    found = obstacles(operation.plan, fields=fields) if operation and operation.plan else ()
    return next((dict(entry.fills) for entry in found if str(entry.number) == number), {})


def look_at(operation: Operation, answer: Answer, *, fields: Container[str]) -> Look:
    """What a page of a plan shows, with proposals for a form that has these fields."""
    plan = operation.plan if operation.is_finished else None
    error = published_error(operation) if operation.is_finished else None
    return Look(
        operation=operation,
        plan=plan,
        error=error["error"] if error else "",
        obstacles=obstacles(plan or {}, fields=fields),
        why_not=tuple(dict.fromkeys(_why_not((plan or {}).get("collisions") or (), answer))),
    )


def obstacles(plan: Mapping[str, Any], *, fields: Container[str] = ()) -> tuple[Obstacle, ...]:
    """The collisions of a plan, with those proposals that fill `fields`."""
    return tuple(_obstacle(number, entry, fields) for number, entry in enumerate(plan.get("collisions") or ()))


def _obstacle(number: int, entry: Mapping[str, Any], fields: Container[str]) -> Obstacle:
    tone, icon, words = _BLOCKS.get(str(entry.get("blocks")), _ADVICE)
    return Obstacle(
        number=number,
        kind=str(entry.get("kind")),
        message=str(entry.get("message")),
        tone=tone,
        icon=icon,
        words=words,
        fills={name: value for name, value in as_fields(entry.get("resolution")).items() if name in fields},
    )


def _why_not(collisions: Iterable[Mapping[str, Any]], answer: Answer) -> Iterable[str]:
    """By what each collision blocks. The worker looks again: this spares a refusal."""
    for entry in collisions:
        blocks = entry.get("blocks")
        if blocks == "create" or (blocks == "start" and answer.start):
            yield str(entry.get("message"))
        elif blocks == "confirm" and not answer.may_confirm:
            yield "The clone would hold power over its host: ask an administrator."
        elif blocks == "confirm" and not answer.confirmed:
            yield "The clone would hold power over its host: confirm that in the form."
