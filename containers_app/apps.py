"""The composition root: what is connected when Django starts."""

from __future__ import annotations

from django.apps import AppConfig


class ContainersConfig(AppConfig):
    """The product's app: inventory, operations, backups, access."""

    name = "containers_app"
    verbose_name = "MycoDocker"

    def ready(self) -> None:
        """Register the system checks."""
        from containers_app import checks  # noqa: F401, PLC0415 - registering is the import's purpose
