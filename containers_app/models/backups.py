"""Backups: what is complete on the storage, with the figures that prove it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from containers_app.models.containers import Container
from containers_app.models.hosts import DockerHost
from containers_app.models.identifiers import uuid7
from containers_app.models.operations import Operation


class BackupState(models.TextChoices):
    """A row exists only for a backup that was complete once; `operations.backup_checks` finds what became of it."""

    COMPLETE = "complete"
    MISSING = "missing"
    CORRUPT = "corrupt"
    DELETED = "deleted"


class Backup(models.Model):
    """One plain tar with its manifest beside it. The row is written after the file has its final name."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation = models.OneToOneField(Operation, on_delete=models.PROTECT, related_name="backup")
    host = models.ForeignKey(DockerHost, on_delete=models.PROTECT, related_name="backups")
    container = models.ForeignKey(Container, null=True, on_delete=models.PROTECT, related_name="backups")
    container_engine_id = models.CharField(max_length=64)
    container_name = models.CharField(max_length=255)
    state = models.CharField(max_length=16, choices=BackupState.choices, default=BackupState.COMPLETE)
    file_name = models.CharField(max_length=255)
    path = models.CharField(max_length=1024)
    size_bytes = models.BigIntegerField()
    members = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    consistency_grade = models.CharField(max_length=16)
    duration_seconds = models.FloatField()
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(
        null=True, help_text="When its file was last looked at; null: not since it was made."
    )

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        indexes = (models.Index(fields=("container", "state", "-created_at")),)

    def __str__(self) -> str:
        return self.file_name


def with_last_backup(containers: QuerySet[Container]) -> QuerySet[Any]:
    """Each container with `last_backup_at` (None without one) and `protected`: a complete backup exists."""
    complete = Backup.objects.filter(container=OuterRef("pk"), state=BackupState.COMPLETE).order_by("-created_at")
    return containers.annotate(last_backup_at=Subquery(complete.values("created_at")[:1]), protected=Exists(complete))
