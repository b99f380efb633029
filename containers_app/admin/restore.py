"""Restore in the console: where it goes, what will happen, and a confirmation that is bound to that plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.acts import ProtectableForm, request_by, tell
from containers_app.admin.base import asker_of, refused
from containers_app.admin.clone_form import LONGEST_SECONDS, PRIVILEGED
from containers_app.admin.plans import Answer, look_at, own_plan, plan_changed, proposal, unfinished, waited
from containers_app.errors import InvalidRequest, MycoError
from containers_app.models import Backup, DockerHost
from containers_app.operations.kinds import RESTORE
from containers_app.operations.restore_options import MOST_PATHS, read_restore
from containers_app.operations.submit import Submitted, submit
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
# Each field of the request, and the form's for it.
_FIELDS: Mapping[str, str] = {
    "mode": "mode",
    "name": "name",
    "host": "host",
    "volume": "volume",
    "paths": "paths",
    "container": "container",
    "target": "folder",
    "start": "start",
    "waitHealthySeconds": "wait_healthy_seconds",
    "confirm": "confirm",
    "confirmPrivileged": "confirm_privileged",
    "confirmProtected": "confirm_protected",
    "passphrase": "passphrase",
    "identity": "identity",
}
KEYS = ("passphrase", "identity")


class RestoreForm(ProtectableForm):
    """Where it goes. No target is chosen beforehand."""

    mode = forms.ChoiceField(choices=_MODES, widget=forms.RadioSelect, label="Where does it go?")
    name = forms.CharField(required=False, max_length=63, help_text="Empty: the name in the backup.")
    host = forms.ChoiceField(required=False, label="Target host")
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
    start = forms.BooleanField(required=False, label="Start it")
    wait_healthy_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_SECONDS,
        label="Wait for its health, in seconds",
        help_text="Goes with a start. Empty: do not wait.",
    )
    confirm = forms.CharField(
        required=False,
        max_length=255,
        label="To replace it, or files in it, type the container's name",
        help_text="Only where a container or a file is replaced.",
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
    field_order = (
        *("mode", "paths", "container", "folder", "name", "host", "volume", "start", "wait_healthy_seconds", "confirm"),
        *("passphrase", "identity", "confirm_privileged", "confirm_protected", "reason", "ticket"),
    )

    def __init__(self, data: Any = None, *, backup: Backup, paths: Sequence[str] = ()) -> None:
        """`paths`: those that were chosen among the backup's files."""
        super().__init__(data, initial={"mode": "path", "paths": "\n".join(paths)} if paths else None)
        self._backup = backup
        parts = list(backup.parts.all())
        volumes = [(part.name, visible(part.name)) for part in parts if part.kind == "volume"]
        self.fields["volume"] = forms.ChoiceField(
            required=False, label="Which volume", choices=[("", "-"), *volumes], help_text="Where one is restored."
        )
        others = DockerHost.objects.filter(enabled=True).exclude(pk=backup.host_id).order_by("name")
        hosts = [("", f"{backup.host.name}, the backup's own"), *((host.name, host.name) for host in others)]
        self.fields["host"] = forms.ChoiceField(required=False, label="Target host", choices=hosts)
        self.order_fields(self.field_order)
        if not any(part.encryption for part in parts):
            for name in KEYS:
                del self.fields[name]

    def clean_paths(self) -> list[str]:
        """Without empty lines."""
        return [line for line in self.cleaned_data["paths"].splitlines() if line.strip()]

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

    def params(self, **more: Any) -> RestoreParams:
        """The typed params of a valid form; `more` are further fields of the request."""
        values = self.cleaned_data
        given = {name: values[field] for name, field in _FIELDS.items() if values.get(field)}
        return read_restore(str(self._backup.pk), {**given, **more})

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


class RestoreView(View):
    """Form, plan, confirmation."""

    def get(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The empty form."""
        backup = _checked(request, pk)
        form = RestoreForm(backup=backup, paths=request.GET.getlist("path")[:MOST_PATHS])
        return _page(request, "myco/restore_form.html", backup, form)

    def post(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """First the plan, then, confirmed, the restore of exactly that."""
        backup = _checked(request, pk)
        data = request.POST.copy()
        form = RestoreForm(data, backup=backup)
        if "use" in data and form.is_valid():
            plan = own_plan(request, RESTORE, str(backup.pk), form.target())
            data.update(proposal(plan, request.POST["use"], fields=form.fields))
            form = RestoreForm(data, backup=backup)
        if not form.is_valid() or {"back", "use"} & set(data):
            return _page(request, "myco/restore_form.html", backup, form)
        if "confirmed" in data and data.get("plan_hash"):
            return _restore(request, backup, form)
        return _plan(request, backup, form)


def _checked(request: HttpRequest, pk: Any) -> Backup:
    """Refuse who may not; the same refusal whether the backup is there or not."""
    if not request.user.has_perm(RESTORE.permission):
        raise refused(request, "you may not restore backups")
    row: Backup | None = visible_to(asker_of(request), "backup", "restore").filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def _submitted(request: HttpRequest, backup: Backup, form: RestoreForm, **bound: Any) -> Submitted:
    check_usable(backup)
    params = form.params(**bound)
    wish = request_by(request, kind=RESTORE, params=params, host=form.target(), form=form)
    return submit(replace(wish, limited=params.dry_run))


def _plan(request: HttpRequest, backup: Backup, form: RestoreForm, *, changed: bool = False) -> HttpResponse:
    try:
        known = unfinished(request, RESTORE, str(backup.pk), form.target())
        operation = waited(Submitted(operation=known) if known else _submitted(request, backup, form, dryRun=True))
    except MycoError as error:
        tell(request, error, about=backup.file_name)
        return _page(request, "myco/restore_form.html", backup, form)
    values = form.cleaned_data
    may_confirm = request.user.has_perm(PRIVILEGED)
    answer = Answer(start=values["start"], confirmed=values["confirm_privileged"], may_confirm=may_confirm)
    look = look_at(operation, answer, fields=form.fields)
    return _page(request, "myco/restore_plan.html", backup, form, look=look, changed=changed, lines=_lines(values))


def _restore(request: HttpRequest, backup: Backup, form: RestoreForm) -> HttpResponse:
    try:
        operation = _submitted(request, backup, form, planHash=request.POST["plan_hash"]).operation
    except MycoError as error:
        tell(request, error, about=backup.file_name)
        return _page(request, "myco/restore_form.html", backup, form)
    if plan_changed(operation):
        return _plan(request, backup, form, changed=True)
    messages.success(request, "1 operation submitted.")
    return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[operation.pk]))


def _lines(values: dict[str, Any]) -> list[str]:
    more = {
        f"On the host {values.get('host')}.": values.get("host"),
        f"The volume {visible(values.get('volume') or '')} alone.": values.get("volume"),
        f"In the folder {visible(values.get('folder') or '')}.": values.get("folder"),
        "It is started afterwards.": values["start"],
        "What was there stays, stopped, under another name, until somebody removes it.": values["mode"] == "inPlace",
    }
    return [line for line, wanted in more.items() if wanted]


def _page(request: HttpRequest, template: str, backup: Backup, form: RestoreForm, **more: Any) -> HttpResponse:
    mode = form.cleaned_data.get("mode", "new") if form.is_bound and form.is_valid() else "new"
    context = {
        **admin.site.each_context(request),
        "title": f"Restore {visible(backup.file_name)}",
        "row": backup,
        "form": form,
        "verb": "Restore",
        "sentence": _SENTENCES[mode],
        **more,
    }
    return TemplateResponse(request, template, context)
