"""The forms of clone and back up: fill in, read what will happen, confirm. A GET changes nothing."""

from __future__ import annotations

from typing import Any, ClassVar

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
from containers_app.models import Container, Operation
from containers_app.operations.hosts import store_of
from containers_app.operations.kinds import BACKUP, CLONE, Kind, Params
from containers_app.operations.submit import Request, submit
from containers_app.operations.visibility import visible_to
from containers_app.specs.reference import check_clone_name
from containers_app.templatetags.console import visible
from containers_app.workflows.backup import BackupParams
from containers_app.workflows.clone import CloneParams


class ReasonForm(forms.Form):
    """What the ledger keeps besides the act."""

    reason = forms.CharField(required=False, max_length=500, help_text="Kept in the ledger.")
    ticket = forms.CharField(required=False, max_length=64, help_text="For example CHG-1234.")


class CloneForm(ReasonForm):
    """A clone's new name."""

    name = forms.CharField(required=False, max_length=63, help_text="Empty: <source>-clone-<milliseconds>.")
    confirm_privileged = forms.BooleanField(
        required=False,
        label="The clone may hold the same power over its host as its source",
        help_text="Needed only for a source that is privileged, mounts the Docker socket, or the like.",
    )
    field_order = ("name", "reason", "ticket", "confirm_privileged")

    def clean_name(self) -> str:
        """By the same grammar as the API."""
        return _checked(self.cleaned_data["name"], check_clone_name)


class BackUpForm(ReasonForm):
    """A backup's file and folder."""

    name = forms.CharField(required=False, max_length=200, help_text="Empty: <container>-backup-<time>.tar.")
    path = forms.CharField(required=False, max_length=1024, label="Folder")
    confirm_protected = forms.BooleanField(
        required=False,
        label="Back it up although it is protected",
        help_text="Needed only for a container with the label org.mycodocker.protected=true, and for MycoDocker's own.",
    )
    field_order = ("name", "path", "reason", "ticket", "confirm_protected")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        roots = load().backup_roots
        self.fields["path"].help_text = f"Empty: {roots[0]}. Allowed: folders below {', '.join(roots)}."

    def clean(self) -> dict[str, Any]:
        """The place must be below an allowed root."""
        values = super().clean() or {}
        try:
            store_of(load()).locate(values.get("path") or None, values.get("name") or "any.tar")
        except MycoError as error:
            self.add_error("path" if error.field == "options.path" else "name", error.message)
        return values


class ActView(View):
    """One act on one or more containers of the inventory."""

    kind: ClassVar[Kind]
    form_class: ClassVar[type[ReasonForm]]
    sentence: ClassVar[str]

    def get(self, request: HttpRequest) -> HttpResponse:
        """The empty form."""
        self._check(request)
        return self._form(request, self.form_class())

    def post(self, request: HttpRequest) -> HttpResponse:
        """First what will happen, then, confirmed, one operation for each container."""
        self._check(request)
        form = self.form_class(request.POST)
        rows = self._rows(request)
        self.judge(form, rows)
        if not form.is_valid() or "back" in request.POST:
            return self._form(request, form)
        if "confirmed" not in request.POST:
            return self._page(request, "myco/act_confirm.html", form)
        return self._act(request, form, rows)

    def _check(self, request: HttpRequest) -> None:
        if not request.user.has_perm(self.kind.permission):
            raise refused(request, f"you may not {self.kind.verb.lower()} containers")

    def judge(self, form: ReasonForm, rows: QuerySet[Container]) -> None:
        """Add the errors that depend on the chosen containers."""
        if form.data.get("name") and rows.count() > 1:
            form.add_error("name", "Several containers cannot share one name: leave it empty.")

    def lines(self, values: dict[str, Any]) -> list[str]:
        """More of what will happen, by what was filled in."""
        return []

    def _rows(self, request: HttpRequest) -> QuerySet[Container]:
        given = request.POST.get("ids") or request.GET.get("ids", "")
        ids = [int(part) for part in given.split(",") if part.isascii() and part.isdigit() and len(part) < 18]
        return visible_to(asker_of(request), "container").filter(removed_at=None, pk__in=ids[:200])

    def _act(self, request: HttpRequest, form: ReasonForm, rows: QuerySet[Container]) -> HttpResponse:
        made: list[Operation] = []
        for row in rows:
            try:
                made.append(submit(self._request(request, form, row)).operation)
            except MycoError as error:
                if isinstance(error, PermissionDenied):
                    record_refusal(request, error)
                messages.error(request, f"{visible(row.name)}: {error.message}")
                break
        if not made:
            return self._form(request, form)
        messages.success(request, f"{len(made)} operation{'s' if len(made) > 1 else ''} submitted.")
        if len(made) == 1:
            return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[made[0].pk]))
        return HttpResponseRedirect(reverse("admin:containers_app_operation_changelist"))

    def _request(self, request: HttpRequest, form: ReasonForm, row: Container) -> Request:
        return Request(
            kind=self.kind,
            params=self.params(row, form.cleaned_data),
            host=row.host,
            asker=asker_of(request),
            source=source_of(request, channel="ui"),
            reason=form.cleaned_data["reason"],
            ticket=form.cleaned_data["ticket"],
        )

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """The typed params for one container, by its full id."""
        raise NotImplementedError

    def _form(self, request: HttpRequest, form: ReasonForm) -> HttpResponse:
        return self._page(request, "myco/act_form.html", form)

    def _page(self, request: HttpRequest, template: str, form: ReasonForm) -> HttpResponse:
        rows = self._rows(request)
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
        }
        return TemplateResponse(request, template, context)


class CloneView(ActView):
    """Clone."""

    kind = CLONE
    form_class = CloneForm
    sentence = "A container of the same configuration and image is created, not started. The source is not touched."

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id, with the name when one was given."""
        return CloneParams(
            container=row.engine_id, name=values["name"] or None, confirm_privileged=values["confirm_privileged"]
        )


class BackUpView(ActView):
    """Back up."""

    kind = BACKUP
    form_class = BackUpForm
    sentence = "The file system is written as one tar and checked; then it gets its name. The container keeps running."

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id, with file and folder when they were given."""
        return BackupParams(
            container=row.engine_id,
            name=values["name"] or None,
            path=values["path"] or None,
            confirm_protected=values["confirm_protected"],
        )


def act_address(act: str, row: Container) -> str:
    """The form of an act for one container."""
    return reverse(f"admin:containers_app_container_{act}") + f"?ids={row.pk}"


def to_form(act: str, rows: QuerySet[Any]) -> HttpResponse:
    """Go to the form of an act for the chosen containers; nothing is done yet."""
    ids = ",".join(str(pk) for pk in rows.values_list("pk", flat=True)[:200])
    return HttpResponseRedirect(reverse(f"admin:containers_app_container_{act}") + f"?ids={ids}")


def _checked(value: str, check: Any) -> str:
    if not value:
        return ""
    try:
        return str(check(value))
    except MycoError as error:
        raise forms.ValidationError(error.message) from error
