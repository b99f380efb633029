"""The clone of a stack: its form, the plan for all of its members, and the confirmation that is bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest

from containers_app.admin.acts import ProtectableForm
from containers_app.admin.clone_form import CONSISTENCY, LONGEST_SECONDS
from containers_app.admin.planned import ApiForm, PlannedView
from containers_app.admin.stacks import Stack, found_stack, stack_context
from containers_app.models import DockerHost
from containers_app.operations.clone_options import read_stack_clone
from containers_app.operations.kinds import STACK_CLONE
from containers_app.workflows.stack_clone import StackCloneParams

_SENTENCE = "A container of the same configuration and image is created for each member. No source is changed."
_DATA = (
    ("none", "None: the project's own volumes are made anew and stay empty. Those that it only uses are shared."),
    ("volumes", "Volumes: the project's own volumes are made anew with a copy of what is in them."),
    ("all", "All: these volumes, and the files that were changed in the containers themselves."),
)


class StackCloneForm(ApiForm, ProtectableForm):
    """The new project, and what all of its members have in common."""

    api_fields: ClassVar[Mapping[str, str]] = {
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

    def read(self, given: Mapping[str, Any]) -> StackCloneParams:
        """By the reader of the API."""
        return read_stack_clone({"project": self._stack.project, **given})


class StackCloneView(PlannedView):
    """Clone all of it."""

    kind = STACK_CLONE
    noun = "clone stacks"
    form_template = "myco/stack_form.html"
    plan_template = "myco/stack_clone_plan.html"

    def find(self, request: HttpRequest, **address: Any) -> Stack:
        """What has no members is no stack."""
        return found_stack(request, **address)

    def make_form(self, subject: Stack, data: Any = None) -> StackCloneForm:
        """With the hosts that it can go to."""
        return StackCloneForm(data, stack=subject)

    def host(self, subject: Stack, form: ApiForm) -> DockerHost:
        """The source's."""
        return subject.host

    def key(self, subject: Stack) -> str:
        """The project."""
        return subject.project

    def called(self, subject: Stack) -> str:
        """The project."""
        return subject.project

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """What was chosen."""
        more = {
            dict(_DATA)[values["content"]]: True,
            dict(CONSISTENCY)[values["consistency"]]: values["content"] != "none",
            f"On the host {values.get('host')}.": values.get("host"),
            "They are started in the order of their dependencies.": values["start"],
            "What was made is kept when something fails.": values["keep_on_failure"],
        }
        return [line for line, wanted in more.items() if wanted]

    def context(self, subject: Stack, form: ApiForm) -> dict[str, Any]:
        """The stack with its members."""
        return {
            **stack_context(subject, "Clone"),
            "verb": "Clone the stack",
            "sentence": _SENTENCE,
            "keeps": form.is_valid() and form.cleaned_data["keep_on_failure"],
        }
