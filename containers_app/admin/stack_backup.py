"""The backup of a whole stack in the console: what a container's backup asks for, for all members at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import request_by, tell
from containers_app.admin.backup_form import BackUpForm, chosen_lines, options_of
from containers_app.admin.base import refused
from containers_app.admin.stacks import Stack, found_stack, stack_context
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.operations.backup_options import read_stack_backup
from containers_app.operations.kinds import STACK_BACKUP
from containers_app.operations.submit import submit
from containers_app.workflows.stack_backup import StackBackupParams

_SENTENCE = "Every container gets a backup of its own, all of one moment, or none of them does."


class StackBackUpForm(BackUpForm):
    """All volumes are saved; the names of all files begin alike."""

    volumes = None  # type: ignore[assignment] # as Django's forms leave out a field of the class before
    name = forms.CharField(required=False, max_length=100, help_text="Empty: <project>-backup-<time>.")

    def __init__(self, data: Any = None, *, stack: Stack) -> None:
        super().__init__(data)
        self._stack = stack
        self.needing(STACK_BACKUP.action)

    def read(self, values: Mapping[str, Any]) -> StackBackupParams:
        """The typed params. Raises InvalidRequest."""
        return read_stack_backup({"project": self._stack.project, **options_of(values)})


class StackBackUpView(View):
    """Form, what will happen, confirmation."""

    kind = STACK_BACKUP

    def get(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """The form with what is usual."""
        stack = _checked(request, host, project)
        return _page(request, "myco/stack_form.html", stack, StackBackUpForm(stack=stack))

    def post(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """First what will happen, then, confirmed, the operation."""
        stack = _checked(request, host, project)
        form = StackBackUpForm(request.POST, stack=stack)
        if not form.is_valid() or "back" in request.POST:
            return _page(request, "myco/stack_form.html", stack, form)
        if "confirmed" not in request.POST:
            return _page(request, "myco/stack_confirm.html", stack, form, lines=chosen_lines(form.cleaned_data))
        return _back_up(request, stack, form)


def _checked(request: HttpRequest, host: str, project: str) -> Stack:
    if not request.user.has_perm(STACK_BACKUP.permission):
        raise refused(request, "you may not back up stacks")
    return found_stack(request, host=host, project=project)


def _back_up(request: HttpRequest, stack: Stack, form: StackBackUpForm) -> HttpResponse:
    params = form.read(form.cleaned_data)
    try:
        wish = request_by(request, kind=STACK_BACKUP, params=params, host=stack.host, form=form)
        operation = submit(wish).operation
    except MycoError as error:
        tell(request, error, about=stack.project)
        return _page(request, "myco/stack_form.html", stack, form)
    messages.success(request, "1 operation submitted.")
    return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[operation.pk]))


def _page(request: HttpRequest, template: str, stack: Stack, form: StackBackUpForm, **more: Any) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        **stack_context(stack, "Back up"),
        "rows": stack.members,
        "form": form,
        "verb": "Back up the stack",
        "sentence": _SENTENCE,
        "default_root": load().backup_roots[0],
        **more,
    }
    return TemplateResponse(request, template, context)
