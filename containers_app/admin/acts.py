"""Acts on containers: fill in a form, read what will happen, confirm. A GET changes nothing."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.base import asker_of, record_refusal, refused
from containers_app.audit.origin import source_of
from containers_app.conf import load
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import Container, DockerHost, Operation
from containers_app.operations.kinds import Kind, Params
from containers_app.operations.notes import needed_notes
from containers_app.operations.submit import Request, submit
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import visible


class ReasonForm(forms.Form):
    """What the ledger keeps besides the act."""

    reason = forms.CharField(required=False, max_length=500, help_text="Kept in the ledger.")
    ticket = forms.CharField(required=False, max_length=64, help_text="For example CHG-1234.")

    def needing(self, verb: str) -> Self:
        """The form, with the notes that the settings require for this verb of the ledger."""
        for note in needed_notes(verb):
            self.fields[note].required = True
        return self


class ProtectableForm(ReasonForm):
    """What asks for an explicit word before work on a protected container."""

    confirm_protected = forms.BooleanField(
        required=False,
        label="Do it although it is protected",
        help_text="Needed only for a container with the label org.mycodocker.protected=true, and for MycoDocker's own.",
    )


class ActView(View):
    """One act on one or more containers of the inventory."""

    kind: ClassVar[Kind]
    form_class: ClassVar[type[ReasonForm]]
    sentence: ClassVar[str]
    form_template: ClassVar[str] = "myco/act_form.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The empty form."""
        self.check(request)
        return self.show_form(request, self._form(self.rows(request)))

    def post(self, request: HttpRequest) -> HttpResponse:
        """First what will happen, then, confirmed, one operation for each container."""
        self.check(request)
        rows = self.rows(request)
        form = self._form(rows, request.POST)
        self.judge(form, rows)
        if not form.is_valid() or not rows or "back" in request.POST:
            return self.show_form(request, form)
        if "confirmed" not in request.POST:
            return self.preview(request, form, rows)
        return self.act(request, form, rows)

    def _form(self, rows: QuerySet[Container], data: Any = None) -> ReasonForm:
        return self.make_form(rows, data).needing(self.kind.action)

    def make_form(self, rows: QuerySet[Container], data: Any = None) -> ReasonForm:
        """The form for these containers."""
        return self.form_class(data)

    def preview(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> HttpResponse:
        """What will happen, with the button that does it."""
        return self.page(request, "myco/act_confirm.html", form)

    def act(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> HttpResponse:
        """Do what was confirmed."""
        return self.after(request, form, self.submit_all(request, form, rows))

    def check(self, request: HttpRequest) -> None:
        """Refuse who may not."""
        if not request.user.has_perm(self.kind.permission):
            raise refused(request, f"you may not {self.kind.verb.lower()} containers")

    def judge(self, form: ReasonForm, rows: QuerySet[Container]) -> None:
        """Add the errors that depend on the chosen containers."""
        if form.data.get("name") and rows.count() > 1:
            form.add_error("name", "Several containers cannot share one name: leave it empty.")

    def lines(self, values: dict[str, Any]) -> list[str]:
        """More of what will happen, by what was filled in."""
        return []

    def rows(self, request: HttpRequest) -> QuerySet[Container]:
        """The chosen containers that are still there."""
        given = request.POST.get("ids") or request.GET.get("ids", "")
        ids = [int(part) for part in given.split(",") if part.isascii() and part.isdigit() and len(part) < 18]
        return visible_to(asker_of(request), "container").filter(removed_at=None, pk__in=ids[:200])

    def submit_all(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> list[Operation]:
        """One operation for each container, until one is refused."""
        made: list[Operation] = []
        for row in rows:
            try:
                made.append(submit(self.request_of(request, form, row)).operation)
            except MycoError as error:
                tell(request, error, about=row.name)
                break
        return made

    def after(self, request: HttpRequest, form: ReasonForm, made: list[Operation]) -> HttpResponse:
        """To the operation's page, or to their list."""
        if not made:
            return self.show_form(request, form)
        messages.success(request, f"{len(made)} operation{'s' if len(made) > 1 else ''} submitted.")
        if len(made) == 1:
            return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[made[0].pk]))
        return HttpResponseRedirect(reverse("admin:containers_app_operation_changelist"))

    def request_of(self, request: HttpRequest, form: ReasonForm, row: Container) -> Request:
        """The wish for one container."""
        return request_by(request, kind=self.kind, params=self.params(row, form.cleaned_data), host=row.host, form=form)

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """The typed params for one container, by its full id."""
        raise NotImplementedError

    def show_form(self, request: HttpRequest, form: ReasonForm) -> HttpResponse:
        """The form, with its errors if it has any."""
        return self.page(request, self.form_template, form)

    def page(self, request: HttpRequest, template: str, form: ReasonForm, **more: Any) -> HttpResponse:
        """A page of this act."""
        rows = self.rows(request)
        context = {
            **admin.site.each_context(request),
            "title": f"{self.kind.verb} {visible(rows[0].name) if len(rows) == 1 else f'{len(rows)} containers'}",
            "form": form,
            "rows": rows,
            "ids": ",".join(str(row.pk) for row in rows),
            "sentence": self.sentence,
            "lines": self.lines(form.cleaned_data) if form.is_valid() else [],
            "lasting": self.kind.lasting,
            "verb": self.kind.verb,
            "default_root": load().backup_roots[0],
            **more,
        }
        return TemplateResponse(request, template, context)


def request_by(request: HttpRequest, *, kind: Kind, params: Params, host: DockerHost, form: ReasonForm) -> Request:
    """A wish of the signed-in user, with the form's reason and ticket."""
    return Request(
        kind=kind,
        params=params,
        host=host,
        asker=asker_of(request),
        source=source_of(request, channel="ui"),
        reason=form.cleaned_data["reason"],
        ticket=form.cleaned_data["ticket"],
    )


def tell(request: HttpRequest, error: MycoError, *, about: str) -> None:
    """Show why a wish was refused; the ledger hears of a missing permission."""
    if isinstance(error, PermissionDenied):
        record_refusal(request, error)
    messages.error(request, f"{visible(about)}: {error.message}")


def act_address(act: str, row: Container) -> str:
    """The form of an act for one container."""
    return reverse(f"admin:containers_app_container_{act}") + f"?ids={row.pk}"


def to_form(act: str, rows: QuerySet[Any]) -> HttpResponse:
    """Go to the form of an act for the chosen containers; nothing is done yet."""
    ids = ",".join(str(pk) for pk in rows.values_list("pk", flat=True)[:200])
    return HttpResponseRedirect(reverse(f"admin:containers_app_container_{act}") + f"?ids={ids}")
