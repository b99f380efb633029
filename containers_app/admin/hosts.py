"""Docker hosts: what each Engine last said, and a test of its connection."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from containers_app.admin.base import ReadOnlyAdmin, asker_of, moment, refused
from containers_app.audit.origin import source_of
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import DockerHost
from containers_app.operations.kinds import HOST_TEST
from containers_app.operations.submit import Request, submit
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import badge
from containers_app.workflows.hosts import HostTestParams


@admin.register(DockerHost)
class DockerHostAdmin(ReadOnlyAdmin):
    """All hosts."""

    page_title = "Hosts"
    page_template = "myco/host.html"
    list_display = ("title", "status", "engine_version", "api_version", "platform", "seen")
    sortable_by: ClassVar[Any] = ()

    def get_urls(self) -> list[URLPattern]:
        """The test, before Django's own."""
        test = self.admin_site.admin_view(require_POST(self.test_view))
        return [path("<int:pk>/test/", test, name="containers_app_dockerhost_test"), *super().get_urls()]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the Engine through a worker. POST only."""
        host = visible_to(asker_of(request), "host").filter(pk=pk).first()
        if host is None or not self.has_view_permission(request, host):
            raise refused(request, "you may not see this host")
        wish = Request(
            kind=HOST_TEST,
            params=HostTestParams(host=host.name),
            host=host,
            asker=asker_of(request),
            source=source_of(request, channel="ui"),
        )
        try:
            operation = submit(wish).operation
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse("admin:containers_app_dockerhost_change", args=[pk]))
        return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[operation.pk]))

    def page(self, request: HttpRequest, row: DockerHost) -> dict[str, Any]:
        """Whether the test may be offered."""
        return {"may_test": request.user.has_perm("containers_app.test_host"), "state": _state(row)}

    @admin.display(description="Host")
    def title(self, row: DockerHost) -> SafeString:
        """Name and address."""
        address = reverse("admin:containers_app_dockerhost_change", args=[row.pk])
        line = format_html('<span class="sub-line mono">{}</span>', row.address)
        return format_html('<a class="strong" href="{}">{}</a>{}', address, row.name, line)

    @admin.display(description="Status")
    def status(self, row: DockerHost) -> SafeString:
        """Up or down, and why."""
        return format_html('{}<span class="sub-line">{}</span>', badge(_state(row)), row.last_error)

    @admin.display(description="Last answer")
    def seen(self, row: DockerHost) -> SafeString:
        """When the Engine last answered."""
        return moment(row.last_seen_at)


def _state(row: DockerHost) -> str:
    return "unknown" if row.reachable is None else "up" if row.reachable else "down"
