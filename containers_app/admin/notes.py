"""The page that asks for a reason or a ticket where a button alone would do, if the settings require one."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from containers_app.admin.acts import ReasonForm

_OWN = frozenset({"reason", "ticket", "csrfmiddlewaretoken"})


def notes_of(request: HttpRequest, verb: str) -> ReasonForm:
    """The notes that came with a button; not valid while one is missing."""
    return ReasonForm(request.POST).needing(verb)


def notes_page(request: HttpRequest, form: ReasonForm, *, act: str) -> HttpResponse:
    """Ask for them; what the button sent comes again."""
    carried = {name: request.POST[name] for name in request.POST if name not in _OWN}
    context = {**admin.site.each_context(request), "title": act, "act": act, "form": form, "carried": carried}
    return TemplateResponse(request, "myco/notes.html", context)
