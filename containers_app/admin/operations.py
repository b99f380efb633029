"""Operations: where each is, how it ended, and the way to stop it."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from containers_app.admin.base import ReadOnlyAdmin, asker_of, moment, refused, text_of
from containers_app.admin.filters import known, over
from containers_app.admin.outcome import outcome
from containers_app.audit.origin import source_of
from containers_app.audit.record import Channel
from containers_app.audit.verbs import records
from containers_app.errors import MycoError, PermissionDenied
from containers_app.models import Operation, State
from containers_app.operations.answers import published_error
from containers_app.operations.cancel import cancel
from containers_app.operations.kinds import KINDS, lasts
from containers_app.operations.visibility import visible_to
from containers_app.templatetags.console import badge, foreign, visible


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """All operations, newest first."""

    page_title = "Operations"
    page_template = "myco/operation.html"
    noun = "operation"
    list_display: Any = (
        "what",
        "status",
        "host",
        "actor_name",
        text_of("channel", "Channel"),
        "created",
        "took",
    )
    list_filter: ClassVar[Any] = (
        "state",
        known("kind", KINDS),
        "host",
        known("channel", get_args(Channel)),
        over("created_at"),
    )
    search_fields = ("target_name", "target_id", "actor", "request_id", "ticket")
    sortable_by: ClassVar[Any] = ()

    def get_urls(self) -> list[URLPattern]:
        """The way to cancel, before Django's own."""
        stop = self.admin_site.admin_view(require_POST(self.cancel_view))
        return [path("<uuid:pk>/cancel/", stop, name="containers_app_operation_cancel"), *super().get_urls()]

    @records("operation.cancel")
    def cancel_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for a stop. POST only."""
        operation = visible_to(asker_of(request), "operation").filter(pk=pk).first()
        if operation is None or not self.has_view_permission(request, operation):
            raise refused(request, "you may not see this operation")
        try:
            asked = cancel(operation, asker=asker_of(request), source=source_of(request, channel="ui"))
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except MycoError as error:
            messages.error(request, error.message)
        else:
            begun = "what the Engine has begun, it ends" if lasts(operation.kind) else "what was begun is taken back"
            messages.success(request, f"It will stop; {begun}." if asked else "It is over already.")
        return HttpResponseRedirect(reverse("admin:containers_app_operation_change", args=[pk]))

    def page(self, request: HttpRequest, row: Operation) -> dict[str, Any]:
        """Progress, result, error, and who asked."""
        end = row.finished_at or timezone.now()
        elapsed = (end - (row.started_at or row.created_at)).total_seconds()
        return {
            **outcome(row, asker_of(request)),
            "title": f"{KINDS[row.kind].verb} {visible(row.target_name)}",
            "verb": KINDS[row.kind].verb,
            "lasting": lasts(row.kind),
            "about": KINDS[row.kind].subject_type.capitalize(),
            "state": row.visible_state,
            "finished": row.is_finished,
            "elapsed_seconds": round(elapsed, 1),
            "rate": int(row.bytes_done / elapsed) if elapsed > 0 and row.bytes_done else None,
            "error": published_error(row) if row.is_finished else None,
            "may_cancel": not State(row.state).is_terminal
            and visible_to(asker_of(request), "operation", "cancel").filter(pk=row.pk).exists(),
        }

    @admin.display(description="Operation")
    def what(self, row: Operation) -> SafeString:
        """Verb and target."""
        address = reverse("admin:containers_app_operation_change", args=[row.pk])
        verb = KINDS[row.kind].verb if row.kind in KINDS else row.kind
        verb = f"Plan: {verb}" if row.params.get("dry_run") else verb
        return format_html('<a class="strong" href="{}">{} {}</a>', address, verb, foreign(row.target_name))

    @admin.display(description="State")
    def status(self, row: Operation) -> SafeString:
        """State, and the stage while it runs."""
        return format_html('{}<span class="sub-line">{}</span>', badge(row.visible_state), foreign(row.stage))

    @admin.display(description="Asked by")
    def actor_name(self, row: Operation) -> SafeString:
        """The name at that time."""
        return foreign(row.actor)

    @admin.display(description="Created")
    def created(self, row: Operation) -> SafeString:
        """When."""
        return moment(row.created_at)

    @admin.display(description="Took")
    def took(self, row: Operation) -> str:
        """From start to end."""
        if row.started_at is None or row.finished_at is None:
            return "not yet"
        return f"{(row.finished_at - row.started_at).total_seconds():.1f} s"
