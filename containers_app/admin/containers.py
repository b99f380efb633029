"""Containers: the inventory, and the acts on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet, Value
from django.db.models.functions import NullIf
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from containers_app.admin.acts import act_address, to_form
from containers_app.admin.backup_form import BackUpView
from containers_app.admin.base import ReadOnlyAdmin, asker_of, moment, state_badge
from containers_app.admin.clone_view import CloneView
from containers_app.admin.filters import StackFilter
from containers_app.admin.lifecycle import LifecycleActions, buttons
from containers_app.admin.ports import published_ports
from containers_app.admin.stacks import stack_address
from containers_app.admin.trends import trend_context
from containers_app.audit.verbs import records
from containers_app.models import Container
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import badge, foreign, hexid, icon, visible

CHOOSE_ALL = format_html('<input type="checkbox" id="action-toggle" aria-label="{}" hx-preserve>', "Choose all")
STANDALONE = format_html('<a class="strong" href="{}">{}</a>', "?stack=", "Standalone")


class ProtectionFilter(admin.SimpleListFilter):
    """Has it a complete backup?"""

    title = "backup"
    parameter_name = "unprotected"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("1", "Unprotected"), ("0", "Backed up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows."""
        return queryset.filter(protected=self.value() == "0") if self.value() in ("0", "1") else queryset


class PresenceFilter(admin.SimpleListFilter):
    """Does the Engine still have it? Yes, unless asked."""

    title = "on the Engine"
    parameter_name = "removed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices besides the usual one."""
        return [("1", "Removed"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The chosen rows."""
        if self.value() == "all":
            return queryset
        return queryset.filter(removed_at__isnull=self.value() != "1")


@admin.register(Container)
class ContainerAdmin(LifecycleActions, ReadOnlyAdmin):
    """The inventory."""

    page_title = "Containers"
    page_template = "myco/container.html"
    noun = "container"
    change_list_template = "myco/containers.html"
    list_display = ("container", "status", "image_tag", "published", "host", "last_backup", "quick")
    list_filter = ("state", "host", StackFilter, ProtectionFilter, PresenceFilter)
    # By stack, those without one last; the names are the order within.
    ordering = (NullIf("stack", Value("")).asc(nulls_last=True), "host", "name")
    search_fields = ("name", "image", "stack", "engine_id")
    sortable_by: ClassVar[Any] = ()
    actions = ("clone_selected", "back_up_selected", *LifecycleActions.actions)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the links to the forms for who may open none of them."""
        may_act = self.has_clone_permission(request) or self.has_back_up_permission(request)
        return [name for name in self.list_display if name != "quick" or may_act]

    def group_of(self, row: Container) -> tuple[str, int]:
        """A stack is one on its host: two hosts may have stacks of one name."""
        return row.stack, row.host_id

    def group_head(self, rows: Sequence[Any]) -> SafeString:
        """The stack's name, how many there are of it, and how many have no backup."""
        stack, count = rows[0].stack, len(rows)
        name = format_html('<a class="strong" href="?{}">{}</a>', urlencode({"stack": stack}), foreign(stack))
        counted = f"{count} container{'s' if count > 1 else ''}"
        open_rows = sum(1 for row in rows if not row.protected and not row.removed_at)
        note = format_html(
            '<span class="inline-note is-warn">{}{} without a backup</span>', icon("shield-off"), open_rows
        )
        address = stack_address(rows[0].host.name, stack) if stack else ""
        link = format_html('<a class="group-tools" href="{}">Open the stack</a>', address) if address else ""
        parts = (
            icon("layers" if stack else "box"),
            name if stack else STANDALONE,
            counted,
            note if open_rows else "",
            link,
        )
        return format_html('{}{}<span class="faint">{}</span>{}{}', *parts)

    def get_urls(self) -> list[URLPattern]:
        """The forms of clone and back up, before the others."""
        own = [
            path("clone/", self.admin_site.admin_view(CloneView.as_view()), name="containers_app_container_clone"),
            path("back-up/", self.admin_site.admin_view(BackUpView.as_view()), name="containers_app_container_back_up"),
        ]
        return [*own, *super().get_urls()]

    def has_clone_permission(self, request: HttpRequest) -> bool:
        """For the action's menu entry."""
        return request.user.has_perm("containers_app.clone_container")

    def has_back_up_permission(self, request: HttpRequest) -> bool:
        """For the action's menu entry."""
        return request.user.has_perm("containers_app.backup_container")

    @records()
    @admin.action(description="Clone…", permissions=["clone"])
    def clone_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form; nothing is done yet."""
        return to_form("clone", queryset)

    @records()
    @admin.action(description="Back up…", permissions=["back_up"])
    def back_up_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form; nothing is done yet."""
        return to_form("back_up", queryset)

    def page(self, request: HttpRequest, row: Container) -> dict[str, Any]:
        """Its backups and operations."""
        asker = asker_of(request)
        return {
            **trend_context(request, row),
            "backups": visible_to(asker, "backup").filter(container=row)[:20],
            "operations": visible_to(asker, "operation").filter(host=row.host, target_id=row.engine_id)[:20],
            "clone_address": act_address("clone", row),
            "backup_address": act_address("back_up", row),
            "state_badge": state_badge(row),
            "buttons": buttons(request, row),
            "ports": published_ports(row),
            "stack_address": stack_address(row.host.name, row.stack) if row.stack and not row.removed_at else "",
        }

    @admin.display(description=CHOOSE_ALL)
    def action_checkbox(self, row: Container) -> SafeString:
        """Django's own box, with a label that no name can bend."""
        label = f"Choose {visible(row.name)}"
        box = '<input type="checkbox" id="choose-{0}" name="_selected_action" value="{0}" class="action-select"'
        return format_html(box + ' aria-label="{1}" hx-preserve>', row.pk, label)

    @admin.display(description="Name")
    def container(self, row: Container) -> SafeString:
        """Name and id."""
        address = reverse("admin:containers_app_container_change", args=[row.pk])
        id_line = format_html('<span class="sub-line">{}</span>', hexid(row.engine_id))
        image = format_html('<span class="sub-line mono only-phone">{}</span>', foreign(row.image))
        return format_html('<a class="strong" href="{}">{}</a>{}{}', address, foreign(row.name), id_line, image)

    @admin.display(description="State")
    def status(self, row: Container) -> SafeString:
        """Word and exit code; a running container's health is the word, and stands for running."""
        code = f"code {row.exit_code}" if row.exit_code is not None else "running" if row.health else ""
        return format_html('{}<span class="sub-line">{}</span>', state_badge(row), code)

    @admin.display(description="Image")
    def image_tag(self, row: Container) -> SafeString:
        """The reference."""
        return format_html('<span class="mono clip">{}</span>', foreign(row.image))

    @admin.display(description="Ports")
    def published(self, row: Container) -> SafeString:
        """Host port and container port, as links where a browser gets there."""
        return published_ports(row)

    @admin.display(description="Last backup")
    def last_backup(self, row: Any) -> SafeString:
        """When, or that there is none."""
        return moment(row.last_backup_at) if row.protected else badge("unprotected")

    @admin.display(description="Act")
    def quick(self, row: Container) -> SafeString:
        """Links to the two forms."""
        links = ((act_address("back_up", row), "Back up"), (act_address("clone", row), "Clone"))
        cells = format_html_join("", '<a class="btn btn-quiet btn-small" href="{}">{}</a>', links)
        return format_html('<span class="row-actions">{}</span>', cells)
