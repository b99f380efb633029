"""Verification of the ledger in the console: one button on the ledger's page, and a form for the rest."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from containers_app.admin.acts import ReasonForm, request_by, tell
from containers_app.admin.base import PermittedView, refused
from containers_app.errors import InvalidRequest, MycoError, PermissionDenied
from containers_app.operations.hosts import local_host
from containers_app.operations.kinds import LEDGER_VERIFY
from containers_app.operations.ledger_verifications import pointing_elsewhere, read_verification
from containers_app.operations.submit import submit
from containers_app.templatetags.console import visible


class VerifyForm(ReasonForm):
    """What to verify; `read_verification` judges it, as it does for the interface."""

    shard = forms.IntegerField(required=False, help_text="A year. Empty: every shard.")
    quick = forms.BooleanField(
        required=False, help_text="Hashes, heads and checkpoints, not the columns that lists are filtered by."
    )
    vkeys = forms.CharField(
        required=False,
        label="Your own keys",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Verifier keys that reached you another way, one a line: then those of the database do not count.",
    )
    field_order = ("shard", "quick", "vkeys", "reason", "ticket")

    def clean(self) -> dict[str, Any]:
        """The wish as `params`."""
        values = super().clean() or {}
        body = {"shard": values.get("shard"), "quick": values.get("quick", False)}
        try:
            values["params"] = read_verification({**body, "vkeys": values.get("vkeys", "").split()})
        except InvalidRequest as error:
            name = (error.field or "").partition("[")[0]
            self.add_error(name if name in self.fields else None, visible(error.message))
        return values


class VerifyPage(PermittedView):
    """The form, for who reads the whole ledger; what is sent without one means every shard, in full."""

    verbs = (LEDGER_VERIFY.action,)

    permissions = (LEDGER_VERIFY.permission,)
    refusal = "you may not verify the ledger"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The empty form."""
        return _page(request, _form())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Ask for it, and go to the page of its operation."""
        form = _form(request.POST)
        if not form.is_valid():
            return _page(request, form)
        wish = request_by(request, kind=LEDGER_VERIFY, params=form.cleaned_data["params"], host=local_host(), form=form)
        try:
            with pointing_elsewhere():
                made = submit(wish).operation
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            tell(request, error, about="The ledger")
            return _page(request, form)
        return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[made.pk]))


def verification_urls() -> list[URLPattern]:
    """The page, below those of the ledger."""
    return [path("verify/", admin.site.admin_view(VerifyPage.as_view()), name="audit_entry_verify")]


def _form(data: Any = None) -> VerifyForm:
    return VerifyForm(data).needing(LEDGER_VERIFY.action)


def _page(request: HttpRequest, form: VerifyForm) -> TemplateResponse:
    context = {**admin.site.each_context(request), "title": "Verify the ledger", "form": form}
    return TemplateResponse(request, "myco/ledger_verify.html", context)
