"""Saved views of the ledger in the console: save the filters of the list, open, rename, share and delete them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import tell
from containers_app.admin.base import asker_of, author_of, refused
from containers_app.errors import Hidden, MycoError, PermissionDenied
from containers_app.operations.ledger_views import (
    SHARE,
    change_view,
    delete_view,
    may_change,
    save_view,
    views_for,
)
from containers_app.operations.visibility import sees_system

_PAGE = "admin:audit_entry_views"


class ViewForm(forms.Form):
    """A view's name, and whether all who read the ledger have it."""

    name = forms.CharField(max_length=100)
    is_shared = forms.BooleanField(required=False, label="Shared with all who read the ledger")
    filters = forms.CharField(required=False, widget=forms.HiddenInput)


class _ViewsView(View):
    """For who reads the whole ledger."""

    def dispatch(self, request: HttpRequest, *args: Any, **values: Any) -> HttpResponseBase:
        """The page; a refusal is in the ledger."""
        if not sees_system(asker_of(request), "ledger"):
            raise refused(request, "you may not save views of the ledger")
        return super().dispatch(request, *args, **values)


class ViewsPage(_ViewsView):
    """All views that the user has, and the form that saves one more."""

    verbs = ("audit.view_saved",)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form holds the filters of the list that led here."""
        return _page(request, ViewForm(initial={"filters": request.GET.urlencode()}))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save one."""
        form = ViewForm(request.POST)
        if not form.is_valid():
            return _page(request, form)
        values = form.cleaned_data
        filters = dict(parse_qsl(values["filters"]))
        try:
            save_view(values["name"], filters, author_of(request), is_shared=values["is_shared"])
        except MycoError as error:
            return _told(request, form, error)
        messages.success(request, "The view is saved.")
        return HttpResponseRedirect(reverse(_PAGE))


class ViewChangePage(_ViewsView):
    """Changes or deletes one view."""

    verbs = ("audit.view_changed", "audit.view_deleted")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """`delete` in the form deletes it."""
        form = ViewForm(request.POST)
        try:
            if "delete" in request.POST:
                delete_view(pk, author_of(request))
            elif form.is_valid():
                values = form.cleaned_data
                change_view(pk, values["name"], author_of(request), is_shared=values["is_shared"])
            else:
                messages.error(request, "A view needs a name of 100 characters at most.")
        except Hidden as error:
            raise Http404 from error
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            tell(request, error, about="The view")
        return HttpResponseRedirect(reverse(_PAGE))


def _told(request: HttpRequest, form: ViewForm, error: MycoError) -> HttpResponse:
    if isinstance(error, PermissionDenied):
        raise refused(request, error.message) from error
    form.add_error("name" if error.field == "name" else None, error.message)
    return _page(request, form)


def _page(request: HttpRequest, form: ViewForm) -> TemplateResponse:
    asker = asker_of(request)
    rows = [(row, may_change(row, asker)) for row in views_for(asker)]
    context = {
        **admin.site.each_context(request),
        "title": "Saved views of the ledger",
        "form": form,
        "views": rows,
        "may_share": asker.may(SHARE, "ledger"),
    }
    return TemplateResponse(request, "myco/ledger_views.html", context)
