"""Back up in the console: what to save, how still the container stands, how it is stored; read by the API's reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from containers_app.admin.acts import ActView, ProtectableForm
from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.models import Container
from containers_app.operations.backup_options import read_backup
from containers_app.operations.kinds import BACKUP, Params

CONTENTS = (
    ("rootfs", "The container's file system, as one tar"),
    ("config", "Its configuration, networks and volumes included: a restore needs it"),
    ("volumes", "Its volumes"),
    ("binds", "Folders of the host that it uses, where that is allowed"),
    ("image", "Its image, once for all backups in the same folder"),
)
CONSISTENCY = (
    ("live", "Live: the container keeps running, and files that change meanwhile may not fit together."),
    ("pause", "Pause: it stands still while it is read, so everything is of one moment."),
    ("stop", "Stop: it is stopped while it is read and started again, so nothing is half written."),
)
COMPRESSION = (
    ("none", "None: the documented plain tar"),
    ("zstd", "Zstandard: small and fast"),
    ("gzip", "gzip: readable everywhere"),
)
_DEFAULT_CONTENTS = ("rootfs", "config", "volumes")
# Which field of the form a field of the request is; what is not named here is told above the form.
_FIELDS: Mapping[str, str] = {
    "name": "name",
    "path": "path",
    "contents": "contents",
    "volumes": "volumes",
    "secrets": "without_values",
    "compression": "compression",
    "encryption": "recipients",
    "note": "note",
}


class BackUpForm(ProtectableForm):
    """A backup's content, its place and its storage."""

    contents = forms.MultipleChoiceField(
        choices=CONTENTS,
        initial=_DEFAULT_CONTENTS,
        widget=forms.CheckboxSelectMultiple,
        label="What to save",
        error_messages={"required": "Choose at least one."},
    )
    volumes = forms.CharField(
        required=False,
        max_length=65536,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        label="Only these volumes",
        help_text="Names or mount points, one a line. Empty: all of them.",
    )
    without_values = forms.BooleanField(
        required=False,
        label="Leave the environment's values out",
        help_text="They may be secrets. A restore then has to be given them.",
    )
    consistency = forms.ChoiceField(
        choices=CONSISTENCY, initial="live", widget=forms.RadioSelect, label="The container, while it is read"
    )
    compression = forms.ChoiceField(choices=COMPRESSION, initial="none", label="Compression")
    recipients = forms.CharField(
        required=False,
        max_length=65536,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        label="Encrypt for",
        help_text="age recipients, one a line. Whoever loses their keys loses the backup: nobody else can open it.",
    )
    name = forms.CharField(required=False, max_length=200, help_text="Empty: <container>-backup-<time>.tar.")
    path = forms.CharField(required=False, max_length=1024, label="Folder")
    note = forms.CharField(required=False, max_length=500)
    pin = forms.BooleanField(required=False, label="Keep it until the pin is taken out")
    field_order = (
        *("contents", "volumes", "without_values", "consistency", "compression", "recipients"),
        *("name", "path", "note", "pin", "reason", "ticket", "confirm_protected"),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        roots = load().backup_roots
        self.fields["path"].help_text = f"Empty: {roots[0]}. Allowed: folders below {', '.join(roots)}."

    def clean(self) -> dict[str, Any]:
        """What the API's reader does not take is told at its field."""
        values = super().clean() or {}
        if not self.errors:
            try:
                self.read(values)
            except InvalidRequest as error:
                self.add_error(_FIELDS.get((error.field or "").removeprefix("options.")), error.message)
        return values

    def read(self, values: Mapping[str, Any]) -> Params:
        """The typed params of one container. Raises InvalidRequest."""
        return read_backup("any", options_of(values))


class BackUpView(ActView):
    """Back up."""

    kind = BACKUP
    form_class = BackUpForm
    sentence = "What was chosen is written, read back and compared; the manifest that makes it a backup comes last."

    def lines(self, values: dict[str, Any]) -> list[str]:
        """What was chosen."""
        return chosen_lines(values)

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id, with what was filled in."""
        return read_backup(row.engine_id, options_of(values))


def chosen_lines(values: Mapping[str, Any]) -> list[str]:
    """What is saved, how still it stands, and how it is stored."""
    saved = [words.partition(":")[0] for name, words in CONTENTS if name in values["contents"]]
    lines = [f"Saved: {', '.join(saved)}.", dict(CONSISTENCY)[values["consistency"]]]
    if values["recipients"].split():
        lines.append(f"Every part is encrypted for {len(values['recipients'].split())} recipient(s).")
    return lines


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The filled-in form as the API's options; what is empty is left out."""
    lines = {name: values.get(name, "").splitlines() for name in ("volumes", "recipients")}
    given = {name: [line.strip() for line in found if line.strip()] for name, found in lines.items()}
    options = {
        "name": values["name"] or None,
        "path": values["path"] or None,
        "contents": list(values["contents"]),
        "volumes": given["volumes"] or None,
        "consistency": values["consistency"],
        "compression": values["compression"],
        "encryption": {"recipients": given["recipients"]} if given["recipients"] else None,
        "note": values["note"] or None,
        "pin": values["pin"],
        "confirmProtected": values["confirm_protected"],
        "secrets": False if values["without_values"] else None,
    }
    return {name: value for name, value in options.items() if value is not None}
