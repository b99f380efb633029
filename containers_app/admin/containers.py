"""Containers: the inventory, and the two acts on it: clone and back up."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from containers_app.admin.acts import BackUpView, CloneView
from containers_app.admin.base import ReadOnlyAdmin, asker_of, moment
from containers_app.models import Container
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import badge, foreign, hexid, visible


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
class ContainerAdmin(ReadOnlyAdmin):
    """The inventory."""

    page_title = "Containers"
    page_template = "myco/container.html"
    noun = "container"
    list_display = ("container", "status", "image_tag", "published", "stack_name", "host", "last_backup", "quick")
    list_filter = ("state", "host", "stack", ProtectionFilter, PresenceFilter)
    search_fields = ("name", "image", "stack", "engine_id")
    sortable_by: ClassVar[Any] = ()
    actions = ("clone_selected", "back_up_selected")

    def get_urls(self) -> list[URLPattern]:
        """The pages of the two acts, before Django's own."""
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

    @admin.action(description="Clone…", permissions=["clone"])
    def clone_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form; nothing is done yet."""
        return _to("clone", queryset)

    @admin.action(description="Back up…", permissions=["back_up"])
    def back_up_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form; nothing is done yet."""
        return _to("back_up", queryset)

    def page(self, request: HttpRequest, row: Container) -> dict[str, Any]:
        """Its backups and operations."""
        asker = asker_of(request)
        return {
            "backups": visible_to(asker, "backup").filter(container=row)[:20],
            "operations": visible_to(asker, "operation").filter(host=row.host, target_id=row.engine_id)[:20],
            "clone_address": act_address("clone", row),
            "backup_address": act_address("back_up", row),
            "state_badge": state_badge(row),
        }

    @admin.display(description=format_html('<input type="checkbox" id="action-toggle" aria-label="{}">', "Choose all"))
    def action_checkbox(self, row: Container) -> SafeString:
        """Django's own box, with a label that no name can bend."""
        label = f"Choose {visible(row.name)}"
        box = '<input type="checkbox" name="_selected_action" value="{}" class="action-select" aria-label="{}">'
        return format_html(box, row.pk, label)

    @admin.display(description="Name")
    def container(self, row: Container) -> SafeString:
        """Name and id."""
        address = reverse("admin:containers_app_container_change", args=[row.pk])
        id_line = format_html('<span class="sub-line">{}</span>', hexid(row.engine_id))
        return format_html('<a class="strong" href="{}">{}</a>{}', address, foreign(row.name), id_line)

    @admin.display(description="State")
    def status(self, row: Container) -> SafeString:
        """Word and exit code."""
        code = f"code {row.exit_code}" if row.exit_code is not None else row.health
        return format_html('{}<span class="sub-line">{}</span>', state_badge(row), code)

    @admin.display(description="Image")
    def image_tag(self, row: Container) -> SafeString:
        """The reference."""
        return format_html('<span class="mono clip">{}</span>', foreign(row.image))

    @admin.display(description="Ports")
    def published(self, row: Container) -> SafeString:
        """Host port and container port."""
        if not row.ports:
            return format_html('<span class="faint">{}</span>', "none")
        pairs = sorted({(port["host"] or "any", f"{port['container']}/{port['protocol']}") for port in row.ports})
        return format_html_join(" ", '<span class="port">{}<span class="faint"> → {}</span></span>', pairs)

    @admin.display(description="Stack")
    def stack_name(self, row: Container) -> SafeString:
        """The compose project."""
        return foreign(row.stack or "none")

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


def state_badge(row: Container) -> SafeString:
    """Running with its health, exited with or without an error, removed."""
    if row.removed_at:
        return badge("removed")
    if row.state == "running":
        return badge(row.health if row.health in ("healthy", "unhealthy", "starting") else "up-running")
    return badge("exited-clean" if row.state == "exited" and row.exit_code == 0 else row.state)


def act_address(act: str, row: Container) -> str:
    """The form of an act for one container."""
    return reverse(f"admin:containers_app_container_{act}") + f"?ids={row.pk}"


def _to(act: str, rows: QuerySet[Any]) -> HttpResponse:
    ids = ",".join(str(pk) for pk in rows.values_list("pk", flat=True)[:200])
    return HttpResponseRedirect(reverse(f"admin:containers_app_container_{act}") + f"?ids={ids}")
