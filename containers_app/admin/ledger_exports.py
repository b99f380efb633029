"""Exports of the ledger in the console: the form, those that there are, and their files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from containers_app.admin.acts import ReasonForm, request_by, tell
from containers_app.admin.base import PermittedView, asker_of, reader_of, refused
from containers_app.admin.ledger_list import FilterForm, filters_of
from containers_app.conf import load
from containers_app.errors import InvalidRequest, MycoError, NotFound, PermissionDenied
from containers_app.operations.download_answers import answer
from containers_app.operations.hosts import local_host
from containers_app.operations.kinds import LEDGER_EXPORT
from containers_app.operations.ledger_exports import download_export, is_there, read_export
from containers_app.operations.submit import submit
from containers_app.operations.visibility import visible_to
from containers_app.specs.period import NAMED
from containers_app.templatetags.console import visible

PERMISSION = LEDGER_EXPORT.permission
_PAGE = "admin:audit_entry_exports"
_MOST_SHOWN = 50
_FORMATS = (
    ("bundle", "Signed bundle, which an auditor can verify"),
    ("jsonl", "JSONL, the stored text of each entry"),
    ("csv", "CSV, for a spreadsheet"),
    ("ocsf", "OCSF 1.3.0, for a collector of security events"),
    ("evidence", "Evidence pack: a report in HTML, PDF and JSON, with its signed bundle"),
)
_PERIODS = (("", "The days below"), *((name, name.replace("-", " ").capitalize()) for name in NAMED))
# What `read_export` calls what the form calls otherwise.
_GOALS = {"rtoGoalSeconds": "rto_goal", "rpoGoalSeconds": "rpo_goal"}


class OnlyForm(FilterForm):
    """The filters of the list that a file can have, under names of their own."""

    mark = since = until = None  # type: ignore[assignment] # so Django takes fields away
    denied = forms.BooleanField(required=False, label="Denied only")
    reads = forms.BooleanField(required=False, label="Reads only")
    prefix = "only"

    @property
    def chosen(self) -> dict[str, str]:
        """Those that have a value."""
        values = {name: self[name].value() for name in self.fields}
        return {name: "true" if value is True else str(value).strip() for name, value in values.items() if value}


class ExportForm(ReasonForm):
    """What to export; `read_export` judges it, as it does for the interface."""

    format = forms.ChoiceField(choices=_FORMATS)
    period = forms.ChoiceField(required=False, choices=_PERIODS, help_text="Of the calendar, in UTC.")
    since = forms.CharField(required=False, label="From", help_text="A day or a moment, in UTC.")
    until = forms.CharField(required=False, label="To", help_text="A day, which is still inside, or a moment.")
    rto_goal = forms.IntegerField(
        required=False, label="RTO goal in seconds", help_text="Of an evidence pack: what drills are compared with."
    )
    rpo_goal = forms.IntegerField(required=False, label="RPO goal in seconds")
    field_order = ("format", "period", "since", "until", "rto_goal", "rpo_goal", "reason", "ticket")

    def __init__(self, data: Any = None, *, given: dict[str, str] | None = None) -> None:
        """`given` are filters of the list, to begin with."""
        given = given or {}
        # The list's ticket is a filter, and not the ticket of this export.
        super().__init__(data, initial={name: value for name, value in given.items() if name != "ticket"})
        self.only = OnlyForm(data, initial=given)

    def clean(self) -> dict[str, Any]:
        """The wish as `params`."""
        values = super().clean() or {}
        texts = ("format", "period", "since", "until")
        body: dict[str, Any] = {name: str(values[name]) for name in texts if values.get(name)}
        body |= {name: values[own] for name, own in _GOALS.items() if values.get(own) is not None}
        if self.only.chosen:
            body["filter"] = self.only.chosen
        try:
            values["params"] = read_export(body)
        except InvalidRequest as error:
            self._blame(error)
        return values

    def _blame(self, error: InvalidRequest) -> None:
        """A filter stands in a form of its own, so what is wrong with it is said above both."""
        name = _GOALS.get(error.field or "", error.field or "")
        self.add_error(name if name in self.fields else None, visible(error.message))


class _ExportView(PermittedView):
    """For who may export."""

    permissions = (PERMISSION,)
    refusal = "you may not export the ledger"


class ExportsPage(_ExportView):
    """The form, above the last exports."""

    verbs = (LEDGER_EXPORT.action,)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form, with the filters of the list that led here."""
        given = {name: value for name, value in filters_of(request).items() if value != "false"}
        if "mark" in given:
            messages.warning(request, "What auditors marked is no part of an export: this filter is left out.")
        return _page(request, _form(given=given))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Ask for one."""
        form = _form(request.POST)
        if not form.is_valid():
            return _page(request, form)
        params = form.cleaned_data["params"]
        try:
            submit(request_by(request, kind=LEDGER_EXPORT, params=params, host=local_host(), form=form))
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            tell(request, error, about="The ledger")
            return _page(request, form)
        messages.success(request, "The export is asked for: its file is in the list once it is made.")
        return HttpResponseRedirect(reverse(_PAGE))


class ExportContentPage(_ExportView):
    """The file of one."""

    def get(self, request: HttpRequest, operation_id: UUID) -> HttpResponseBase:
        """As it was written."""
        try:
            return answer(request, download_export(reader_of(request), operation_id))
        except NotFound as error:
            raise Http404 from error
        except MycoError as error:
            tell(request, error, about="The export")
            return HttpResponseRedirect(reverse(_PAGE))


def export_urls() -> list[URLPattern]:
    """The pages, below those of the ledger."""
    guard = admin.site.admin_view
    return [
        path("exports/", guard(ExportsPage.as_view()), name="audit_entry_exports"),
        path("exports/<uuid:operation_id>/", guard(ExportContentPage.as_view()), name="audit_entry_export"),
    ]


def _form(data: Any = None, *, given: dict[str, str] | None = None) -> ExportForm:
    return ExportForm(data, given=given).needing(LEDGER_EXPORT.action)


def _page(request: HttpRequest, form: ExportForm) -> TemplateResponse:
    rows = visible_to(asker_of(request), "ledgerExport", "download").order_by("-pk")[:_MOST_SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": "Exports of the ledger",
        "form": form,
        "exports": [(row, is_there(row)) for row in rows],
        "days": load().export_days,
    }
    return TemplateResponse(request, "myco/ledger_exports.html", context)
