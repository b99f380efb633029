"""`manage.py changepassword [USER]`: Django's own, and the ledger has it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db.models.signals import pre_save

from containers_app.errors import AuditUnavailable
from containers_app.management.acts.command import TERMINAL, asker_of
from containers_app.operations.accounts import record_password
from containers_app.operations.registering import Author


class Command(changepassword.Command):
    """Whoever runs the product's commands on its machine may set any password."""

    verbs: ClassVar[tuple[str, ...]] = ("access.password_reset",)

    def handle(self, *args: Any, **options: Any) -> Any:
        """Ask for it and set it; the entry comes first, and nobody waits for a lock while somebody types."""
        pre_save.connect(_record, sender=User)
        try:
            return super().handle(*args, **options)
        except AuditUnavailable as error:
            raise CommandError(error.message) from error
        finally:
            pre_save.disconnect(_record, sender=User)


def _record(instance: User, **_named: Any) -> None:
    record_password(instance, Author(asker=asker_of(None), source=TERMINAL))
