"""Backups: sets of files that are complete on the storage, with the figures that prove it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from containers_app.archives.manifest import Part
from containers_app.models.containers import Container
from containers_app.models.hosts import DockerHost
from containers_app.models.identifiers import uuid7
from containers_app.models.operations import Operation

_PART_FIELDS = ("kind", "name", "codec", "size_bytes", "stored_bytes", "sha256", "stored_sha256", "members")


class BackupState(models.TextChoices):
    """A row exists only for a backup that was complete once; `operations.backup_checks` finds what became of it."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    MISSING = "missing"
    CORRUPT = "corrupt"
    DELETED = "deleted"


USABLE_STATES = (BackupState.COMPLETE, BackupState.PARTIAL)


class Backup(models.Model):
    """One set of files, closed by its manifest. The row is written after the manifest has its final name.

    `file_name`, `path`, `size_bytes` and `sha256` are those of its first file as it is stored, `members` of the tar in
    it; `stored_bytes` is what the whole set takes. `quiet_seconds`: how long the container was paused or stopped.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operation = models.OneToOneField(Operation, on_delete=models.PROTECT, related_name="backup")
    host = models.ForeignKey(DockerHost, on_delete=models.PROTECT, related_name="backups")
    container = models.ForeignKey(Container, null=True, on_delete=models.PROTECT, related_name="backups")
    container_engine_id = models.CharField(max_length=64)
    container_name = models.CharField(max_length=255)
    stack = models.CharField(max_length=255, blank=True, help_text="The compose project of its container.")
    state = models.CharField(max_length=16, choices=BackupState.choices, default=BackupState.COMPLETE)
    file_name = models.CharField(max_length=255)
    path = models.CharField(max_length=1024)
    manifest_name = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    stored_bytes = models.BigIntegerField()
    members = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64)
    consistency_grade = models.CharField(max_length=16)
    duration_seconds = models.FloatField()
    quiet_seconds = models.FloatField(default=0.0)
    note = models.CharField(max_length=500, blank=True)
    pinned = models.BooleanField(default=False, help_text="Kept until somebody takes the pin out.")
    hold_reason = models.CharField(max_length=500, blank=True, help_text="Legal hold: why it must not be deleted.")
    hold_owner = models.CharField(max_length=255, blank=True)
    hold_until = models.DateTimeField(null=True, help_text="Null: until it is released.")
    verified_at = models.DateTimeField(null=True, help_text="When every byte of it was last read and compared.")
    proven_at = models.DateTimeField(null=True, help_text="When a restore drill of it last passed.")
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

    @property
    def is_usable(self) -> bool:
        """Whether it can be restored, as far as is known."""
        return self.state in USABLE_STATES

    @property
    def is_held(self) -> bool:
        """Whether a hold is on it now: one with an end is over by time alone."""
        return bool(self.hold_reason) and (self.hold_until is None or self.hold_until > timezone.now())

    @property
    def hold_expired(self) -> bool:
        """Whether it was held, and that is over."""
        return bool(self.hold_reason) and not self.is_held


def held_at(moment: datetime) -> Q:
    """The backups with a hold on them at this moment."""
    return ~Q(hold_reason="") & (Q(hold_until=None) | Q(hold_until__gt=moment))


class BackupPart(models.Model):
    """One file of a set, as its manifest describes it; `file_name` is in the set's folder."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16)
    name = models.CharField(max_length=4096)
    file_name = models.CharField(max_length=255)
    codec = models.CharField(max_length=8)
    encryption = models.CharField(max_length=8, blank=True)
    size_bytes = models.BigIntegerField()
    stored_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    stored_sha256 = models.CharField(max_length=64)
    members = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("number",)
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("backup", "number"), name="part_once_per_backup"),)
        indexes = (models.Index(fields=("file_name", "kind")),)

    def __str__(self) -> str:
        return self.file_name

    @classmethod
    def of(cls, backup: Backup, number: int, part: Part) -> BackupPart:
        """The row of one entry of a manifest; not saved."""
        own = {name: getattr(part, name) for name in _PART_FIELDS}
        return cls(backup=backup, number=number, file_name=part.path, encryption=part.encryption or "", **own)

    def as_part(self) -> Part:
        """The entry of a manifest that this row is of."""
        own = {name: getattr(self, name) for name in _PART_FIELDS}
        return Part(path=self.file_name, encryption=self.encryption or None, **own)


def with_last_backup(containers: QuerySet[Container]) -> QuerySet[Any]:
    """Each container with `last_backup_at` (None without one) and `protected`: a backup that can be restored exists."""
    usable = Backup.objects.filter(container=OuterRef("pk"), state__in=USABLE_STATES).order_by("-created_at")
    return containers.annotate(last_backup_at=Subquery(usable.values("created_at")[:1]), protected=Exists(usable))
