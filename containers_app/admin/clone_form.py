"""The clone form: what a clone may have otherwise than its source, checked by the API's own reader."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.html import format_html

from containers_app.admin import clone_text
from containers_app.admin.acts import ProtectableForm
from containers_app.errors import InvalidRequest
from containers_app.models import Container, DockerHost
from containers_app.operations.clone_options import read_clone
from containers_app.specs.overrides import RESTART_POLICIES
from containers_app.templatetags.console import foreign, visible
from containers_app.workflows.clone import CloneParams

DATA = (
    ("none", "None: nothing is copied. Named volumes are shared with the source, unless the clone is on another host."),
    ("volumes", "Volumes: each volume becomes a new one with a copy of what is in it."),
    ("all", "All: the volumes, and the files that were changed in the container itself."),
)
CONSISTENCY = (
    ("live", "Live: the source keeps running, and files that change meanwhile may not fit together."),
    ("pause", "Pause: the source stands still while it is read, so everything is of one moment."),
    ("stop", "Stop: the source is stopped while it is read and started again, so nothing is half written."),
)
_TREATMENTS = (
    ("", "as chosen for all"),
    ("copy", "copy: a new volume with the content"),
    ("empty", "empty: a new volume"),
    ("share", "share: the source's own volume"),
)
PRIVILEGED = "containers_app.clone_privileged"
_LONGEST_TEXT = 65536
LONGEST_SECONDS = 3600
# Which field of the form a field of the request is; what is not named here is told above the form.
_FIELDS: Mapping[str, str] = {
    "options.name": "name",
    "options.host": "host",
    "options.data": "content",
    "options.consistency": "consistency",
    "options.waitHealthySeconds": "wait_healthy_seconds",
    "options.overrides.image": "image",
    "options.overrides.command": "command",
    "options.overrides.entrypoint": "entrypoint",
    "options.overrides.env.set": "env_set",
    "options.overrides.env.drop": "env_drop",
    "options.overrides.labels.set": "labels_set",
    "options.overrides.labels.drop": "labels_drop",
    "options.overrides.ports": "ports",
    "options.overrides.networks": "networks",
    "options.overrides.resources.memoryBytes": "memory",
    "options.overrides.resources.nanoCpus": "cpus",
    "options.overrides.restartPolicy.name": "restart_policy",
    "options.overrides.restartPolicy.maximumRetries": "restart_retries",
    "options.overrides.user": "user",
    "options.overrides.hostname": "hostname",
}
_RARE = (
    *("labels_set", "labels_drop", "restart_policy", "restart_retries", "memory", "cpus"),
    *("networks", "image", "command", "entrypoint", "user", "hostname"),
)
_OF_ONE = ("name", "ports", "networks", "image", "command", "entrypoint", "user", "hostname")


def _area(label: str, help_text: str, *, rows: int = 3) -> forms.CharField:
    """A field of lines, kept as they are typed; no browser remembers them."""
    widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocomplete": "off"})
    return forms.CharField(
        required=False, max_length=_LONGEST_TEXT, strip=False, label=label, help_text=help_text, widget=widget
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Fields that stand together; a `folded` one is shown when it is asked for, or `open` from the start."""

    title: str
    fields: tuple[BoundField, ...]
    folded: bool = False
    open: bool = False


class CloneForm(ProtectableForm):
    """One clone of each chosen container; for several, only what makes sense for all of them."""

    name = forms.CharField(required=False, max_length=63, help_text="Empty: <source>-clone-<milliseconds>.")
    host = forms.ChoiceField(required=False, label="Target host")
    content = forms.ChoiceField(choices=DATA, initial="none", widget=forms.RadioSelect, label="Data")
    consistency = forms.ChoiceField(
        choices=CONSISTENCY, initial="live", widget=forms.RadioSelect, label="The source, while data is copied"
    )
    start = forms.BooleanField(required=False, label="Start the clone")
    wait_healthy_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_SECONDS,
        label="Wait for its health, in seconds",
        help_text="Goes with a start. Empty: do not wait.",
    )
    ports = _area(
        "Published ports", "One a line: [ip:]host:container[/protocol], with auto for any free host port. Empty: none."
    )
    env_set = _area("Environment to set", "NAME=VALUE, one a line. The values are kept nowhere that can be read.")
    env_drop = _area("Environment to drop", "Names, one a line.", rows=2)
    labels_set = _area("Labels to set", "NAME=VALUE, one a line.", rows=2)
    labels_drop = _area("Labels to drop", "Names, one a line.", rows=2)
    restart_policy = forms.ChoiceField(
        required=False, choices=[("", "as the source"), *((word, word) for word in RESTART_POLICIES)]
    )
    restart_retries = forms.IntegerField(
        required=False, min_value=0, label="Restarts at most", help_text="Goes with on-failure."
    )
    memory = forms.CharField(required=False, max_length=32, label="Memory limit", help_text="Such as 512m or 2g.")
    cpus = forms.CharField(required=False, max_length=32, label="Processors", help_text="Such as 0.5 or 2.")
    networks = _area(
        "Networks",
        "One a line, the first is the primary one: name [ip=address] [alias=name]. Empty: as the source.",
        rows=2,
    )
    image = forms.CharField(required=False, max_length=512, help_text="Empty: the source's, to the byte.")
    command = _area("Command", "One word a line. Empty: as the source.", rows=2)
    entrypoint = _area("Entrypoint", "One word a line. Empty: as the source.", rows=2)
    user = forms.CharField(required=False, max_length=255, label="User in the container")
    hostname = forms.CharField(required=False, max_length=64, label="Host name in the container")
    confirm_privileged = forms.BooleanField(
        required=False,
        label="The clone may hold the same power over its host as its source",
        help_text="Needed only for a source that is privileged, mounts the Docker socket, or the like.",
    )

    def __init__(self, data: Any = None, *, rows: Sequence[Container]) -> None:
        self._row = rows[0] if len(rows) == 1 else None
        self._published = clone_text.port_lines(self._row.ports) if self._row else ""
        super().__init__(data, initial={"ports": self._published})
        self._options: dict[str, Any] = {}
        self._volumes: dict[str, str] = {}
        for name in () if self._row else _OF_ONE:
            del self.fields[name]
        self._choose_host()
        self._choose_volumes()

    def _choose_host(self) -> None:
        """Only where there is a choice."""
        names = list(DockerHost.objects.filter(enabled=True).order_by("name").values_list("name", flat=True))
        if len(names) < 2:
            del self.fields["host"]
            return
        same = f"{self._row.host.name}, as the source" if self._row else "each its source's"
        others = [(name, name) for name in names if self._row is None or name != self._row.host.name]
        self.fields["host"] = forms.ChoiceField(required=False, label="Target host", choices=[("", same), *others])

    def _choose_volumes(self) -> None:
        """A field for each volume of the one container. Its name in the form is inert, whatever the volume's is."""
        mounts = self._row.mounts if self._row else []
        for mount in mounts:
            target = str(mount.get("target") or "")
            key = str(mount.get("name") or target)
            name = "volume_" + hashlib.sha256(key.encode()).hexdigest()[:16]
            if mount.get("type") != "volume" or name in self.fields:
                continue
            self._volumes[name] = key
            label, place = f"Volume {visible(key[:64])}", format_html("Mounted at {}.", foreign(target))
            self.fields[name] = forms.ChoiceField(required=False, choices=_TREATMENTS, label=label, help_text=place)

    def clean_ports(self) -> list[dict[str, Any]] | None:
        """None when they are as the source's: then nothing is overridden."""
        text = self.cleaned_data["ports"]
        same = clone_text.words(text) == clone_text.words(self._published)
        return None if same else clone_text.ports(text)

    def clean_networks(self) -> list[dict[str, Any]] | None:
        """None for the source's."""
        return clone_text.networks(self.cleaned_data["networks"]) or None

    def clean_env_set(self) -> dict[str, str]:
        """Values that stay in the form."""
        return clone_text.pairs(self.cleaned_data["env_set"])

    def clean_labels_set(self) -> dict[str, str]:
        """Names with values."""
        return clone_text.pairs(self.cleaned_data["labels_set"])

    def clean_memory(self) -> int | None:
        """In bytes."""
        return _given(self.cleaned_data["memory"], clone_text.size_bytes)

    def clean_cpus(self) -> int | None:
        """In billionths."""
        return _given(self.cleaned_data["cpus"], clone_text.nano_processors)

    def clean(self) -> dict[str, Any]:
        """By the same reader as the API; what it refuses is told at the field."""
        values = super().clean() or {}
        if not self.errors:
            self._options = _options(values, {key: values[name] for name, key in self._volumes.items()})
            try:
                read_clone("", self._options)
            except InvalidRequest as error:
                self._refuse(error)
        return values

    def _refuse(self, error: InvalidRequest) -> None:
        told = error.field or ""
        fitting = [name for name in _FIELDS if told == name or told.startswith((f"{name}.", f"{name}["))]
        field = _FIELDS[max(fitting, key=len)] if fitting else None
        self.add_error(field if field in self.fields else None, error.message)

    def params(self, row: Container, **more: Any) -> CloneParams:
        """The typed params of a valid form for one container; `more` are further options of the request."""
        params = read_clone(row.engine_id, {**self._options, **more})
        return replace(params, host=None) if params.host == row.host.name else params

    def groups(self) -> Iterator[Group]:
        """The fields as the page shows them."""
        yield self._group("Name and place", "name", "host")
        yield self._group("Data", "content", *self._volumes, "consistency")
        yield self._group("Start", "start", "wait_healthy_seconds")
        yield self._group("Ports and environment", "ports", "env_set", "env_drop")
        more = self._group("More that may differ", *_RARE)
        yield replace(more, folded=True, open=any(field.errors or field.data for field in more.fields))
        yield self._group("Confirm and record", "confirm_privileged", "confirm_protected", "reason", "ticket")

    def _group(self, title: str, *names: str) -> Group:
        return Group(title=title, fields=tuple(self[name] for name in names if name in self.fields))


def _given(text: str, read: Callable[[str], int]) -> int | None:
    return read(text) if text.strip() else None


def _options(values: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, Any]:
    """The options of a request, as the API takes them; what was left empty is left out."""
    options = {
        "name": values.get("name"),
        "host": values.get("host"),
        "data": values["content"],
        "volumes": {key: treatment for key, treatment in volumes.items() if treatment},
        "consistency": values["consistency"],
        "start": values["start"],
        "waitHealthySeconds": values["wait_healthy_seconds"],
        "confirmPrivileged": values["confirm_privileged"],
        "confirmProtected": values["confirm_protected"],
        "overrides": _overrides(values),
    }
    return {name: value for name, value in options.items() if value}


def _overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """An empty list of ports is a wish: none. Everything else that is empty is none."""
    ports = values.get("ports")
    overrides = {
        "image": values.get("image"),
        "command": clone_text.lines(values.get("command") or ""),
        "entrypoint": clone_text.lines(values.get("entrypoint") or ""),
        "env": _changes(values, "env"),
        "labels": _changes(values, "labels"),
        "networks": values.get("networks"),
        "resources": _present(memoryBytes=values["memory"], nanoCpus=values["cpus"]),
        "restartPolicy": _present(name=values["restart_policy"] or None, maximumRetries=values["restart_retries"]),
        "user": values.get("user"),
        "hostname": values.get("hostname"),
    }
    given = {name: value for name, value in overrides.items() if value}
    return given if ports is None else {**given, "ports": ports}


def _changes(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    changes = {"set": values[f"{name}_set"], "drop": clone_text.words(values[f"{name}_drop"])}
    return {kind: change for kind, change in changes.items() if change}


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
