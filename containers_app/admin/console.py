"""The console's site: what every page knows, the side bar, and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from containers_app import VERSION
from containers_app.admin.base import author_of
from containers_app.admin.coverage import CoverageView
from containers_app.admin.stack_backup import StackBackUpView
from containers_app.admin.stack_clone import StackCloneView
from containers_app.admin.stacks import StackListView, StackView
from containers_app.conf import load
from containers_app.models import State
from containers_app.operations.accounts import recording_password
from containers_app.operations.authority import Asker
from containers_app.operations.coverage import coverage_of
from containers_app.operations.visibility import LEDGER_READERS, visible_to

_LINKS = (
    ("Workloads", ("containers_app.view_container",), "containers_app_container_changelist", "box", "Containers"),
    ("Workloads", ("containers_app.view_container",), "stacks", "layers", "Stacks"),
    ("Protection", ("containers_app.view_backup",), "containers_app_backup_changelist", "archive", "Backups"),
    ("Protection", ("containers_app.view_backup",), "coverage", "shield-ok", "Coverage"),
    ("Protection", ("containers_app.view_operation",), "containers_app_operation_changelist", "pulse", "Operations"),
    ("Infrastructure", ("containers_app.view_dockerhost",), "containers_app_dockerhost_changelist", "server", "Hosts"),
    ("Trust", LEDGER_READERS, "audit_entry_changelist", "book", "Audit ledger"),
    ("Trust", ("containers_app.view_apikey",), "containers_app_apikey_changelist", "key", "API keys"),
    ("Trust", ("auth.view_user",), "auth_user_changelist", "user", "Users"),
)


# The frame of every page says how many operations run, up to so many: it counts no table.
_MOST_RUNNING = 1_000
_STACK = "stacks/<str:host>/<str:project>/"


class ConsoleSite(admin.AdminSite):
    """Django's admin site with our frame."""

    # Of Django's own pages, by their names.
    verbs: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "login": ("auth.login", "auth.login_failed"),
        "logout": ("auth.logout",),
        "password_change": ("access.password_changed",),
        **dict.fromkeys(("index", "app_index", "catch_all_view", "autocomplete_view", "i18n_javascript"), ()),
        **dict.fromkeys(("password_change_done", "shortcut"), ()),
    }
    site_header = site_title = "MycoDocker"
    index_title = "Dashboard"
    index_template = "myco/dashboard.html"

    def get_urls(self) -> list[Any]:
        """The pages that are of no model, before Django's own."""
        own = [
            path("coverage/", self.admin_view(CoverageView.as_view()), name="coverage"),
            path("stacks/", self.admin_view(StackListView.as_view()), name="stacks"),
            path(f"{_STACK}clone/", self.admin_view(StackCloneView.as_view()), name="stack_clone"),
            path(f"{_STACK}back-up/", self.admin_view(StackBackUpView.as_view()), name="stack_back_up"),
            path(_STACK, self.admin_view(StackView.as_view()), name="stack"),
        ]
        return [*own, *super().get_urls()]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the frame of every page needs."""
        may_see = request.user.has_perm("containers_app.view_operation")
        running = visible_to(Asker(user=request.user), "operation").filter(state=State.RUNNING)
        return {
            **super().each_context(request),
            "product_version": VERSION,
            "environment_name": load().environment_name,
            "running_operations": len(running.values_list("pk", flat=True)[:_MOST_RUNNING]) if may_see else 0,
            "navigation": _navigation(request),
        }

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """One's own; the ledger is told."""
        with recording_password(str(request.user.pk), author_of(request)):
            return super().password_change(request, extra_context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The dashboard."""
        return super().index(request, {**_dashboard(request), **(extra_context or {})})


def _navigation(request: HttpRequest) -> list[tuple[str, list[dict[str, str]]]]:
    """The side bar: only what the user may open."""
    heads: dict[str, list[dict[str, str]]] = {}
    for head, permissions, name, icon, words in _LINKS:
        if any(request.user.has_perm(one) for one in permissions):
            link = {"address": reverse(f"admin:{name}"), "icon": icon, "name": words}
            heads.setdefault(head, []).append(link)
    return list(heads.items())


def _dashboard(request: HttpRequest) -> dict[str, Any]:
    if not request.user.has_perm("containers_app.view_operation"):
        return {}
    asker = Asker(user=request.user)
    present, operations = visible_to(asker, "container").filter(removed_at=None), visible_to(asker, "operation")
    day = timezone.now() - timedelta(days=1)
    bad = operations.filter(state__in=(State.FAILED, State.ERRORED, State.INTERRUPTED), finished_at__gte=day)
    return {
        "containers_present": present.count(),
        "coverage": coverage_of(asker).totals,
        "containers_unprotected": present.filter(protected=False).count(),
        "operations_running": operations.filter(state__in=(State.QUEUED, State.RUNNING))[:10],
        "failures": bad[:5],
        "failures_count": bad.count(),
        "hosts": visible_to(asker, "host"),
    }
