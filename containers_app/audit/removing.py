"""The one way to take values and payloads, never hashes, out of the ledger: short transactions that guards permit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from django.conf import settings
from django.db import Error, ProgrammingError, connections, transaction
from django.db.models import QuerySet

from containers_app.audit.appending import LOCK_NUMBER, LOCK_SECONDS
from containers_app.audit.holds import check_not_held
from containers_app.audit.models import Disclosure, Permit
from containers_app.audit.router import ALIAS, PRUNER_ALIAS
from containers_app.errors import AuditUnavailable, PermissionDenied

# SQLite takes so many parameters in every build; PostgreSQL more.
ROWS_AT_ONCE: Final = 900
_NO_PRIVILEGE: Final = "42501"


@contextmanager
def removing(act: Literal["erase", "prune"]) -> Iterator[str]:
    """Hold the ledger's lock with the guards open; yields the database alias to remove through. Durable at the end.

    The permit lives in this transaction only. Raises LedgerHeld, PermissionDenied when the database role may not,
    `AuditUnavailable`; then nothing was removed.
    """
    using = PRUNER_ALIAS if PRUNER_ALIAS in settings.DATABASES else ALIAS
    try:
        with transaction.atomic(using=using, durable=True):
            _lock(using)
            check_not_held(using)
            permit: QuerySet[Permit] = QuerySet(Permit, using=using)
            permit.bulk_create([Permit(act=act)])
            yield using
            permit.filter(act=act).delete()
    except ProgrammingError as failure:
        if getattr(failure.__cause__, "sqlstate", "") != _NO_PRIVILEGE:
            raise
        words = "The ledger's database role of this process may remove nothing: see MYCO_AUDIT_PRUNER_URL."
        raise PermissionDenied(words) from failure
    except Error as failure:
        raise AuditUnavailable("The audit ledger does not answer; run it again for what is left.") from failure


def delete_disclosures(commitments: list[str], using: str) -> int:
    """Delete the values behind at most ROWS_AT_ONCE commitments, within `removing`; returns how many there were."""
    return QuerySet(Disclosure, using=using).filter(commitment__in=commitments).delete()[0]


def _lock(using: str) -> None:
    # SQLite holds its one write lock since BEGIN IMMEDIATE.
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(
                f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SELECT pg_advisory_xact_lock({LOCK_NUMBER})",
            )
