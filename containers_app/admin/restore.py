"""Restore in the console: where it goes, what will happen, and a confirmation that is bound to that plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.http import Http404, HttpRequest

from containers_app.admin.acts import ProtectableForm
from containers_app.admin.base import asker_of
from containers_app.admin.clone_form import LONGEST_SECONDS
from containers_app.admin.planned import ApiForm, PlannedView
from containers_app.models import Backup, DockerHost
from containers_app.operations.kinds import RESTORE
from containers_app.operations.restore_options import MOST_PATHS, read_restore
from containers_app.operations.visibility import visible_to
from containers_app.specs.raw_path import LONGEST_CHARACTERS
from containers_app.templatetags.console import visible
from containers_app.workflows.restore import RestoreParams
from containers_app.workflows.set_reader import check_usable

_MODES = (
    ("new", "A new container, under its old name or another one."),
    ("volume", "One volume alone, as a new one."),
    ("path", "Single files or folders, into a container that is there."),
    ("inPlace", "In the place of the container of that name: it is saved first, stopped, and kept under another name."),
)
_SENTENCES = {
    "new": "Every byte of the backup is checked, then the container is made of it. Nothing that is there is changed.",
    "volume": "Every byte of its part is checked, then the volume is made of it. Nothing that is there is changed.",
    "path": "They are unpacked beside and compared, then each takes its place by a rename. What they replace is kept.",
    "inPlace": "What is there is backed up, the new container is made beside it and compared, then they change places.",
}
KEYS = ("passphrase", "identity")


class FromBackupForm(ApiForm):
    """What the restore of one container and that of a stack ask for."""

    api_fields: ClassVar[Mapping[str, str]] = {
        "host": "host",
        "start": "start",
        "waitHealthySeconds": "wait_healthy_seconds",
        "confirmPrivileged": "confirm_privileged",
        "passphrase": "passphrase",
        "identity": "identity",
    }
    host = forms.ChoiceField(required=False, label="Target host")
    start = forms.BooleanField(required=False, label="Start it")
    wait_healthy_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_SECONDS,
        label="Wait for its health, in seconds",
        help_text="Goes with a start. Empty: do not wait.",
    )
    confirm_privileged = forms.BooleanField(
        required=False,
        label="It may hold power over its host",
        help_text="Needed only where it is privileged, mounts the Docker socket, or the like.",
    )
    passphrase = forms.CharField(
        required=False, max_length=1024, strip=False, widget=forms.PasswordInput, help_text="Of an encrypted backup."
    )
    identity = forms.CharField(
        required=False,
        max_length=16 * 1024,
        widget=forms.PasswordInput,
        label="Secret key",
        help_text="An age identity, instead of a passphrase. It is kept nowhere that can be read.",
    )

    def __init__(self, data: Any = None, *, backup: Backup) -> None:
        super().__init__(data)
        self._backup = backup
        others = DockerHost.objects.filter(enabled=True).exclude(pk=backup.host_id).order_by("name")
        hosts = [("", f"{backup.host.name}, the backup's own"), *((host.name, host.name) for host in others)]
        self.fields["host"] = forms.ChoiceField(required=False, label="Target host", choices=hosts)
        self.order_fields(self.field_order)
        if not any(part.encryption for part in backup.parts.all()):
            for name in KEYS:
                del self.fields[name]

    def target(self) -> DockerHost:
        """Where it is restored."""
        name = self.cleaned_data.get("host")
        return DockerHost.objects.get(name=name) if name else self._backup.host

    @property
    def carried(self) -> list[forms.BoundField]:
        """What the page of the plan carries along: all but keys, which are typed again."""
        return [field for field in self if field.name not in KEYS]

    @property
    def keys(self) -> list[forms.BoundField]:
        """What is typed again, where the backup is encrypted."""
        return [field for field in self if field.name in KEYS]


class RestoreForm(FromBackupForm, ProtectableForm):
    """Where it goes. No target is chosen beforehand."""

    api_fields: ClassVar[Mapping[str, str]] = {
        **FromBackupForm.api_fields,
        "mode": "mode",
        "name": "name",
        "volume": "volume",
        "paths": "paths",
        "container": "container",
        "target": "folder",
        "confirm": "confirm",
        "confirmProtected": "confirm_protected",
    }
    mode = forms.ChoiceField(choices=_MODES, widget=forms.RadioSelect, label="Where does it go?")
    name = forms.CharField(required=False, max_length=63, help_text="Empty: the name in the backup.")
    volume = forms.ChoiceField(required=False, label="Which volume", help_text="Only where one volume is restored.")
    paths = forms.CharField(
        required=False,
        max_length=LONGEST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="Which files and folders",
        help_text="One path a line, as the container sees it: /etc/app.conf. Only where single files are restored.",
    )
    container = forms.CharField(
        required=False,
        max_length=255,
        label="Into which container",
        help_text="Only for single files. Empty: the one of the backup.",
    )
    folder = forms.CharField(
        required=False,
        max_length=4096,
        label="Into which folder of it",
        help_text="Only for single files. Empty: their own places.",
    )
    confirm = forms.CharField(
        required=False,
        max_length=255,
        label="To replace it, or files in it, type the container's name",
        help_text="Only where a container or a file is replaced.",
    )
    field_order = (
        *("mode", "paths", "container", "folder", "name", "host", "volume", "start", "wait_healthy_seconds", "confirm"),
        *("passphrase", "identity", "confirm_privileged", "confirm_protected", "reason", "ticket"),
    )

    def __init__(self, data: Any = None, *, backup: Backup, paths: Sequence[str] = ()) -> None:
        """`paths`: those that were chosen among the backup's files."""
        super().__init__(data, backup=backup)
        if paths:
            self.initial = {"mode": "path", "paths": "\n".join(paths)}
        volumes = [(part.name, visible(part.name)) for part in backup.parts.all() if part.kind == "volume"]
        self.fields["volume"] = forms.ChoiceField(
            required=False, label="Which volume", choices=[("", "-"), *volumes], help_text="Where one is restored."
        )
        self.order_fields(self.field_order)

    def clean_paths(self) -> list[str]:
        """Without empty lines."""
        return [line for line in self.cleaned_data["paths"].splitlines() if line.strip()]

    def read(self, given: Mapping[str, Any]) -> RestoreParams:
        """By the reader of the API."""
        return read_restore(str(self._backup.pk), given)


class FromBackupView(PlannedView):
    """What is made of a backup."""

    noun = "restore backups"
    form_template = "myco/restore_form.html"
    plan_template = "myco/restore_plan.html"

    def find(self, request: HttpRequest, **address: Any) -> Backup:
        """The same refusal whether the backup is there or not."""
        row: Backup | None = visible_to(asker_of(request), "backup", "restore").filter(**address).first()
        if row is None:
            raise Http404
        return row

    def host(self, subject: Backup, form: Any) -> DockerHost:
        """The target: the backup's own may be gone for good."""
        target: DockerHost = form.target()
        return target

    def key(self, subject: Backup) -> str:
        """The backup's id."""
        return str(subject.pk)

    def called(self, subject: Backup) -> str:
        """Its first file."""
        return subject.file_name

    def check(self, subject: Backup) -> None:
        """Raises BackupUnusable."""
        check_usable(subject)


class RestoreView(FromBackupView):
    """Restore a container, a volume, or single files."""

    kind = RESTORE

    def make_form(self, subject: Backup, data: Any = None) -> RestoreForm:
        """With the volumes of the backup."""
        return RestoreForm(data, backup=subject)

    def first_form(self, request: HttpRequest, subject: Backup) -> RestoreForm:
        """With the files that were chosen while browsing the backup."""
        return RestoreForm(backup=subject, paths=request.GET.getlist("path")[:MOST_PATHS])

    def lines(self, values: Mapping[str, Any]) -> list[str]:
        """What was chosen."""
        more = {
            f"On the host {values.get('host')}.": values.get("host"),
            f"The volume {visible(values.get('volume') or '')} alone.": values.get("volume"),
            f"In the folder {visible(values.get('folder') or '')}.": values.get("folder"),
            "It is started afterwards.": values["start"],
            "What was there stays, stopped, under another name, until somebody removes it.": values["mode"]
            == "inPlace",
        }
        return [line for line, wanted in more.items() if wanted]

    def context(self, subject: Backup, form: ApiForm) -> dict[str, Any]:
        """The backup, and what the mode means."""
        mode = form.cleaned_data.get("mode", "new") if form.is_bound and form.is_valid() else "new"
        title = f"Restore {visible(subject.file_name)}"
        return {"title": title, "row": subject, "verb": "Restore", "sentence": _SENTENCES[mode]}
