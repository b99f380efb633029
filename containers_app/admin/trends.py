"""The trend of one container's backups as pages show it: three charts, each with its figures in words, and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import localtime

from containers_app.admin.base import asker_of
from containers_app.models import Container
from containers_app.operations.trends import trend_of
from containers_app.operations.visibility import visible_to
from containers_app.specs.sparkline import Reading
from containers_app.specs.trend import TrendPoint, spread
from containers_app.templatetags.console import signed_size, size, visible


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One row of figures; `label` tells all of it to who cannot see it, `begin` and `end` stand below the line."""

    title: str
    readings: Sequence[Reading]
    label: str
    begin: str
    end: str


def trend_context(request: HttpRequest, container: Container) -> dict[str, Any]:
    """What `myco/_trends.html` needs; nothing for who may not see backups."""
    if not request.user.has_perm("containers_app.view_backup"):
        return {}
    points = trend_of(asker_of(request), container)
    return {"trend": tuple(reversed(points)), "charts": charts(points)}


def charts(points: Sequence[TrendPoint]) -> tuple[Chart, ...]:
    """Stored size, rate and change; none without a backup."""
    if not points:
        return ()
    return (
        _chart("Stored size", points, [point.sizes.stored_bytes for point in points], size),
        _chart("Rate", points, [point.sizes.bytes_per_second for point in points], lambda value: f"{size(value)}/s"),
        _chart("Change to the set before", points, [point.change_bytes for point in points], signed_size),
    )


def _chart(
    title: str, points: Sequence[TrendPoint], values: Sequence[float | None], words: Callable[[int], str]
) -> Chart:
    of, bad = spread(values), sum(1 for point in points if not point.sizes.usable)
    sets = "1 backup" if len(points) == 1 else f"the last {len(points)} backups"
    figures = "not known"
    if of is not None:
        first, last, lowest, highest = (words(round(one)) for one in (of.first, of.last, of.lowest, of.highest))
        figures = f"{first} at first, {last} at last, lowest {lowest}, highest {highest}"
    unusable = f" {bad} of them cannot be used any more." if bad else ""
    shown = ["not known" if value is None else words(round(value)) for value in (values[0], values[-1])]
    return Chart(
        title=title,
        readings=[
            Reading(value=value, bad=not point.sizes.usable) for point, value in zip(points, values, strict=True)
        ],
        label=f"{title} of {sets}: {figures}.{unusable}",
        begin=f"{_day(points[0])}, {shown[0]}",
        end=f"{_day(points[-1])}, {shown[1]}",
    )


def _day(point: TrendPoint) -> str:
    return f"{localtime(point.sizes.created_at):%Y-%m-%d}"


class OfContainer(SimpleListFilter):
    """Backups of one container, by the number of its record: pages of containers lead here."""

    title = parameter_name = "container"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one that is chosen: a list of all would be endless."""
        chosen = chosen_container(request)
        return [(str(chosen.pk), visible(chosen.name))] if chosen else []

    def has_output(self) -> bool:
        """Only where one is chosen, be it there or not: a wrong number must not look like no filter."""
        return self.value() is not None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows."""
        chosen = chosen_container(request)
        if chosen is not None:
            return queryset.filter(container=chosen)
        return queryset if self.value() is None else queryset.none()


def chosen_container(request: HttpRequest) -> Container | None:
    """The container that the address of a list of backups names, if the asker may see it."""
    given = request.GET.get("container", "")
    if not (given.isascii() and given.isdigit() and len(given) < 18):
        return None
    found: Container | None = visible_to(asker_of(request), "container").filter(pk=int(given)).first()
    return found
