"""Makes the ledger a Django app of its own, so that it can have a database of its own."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The ledger: its database guards follow every migration, its log-in entries every log-in."""

    name = "containers_app.audit"
    label = "audit"
    verbose_name = "Audit ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the guards and the log-in entries."""
        from containers_app.audit import denials, guards, logins  # noqa: PLC0415 - models load first

        guards.connect(self)
        logins.connect()
        denials.connect()
