"""Scheduled verification: every set is read back within a day of its making and then at least monthly, in a budget."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from containers_app.audit.ledger import Source
from containers_app.conf import load
from containers_app.models import Backup, DockerHost, Operation
from containers_app.models.backups import USABLE_STATES
from containers_app.models.operations import ACTIVE_STATES
from containers_app.operations.authority import Asker
from containers_app.operations.kinds import VERIFY
from containers_app.operations.submit import Request, submit
from containers_app.workflows.verify import VerifyParams

VERIFIER = Asker(user=AnonymousUser(), system="verifier")
DAY = timedelta(days=1)
# With room until the day and the month are over; the writer has read a new set back already.
FIRST_AFTER, AGAIN_AFTER = timedelta(hours=12), timedelta(days=25)


def schedule_verifications() -> int:
    """Ask for the verification of what is due: one set at a time for each host, the oldest first.

    Returns how many were asked for. What was read in the last 24 hours counts against the budget, which the last set
    may exceed. A set is tried once in 24 hours, so that one which cannot be read does not keep the others.
    """
    now = timezone.now()
    today = Operation.objects.filter(principal=VERIFIER.principal, kind=VERIFY.name, created_at__gt=now - DAY)
    read_bytes = today.aggregate(total=Sum("bytes_done"))["total"] or 0
    if read_bytes >= load().verify_bytes_per_day:
        return 0
    return sum(_ask(row, now) for row in _next(today, now))


def _next(today: QuerySet[Operation], now: datetime) -> Iterator[Backup]:
    tried = [params.get("backup") for params in today.values_list("params", flat=True)]
    busy = Operation.objects.filter(principal=VERIFIER.principal, state__in=ACTIVE_STATES).values("host")
    for host in DockerHost.objects.exclude(pk__in=busy):
        row = _due(now).filter(host=host).exclude(pk__in=tried).first()
        if row is not None:
            yield row


def _due(now: datetime) -> QuerySet[Backup]:
    never = Q(verified_at=None, created_at__lt=now - FIRST_AFTER)
    rows = Backup.objects.select_related("host").filter(never | Q(verified_at__lt=now - AGAIN_AFTER))
    return rows.filter(state__in=USABLE_STATES).order_by(Coalesce("verified_at", "created_at"), "pk")


def _ask(row: Backup, now: datetime) -> bool:
    """Whether it was asked for now. Two schedulers at one moment have one idempotency key, and so one operation."""
    wish = Request(
        kind=VERIFY,
        params=VerifyParams(backup=str(row.pk), name=row.file_name),
        host=row.host,
        asker=VERIFIER,
        source=Source(channel="scheduler"),
        idempotency_key=f"verify {row.pk} {now:%Y-%m-%d}",
        request_digest=f"verify {row.pk}",
    )
    return not submit(wish).replayed
