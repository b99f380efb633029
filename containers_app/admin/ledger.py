"""The audit ledger: for reading, for everybody, superusers included."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Max
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers_app.admin.base import ReadOnlyAdmin, moment
from containers_app.audit.inspection import disclosed_all
from containers_app.operations.visibility import LEDGER_READERS
from containers_app.templatetags.console import badge, foreign


class GaplessPaginator(Paginator):  # type: ignore[type-arg] # no parameter at run time
    """Counts by the highest id: rows are never deleted, and counting a million of them is slow."""

    @cached_property
    def count(self) -> int:
        """The number of rows; counted only when a filter is on."""
        rows: Any = self.object_list
        if rows.query.where:
            return int(rows.count())
        return int(rows.order_by().aggregate(highest=Max("id"))["highest"] or 0)


@admin.register(apps.get_model("audit", "Entry"))
class EntryAdmin(ReadOnlyAdmin):
    """All entries that the user may see, newest first."""

    page_title = "Audit ledger"
    page_template = "myco/entry.html"
    noun = "entry"
    paginator = GaplessPaginator
    list_display = ("number", "when", "actor_type", "action", "what", "result", "channel", "request_id")
    list_filter = ("phase", "outcome", "channel", "actor_type")
    search_fields = ("action", "object_name", "object_id", "operation_id", "request_id", "ticket")
    sortable_by: ClassVar[Any] = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Auditors and administrators; operators, for what they did themselves."""
        return any(request.user.has_perm(one) for one in LEDGER_READERS)

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The stored text, and the values that are still disclosed."""
        (shown,) = disclosed_all([row])
        return {"title": f"Entry {row.leaf_index:,}", "shown": json.dumps(shown, indent=2, ensure_ascii=False)}

    @admin.display(description="Entry")
    def number(self, row: Any) -> SafeString:
        """The leaf index."""
        address = reverse("admin:audit_entry_change", args=[row.pk])
        return format_html('<a class="strong" href="{}">{}</a>', address, f"{row.leaf_index:,}")

    @admin.display(description="Time (UTC)")
    def when(self, row: Any) -> SafeString:
        """When it was recorded."""
        return moment(row.time)

    @admin.display(description="Object")
    def what(self, row: Any) -> SafeString:
        """Name, kind and host."""
        line = format_html('<span class="sub-line">{} {}</span>', row.object_type, row.host)
        return format_html("{}{}", foreign(row.object_name or "none"), line)

    @admin.display(description="Outcome")
    def result(self, row: Any) -> SafeString:
        """Outcome, or that it is an intent."""
        return badge(row.outcome or "intent")
