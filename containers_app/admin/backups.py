"""Backups: the history, with size, duration, checksum, who and how."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers_app.admin.base import ReadOnlyAdmin, moment
from containers_app.models import Backup
from containers_app.templatetags.console import badge, foreign, hexid, size


@admin.register(Backup)
class BackupAdmin(ReadOnlyAdmin):
    """All backups, newest first."""

    page_title = "Backups"
    page_template = "myco/backup.html"
    noun = "backup"
    list_display = ("created", "what", "status", "size_shown", "duration", "checksum", "who", "host")
    list_filter = ("state", "host", "consistency_grade")
    search_fields = ("container_name", "file_name", "sha256")
    sortable_by: ClassVar[Any] = ()

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
