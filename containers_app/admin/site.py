"""The console's place among Django's apps: our own site, and the modules that fill it once every model is loaded."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    """Django's admin with our site. Naming the site by its path lets the settings name this class before any model."""

    default_site = "containers_app.admin.console.ConsoleSite"

    def ready(self) -> None:
        """Register what the site shows."""
        super().ready()
        from containers_app.admin import registered  # noqa: F401, PLC0415 - registering is the import's purpose
