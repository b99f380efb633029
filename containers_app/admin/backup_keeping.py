"""Backups in the console after they were made: verify, pin, hold and delete one, and adopt what nobody recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from containers_app.admin.acts import ReasonForm, request_by, tell
from containers_app.admin.base import asker_of, author_of, refused
from containers_app.admin.notes import notes_of, notes_page
from containers_app.admin.restore import RestoreView
from containers_app.admin.stack_restore import StackRestoreView
from containers_app.audit.verbs import records
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import Backup, DockerHost, Operation
from containers_app.models.backups import BackupState
from containers_app.operations.keeping import HOLD, PIN, hold, pin, release, unpin
from containers_app.operations.kinds import ADOPT, DELETE_BACKUP, DRILL, RESTORE, VERIFY, Kind, Params
from containers_app.operations.orphans import host_of_orphan, orphans
from containers_app.operations.registering import Author
from containers_app.operations.submit import submit
from containers_app.operations.visibility import SYSTEM, sees_system, visible_to
from containers_app.templatetags.console import visible
from containers_app.workflows.adopt import AdoptParams
from containers_app.workflows.deletion import DeleteParams, is_gone, why_kept
from containers_app.workflows.drill import DrillParams
from containers_app.workflows.stack_sets import related
from containers_app.workflows.verify import VerifyParams

if TYPE_CHECKING:
    from containers_app.admin.base import Base
else:
    Base = object  # a part of an admin class, not one by itself

_NAME = "containers_app_backup"


class HoldForm(ReasonForm):
    """Why, and until when."""

    reason = forms.CharField(max_length=500, help_text="Why it must not be deleted. Shown, and kept in the ledger.")
    until = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="In UTC. Empty: until somebody releases it.",
    )
    field_order = ("reason", "until", "ticket")


class DeleteForm(ReasonForm):
    """The typed confirmation."""

    confirm = forms.CharField(max_length=255, label="Type the backup's file name")
    confirm_last = forms.BooleanField(
        required=False,
        label="Also the last good backup",
        help_text="Needed only for the last good backup of a container that is gone.",
    )
    field_order = ("confirm", "confirm_last", "reason", "ticket")

    def __init__(self, data: Any = None, *, row: Backup) -> None:
        super().__init__(data)
        self._row = row

    def clean(self) -> dict[str, Any]:
        """The name, exactly; and what forbids it is said before an operation is made for it."""
        values = super().clean() or {}
        if "confirm" in values and values["confirm"] != self._row.file_name:
            self.add_error("confirm", f"That is not its name. Type exactly: {visible(self._row.file_name)}")
        kept = why_kept(self._row, sets_of(self._row), confirm_last=bool(values.get("confirm_last")))
        if kept:
            self.add_error(None, visible(kept.message))
        return values


@dataclass(frozen=True, kw_only=True)
class Button:
    """A form's button where it `posts`, else a link; with a reason why not, neither."""

    verb: str
    icon: str
    address: str
    why_not: str
    posts: bool = True


class BackupKeeping(Base):
    """What is added to the pages of backups."""

    def get_urls(self) -> list[URLPattern]:
        """Our own acts, before Django's own."""
        at_once = {
            "verify": self.verify_view,
            "drill": self.drill_view,
            "pin": self._kept_by(pin, "pin", "backup.pinned"),
            "unpin": self._kept_by(unpin, "pin", "backup.unpinned"),
            "release": self._kept_by(release, "hold", "backup.released"),
        }
        wrap = self.admin_site.admin_view
        return [
            *(
                path(f"<uuid:pk>/{act}/", wrap(require_POST(view)), name=f"{_NAME}_{act}")
                for act, view in at_once.items()
            ),
            path("<uuid:pk>/restore/", wrap(RestoreView.as_view()), name=f"{_NAME}_restore"),
            path("<uuid:pk>/restore-stack/", wrap(StackRestoreView.as_view()), name=f"{_NAME}_restore_stack"),
            path("<uuid:pk>/hold/", wrap(self.hold_view), name=f"{_NAME}_hold"),
            path("<uuid:pk>/remove/", wrap(self.remove_view), name=f"{_NAME}_remove"),
            path("orphans/", wrap(self.orphans_view), name=f"{_NAME}_orphans"),
            path("orphans/adopt/", wrap(require_POST(self.adopt_view)), name=f"{_NAME}_adopt"),
            *super().get_urls(),
        ]

    @records(VERIFY.action)
    def verify_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Read all of it back. POST only."""
        row = _row_for(request, "verify", pk)
        return self._at_once(request, VERIFY, VerifyParams(backup=str(row.pk), name=row.file_name), row)

    @records(DRILL.action)
    def drill_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Boot it in isolation, and remove everything again. POST only."""
        row = _row_for(request, "drill", pk)
        return self._at_once(request, DRILL, DrillParams(backup=str(row.pk)), row)

    def _at_once(self, request: HttpRequest, kind: Kind, params: Params, row: Backup) -> HttpResponse:
        form = notes_of(request, kind.action)
        if not form.is_valid():
            return notes_page(request, form, act=f"{kind.verb} {visible(row.file_name)}")
        made = _submitted(request, kind, params, row.host, form)
        return _to_operation(made) if made else _to_page(row.pk)

    def _kept_by(self, act: Callable[[Backup, Author], Backup], verb: str, action: str) -> Callable[..., HttpResponse]:
        @records(action)
        def view(request: HttpRequest, pk: Any) -> HttpResponse:
            row, form = _row_for(request, verb, pk), notes_of(request, action)
            if not form.is_valid():
                return notes_page(request, form, act=f"Change {visible(row.file_name)}")
            _done(request, row, lambda: act(row, author_of(request, form)))
            return _to_page(pk)

        return view

    @records("backup.held")
    def hold_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The form of a hold; a POST begins it."""
        row = _row_for(request, "hold", pk)
        form = HoldForm(request.POST or None).needing("backup.held")
        if request.method == "POST" and form.is_valid():
            until = form.cleaned_data["until"]
            if _done(request, row, lambda: hold(row, author_of(request, form), until=until)):
                return _to_page(pk)
        return self._form(request, row, form, act="Hold", sentence="It cannot be deleted while the hold is on it.")

    @records(DELETE_BACKUP.action)
    def remove_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The form that takes the name; a POST with it deletes the backup."""
        row = _row_for(request, "delete", pk)
        form = DeleteForm(request.POST or None, row=row).needing(DELETE_BACKUP.action)
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            params = DeleteParams(
                backup=str(row.pk),
                name=row.file_name,
                confirm=values["confirm"],
                confirm_last=values["confirm_last"],
            )
            made = _submitted(request, DELETE_BACKUP, params, row.host, form)
            if made:
                return _to_operation(made)
        sentence = "Its manifest is removed first, then its files. What other backups need stays."
        return self._form(request, row, form, act="Delete", sentence=sentence)

    @records()
    def orphans_view(self, request: HttpRequest) -> HttpResponse:
        """The sets in the storage that no record knows."""
        if not sees_system(asker_of(request)):
            raise refused(request, "you may not see what stands in the storage")
        context = {**self.admin_site.each_context(request), "title": "Backups without a record", "problem": ""}
        context["why_not"] = _missing(request, ADOPT.permission)
        try:
            context["found"] = orphans()
        except MycoError as error:
            context["problem"] = error.message
        return TemplateResponse(request, "myco/orphans.html", context)

    @records(ADOPT.action)
    def adopt_view(self, request: HttpRequest) -> HttpResponse:
        """Record one of them. POST only."""
        if not sees_system(asker_of(request)) or _missing(request, ADOPT.permission):
            raise refused(request, "you may not adopt backups")
        form = notes_of(request, ADOPT.action)
        if not form.is_valid():
            return notes_page(request, form, act="Adopt a backup")
        params = AdoptParams(path=request.POST.get("path", ""))
        try:
            host = host_of_orphan(params.path)
        except MycoError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse(f"admin:{_NAME}_orphans"))
        made = _submitted(request, ADOPT, params, host, form)
        return _to_operation(made) if made else HttpResponseRedirect(reverse(f"admin:{_NAME}_orphans"))

    def _form(self, request: HttpRequest, row: Backup, form: ReasonForm, *, act: str, sentence: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{act} {visible(row.file_name)}",
            "row": row,
            "form": form,
            "act": act,
            "sentence": sentence,
            "deletes": act == "Delete",
        }
        return TemplateResponse(request, "myco/backup_act.html", context)


def kept_context(request: HttpRequest, row: Backup) -> dict[str, Any]:
    """For the page of a backup: the buttons, each of which says why it is off."""
    return {"buttons": buttons(request, row), "container_gone": is_gone(row)}


def buttons(request: HttpRequest, row: Backup) -> list[Button]:
    """The acts on a backup."""
    deleted = "It was deleted." if row.state == BackupState.DELETED else ""
    kept = why_kept(row, sets_of(row), confirm_last=True)
    unusable = "" if row.is_usable else "It cannot be used."
    locked = "Its key is needed: use the REST interface." if any(part.encryption for part in row.parts.all()) else ""
    of_stack = related(row).exists()
    acts = [
        ("restore", "Restore", "restart", RESTORE.permission, unusable),
        *([("restore_stack", "Restore the whole stack", "restart", RESTORE.permission, unusable)] if of_stack else ()),
        ("drill", "Drill", "play", DRILL.permission, unusable or locked),
        ("verify", "Verify", "seal", VERIFY.permission, ""),
    ]
    acts.append(("unpin", "Take the pin out", "pin", PIN, "") if row.pinned else ("pin", "Pin", "pin", PIN, ""))
    if row.hold_reason:
        acts.append(("release", "Release", "lock", HOLD, ""))
    if not row.is_held:
        acts.append(("hold", "Hold", "lock", HOLD, ""))
    acts.append(("remove", "Delete", "trash", DELETE_BACKUP.permission, kept.message if kept else ""))
    return [
        Button(
            verb=words,
            icon=icon,
            address=reverse(f"admin:{_NAME}_{act}", args=[row.pk]),
            why_not=_missing(request, permission) or deleted or visible(why_not),
            posts=act not in ("restore", "restore_stack", "hold", "remove"),
        )
        for act, words, icon, permission, why_not in acts
    ]


def sets_of(row: Backup) -> list[Backup]:
    """All sets of its container."""
    rows = Backup.objects.filter(host_id=row.host_id, container_engine_id=row.container_engine_id)
    return list(rows.only("state"))


def may_see_orphans(request: HttpRequest) -> bool:
    """Whether the list of orphans may be offered."""
    return request.user.has_perm(SYSTEM)


def _missing(request: HttpRequest, permission: str) -> str:
    return "" if request.user.has_perm(permission) else f"You may not: it needs the permission {permission}."


def _row_for(request: HttpRequest, verb: str, pk: Any) -> Backup:
    """The backup, for who may do this; the same refusal whether it is there or not."""
    row: Backup | None = visible_to(asker_of(request), "backup", verb).filter(pk=pk).first()
    if row is None:
        raise refused(request, "you may not do this to this backup")
    return row


def _done(request: HttpRequest, row: Backup, change: Callable[[], object]) -> bool:
    """Whether it could be changed; a rule or a ledger that is against it is shown."""
    try:
        change()
    except MycoError as error:
        tell(request, error, about=row.file_name)
        return False
    messages.success(request, f"{visible(row.file_name)} is changed.")
    return True


def _submitted(
    request: HttpRequest, kind: Kind, params: Params, host: DockerHost, form: ReasonForm
) -> Operation | None:
    try:
        return submit(request_by(request, kind=kind, params=params, host=host, form=form)).operation
    except PermissionDenied as error:
        raise refused(request, error.message) from error
    except MycoError as error:
        tell(request, error, about=kind.subject(params))
        return None


def _to_operation(made: Operation) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[made.pk]))


def _to_page(pk: Any) -> HttpResponse:
    return HttpResponseRedirect(reverse(f"admin:{_NAME}_change", args=[pk]))
