"""Was it us? What is done on an Engine and belongs to no operation gets an entry of its own in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from containers_app.audit import denials, ledger
from containers_app.audit.inspection import payload_of
from containers_app.audit.ledger import Actor, Source, Subject
from containers_app.engine.gateway import EngineReader
from containers_app.engine.helper_image import HELPER_LABEL
from containers_app.errors import ContainerNotFound, EngineError, EngineUnavailable, ImageNotFound
from containers_app.models import DockerHost, Operation, State
from containers_app.operations.engine_watch import ASKED, Deed
from containers_app.specs.engine import OPERATION_LABEL

ACTION: Final = "engine.unattributed"
LOST: Final = "engine.events_lost"
# From a row's end to the Engine's last word of it.
SLACK_SECONDS: Final = 5.0
# What our clock, and the measured difference to the Engine's, may be wrong by.
CLOCK_SECONDS: Final = 1.0
_MOST_OPERATIONS = 500
_MOST_TOLD = 20
# How long before a deed, by its own clock, its entry may seem to have been made.
_TOLD_BEFORE = timedelta(minutes=1)
_NOBODY = Actor(type="anonymous")
# What takes something back; an operation that failed does it whenever it can.
_TAKING_BACK = frozenset(("kill", "stop", "start", "destroy", "disconnect", "delete", "untag", "unpause", "rename"))
_TAKEN_BACK_STATES = (State.FAILED, State.ERRORED, State.CANCELLED, State.INTERRUPTED)
# Those that make volumes, networks and images, and remove them again.
_MAKERS = frozenset(("clone", "backup", "restore", "drill", "stackClone", "stackBackup", "stackRestore"))
# What a kind may do to an object that its operation did not make: to the container that it reads, say.
_READING: Final = frozenset(
    (
        *("exec_create", "attach", "pause", "unpause", "stop", "kill", "start", "restart", "commit", "copy", "export"),
        *("archive-path", "connect", "disconnect", "save", "tag", "untag", "delete"),
        "create",  # of a volume that is there: each mount says so
    )
)
_REPLACING: Final = frozenset(action for asked in ASKED.values() for action in asked) - {"prune"}
_DOES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("clone", "backup", "drill", "stackClone", "stackBackup"), _READING),
    **dict.fromkeys(("restore", "stackRestore"), _REPLACING),
    "start": frozenset(("start", "unpause")),
    "stop": frozenset(("stop", "kill")),
    "restart": frozenset(("restart", "stop", "kill", "start")),
    "remove": frozenset(("stop", "kill", "destroy")),
}


class Attribution:
    """Judges the deeds on one host. `ahead_seconds`: how far the Engine's clock is ahead of ours."""

    def __init__(self, host: DockerHost, reader: EngineReader, *, ahead_seconds: float) -> None:
        self._host = host
        self._reader = reader
        self._ahead_seconds = ahead_seconds

    def is_ours(self, deed: Deed) -> bool:
        """Whether an operation explains it, or nobody did it. Raises the Engine's errors."""
        operations = list(self._around(deed))
        if any(self._explains(operation, deed) for operation in operations) or _takes_back(deed):
            return True
        if deed.type == "container":
            return self._is_automatic(deed)
        labels = self._labels(deed)
        if labels is None:  # gone: what it was cannot be asked any more
            return any(operation.kind in _MAKERS for operation in operations)
        if deed.type == "image" and HELPER_LABEL in labels:  # made once, for whichever operation needs it first
            return any(operation.kind in _MAKERS for operation in operations)
        return labels.get(OPERATION_LABEL, "") in {str(operation.pk) for operation in operations}

    def _explains(self, operation: Operation, deed: Deed) -> bool:
        """What it made itself is its own; to what it only names it does what its kind does, while it runs."""
        if deed.operation_id == str(operation.pk):
            return True
        ended = operation.finished_at
        is_over = ended is not None and ended < self._begin(deed)
        does = _TAKING_BACK if is_over else _DOES.get(operation.kind, frozenset())
        return does.issuperset(deed.requests()) and _names(operation, deed)

    def record(self, deed: Deed) -> None:
        """Tell it once, under flood control; one that is only counted is named. Raises AuditUnavailable: come again."""
        first, last = _moment(deed.first).isoformat(), _moment(deed.last).isoformat()
        if self._is_told(deed, first, last):
            return
        done = {"actions": deed.requests(), "events": deed.count, "first": first, "last": last}
        denials.record(
            denials.Denial(
                action=ACTION,
                code="",
                actor=_NOBODY,
                source=Source(channel="engine"),
                subject=Subject(type=deed.type, id=deed.id, name=deed.name, host=self._host.name),
                outcome="success",
                details=done,
                brief={"type": deed.type, "id": deed.id, "name": deed.name, **done},
            ),
            is_retried=True,
        )

    def _is_told(self, deed: Deed, first: str, last: str) -> bool:
        """Whether it came again, because the process that told it was killed before it noted how far it was."""
        since = _moment(deed.first - self._ahead_seconds) - _TOLD_BEFORE
        entries = ledger.entries().filter(action=ACTION, host=self._host.name, time__gte=since)
        found = entries.filter(payload__contains=deed.id)[:_MOST_TOLD] if deed.id else []
        told = [one for entry in found for one in _deeds_in(payload_of(entry)) if one.get("id") == deed.id]
        return any(str(one.get("first", "~")) <= first and last <= str(one.get("last", "")) for one in told)

    def _around(self, deed: Deed) -> QuerySet[Operation]:
        """What ran here at that time, or is still to be taken back."""
        begin = self._begin(deed)
        end = _moment(deed.first - self._ahead_seconds + CLOCK_SECONDS)
        here = Q(host=self._host) | Q(params__host=self._host.name)
        alive = Q(finished_at=None) | Q(finished_at__gte=begin) | ~Q(undo=[])
        return Operation.objects.filter(here, alive, created_at__lte=end).order_by("-pk")[:_MOST_OPERATIONS]

    def _begin(self, deed: Deed) -> datetime:
        return _moment(deed.first - self._ahead_seconds - SLACK_SECONDS)

    def _is_automatic(self, deed: Deed) -> bool:
        """A health check, or a restart by the container's own policy."""
        if deed.requests() not in (["exec_create"], ["start"]):
            return False
        try:
            raw = self._reader.inspect(deed.id)
        except (ContainerNotFound, EngineError):
            return False
        return deed.commands <= _health_checks(raw) if deed.commands else _restarts_itself(raw)

    def _labels(self, deed: Deed) -> Mapping[str, str] | None:
        """None where it is not there any more."""
        try:
            if deed.type == "image":
                return (self._reader.image(deed.id).get("Config") or {}).get("Labels") or {}
            find = self._reader.volume if deed.type == "volume" else self._reader.network
            return find(deed.id).get("Labels") or {}
        except EngineUnavailable:
            raise
        except (EngineError, ImageNotFound):
            return None


def counted_as(host: DockerHost) -> tuple[str, str]:
    """The key of flood control for what `Attribution.record` tells of this host."""
    return host.name, ACTION


def record_gap(host: DockerHost, gap: tuple[float, float]) -> None:
    """Tell that things may have been done unseen between these moments, in epoch seconds of the Engine's clock.

    Raises AuditUnavailable.
    """
    first, last = (_moment(one).isoformat() for one in gap)
    ledger.event(
        action=LOST,
        actor=_NOBODY,
        source=Source(channel="engine"),
        subject=Subject(type="host", id=str(host.pk), name=host.name, host=host.name),
        outcome="unknown",
        details={"first": first, "last": last},
    )


def _deeds_in(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The deed that an entry is about, and those that it names besides; of a damaged entry what can be read."""
    about, details = payload.get("object"), payload.get("details")
    if not isinstance(about, Mapping) or not isinstance(details, Mapping):
        return []
    also = details.get("also")
    named = also if isinstance(also, list) else []
    return [{**about, **details}, *(one for one in named if isinstance(one, Mapping))]


def _names(operation: Operation, deed: Deed) -> bool:
    """Whether its row names the object: as its target, or in what it plans, did or takes back."""
    kept = (operation.params, operation.result, operation.plan, operation.undo, operation.proof)
    # Only volumes stand as the names of members; for others these are words of our own.
    words = {word for value in kept for word in _words(value, names=deed.type == "volume")}
    return bool({deed.id, deed.name} - {""} & (words | {operation.target_id, operation.target_name}))


def _takes_back(deed: Deed) -> bool:
    """Whether it ends what carries the label of an operation that came to nothing, however late."""
    if not deed.operation_id or not _TAKING_BACK.issuperset(deed.requests()):
        return False
    try:
        identifier = UUID(deed.operation_id)
    except ValueError:
        return False
    return Operation.objects.filter(pk=identifier, state__in=_TAKEN_BACK_STATES).exists()


def _words(value: Any, *, names: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if names:
            yield from value
        for entry in value.values():
            yield from _words(entry, names=names)
    elif isinstance(value, list):
        for entry in value:
            yield from _words(entry, names=names)


def _health_checks(raw: Mapping[str, Any]) -> set[str]:
    """The hash of the command line that the container's health check runs, as the Engine words it."""
    config = raw.get("Config") or {}
    test = (config.get("Healthcheck") or {}).get("Test") or []
    if test[:1] == ["CMD-SHELL"]:
        test = ["CMD", *(config.get("Shell") or ["/bin/sh", "-c"]), *test[1:]]
    return {hashlib.sha256(" ".join(test[1:]).strip().encode()).hexdigest()} if test[:1] == ["CMD"] else set()


def _restarts_itself(raw: Mapping[str, Any]) -> bool:
    policy = ((raw.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name")
    return policy not in (None, "", "no") and int(raw.get("RestartCount") or 0) > 0


def _moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)
