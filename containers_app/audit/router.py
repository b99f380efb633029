"""The ledger has a database of its own: nothing else goes in, nothing of it goes elsewhere, no relation crosses."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Model

ALIAS: Final = "audit"
# The same database through a role that may erase and prune, where MYCO_AUDIT_PRUNER_URL names one.
PRUNER_ALIAS: Final = "audit_pruner"
APP_LABEL: Final = "audit"


class AuditRouter:
    """Keeps the models of the app `audit` on the alias `audit`, and everything else off it."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str | None:
        """Return the ledger's alias for its models; no opinion on others."""
        return ALIAS if model._meta.app_label == APP_LABEL else None

    def db_for_write(self, model: type[Model], **_hints: Any) -> str | None:
        """Return the ledger's alias for its models; no opinion on others."""
        return self.db_for_read(model)

    def allow_relation(self, one: Model, other: Model, **_hints: Any) -> bool | None:
        """Refuse relations between the ledger and anything else."""
        inside = [one._meta.app_label == APP_LABEL, other._meta.app_label == APP_LABEL]
        return all(inside) if any(inside) else None

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        """Create the ledger's tables on its alias, and no others there; nothing through the pruner's."""
        if db == PRUNER_ALIAS:
            return False
        if db == ALIAS or app_label == APP_LABEL:
            return db == ALIAS and app_label == APP_LABEL
        return None
