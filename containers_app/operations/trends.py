"""The trend of one container's backups, read in one bounded query however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from containers_app.models import Backup, BackupPart, Container
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import visible_to, why_not
from containers_app.specs import fields
from containers_app.specs.trend import SetSizes, TrendPoint, trend

DEFAULT_LAST, MOST_LAST = 30, 200
# An index is made, and a document or an image is not read out of the container.
_CONTENT = ("rootfs", "volume", "bind")


def trend_of(asker: Asker, container: Container, *, last: int = DEFAULT_LAST) -> tuple[TrendPoint, ...]:
    """The last so many backups of the container, the oldest first, deleted and damaged ones too.

    Raises the error of `visibility` for who may not see backups: none must not look like none.
    """
    if not asker.may("containers_app.view_backup", "read"):
        raise why_not(asker, "backup")
    rows = visible_to(asker, "backup").filter(container=container).order_by("-created_at", "-pk")
    return trend((_sizes(row) for row in _figures(rows)[: last + 1]), last=last)


def read_last(query: Mapping[str, str]) -> int:
    """How many are asked for. Raises InvalidRequest."""
    return fields.number(query, "last", default=DEFAULT_LAST, highest=MOST_LAST)


def _figures(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Alone what is drawn: without the relations that lists show."""
    parts = BackupPart.objects.filter(backup=OuterRef("pk"), kind__in=_CONTENT).order_by()
    content = parts.values("backup").annotate(total=Sum("size_bytes")).values("total")
    bare = rows.select_related(None).prefetch_related(None)
    drawn = bare.only("created_at", "state", "stored_bytes", "duration_seconds")
    found: QuerySet[Any] = drawn.annotate(content=Subquery(content))
    return found


def _sizes(row: Any) -> SetSizes:
    backup: Backup = row
    return SetSizes(
        backup=str(backup.pk),
        created_at=backup.created_at,
        state=backup.state,
        usable=backup.is_usable,
        stored_bytes=backup.stored_bytes,
        content_bytes=row.content or 0,
        duration_seconds=backup.duration_seconds,
    )
