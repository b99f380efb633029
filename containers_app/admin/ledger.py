"""The audit ledger: for reading, for everybody, superusers included."""

from __future__ import annotations

import json
from typing import Any, ClassVar, get_args

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers_app.admin.base import ReadOnlyAdmin, moment, text_of
from containers_app.admin.filters import known, over
from containers_app.admin.keyset import KeysetChangeList
from containers_app.admin.ledger_exports import PERMISSION, export_urls
from containers_app.admin.ledger_keeping import keeping_urls
from containers_app.audit.inspection import disclosed_all
from containers_app.audit.published import status
from containers_app.audit.record import ActorType, Channel, Outcome, Phase
from containers_app.operations.ledger_keeping import ERASE
from containers_app.operations.visibility import LEDGER_READERS, SYSTEM
from containers_app.templatetags.console import badge, foreign

REQUEST = text_of("request_id", "Request")


@admin.register(apps.get_model("audit", "Entry"))
class EntryAdmin(ReadOnlyAdmin):
    """All entries that the user may see, newest first."""

    page_title = "Audit ledger"
    page_template = "myco/entry.html"
    noun = "entry"
    change_list_template = "myco/ledger.html"
    list_display: Any = ("number", "when", "actor_type", "action", "what", "result", "channel", REQUEST)
    list_filter: ClassVar[Any] = (
        known("phase", get_args(Phase)),
        known("outcome", get_args(Outcome)),
        known("channel", get_args(Channel)),
        known("actor_type", get_args(ActorType)),
        over("time"),
    )
    search_fields = ("action", "object_name", "object_id", "operation_id", "request_id", "ticket")
    sortable_by: ClassVar[Any] = ()

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[KeysetChangeList]:
        """Pages by place: counting a million rows is slow, and so is skipping them."""
        return KeysetChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under how the ledger stands."""
        may = request.user.has_perm
        more = {
            "standing": status(),
            "may_export": may(PERMISSION),
            "may_erase": may(ERASE),
            "may_see_holds": may(SYSTEM),
        }
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """The exports, the holds and the erasure, before Django's own."""
        return [*export_urls(), *keeping_urls(), *super().get_urls()]

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
        """Outcome, or that it is an intent, or that only its hash is left."""
        return badge("pruned" if row.is_pruned else row.outcome or "intent")
