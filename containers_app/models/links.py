"""Download links: each opens one thing of one backup once, for whoever has it, in the name of who made it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from containers_app.models.access import ApiKey
from containers_app.models.backups import BackupPart
from containers_app.models.identifiers import uuid7


class DownloadLink(models.Model):
    """One link. Its address holds a secret, of which the row keeps the SHA-256 alone.

    `path` is written as answers write it; null means the part as it is stored, and empty its root folder. `used_from`
    is a digest of the secret and the address of who used it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    part = models.ForeignKey(BackupPart, on_delete=models.PROTECT, related_name="links")
    path = models.TextField(null=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="download_links")
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="download_links")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    used_from = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ()

    def __str__(self) -> str:
        return f"link to {self.part}"
