"""Django's `migrate`, which changes the ledger's tables through the role that owns them, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections

from containers_app.audit.router import ALIAS

_OF_THE_ROLE = ("NAME", "USER", "PASSWORD", "HOST", "PORT")


class Command(migrate.Command):
    """As Django's."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate one database."""
        if options["database"] != ALIAS or settings.AUDIT_OWNER is None:
            super().handle(*args, **options)
            return
        with _connected_as(settings.AUDIT_OWNER):
            super().handle(*args, **options)


@contextmanager
def _connected_as(role: dict[str, Any]) -> Iterator[None]:
    connection = connections[ALIAS]
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update({name: role[name] for name in _OF_THE_ROLE if name in role})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
