"""What is not protected: containers beside their newest usable backup, in a few queries however many there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from containers_app.conf import load
from containers_app.models.backups import USABLE_STATES, Backup, BackupPart, BackupState
from containers_app.models.containers import Container
from containers_app.specs.coverage import EXCLUDED, PROTECTED, STATES, Judgement, NewestSet, judge, stale_before

_DAMAGED = (BackupState.MISSING, BackupState.CORRUPT)
_Parts = Mapping[UUID, Sequence[tuple[str, str, str]]]


@dataclass(frozen=True, kw_only=True)
class Covered:
    """One container. `damaged`: how many of its backups are missing or corrupt."""

    container: Container
    judgement: Judgement
    newest: NewestSet | None
    damaged: int


@dataclass(frozen=True, kw_only=True)
class Totals:
    """How many containers there are, and how many of them are so; `counted` leaves the excluded ones out."""

    containers: int
    counted: int
    states: Mapping[str, int]
    verified: int
    proven: int
    encrypted: int

    def share(self, number: int) -> float | None:
        """As a share of those that are counted; None where there are none."""
        return round(number / self.counted, 4) if self.counted else None

    @property
    def protected_percent(self) -> int | None:
        """Rounded down: a hundred is all of them."""
        return self.states[PROTECTED] * 100 // self.counted if self.counted else None


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The containers by host, stack and name, and their totals, which no state and no page narrows."""

    rows: tuple[Covered, ...]
    totals: Totals
    more_after: int | None = None


def covered(containers: QuerySet[Any], backups: QuerySet[Backup]) -> Coverage:
    """Of those containers that the Engines still have; `backups` are those that are counted as damaged."""
    rows = _with_newest(containers.filter(removed_at=None))
    newest = Backup.objects.filter(pk__in=rows.values("newest_backup"))
    parts = _parts_of(newest)
    sets = {row.pk: _set(row, parts) for row in newest.select_related("operation").order_by()}
    damaged = _damaged(rows, backups)
    before = stale_before(timezone.now(), days=load().stale_days)

    def one(row: Any) -> Covered:
        found = sets.get(row.newest_backup)
        judged = judge(row.mounts, row.labels, found, had_backups=row.had_backups, stale_before=before)
        return Covered(container=row, judgement=judged, newest=found, damaged=damaged.get(row.pk, 0))

    return coverage(tuple(one(row) for row in rows))


def place_of(row: Container) -> tuple[str, str, str, int]:
    """Where a container stands in the list."""
    return row.host.name, row.stack, row.name, row.pk


def _with_newest(containers: QuerySet[Any]) -> QuerySet[Any]:
    backups = Backup.objects.filter(container=OuterRef("pk"))
    usable = backups.filter(state__in=USABLE_STATES).order_by("-created_at", "-pk")
    found: QuerySet[Any] = containers.annotate(
        newest_backup=Subquery(usable.values("pk")[:1]), had_backups=Exists(backups)
    )
    return found.defer("ports", "networks", "environment_names").order_by()


def _parts_of(newest: QuerySet[Backup]) -> _Parts:
    found: dict[UUID, list[tuple[str, str, str]]] = defaultdict(list)
    rows = BackupPart.objects.filter(backup__in=newest.order_by().values("pk")).order_by()
    for backup, kind, name, encryption in rows.values_list("backup", "kind", "name", "encryption"):
        found[backup].append((kind, name, encryption))
    return found


def _set(row: Backup, parts: _Parts) -> NewestSet:
    own, asked = parts.get(row.pk, ()), row.operation.params
    # What was asked for when it was made, its manifest alone knows.
    chosen = None if row.operation.kind == "adopt" else bool(asked.get("include") or asked.get("exclude"))
    return NewestSet(
        backup=str(row.pk),
        created_at=row.created_at,
        whole=row.state == BackupState.COMPLETE,
        parts=frozenset((kind, name) for kind, name, _ in own),
        encrypted=bool(own) and all(encryption for _, _, encryption in own),
        chosen=chosen,
        verified_at=row.verified_at,
        proven_at=row.proven_at,
    )


def _damaged(containers: QuerySet[Any], backups: QuerySet[Backup]) -> dict[int, int]:
    rows = backups.filter(container__in=containers.order_by().values("pk"), state__in=_DAMAGED)
    counted = rows.order_by().values("container").annotate(number=Count("pk"))
    return dict(counted.values_list("container", "number"))


def coverage(rows: tuple[Covered, ...]) -> Coverage:
    """These containers in their order, with their totals."""
    counted = [row for row in rows if row.judgement.state != EXCLUDED]
    states = Counter(row.judgement.state for row in rows)

    def number(fits: Callable[[NewestSet], Any]) -> int:
        return sum(1 for row in counted if row.newest is not None and fits(row.newest))

    totals = Totals(
        containers=len(rows),
        counted=len(counted),
        states={state: states[state] for state in STATES},
        verified=number(lambda found: found.verified_at),
        proven=number(lambda found: found.proven_at),
        encrypted=number(lambda found: found.encrypted),
    )
    return Coverage(rows=tuple(sorted(rows, key=lambda row: place_of(row.container))), totals=totals)
