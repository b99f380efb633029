"""What is not protected: every container that the asker may see beside its newest usable backup, in a few queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.models import Backup, BackupPart, Container
from containers_app.models.backups import USABLE_STATES, BackupState
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import visible_to
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


def coverage_of(asker: Asker, *, host: str | None = None, stack: str | None = None) -> Coverage:
    """Of all containers that the Engines still have; none for who may not see backups, whose lack would be no news."""
    if not asker.may("containers_app.view_backup", "read"):
        return _coverage(())
    containers = _containers(asker)
    for column, value in (("host__name", host), ("stack", stack)):
        containers = containers if value is None else containers.filter(**{column: value})
    newest = Backup.objects.filter(pk__in=containers.values("newest_backup"))
    parts = _parts_of(newest)
    sets = {row.pk: _set(row, parts) for row in newest.select_related("operation").order_by()}
    damaged = _damaged(asker, containers)
    before = stale_before(timezone.now(), days=load().stale_days)

    def covered(row: Any) -> Covered:
        found = sets.get(row.newest_backup)
        judged = judge(row.mounts, row.labels, found, had_backups=row.had_backups, stale_before=before)
        return Covered(container=row, judgement=judged, newest=found, damaged=damaged.get(row.pk, 0))

    return _coverage(tuple(covered(row) for row in containers))


def page_of(coverage: Coverage, *, state: str | None, after: int | None, limit: int) -> Coverage:
    """One page of the containers in this state, behind the one with the number `after`; the totals stay.

    Raises InvalidRequest for a state that there is not.
    """
    if state is not None and state not in STATES:
        raise InvalidRequest(f"'state' must be one of: {', '.join(STATES)}", field="state")
    rows = [row for row in coverage.rows if state in (None, row.judgement.state)]
    if after is not None:
        place = _place(after)
        rows = [row for row in rows if _order(row.container) > place]
    page = tuple(rows[:limit])
    return replace(coverage, rows=page, more_after=page[-1].container.pk if len(rows) > limit else None)


def _containers(asker: Asker) -> QuerySet[Any]:
    backups = Backup.objects.filter(container=OuterRef("pk"))
    usable = backups.filter(state__in=USABLE_STATES).order_by("-created_at", "-pk")
    rows = visible_to(asker, "container").filter(removed_at=None)
    found: QuerySet[Any] = rows.annotate(newest_backup=Subquery(usable.values("pk")[:1]), had_backups=Exists(backups))
    return found.defer("ports", "networks", "environment_names").order_by()


def _order(row: Container) -> tuple[str, str, str, int]:
    return row.host.name, row.stack, row.name, row.pk


def _place(after: int) -> tuple[str, str, str, int]:
    """Where a page ended. A record stays when its container is gone, so that the next page still begins behind it."""
    row = Container.objects.select_related("host").filter(pk=after).first()
    if row is None:
        raise InvalidRequest("'after' must come from 'next' of an answer", field="after")
    return _order(row)


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


def _damaged(asker: Asker, containers: QuerySet[Any]) -> dict[int, int]:
    rows = visible_to(asker, "backup").filter(container__in=containers.order_by().values("pk"), state__in=_DAMAGED)
    counted = rows.order_by().values("container").annotate(number=Count("pk"))
    return dict(counted.values_list("container", "number"))


def _coverage(rows: tuple[Covered, ...]) -> Coverage:
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
    return Coverage(rows=tuple(sorted(rows, key=lambda row: _order(row.container))), totals=totals)
