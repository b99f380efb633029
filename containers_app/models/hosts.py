"""Docker hosts: where an Engine answers, and what it last said of itself."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class DockerHost(models.Model):
    """One Engine. The host named `local` is the one that the environment names: its `url` is empty.

    `tls_directory` is a folder below MYCO_TLS_ROOT, on the machine of the workers. `queue` is the broker queue of the
    workers that reach this Engine: they may stand next to it. A host that is not `enabled` gets no new operation.
    `events_until`: up to there, by the Engine's clock, everything that was done on it was compared with the ledger.
    """

    LOCAL: ClassVar[str] = "local"

    name = models.CharField(max_length=63, unique=True)
    url = models.CharField(max_length=255, blank=True)
    tls_directory = models.CharField(max_length=255, blank=True)
    queue = models.CharField(max_length=63, default=LOCAL)
    enabled = models.BooleanField(default=True)
    allow_plain = models.BooleanField(default=False)
    address = models.CharField(max_length=255, blank=True, help_text="As seen at the last contact; for display.")
    reachable = models.BooleanField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    engine_version = models.CharField(max_length=64, blank=True)
    api_version = models.CharField(max_length=16, blank=True)
    platform = models.CharField(max_length=64, blank=True)
    last_seen_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    events_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        default_permissions = ("add", "change", "view")
        permissions = (("test_host", "Can test the connection to a Docker host"),)

    def __str__(self) -> str:
        return self.name

    @property
    def is_local(self) -> bool:
        """Whether the environment names its Engine."""
        return self.name == self.LOCAL
