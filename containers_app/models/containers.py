"""Containers: an inventory kept from the Engine's events and lists, which outlives what it describes."""

from __future__ import annotations

from typing import Self

from django.db import models

from containers_app.models.hosts import DockerHost


class ContainerQuerySet(models.QuerySet["Container"]):
    """Containers by whether the Engine still has them."""

    def present(self) -> Self:
        """Those that the Engine still has."""
        return self.filter(removed_at=None)


class Container(models.Model):
    """One container as the Engine described it last. Environment: names only, never a value."""

    host = models.ForeignKey(DockerHost, on_delete=models.PROTECT, related_name="containers")
    engine_id = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    image = models.CharField(max_length=512, blank=True)
    image_id = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=16)
    exit_code = models.IntegerField(null=True)
    health = models.CharField(max_length=16, blank=True)
    stack = models.CharField(max_length=255, blank=True)
    service = models.CharField(max_length=255, blank=True)
    ports = models.JSONField(default=list)
    networks = models.JSONField(default=list)
    mounts = models.JSONField(default=list)
    labels = models.JSONField(default=dict)
    environment_names = models.JSONField(default=list)
    engine_created_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    objects = ContainerQuerySet.as_manager()

    class Meta:
        ordering = ("stack", "name")
        default_permissions = ("view",)
        constraints = (models.UniqueConstraint(fields=("host", "engine_id"), name="container_once_per_host"),)
        indexes = (models.Index(fields=("host", "removed_at", "name")),)

    def __str__(self) -> str:
        return self.name
