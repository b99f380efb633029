"""What every page of the console shares: nothing is added, changed or deleted through Django's own forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.views.generic import View

from containers_app.audit.origin import source_of
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import Container
from containers_app.operations.authority import Asker, record_denial
from containers_app.operations.backup_contents import Reader
from containers_app.operations.registering import Author
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import badge, foreign, visible

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin  # Django's own class takes no parameter at run time


class ReadOnlyAdmin(Base):
    """A list and a page, for who has the view permission."""

    # What Django's own forms write to the ledger: nothing is changed by them.
    verbs: ClassVar[tuple[str, ...]] = ()
    page_title = ""
    page_template = ""
    noun = ""
    actions: Any = None
    list_display_links = None
    show_full_result_count = False
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER

    @property
    def media(self) -> forms.Media:
        """None of Django's scripts: the forms are our own, and `console.js` counts what is chosen."""
        return forms.Media()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Of a `noun` that `operations.visibility` knows, only what the asker may see."""
        return visible_to(asker_of(request), self.noun) if self.noun else super().get_queryset(request)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under its own title."""
        return super().changelist_view(request, {"title": self.page_title, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one record, in our own template."""
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise refused(request, "this page is for reading")
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        context = {**self.admin_site.each_context(request), "title": visible(str(row)), "row": row, "opts": self.opts}
        return TemplateResponse(request, self.page_template, {**context, **self.page(request, row)})

    def page(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """More for the page of one record."""
        return {}


class PermittedView(View):
    """For who has one of the permissions; a refusal is in the ledger."""

    permissions: ClassVar[tuple[str, ...]] = ()
    refusal: ClassVar[str] = ""

    def dispatch(self, request: HttpRequest, *args: Any, **values: Any) -> HttpResponseBase:
        """The page."""
        if not any(request.user.has_perm(one) for one in self.permissions):
            needed = f"you may not do this: it needs the permission '{self.permissions[0]}'"
            raise refused(request, self.refusal or needed)
        return super().dispatch(request, *args, **values)


def asker_of(request: HttpRequest) -> Asker:
    """The signed-in user."""
    return Asker(user=request.user)


def author_of(request: HttpRequest, form: forms.Form | None = None) -> Author:
    """The signed-in user, with the notes of the valid form, if it has any."""
    given = {} if form is None else form.cleaned_data
    notes = {name: given.get(name, "") for name in ("reason", "ticket")}
    return Author(asker=asker_of(request), source=source_of(request, channel="ui"), **notes)


def reader_of(request: HttpRequest) -> Reader:
    """The signed-in user, for what is read."""
    return Reader(asker=asker_of(request), source=source_of(request, channel="ui"))


def refused(request: HttpRequest, message: str) -> Exception:
    """Write the refusal to the ledger; the exception to raise for a 403."""
    record_refusal(request, PermissionDenied(message))
    return DjangoPermissionDenied(message)


def record_refusal(request: HttpRequest, error: MycoError) -> None:
    """Tell the ledger that somebody was refused."""
    record_denial(asker_of(request), error, source_of(request, channel="ui"))


def text_of(column: str, words: str) -> Callable[[Any], SafeString]:
    """A column of a list that shows a text as foreign: what the Engine or a person wrote is never obeyed."""

    def show(row: Any) -> SafeString:
        value = getattr(row, column)
        return foreign(value) if value else format_html('<span class="faint">{}</span>', "none")

    show.__name__ = column
    return admin.display(description=words)(show)


def moment(value: Any) -> SafeString:
    """A time, in UTC, for a cell."""
    if value is None:
        return format_html('<span class="faint">{}</span>', "never")
    shown = f"{localtime(value):%Y-%m-%d %H:%M:%S}"
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), shown)


def state_badge(row: Container) -> SafeString:
    """Running with its health, exited with or without an error, removed."""
    if row.removed_at:
        return badge("removed")
    if row.state == "running":
        return badge(row.health if row.health in ("healthy", "unhealthy", "starting") else "up-running")
    return badge("exited-clean" if row.state == "exited" and row.exit_code == 0 else row.state)
