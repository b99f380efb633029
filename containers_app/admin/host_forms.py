"""The forms that register and change a Docker host: the same rules as the API, each error at its field."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django import forms

from containers_app.admin.acts import ReasonForm
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.operations.hosts import values_of
from containers_app.specs.host import LONGEST_FOLDER, LONGEST_URL, HostValues

_FIELDS = {"tlsDirectory": "tls_directory", "allowPlain": "allow_plain"}


class HostForm(ReasonForm):
    """What may be chosen for a host that is there."""

    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Address",
        help_text="https://host:port, tcp://host:port or unix:///path, as the workers reach it.",
    )
    tls_directory = forms.CharField(required=False, max_length=LONGEST_FOLDER, label="Folder with certificates")
    queue = forms.CharField(
        max_length=63,
        initial="local",
        help_text="Whose workers reach this Engine: 'local', or their own.",
    )
    enabled = forms.BooleanField(required=False, initial=True, help_text="Follow it, and let it have new operations.")
    allow_plain = forms.BooleanField(
        required=False,
        label="Connect without TLS",
        help_text="Whoever reaches the port, or the network in between, is then root on that host.",
    )
    field_order = ("name", "url", "tls_directory", "queue", "enabled", "allow_plain", "reason", "ticket")

    def __init__(self, data: Any = None, *, host: DockerHost | None = None) -> None:
        super().__init__(data=data, initial={} if host is None else asdict(values_of(host)))
        place = f"Below {load().tls_root}, with ca.pem, cert.pem and key.pem; then tcp:// means TLS."
        self.fields["tls_directory"].help_text = place
        if host is not None and host.is_local:
            for name in ("url", "tls_directory", "allow_plain"):
                del self.fields[name]

    def chosen(self) -> dict[str, Any]:
        """The choices of a valid form, without the reason and the ticket."""
        return {name: self.cleaned_data[name] for name in HostValues.__dataclass_fields__ if name in self.fields}

    def refuse(self, error: MycoError) -> None:
        """Show what a rule says at the field that breaks it."""
        field = _FIELDS.get(error.field or "", error.field)
        self.add_error(field if field in self.fields else None, error.message)


class NewHostForm(HostForm):
    """A host that is to be registered: the only time that it gets a name."""

    name = forms.CharField(max_length=63, help_text="Small letters, digits, '-', '_', '.'. It never changes.")
