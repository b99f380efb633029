"""Filters that list pages share: they stay in the address, and none of them reads a whole table for its choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from containers_app.admin.base import asker_of
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import visible

ENDS = ("since", "until")
DAY = timedelta(days=1)
# A preset's word in the address: what the page calls it, and how many days it reaches back; 0 is since midnight.
PRESETS: Mapping[str, tuple[str, int]] = {"today": ("Today", 0), "7d": ("7 days", 7), "30d": ("30 days", 30)}


class KnownFilter(admin.SimpleListFilter):
    """One column by a fixed list of values."""

    values: ClassVar[tuple[str, ...]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The values as they are."""
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows; a value that is not in the list chooses none."""
        return queryset if self.value() is None else queryset.filter(**{self.parameter_name or "": self.value()})


def known(column: str, values: Iterable[str]) -> type[KnownFilter]:
    """A filter of this column. Django's own would read every row of the table for its choices."""
    options = {"title": column.replace("_", " "), "parameter_name": column, "values": tuple(values)}
    return type("ColumnFilter", (KnownFilter,), options)


class StackFilter(admin.SimpleListFilter):
    """Containers by compose stack."""

    title = parameter_name = "stack"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The stacks of the containers that are there, and those without one."""
        names = visible_to(asker_of(request), "container").filter(removed_at=None).exclude(stack="").order_by("stack")
        stacks = names.values_list("stack", flat=True).distinct()
        return [*((name, visible(name)) for name in stacks), ("", "Standalone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows."""
        return queryset if self.value() is None else queryset.filter(stack=self.value())


class TimeFilter(admin.ListFilter):
    """A range of time: `since` is a preset's word or a day, `until` a day, which is still inside."""

    title = "time"
    template = "myco/time_filter.html"
    column: ClassVar[str] = ""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = {name: params.pop(name)[-1] for name in ENDS if name in params}
        self.given = {name: text for name, text in given.items() if text}
        self.others: list[tuple[str, str]] = []

    def expected_parameters(self) -> list[str | None]:
        """Both ends."""
        return list(ENDS)

    def has_output(self) -> bool:
        """Always."""
        return True

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """The presets; the form beside them keeps the other filters."""
        self.others = [pair for pair in changelist.params.items() if pair[0] not in ENDS]
        chosen = self.given.get("since") if "until" not in self.given else None
        for word, (display, _) in PRESETS.items():
            address = changelist.get_query_string({"since": word}, ["until"])
            yield {"display": display, "selected": word == chosen, "query_string": address}

    @property
    def days(self) -> dict[str, str]:
        """What the two fields of the form hold: days only, a preset is none."""
        return {name: text for name, text in self.given.items() if text not in PRESETS}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows; none, and a message, when an end is no day: a wrong range must not look like a right one."""
        bounds: dict[str, datetime] = {}
        for name, text in self.given.items():
            try:
                bounds |= self._bound(name, text)
            except (ValueError, OverflowError):
                messages.error(request, f"'{name}' must be a day like {timezone.now():%Y-%m-%d}; nothing is shown.")
                return queryset.none()
        return queryset.filter(**bounds)

    def _bound(self, name: str, text: str) -> dict[str, datetime]:
        if name == "until":
            return {f"{self.column}__lt": _midnight(date.fromisoformat(text) + DAY)}
        return {f"{self.column}__gte": _start(text)}


def over(column: str) -> type[TimeFilter]:
    """The time filter of this column."""
    return type("ColumnTimeFilter", (TimeFilter,), {"column": column})


def _start(text: str) -> datetime:
    if text not in PRESETS:
        return _midnight(date.fromisoformat(text))
    days = PRESETS[text][1]
    return timezone.now() - days * DAY if days else _midnight(timezone.now().date())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
