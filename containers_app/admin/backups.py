"""Backups: the history, with size, duration, checksum, who and how."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers_app.admin.backup_contents import DOWNLOAD, contents_urls, shown_parts
from containers_app.admin.backup_keeping import BackupKeeping, kept_context, may_see_orphans
from containers_app.admin.base import ReadOnlyAdmin, moment
from containers_app.admin.trends import OfContainer, chosen_container, trend_context
from containers_app.models import Backup
from containers_app.templatetags.console import badge, foreign, hexid, kept_badges, size


@admin.register(Backup)
class BackupAdmin(BackupKeeping, ReadOnlyAdmin):
    """All backups, newest first."""

    page_title = "Backups"
    page_template = "myco/backup.html"
    noun = "backup"
    change_list_template = "myco/backups.html"
    list_display = (
        "created",
        "what",
        "status",
        "kept",
        "verified",
        "size_shown",
        "duration",
        "checksum",
        "who",
        "host",
    )
    list_filter = ("state", "host", "consistency_grade", "pinned", OfContainer)
    search_fields = ("container_name", "file_name", "sha256")
    sortable_by: ClassVar[Any] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the way to what no record knows, and the trend where it is of one container."""
        chosen = chosen_container(request)
        context = {"may_see_orphans": may_see_orphans(request), "chosen_container": chosen}
        context |= {} if chosen is None else trend_context(request, chosen)
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def page(self, request: HttpRequest, row: Backup) -> dict[str, Any]:
        """What may be done to it."""
        parts = list(shown_parts(row, may_download=request.user.has_perm(DOWNLOAD)))
        return {**kept_context(request, row), "parts": parts}

    def get_urls(self) -> list[URLPattern]:
        """The pages of what is in backups, before Django's own."""
        return [*contents_urls(), *super().get_urls()]

    @admin.display(description="Kept")
    def kept(self, row: Backup) -> SafeString:
        """Pins and holds."""
        return format_html("{}{}", *kept_badges(row))

    @admin.display(description="Verified")
    def verified(self, row: Backup) -> SafeString:
        """When every byte of it was last read."""
        return moment(row.verified_at)

    @admin.display(description="Time")
    def created(self, row: Backup) -> SafeString:
        """When it was complete."""
        return moment(row.created_at)

    @admin.display(description="Container")
    def what(self, row: Backup) -> SafeString:
        """Container and file."""
        address = reverse("admin:containers_app_backup_change", args=[row.pk])
        file = format_html('<span class="sub-line mono">{}</span>', foreign(row.file_name))
        return format_html('<a class="strong" href="{}">{}</a>{}', address, foreign(row.container_name), file)

    @admin.display(description="State")
    def status(self, row: Backup) -> SafeString:
        """State and consistency."""
        return format_html('{}<span class="sub-line">{}</span>', badge(row.state), foreign(row.consistency_grade))

    @admin.display(description="Size")
    def size_shown(self, row: Backup) -> SafeString:
        """For people, with the bytes as title."""
        return format_html('<span class="num" title="{} bytes">{}</span>', row.size_bytes, size(row.size_bytes))

    @admin.display(description="Took")
    def duration(self, row: Backup) -> str:
        """From the first byte to the name."""
        return f"{row.duration_seconds:.1f} s"

    @admin.display(description="SHA-256")
    def checksum(self, row: Backup) -> SafeString:
        """Of the file."""
        return hexid(row.sha256)

    @admin.display(description="Who, how")
    def who(self, row: Backup) -> SafeString:
        """The asker and the channel."""
        return format_html(
            '{}<span class="sub-line">{}</span>', foreign(row.operation.actor), foreign(row.operation.channel)
        )
