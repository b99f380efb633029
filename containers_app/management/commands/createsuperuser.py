"""`manage.py createsuperuser`: Django's own, and the ledger has it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from containers_app.errors import AuditUnavailable
from containers_app.management.acts.command import TERMINAL, asker_of
from containers_app.operations.accounts import record_created
from containers_app.operations.registering import Author


class Command(createsuperuser.Command):
    """Whoever runs the product's commands on its machine may make administrators."""

    verbs: ClassVar[tuple[str, ...]] = ("access.user_created",)

    def handle(self, *args: Any, **options: Any) -> Any:
        """Make it, and take it away again when the ledger cannot be told."""
        known = set(User.objects.values_list("pk", flat=True))
        super().handle(*args, **options)
        made = User.objects.exclude(pk__in=known).filter(is_superuser=True)
        try:
            for user in made:
                record_created(user, Author(asker=asker_of(None), source=TERMINAL))
        except AuditUnavailable as error:
            made.delete()
            raise CommandError(error.message) from error
