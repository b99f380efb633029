"""The audit ledger: for reading, for everybody, superusers included."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from containers_app.admin.base import ReadOnlyAdmin, refused
from containers_app.admin.ledger_entry import EntryProofFileView, EntryProofView, ReviewView, entry_context
from containers_app.admin.ledger_exports import export_urls
from containers_app.admin.ledger_keeping import keeping_urls
from containers_app.admin.ledger_list import LedgerListView, TimelineView
from containers_app.admin.ledger_verification import verification_urls
from containers_app.admin.ledger_views import ViewChangePage, ViewsPage
from containers_app.operations.visibility import LEDGER_READERS


@admin.register(apps.get_model("audit", "Entry"))
class EntryAdmin(ReadOnlyAdmin):
    """All entries that the user may see, newest first."""

    page_title = "Audit ledger"
    page_template = "myco/entry.html"
    noun = "entry"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Our own list: Django's counts, and filters by what no index has."""
        if request.method not in ("GET", "HEAD"):
            raise refused(request, "this page is for reading")
        return LedgerListView().get(request)

    def get_urls(self) -> list[URLPattern]:
        """The pages besides the list and those of the entries, before Django's own."""
        guard = self.admin_site.admin_view
        own = [
            path("timeline/", guard(TimelineView.as_view()), name="audit_entry_timeline"),
            path("views/", guard(ViewsPage.as_view()), name="audit_entry_views"),
            path("views/<int:pk>/", guard(ViewChangePage.as_view()), name="audit_entry_view"),
            path("<int:pk>/proof/", guard(EntryProofView.as_view()), name="audit_entry_proof"),
            path("<int:pk>/proof/file/", guard(EntryProofFileView.as_view()), name="audit_entry_proof_file"),
            path("<int:pk>/review/", guard(ReviewView.as_view()), name="audit_entry_review"),
        ]
        return [*own, *export_urls(), *keeping_urls(), *verification_urls(), *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Auditors and administrators; operators, for what they did themselves."""
        return any(request.user.has_perm(one) for one in LEDGER_READERS)

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the payload says, with the values that are still disclosed."""
        return entry_context(request, row)
