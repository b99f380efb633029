"""What is not protected: every container that the asker may see beside its newest usable backup."""

from __future__ import annotations

from dataclasses import replace

from containers_app.errors import InvalidRequest
from containers_app.models import Container
from containers_app.models.coverage import Coverage, Covered, Totals, coverage, covered, place_of
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import visible_to
from containers_app.specs.coverage import STATES

__all__ = ["Coverage", "Covered", "Totals", "coverage_of", "page_of"]


def coverage_of(asker: Asker, *, host: str | None = None, stack: str | None = None) -> Coverage:
    """Of all containers that the Engines still have; none for who may not see backups, whose lack would be no news."""
    if not asker.may("containers_app.view_backup", "read"):
        return coverage(())
    containers = visible_to(asker, "container")
    for column, value in (("host__name", host), ("stack", stack)):
        containers = containers if value is None else containers.filter(**{column: value})
    return covered(containers, visible_to(asker, "backup"))


def page_of(coverage: Coverage, *, state: str | None, after: int | None, limit: int) -> Coverage:
    """One page of the containers in this state, behind the one with the number `after`; the totals stay.

    Raises InvalidRequest for a state that there is not.
    """
    if state is not None and state not in STATES:
        raise InvalidRequest(f"'state' must be one of: {', '.join(STATES)}", field="state")
    rows = [row for row in coverage.rows if state in (None, row.judgement.state)]
    if after is not None:
        place = _place(after)
        rows = [row for row in rows if place_of(row.container) > place]
    page = tuple(rows[:limit])
    return replace(coverage, rows=page, more_after=page[-1].container.pk if len(rows) > limit else None)


def _place(after: int) -> tuple[str, str, str, int]:
    """Where a page ended. A record stays when its container is gone, so that the next page still begins behind it."""
    row = Container.objects.select_related("host").filter(pk=after).first()
    if row is None:
        raise InvalidRequest("'after' must come from 'next' of an answer", field="after")
    return place_of(row)
