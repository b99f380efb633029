"""Makes the database itself refuse changes of the ledger: defence in depth against our own mistakes, not proof."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate

from containers_app.audit.router import ALIAS

MESSAGE: Final = "the ledger is append-only"
FUNCTION: Final = "audit_refuse"
# A restrict violation: Django raises IntegrityError for it, as for SQLite's RAISE(ABORT).
FUNCTION_BODY: Final = f"BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = '23001'; END"
_FUNCTION_STATEMENT: Final = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $guard${FUNCTION_BODY}$guard$"
)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One trigger: its name, its table, and the statement that makes it."""

    name: str
    table: str
    statement: str


def _sqlite(name: str, table: str, event: str, condition: str = "") -> Guard:
    when = f"WHEN {condition} " if condition else ""
    action = f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    return Guard(name=name, table=table, statement=f"CREATE TRIGGER {name} BEFORE {event} ON {table} {when}{action}")


def _postgresql(name: str, table: str, event: str, condition: str = "") -> Guard:
    level = "STATEMENT" if event == "TRUNCATE" else "ROW"
    when = f"WHEN ({condition}) " if condition else ""
    statement = f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {level} {when}EXECUTE FUNCTION {FUNCTION}()"
    return Guard(name=name, table=table, statement=statement)


_SHRINKS: Final = "NEW.shard <> OLD.shard OR NEW.size <= OLD.size"
# REPLACE deletes the row that is in the way, and fires its triggers only with PRAGMA recursive_triggers, which a
# foreign connection need not have set: so what would be in the way is looked for before.
_REPLACES_ENTRY: Final = (
    "EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id OR (shard = NEW.shard AND leaf_index = NEW.leaf_index)"
    " OR (operation_id = NEW.operation_id AND phase = NEW.phase AND phase <> 'event'))"
)
_REPLACES_HEAD: Final = "EXISTS (SELECT 1 FROM audit_head WHERE shard = NEW.shard)"
_REPLACES_DISCLOSURE: Final = "EXISTS (SELECT 1 FROM audit_disclosure WHERE commitment = NEW.commitment OR id = NEW.id)"
_REPLACES_SUBTREE: Final = (
    "EXISTS (SELECT 1 FROM audit_subtree WHERE id = NEW.id"
    " OR (shard = NEW.shard AND level = NEW.level AND number = NEW.number))"
)
# Tables whose rows are only ever added, with what a REPLACE would hit in each.
_ADDED_TO: Final = {
    "audit_subtree": _REPLACES_SUBTREE,
    "audit_checkpoint": "EXISTS (SELECT 1 FROM audit_checkpoint WHERE id = NEW.id)",
    "audit_standing": "EXISTS (SELECT 1 FROM audit_standing WHERE id = NEW.id)",
    "audit_anchoring": "EXISTS (SELECT 1 FROM audit_anchoring WHERE id = NEW.id)",
    "audit_review": "EXISTS (SELECT 1 FROM audit_review WHERE id = NEW.id)",
}

GUARDS: Final[dict[str, tuple[Guard, ...]]] = {
    "sqlite": (
        _sqlite("audit_entry_no_update", "audit_entry", "UPDATE"),
        _sqlite("audit_entry_no_delete", "audit_entry", "DELETE"),
        _sqlite("audit_entry_no_replace", "audit_entry", "INSERT", _REPLACES_ENTRY),
        _sqlite("audit_head_only_grows", "audit_head", "UPDATE", _SHRINKS),
        _sqlite("audit_head_no_delete", "audit_head", "DELETE"),
        _sqlite("audit_head_no_replace", "audit_head", "INSERT", _REPLACES_HEAD),
        _sqlite("audit_disclosure_no_update", "audit_disclosure", "UPDATE"),
        _sqlite("audit_disclosure_no_replace", "audit_disclosure", "INSERT", _REPLACES_DISCLOSURE),
        *(_sqlite(f"{table}_no_update", table, "UPDATE") for table in _ADDED_TO),
        *(_sqlite(f"{table}_no_delete", table, "DELETE") for table in _ADDED_TO),
        *(_sqlite(f"{table}_no_replace", table, "INSERT", replaced) for table, replaced in _ADDED_TO.items()),
    ),
    "postgresql": (
        _postgresql("audit_entry_no_update", "audit_entry", "UPDATE"),
        _postgresql("audit_entry_no_delete", "audit_entry", "DELETE"),
        _postgresql("audit_entry_no_truncate", "audit_entry", "TRUNCATE"),
        _postgresql("audit_head_only_grows", "audit_head", "UPDATE", _SHRINKS),
        _postgresql("audit_head_no_delete", "audit_head", "DELETE"),
        _postgresql("audit_head_no_truncate", "audit_head", "TRUNCATE"),
        _postgresql("audit_disclosure_no_update", "audit_disclosure", "UPDATE"),
        _postgresql("audit_disclosure_no_truncate", "audit_disclosure", "TRUNCATE"),
        *(_postgresql(f"{table}_no_update", table, "UPDATE") for table in _ADDED_TO),
        *(_postgresql(f"{table}_no_delete", table, "DELETE") for table in _ADDED_TO),
        *(_postgresql(f"{table}_no_truncate", table, "TRUNCATE") for table in _ADDED_TO),
    ),
}

_INSTALLED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "sqlite": ("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'", ()),
    # Only triggers that fire always (even in replica sessions) and call our function with its own body count.
    "postgresql": (
        "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
        " WHERE tgenabled = 'A' AND proname = %s AND prosrc = %s",
        (FUNCTION, FUNCTION_BODY),
    ),
}


def connect(sender: AppConfig) -> None:
    """Install the guards after each migration of the ledger's database."""
    post_migrate.connect(_after_migrate, sender=sender, dispatch_uid="audit guards")


def install() -> None:
    """Make the guards anew, in one transaction: a table rebuild (SQLite's AlterField) drops them without a word."""
    connection = connections[ALIAS]
    with transaction.atomic(using=ALIAS), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTION_STATEMENT)
        for guard in GUARDS[connection.vendor]:
            cursor.execute(_drop(guard, connection))
            cursor.execute(guard.statement)
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {guard.table} ENABLE ALWAYS TRIGGER {guard.name}")


def missing_guards() -> list[str]:
    """Return the names of the guards that are not there, or not as they should be, in the order of `GUARDS`.

    Raises django.db.Error when the database does not answer.
    """
    connection = connections[ALIAS]
    with connection.cursor() as cursor:
        cursor.execute(*_INSTALLED[connection.vendor])
        installed = dict(cursor.fetchall())
    return [guard.name for guard in GUARDS[connection.vendor] if not _is_as_made(guard, installed)]


def _is_as_made(guard: Guard, installed: dict[str, str]) -> bool:
    return _bare(installed.get(guard.name, "")) == _bare(guard.statement)


def _bare(statement: str) -> str:
    # PostgreSQL prints a trigger with the schema, lower-case rows and parentheses of its own.
    return re.sub(r"(?<= on )\w+\.(?=audit_)|[\s()]", "", statement.lower())


def _drop(guard: Guard, connection: BaseDatabaseWrapper) -> str:
    table = f" ON {guard.table}" if connection.vendor == "postgresql" else ""
    return f"DROP TRIGGER IF EXISTS {guard.name}{table}"


def _after_migrate(using: str, **_named: Any) -> None:
    if using == ALIAS and settings.AUDIT_GUARDS and _has_tables():
        install()


def _has_tables() -> bool:
    tables = connections[ALIAS].introspection.table_names()
    return all(guard.table in tables for guard in GUARDS[connections[ALIAS].vendor])
