"""Start, stop, restart and remove in the console: forms that confirm, buttons that say why they are off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from containers_app.admin.acts import ActView, ProtectableForm, ReasonForm, act_address, to_form
from containers_app.audit.verbs import records
from containers_app.models import Container
from containers_app.operations.kinds import REMOVE, RESTART, START, STOP, Params
from containers_app.templatetags.console import visible
from containers_app.workflows.lifecycle import RemoveParams, StartParams, StopParams

if TYPE_CHECKING:
    from containers_app.admin.base import Base
else:
    Base = object  # a part of an admin class, not one by itself

_RUNNING = ("running", "paused", "restarting")
_LONGEST_SECONDS = 3600


class StartForm(ReasonForm):
    """Whether to wait."""

    wait_healthy_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=_LONGEST_SECONDS,
        label="Wait for its healthcheck, in seconds",
        help_text="Empty: do not wait.",
    )
    field_order = ("wait_healthy_seconds", "reason", "ticket")


class StopForm(ProtectableForm):
    """How long until the kill."""

    timeout_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=_LONGEST_SECONDS,
        label="Seconds until it is killed",
        help_text="Empty: the container's own, which is 10 unless it says otherwise.",
    )
    field_order = ("timeout_seconds", "reason", "ticket", "confirm_protected")


class RemoveForm(ProtectableForm):
    """The typed confirmation, and what goes too."""

    confirm = forms.CharField(max_length=255, label="Type the container's name")
    force = forms.BooleanField(required=False, label="Kill it if it runs")
    volumes = forms.BooleanField(
        required=False, label="Remove its anonymous volumes too", help_text="Their data is lost. Named volumes stay."
    )
    field_order = ("confirm", "force", "volumes", "reason", "ticket", "confirm_protected")


class StartView(ActView):
    """Start."""

    kind = START
    form_class = StartForm
    sentence = "The container is started. One that runs already is left as it is."

    def lines(self, values: dict[str, Any]) -> list[str]:
        """The wait, if there is one."""
        seconds = values["wait_healthy_seconds"]
        return [f"Its healthcheck is waited for, {seconds} seconds at most."] if seconds else []

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id."""
        return StartParams(container=row.engine_id, wait_healthy_seconds=values["wait_healthy_seconds"] or 0)


class StopView(ActView):
    """Stop."""

    kind = STOP
    form_class = StopForm
    sentence = "The container gets its stop signal, and is killed when it has not ended in time."

    def lines(self, values: dict[str, Any]) -> list[str]:
        """The time, if it was given."""
        seconds = values["timeout_seconds"]
        return [] if seconds is None else [f"That time is {seconds} seconds."]

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id."""
        return StopParams(
            container=row.engine_id,
            timeout_seconds=values["timeout_seconds"],
            confirm_protected=values["confirm_protected"],
        )


class RestartView(StopView):
    """Restart."""

    kind = RESTART
    sentence = "The container is stopped, killed when it has not ended in time, and started again."


class RemoveView(ActView):
    """Remove, one at a time: each is confirmed by its name."""

    kind = REMOVE
    form_class = RemoveForm
    sentence = "The container and the files in it are removed. Its backups stay."

    def judge(self, form: ReasonForm, rows: QuerySet[Container]) -> None:
        """One container, and its name."""
        names = list(rows.values_list("name", flat=True))
        if len(names) > 1:
            form.add_error(None, "Remove containers one by one: each is confirmed by its name.")
        elif names and form.data.get("confirm") != names[0]:
            form.add_error("confirm", f"That is not its name. Type exactly: {visible(names[0])}")

    def lines(self, values: dict[str, Any]) -> list[str]:
        """What goes besides."""
        more = {"force": "If it runs, it is killed first.", "volumes": "Its anonymous volumes are removed with it."}
        return [sentence for name, sentence in more.items() if values[name]]

    def params(self, row: Container, values: dict[str, Any]) -> Params:
        """By id, with the name as it was typed."""
        return RemoveParams(
            container=row.engine_id,
            confirm=values["confirm"],
            force=values["force"],
            volumes=values["volumes"],
            confirm_protected=values["confirm_protected"],
        )


VIEWS: Mapping[str, type[ActView]] = {
    "start": StartView,
    "stop": StopView,
    "restart": RestartView,
    "remove": RemoveView,
}
_ICONS = {"start": "play", "stop": "stop", "restart": "restart", "remove": "trash"}


@dataclass(frozen=True, kw_only=True)
class Button:
    """A link to a form; with a reason why not, no link."""

    verb: str
    icon: str
    address: str
    why_not: str


def buttons(request: HttpRequest, row: Container) -> list[Button]:
    """The buttons of a container's page that the user may use; none for a container that is gone."""
    if row.removed_at:
        return []
    return [
        Button(verb=view.kind.verb, icon=_ICONS[act], address=act_address(act, row), why_not=_why_not(act, row))
        for act, view in VIEWS.items()
        if request.user.has_perm(view.kind.permission)
    ]


def _why_not(act: str, row: Container) -> str:
    """By the state of the inventory. The worker looks again: this only spares a click."""
    runs = row.state in _RUNNING
    if act == "start" and runs:
        return "it runs"
    return "it does not run" if act in ("stop", "restart") and not runs else ""


class LifecycleActions(Base):
    """The four forms and their entries in the menu of a list of containers."""

    actions: Any = ("start_selected", "stop_selected", "restart_selected", "remove_selected")

    def get_urls(self) -> list[URLPattern]:
        """The forms, before Django's own pages."""
        own = [
            path(f"{act}/", self.admin_site.admin_view(view.as_view()), name=f"containers_app_container_{act}")
            for act, view in VIEWS.items()
        ]
        return [*own, *super().get_urls()]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For the menu's entries."""
        return request.user.has_perm(START.permission)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """For the menu's entry."""
        return request.user.has_perm(REMOVE.permission)

    @records()
    @admin.action(description="Start…", permissions=["operate"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form."""
        return to_form("start", queryset)

    @records()
    @admin.action(description="Stop…", permissions=["operate"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form."""
        return to_form("stop", queryset)

    @records()
    @admin.action(description="Restart…", permissions=["operate"])
    def restart_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form."""
        return to_form("restart", queryset)

    @records()
    @admin.action(description="Remove…", permissions=["remove"])
    def remove_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Go to the form."""
        return to_form("remove", queryset)
