"""Pages of a list that only grows: each begins below the last id of the one before; nothing is counted or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

BEFORE = "before"


class KeysetChangeList(ChangeList):
    """Newest first. A page knows whether there are older rows, not how many."""

    if TYPE_CHECKING:
        older: str
        newest: str

    def get_filters_params(self, params: Any = None) -> Any:
        """Without the place in the list, which is no filter."""
        given = super().get_filters_params(params)
        return {name: value for name, value in given.items() if name != BEFORE}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """A changed filter begins at the newest row again."""
        return super().get_query_string(new_params, [*(remove or ()), BEFORE])

    def get_results(self, request: HttpRequest) -> None:
        """One row more than the page shows says whether there is an older one."""
        self.params.pop(BEFORE, None)
        given = request.GET.get(BEFORE)
        rows = self.queryset if given is None else self.queryset.filter(pk__lt=_place(given))
        found = list(rows[: self.list_per_page + 1])
        page = found[: self.list_per_page]
        self.result_list = page
        self.result_count = self.full_result_count = len(page)
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.older = self.get_query_string({BEFORE: page[-1].pk}) if len(found) > len(page) else ""
        self.newest = self.get_query_string() if given is not None else ""


def _place(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise IncorrectLookupParameters(f"'{BEFORE}' must be the id of an entry")
    return int(text)
