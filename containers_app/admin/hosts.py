"""Docker hosts: what each Engine last said, a test of its connection, and the forms that register and change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from containers_app.admin.acts import ReasonForm, request_by
from containers_app.admin.base import ReadOnlyAdmin, asker_of, author_of, moment, refused, text_of
from containers_app.admin.host_forms import HostForm, NewHostForm
from containers_app.admin.notes import notes_of, notes_page
from containers_app.audit.verbs import records
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import DockerHost
from containers_app.operations.answers import published_error
from containers_app.operations.hosts import values_of
from containers_app.operations.kinds import HOST_TEST
from containers_app.operations.registering import ADD, CHANGE, add, change, remove
from containers_app.operations.submit import submit
from containers_app.operations.visibility import visible_to
from containers_app.specs.host import PLAIN_WARNING, HostValues, is_plain
from containers_app.templatetags.console import badge, foreign
from containers_app.workflows.hosts import HostTestParams

ENGINE, API = text_of("engine_version", "Engine"), text_of("api_version", "API")
PLATFORM = text_of("platform", "Platform")


@admin.register(DockerHost)
class DockerHostAdmin(ReadOnlyAdmin):
    """All hosts."""

    page_title = "Hosts"
    page_template = "myco/host.html"
    noun = "host"
    change_list_template = "myco/hosts.html"
    list_display: Any = ("title", "status", ENGINE, API, PLATFORM, "seen")
    sortable_by: ClassVar[Any] = ()

    def get_urls(self) -> list[URLPattern]:
        """Our own acts, before Django's own."""
        wrap = self.admin_site.admin_view
        return [
            path("register/", wrap(self.register_view), name="containers_app_dockerhost_register"),
            path("<int:pk>/edit/", wrap(self.edit_view), name="containers_app_dockerhost_edit"),
            path("<int:pk>/remove/", wrap(require_POST(self.remove_view)), name="containers_app_dockerhost_remove"),
            path("<int:pk>/test/", wrap(require_POST(self.test_view)), name="containers_app_dockerhost_test"),
            *super().get_urls(),
        ]

    @records("config.host_added", HOST_TEST.action)
    def register_view(self, request: HttpRequest) -> HttpResponse:
        """The form of a new host; a POST registers it and asks its Engine."""
        if not request.user.has_perm(ADD):
            raise refused(request, "you may not register hosts")
        form = NewHostForm(request.POST or None).needing("config.host_added").needing(HOST_TEST.action)
        if request.method == "POST" and form.is_valid():
            host = _saved(form, lambda: add(HostValues(**form.chosen()), author_of(request, form)))
            if host is not None:
                return self._tested(request, host, form)
        return self._form(request, form, title="Register a host")

    @records("config.host_changed", HOST_TEST.action)
    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form of a host that is there; a POST changes it and asks its Engine."""
        host = self._of(request, pk)
        form = HostForm(request.POST or None, host=host).needing("config.host_changed").needing(HOST_TEST.action)
        if request.method == "POST" and form.is_valid():
            changed = _saved(form, lambda: change(host, form.chosen(), author_of(request, form)))
            if changed is not None:
                return self._tested(request, changed, form)
        return self._form(request, form, title=f"Change {host.name}", host=host)

    @records("config.host_removed", "config.host_changed")
    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Remove a host that nothing refers to, disable any other. POST only."""
        host, form = self._of(request, pk), notes_of(request, "config.host_removed")
        if not form.is_valid():
            return notes_page(request, form, act=f"Remove {host.name}")
        try:
            gone = remove(host, author_of(request, form))
        except MycoError as error:
            messages.error(request, error.message)
            return _page_of(pk)
        if gone:
            messages.success(request, f"The host {host.name} is removed.")
            return HttpResponseRedirect(reverse("admin:containers_app_dockerhost_changelist"))
        messages.success(request, "Records refer to this host, so it stays, and is disabled.")
        return _page_of(pk)

    @records(HOST_TEST.action)
    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the Engine through a worker; the verdict comes on the host's page. POST only."""
        host = visible_to(asker_of(request), "host").filter(pk=pk).first()
        if host is None or not self.has_view_permission(request, host):
            raise refused(request, "you may not see this host")
        form = notes_of(request, HOST_TEST.action)
        if not form.is_valid():
            return notes_page(request, form, act=f"Test {host.name}")
        return self._tested(request, host, form)

    def _tested(self, request: HttpRequest, host: DockerHost, form: ReasonForm) -> HttpResponse:
        params = HostTestParams(host=host.name)
        wish = request_by(request, kind=HOST_TEST, params=params, host=host, form=form)
        try:
            submit(wish)
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            messages.error(request, error.message)
        return _page_of(host.pk)

    def _of(self, request: HttpRequest, pk: int) -> DockerHost:
        """The host, for who may change it; the same refusal whether it is there or not."""
        host: DockerHost | None = visible_to(asker_of(request), "host", "change").filter(pk=pk).first()
        if host is None:
            raise refused(request, "you may not change this host")
        return host

    def _form(
        self, request: HttpRequest, form: HostForm, *, title: str, host: DockerHost | None = None
    ) -> HttpResponse:
        plain = is_plain(values_of(host)) if host is not None else bool(form.data.get("allow_plain"))
        context = {"title": title, "form": form, "row": host, "plain_warning": PLAIN_WARNING if plain else ""}
        return TemplateResponse(request, "myco/host_form.html", {**self.admin_site.each_context(request), **context})

    def page(self, request: HttpRequest, row: DockerHost) -> dict[str, Any]:
        """What may be offered, and how the last test ended."""
        test = visible_to(asker_of(request), "operation").filter(host=row, kind=HOST_TEST.name).order_by("-pk").first()
        return {
            "may_test": request.user.has_perm(HOST_TEST.permission),
            "may_change": request.user.has_perm(CHANGE),
            "may_see_test": request.user.has_perm("containers_app.view_operation"),
            "state": _state(row),
            "plain_warning": PLAIN_WARNING if is_plain(values_of(row)) else "",
            "test": test,
            "test_error": published_error(test) if test and test.is_finished else None,
        }

    @admin.display(description="Host")
    def title(self, row: DockerHost) -> SafeString:
        """Name and address."""
        address = reverse("admin:containers_app_dockerhost_change", args=[row.pk])
        line = format_html('<span class="sub-line mono">{}</span>', foreign(row.url or row.address))
        return format_html('<a class="strong" href="{}">{}</a>{}', address, row.name, line)

    @admin.display(description="Status")
    def status(self, row: DockerHost) -> SafeString:
        """Up or down, and why."""
        return format_html('{}<span class="sub-line">{}</span>', badge(_state(row)), foreign(row.last_error))

    @admin.display(description="Last answer")
    def seen(self, row: DockerHost) -> SafeString:
        """When the Engine last answered."""
        return moment(row.last_seen_at)


def _state(row: DockerHost) -> str:
    if not row.enabled:
        return "disabled"
    return "unknown" if row.reachable is None else "up" if row.reachable else "down"


def _page_of(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:containers_app_dockerhost_change", args=[pk]))


def _saved(form: HostForm, save: Callable[[], DockerHost]) -> DockerHost | None:
    """What `save` gives; None when a rule or the ledger is against it, which the form then shows."""
    try:
        return save()
    except MycoError as error:
        form.refuse(error)
        return None
