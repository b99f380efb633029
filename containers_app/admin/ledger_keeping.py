"""Legal holds and erasure in the console: fill in, read what will go, confirm. A GET changes nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from containers_app.admin.acts import ReasonForm, tell
from containers_app.admin.base import PermittedView, asker_of, author_of
from containers_app.audit.erasure import ACTION, Target
from containers_app.audit.holds import PLACED, RELEASED
from containers_app.errors import MycoError
from containers_app.operations.ledger_keeping import ERASE, HOLD, all_holds, erase, look, place_hold, release_hold
from containers_app.operations.visibility import SYSTEM

_HOLDS, _ERASE = "admin:audit_entry_holds", "admin:audit_entry_erase"
_WAYS = (
    ("actor", "A user's id: everything personal in the entries of what that user did"),
    ("address", "An address, wherever it stands"),
    ("label", "A name, wherever it stands"),
)


class HoldForm(ReasonForm):
    """Why nothing may be erased or pruned, or may be again."""

    reason = forms.CharField(max_length=500, help_text="Shown here, and kept in the ledger.")


class EraseForm(ReasonForm):
    """Whose data goes, and why."""

    by = forms.ChoiceField(choices=_WAYS, label="Whose data")
    value = forms.CharField(max_length=1024, help_text="Exactly. It is written down nowhere, save a user's id.")
    reason = forms.CharField(max_length=500, help_text="Kept in the ledger, where it can be erased too.")
    field_order = ("by", "value", "reason", "ticket")

    def target(self) -> Target:
        """Of the valid form."""
        return Target(by=self.cleaned_data["by"], value=self.cleaned_data["value"])


class HoldsPage(PermittedView):
    """All holds, and for who may the form for one more."""

    permissions = (HOLD, SYSTEM)
    verbs = (PLACED,)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list."""
        return _holds(request, HoldForm().needing(PLACED))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Place one."""
        form = HoldForm(request.POST).needing(PLACED)
        if not form.is_valid():
            return _holds(request, form)
        try:
            place_hold(author_of(request, form))
        except MycoError as error:
            tell(request, error, about="The ledger")
            return _holds(request, form)
        messages.success(request, "The ledger is on hold: nothing of it is erased or pruned until it is released.")
        return HttpResponseRedirect(reverse(_HOLDS))


class ReleasePage(PermittedView):
    """The release of one hold, with its reason."""

    permissions = (HOLD,)
    verbs = (RELEASED,)

    def get(self, request: HttpRequest, hold_id: UUID) -> HttpResponse:
        """The empty form."""
        return _release(request, HoldForm().needing(RELEASED))

    def post(self, request: HttpRequest, hold_id: UUID) -> HttpResponse:
        """Take it off."""
        form = HoldForm(request.POST).needing(RELEASED)
        if not form.is_valid():
            return _release(request, form)
        try:
            release_hold(str(hold_id), author_of(request, form))
        except MycoError as error:
            tell(request, error, about="The hold")
        else:
            messages.success(request, "The hold is released.")
        return HttpResponseRedirect(reverse(_HOLDS))


class ErasePage(PermittedView):
    """Erasure: the form, then what will go, then it is done."""

    permissions = (ERASE,)
    verbs = (ACTION,)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The empty form."""
        return _erase(request, EraseForm().needing(ACTION))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Show what will go, or, confirmed, let it go."""
        form = EraseForm(request.POST).needing(ACTION)
        if not form.is_valid() or "back" in request.POST:
            return _erase(request, form)
        try:
            if "confirmed" not in request.POST:
                return _erase(request, form, found=look(form.target(), asker_of(request)))
            done = erase(form.target(), author_of(request, form))
        except MycoError as error:
            tell(request, error, about="The ledger")
            return _erase(request, form)
        messages.success(request, f"{done.values} values are erased. The entries and every proof are as they were.")
        return HttpResponseRedirect(reverse(_ERASE))


def keeping_urls() -> list[URLPattern]:
    """The pages, below those of the ledger."""
    guard = admin.site.admin_view
    return [
        path("holds/", guard(HoldsPage.as_view()), name="audit_entry_holds"),
        path("holds/<uuid:hold_id>/release/", guard(ReleasePage.as_view()), name="audit_entry_hold_release"),
        path("erase/", guard(ErasePage.as_view()), name="audit_entry_erase"),
    ]


def _holds(request: HttpRequest, form: HoldForm) -> TemplateResponse:
    may_hold = request.user.has_perm(HOLD)
    more = {"holds": all_holds(asker_of(request)), "may_hold": may_hold, "verb": "Place the hold"}
    return _page(request, "myco/ledger_holds.html", "Legal holds on the ledger", form=form, **more)


def _release(request: HttpRequest, form: HoldForm) -> TemplateResponse:
    more = {"holds": [], "may_hold": True, "verb": "Release the hold"}
    return _page(request, "myco/ledger_holds.html", "Release a hold on the ledger", form=form, **more)


def _erase(request: HttpRequest, form: EraseForm, **found: Any) -> TemplateResponse:
    return _page(request, "myco/ledger_erase.html", "Erase personal data from the ledger", form=form, **found)


def _page(request: HttpRequest, template: str, title: str, **more: Any) -> TemplateResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **more})
