"""The clone of a stack: its form, the plan for all of its members, and the confirmation that is bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import ProtectableForm, request_by, tell
from containers_app.admin.base import asker_of, refused, state_badge
from containers_app.admin.clone_form import CONSISTENCY, LONGEST_SECONDS, PRIVILEGED
from containers_app.admin.plans import Answer, look_at, own_plan, plan_changed, proposal, unfinished, waited
from containers_app.admin.stacks import Stack, stack_of
from containers_app.errors import InvalidRequest, MycoError
from containers_app.models import DockerHost
from containers_app.operations.clone_options import read_stack_clone
from containers_app.operations.kinds import STACK_CLONE
from containers_app.operations.submit import Submitted, submit
from containers_app.templatetags.console import visible
from containers_app.workflows.stack_clone import StackCloneParams

_DATA = (
    ("none", "None: the project's own volumes are made anew and stay empty. Those that it only uses are shared."),
    ("volumes", "Volumes: the project's own volumes are made anew with a copy of what is in them."),
    ("all", "All: these volumes, and the files that were changed in the containers themselves."),
)
# Each field of the request, and the form's for it.
_FIELDS: Mapping[str, str] = {
    "newProject": "new_project",
    "host": "host",
    "data": "content",
    "consistency": "consistency",
    "start": "start",
    "waitHealthySeconds": "wait_healthy_seconds",
    "keepOnFailure": "keep_on_failure",
    "confirmPrivileged": "confirm_privileged",
    "confirmProtected": "confirm_protected",
}


class StackCloneForm(ProtectableForm):
    """The new project, and what all of its members have in common."""

    new_project = forms.CharField(max_length=63, label="New project", help_text="Small letters, digits, - and _.")
    host = forms.ChoiceField(required=False, label="Target host")
    content = forms.ChoiceField(choices=_DATA, initial="none", widget=forms.RadioSelect, label="Data")
    consistency = forms.ChoiceField(
        choices=CONSISTENCY, initial="live", widget=forms.RadioSelect, label="The sources, while data is copied"
    )
    start = forms.BooleanField(
        required=False, label="Start the clones", help_text="In the order of their dependencies."
    )
    wait_healthy_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_SECONDS,
        label="Wait for their health, in seconds",
        help_text="Goes with a start. Empty: do not wait.",
    )
    keep_on_failure = forms.BooleanField(
        required=False, label="Keep what was made when something fails", help_text="Otherwise all of it is removed."
    )
    confirm_privileged = forms.BooleanField(
        required=False,
        label="The clones may hold the same power over their host as their sources",
        help_text="Needed only where a source is privileged, mounts the Docker socket, or the like.",
    )
    field_order = (
        *("new_project", "host", "content", "consistency", "start", "wait_healthy_seconds", "keep_on_failure"),
        *("confirm_privileged", "confirm_protected", "reason", "ticket"),
    )

    def __init__(self, data: Any = None, *, stack: Stack) -> None:
        super().__init__(data)
        self._stack = stack
        others = DockerHost.objects.filter(enabled=True).exclude(pk=stack.host.pk).order_by("name")
        names = [(name, name) for name in others.values_list("name", flat=True)]
        if names:
            choices = [("", f"{stack.host.name}, as the source"), *names]
            self.fields["host"] = forms.ChoiceField(required=False, label="Target host", choices=choices)
        else:
            del self.fields["host"]

    def clean(self) -> dict[str, Any]:
        """By the same reader as the API; what it refuses is told at the field."""
        values = super().clean() or {}
        if not self.errors:
            try:
                self.params()
            except InvalidRequest as error:
                field = _FIELDS.get(error.field or "")
                self.add_error(field if field in self.fields else None, error.message)
        return values

    def params(self, **more: Any) -> StackCloneParams:
        """The typed params of a valid form; `more` are further fields of the request."""
        values = self.cleaned_data
        given = {name: values[field] for name, field in _FIELDS.items() if values.get(field)}
        return read_stack_clone({"project": self._stack.project, **given, **more})


class StackCloneView(View):
    """Form, plan, confirmation."""

    def get(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """The empty form."""
        stack = _checked(request, host, project)
        return _page(request, "myco/stack_clone_form.html", stack, StackCloneForm(stack=stack))

    def post(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """First the plan, then, confirmed, the clone of exactly that."""
        stack = _checked(request, host, project)
        data = request.POST.copy()
        if "use" in data:
            plan = own_plan(request, STACK_CLONE, stack.project, stack.host)
            data.update(proposal(plan, request.POST["use"], fields=StackCloneForm.base_fields))
        form = StackCloneForm(data, stack=stack)
        if not form.is_valid() or {"back", "use"} & set(data):
            return _page(request, "myco/stack_clone_form.html", stack, form)
        if "confirmed" in data and data.get("plan_hash"):
            return _clone(request, stack, form)
        return _plan(request, stack, form)


def _checked(request: HttpRequest, host: str, project: str) -> Stack:
    """Refuse who may not; what has no members is no stack."""
    if not request.user.has_perm(STACK_CLONE.permission):
        raise refused(request, "you may not clone stacks")
    stack = stack_of(asker_of(request), host, project)
    if stack is None:
        raise Http404
    return stack


def _submitted(request: HttpRequest, stack: Stack, form: StackCloneForm, **bound: Any) -> Submitted:
    params = form.params(**bound)
    wish = request_by(request, kind=STACK_CLONE, params=params, host=stack.host, form=form)
    return submit(replace(wish, limited=params.dry_run))


def _plan(request: HttpRequest, stack: Stack, form: StackCloneForm, *, changed: bool = False) -> HttpResponse:
    try:
        known = unfinished(request, STACK_CLONE, stack.project, stack.host)
        operation = waited(Submitted(operation=known) if known else _submitted(request, stack, form, dryRun=True))
    except MycoError as error:
        tell(request, error, about=stack.project)
        return _page(request, "myco/stack_clone_form.html", stack, form)
    values = form.cleaned_data
    may_confirm = request.user.has_perm(PRIVILEGED)
    answer = Answer(start=values["start"], confirmed=values["confirm_privileged"], may_confirm=may_confirm)
    more = {"look": look_at(operation, answer, fields=form.fields), "changed": changed, "lines": _lines(values)}
    return _page(request, "myco/stack_clone_plan.html", stack, form, **more)


def _clone(request: HttpRequest, stack: Stack, form: StackCloneForm) -> HttpResponse:
    try:
        operation = _submitted(request, stack, form, planHash=request.POST["plan_hash"]).operation
    except MycoError as error:
        tell(request, error, about=stack.project)
        return _page(request, "myco/stack_clone_form.html", stack, form)
    if plan_changed(operation):
        return _plan(request, stack, form, changed=True)
    messages.success(request, "1 operation submitted.")
    return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[operation.pk]))


def _lines(values: dict[str, Any]) -> list[str]:
    more = {
        dict(_DATA)[values["content"]]: True,
        dict(CONSISTENCY)[values["consistency"]]: values["content"] != "none",
        f"On the host {values.get('host')}.": values.get("host"),
        "They are started in the order of their dependencies.": values["start"],
        "What was made is kept when something fails.": values["keep_on_failure"],
    }
    return [line for line, wanted in more.items() if wanted]


def _page(request: HttpRequest, template: str, stack: Stack, form: StackCloneForm, **more: Any) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": f"Clone the stack {visible(stack.project)}",
        "stack": stack,
        "members": [(row, state_badge(row)) for row in stack.members],
        "form": form,
        "verb": "Clone the stack",
        "sentence": "A container of the same configuration and image is created for each member. No source is changed.",
        "keeps": form.is_valid() and form.cleaned_data["keep_on_failure"],
        **more,
    }
    return TemplateResponse(request, template, context)
