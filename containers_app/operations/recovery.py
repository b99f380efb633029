"""The reconciler: what a lost message, a dead worker or a hung Engine left behind is found by time and put right."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from django.db import DatabaseError
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Now
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.conf import Conf, load
from containers_app.engine.connection import open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import EngineUnavailable, MycoError
from containers_app.models import Operation, State
from containers_app.operations import transitions
from containers_app.operations.children import end_with
from containers_app.operations.dispatch import republish
from containers_app.operations.evidence import receipt_of, record_outcome
from containers_app.operations.hosts import endpoint_of, host_named, limits, store_of
from containers_app.operations.kinds import KINDS, lasts
from containers_app.operations.ledger_exports import sweep_exports
from containers_app.operations.progress import closed_stages
from containers_app.operations.transitions import Ending
from containers_app.workflows.undo import replay

logger = logging.getLogger(__name__)
_CLEAN_UP_SECONDS = 5.0
_LATE_SECONDS = 10
LONGEST_PAUSE = timedelta(hours=6)
_ORPHAN_AGE, _ORPHAN_LIMIT = timedelta(minutes=5), timedelta(days=2)
_BATCH = 500
_TAKEN_BACK = "what it had begun is being taken back. Run it again"
_LASTS = "the Engine may have carried it out all the same. Look at the container's state before running it again"
_GOES_ON = "what is recorded already is carried out all the same. Look at the backup's state before running it again"


def reconcile() -> dict[str, int]:
    """One sweep. Returns how many of each it put right. A row that cannot be mended does not stop the others."""
    conf = load()
    away: set[str] = set()
    return {
        "expired": _each(_past_deadline(), _cancel_expired),
        "republished": _each(_lost_messages(), republish),
        "interrupted": _each(_dead_leases(), lambda operation: _interrupt(operation, conf, away)),
        "parts": _each(_left_parts(), end_with),
        "undone": _each(_unfinished_undo(), lambda operation: _undo(operation, conf, away)),
        "late": _each(_without_outcome(), _late_outcome),
        "orphans": _close_orphan_intents(),
        "swept": _sweep_storage(conf),
        "exports": _sweep_exports(conf),
    }


def _each(rows: list[Operation], mend: Callable[[Operation], object]) -> int:
    mended = 0
    for row in rows:
        try:
            mended += bool(mend(row))
        except (MycoError, DatabaseError, LookupError) as error:
            # A LookupError is a row of another version of the product: its kind is not known here.
            logger.warning("not mended yet: %s", type(error).__name__, extra={"operation": str(row.pk)})
    return mended


def _rows(condition: Q) -> list[Operation]:
    return list(Operation.objects.select_related("host", "api_key").filter(condition).order_by("pk")[:_BATCH])


def _past_deadline() -> list[Operation]:
    return _rows(Q(state=State.QUEUED, deadline_at__lt=timezone.now()))


def _cancel_expired(operation: Operation) -> bool:
    message = "no worker took it within its time limit: see that a worker runs, then try again"
    return transitions.end_queued(
        operation, Ending(state=State.CANCELLED, error_code="TIMED_OUT", error_message=message)
    )


def _lost_messages() -> list[Operation]:
    """The longer a row was sent again and again, the longer the next pause: without a worker the broker keeps them all.

    Each pause is as long as all before it together, from one sweep's up to LONGEST_PAUSE.
    """
    now = timezone.now()
    pause = F("published_at") - F("created_at")
    since = Value(now, output_field=DateTimeField()) - F("published_at")
    old, oldest = now - timedelta(seconds=load().reconcile_seconds), now - LONGEST_PAUSE
    again = Q(published_at__lte=oldest) | Q(Q(published_at__lt=old), GreaterThanOrEqual(since, pause))
    return _rows(Q(state=State.QUEUED) & (Q(published_at=None) | again))


def _dead_leases() -> list[Operation]:
    return _rows(Q(state=State.RUNNING, lease_until__lt=Now()))


def _left_parts() -> list[Operation]:
    """Operations that are over and have parts that are not."""
    parts = Operation.objects.filter(state=State.RUNNING, parent__isnull=False).values("parent_id")
    return _rows(Q(state__in=Operation.TERMINAL_STATES, pk__in=parts))


def _interrupt(operation: Operation, conf: Conf, away: set[str]) -> bool:
    """Fence first, take back after: once the row is terminal, the worker's token is worth nothing."""
    message = f"the worker died or lost its connection; {_left(operation.kind)}"
    ending = Ending(
        state=State.INTERRUPTED,
        stages=closed_stages(operation.stages, state="failed"),
        error_code="INTERRUPTED",
        error_message=message,
        undo=operation.undo,
    )
    if not transitions.interrupt(operation, ending, then=lambda: end_with(operation)):
        return False
    return _undo(operation, conf, away) or True


def _left(kind_name: str) -> str:
    """What becomes of what it had begun, in words."""
    if not lasts(kind_name):
        return _TAKEN_BACK
    return _LASTS if KINDS[kind_name].on_engine else _GOES_ON


def _unfinished_undo() -> list[Operation]:
    return _rows(Q(state__in=Operation.TERMINAL_STATES) & ~Q(undo=[]))


def _undo(operation: Operation, conf: Conf, away: set[str]) -> bool:
    """`away` are hosts whose Engine did not answer in this sweep: each is waited for once, not for every row."""

    @contextmanager
    def gateway(host_name: str) -> Iterator[EngineGateway]:
        host = host_named(host_name) if host_name else operation.host
        if host.name in away:
            raise EngineUnavailable(f"The Engine of {host.name} did not answer a moment ago.")
        brief = replace(limits(conf), call_seconds=_CLEAN_UP_SECONDS)
        try:
            with open_gateway(endpoint_of(host), brief, receipt_of(operation)) as opened:
                yield opened
        except EngineUnavailable:
            away.add(host.name)
            raise

    before = operation.undo
    pending = replay(before, open_gateway=gateway, store=store_of(conf))
    if pending != before:
        Operation.objects.filter(pk=operation.pk, state__in=Operation.TERMINAL_STATES).update(undo=pending)
    return not pending


def _without_outcome() -> list[Operation]:
    old = timezone.now() - timedelta(seconds=_LATE_SECONDS)
    return _rows(Q(state__in=Operation.TERMINAL_STATES, outcome_index=None, finished_at__lt=old))


def _late_outcome(operation: Operation) -> bool:
    return record_outcome(operation, late=True) >= 0


def _close_orphan_intents() -> int:
    """An intent whose row was never stored is closed as unknown: nothing ran under it."""
    closed = 0
    try:
        for orphan in ledger.open_intents(_ORPHAN_AGE, younger_than=_ORPHAN_LIMIT):
            if not Operation.objects.filter(pk=orphan.receipt.operation_id).exists():
                _close(orphan)
                closed += 1
    except (MycoError, DatabaseError) as error:
        logger.warning("orphan intents not closed yet: %s", type(error).__name__)
    return closed


def _close(orphan: ledger.OpenIntent) -> None:
    ledger.outcome(
        action=orphan.action,
        actor=ledger.Actor(type="system", label="reconciler", on_behalf_of=orphan.asker),
        source=ledger.Source(channel="scheduler"),
        subject=orphan.subject,
        operation_id=orphan.receipt.operation_id,
        outcome="unknown",
        error_code="NOT_STARTED",
        error_message="the operation was never stored",
        late=True,
    )


def _sweep_exports(conf: Conf) -> int:
    try:
        return sweep_exports(conf)
    except (OSError, MycoError) as error:
        logger.warning("exports not swept yet: %s", type(error).__name__)
        return 0


def _sweep_storage(conf: Conf) -> int:
    """Remove temporary files of operations that are over, and of none that lives."""
    store, swept = store_of(conf), 0
    try:
        for leftover in store.sweep_candidates():
            living = Operation.objects.filter(pk=leftover.operation_id).exclude(state__in=Operation.TERMINAL_STATES)
            if not living.exists():
                store.sweep(leftover)
                swept += 1
    except (MycoError, DatabaseError) as error:
        logger.warning("storage not swept yet: %s", type(error).__name__)
    return swept
