"""The restore of a whole stack in the console, begun from the backup of any of its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.http import Http404, HttpRequest

from containers_app.admin.clone_form import LONGEST_SECONDS
from containers_app.admin.planned import ApiForm
from containers_app.admin.restore import FromBackupForm, FromBackupView
from containers_app.models import Backup
from containers_app.operations.kinds import STACK_RESTORE
from containers_app.operations.restore_options import read_stack_restore
from containers_app.templatetags.console import visible
from containers_app.workflows.stack_restore import StackRestoreParams
from containers_app.workflows.stack_sets import related

_SENTENCE = (
    "Every byte of the backups is checked, then the stack's networks, volumes and containers are made of them. "
    "Nothing that is there is changed."
)


class StackRestoreForm(FromBackupForm):
    """Under which name, and where."""

    api_fields: ClassVar[Mapping[str, str]] = {
        **FromBackupForm.api_fields,
        "newProject": "new_project",
        "keepOnFailure": "keep_on_failure",
    }
    new_project = forms.CharField(
        required=False,
        max_length=63,
        label="New project",
        help_text="Small letters, digits, - and _. Empty: the name in the backups.",
    )
    start = forms.BooleanField(required=False, label="Start them", help_text="In the order of their dependencies.")
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
    field_order = (
        *("new_project", "host", "start", "wait_healthy_seconds", "keep_on_failure"),
        *("passphrase", "identity", "confirm_privileged", "reason", "ticket"),
    )

    def read(self, given: Mapping[str, Any]) -> StackRestoreParams:
        """By the reader of the API."""
        return read_stack_restore({"backupId": str(self._backup.pk), **given})


class StackRestoreView(FromBackupView):
    """Restore all of it."""

    kind = STACK_RESTORE

    def find(self, request: HttpRequest, **address: Any) -> Backup:
        """The backup of one container is none of a stack."""
        row = super().find(request, **address)
        if not related(row).exists():
            raise Http404
        return row

    def make_form(self, subject: Backup, data: Any = None) -> StackRestoreForm:
        """With the hosts that it can go to."""
        return StackRestoreForm(data, backup=subject)

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """What was chosen."""
        more = {
            f"On the host {values.get('host')}.": values.get("host"),
            "They are started in the order of their dependencies.": values["start"],
            "What was made is kept when something fails.": values["keep_on_failure"],
        }
        return [line for line, wanted in more.items() if wanted]

    def context(self, subject: Backup, form: ApiForm) -> dict[str, Any]:
        """The backup, and those that were made with it."""
        return {
            "title": f"Restore the stack {visible(subject.stack)}",
            "row": subject,
            "sets": related(subject).order_by("container_name"),
            "verb": "Restore the stack",
            "sentence": _SENTENCE,
            "keeps": form.is_bound and form.is_valid() and form.cleaned_data["keep_on_failure"],
        }
