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
from containers_app.audit.shards import SQL_RANK

MESSAGE: Final = "the ledger is append-only"
# A restrict violation: Django raises IntegrityError for it, as for SQLite's RAISE(ABORT).
_REFUSE: Final = f"RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = '23001'"
_IS_PERMITTED: Final = "EXISTS (SELECT 1 FROM audit_permit)"
# What pruning leaves: where the entry is, and its hash.
_IS_PRUNING: Final = (
    "EXISTS (SELECT 1 FROM audit_permit WHERE act = 'prune') AND NEW.id = OLD.id AND NEW.shard = OLD.shard"
    " AND NEW.leaf_index = OLD.leaf_index AND NEW.leaf_hash = OLD.leaf_hash AND NEW.payload = ''"
)
# A later shard tells how this one ended.
_NEW_RANK: Final = SQL_RANK.replace("shard", "NEW.shard")
_IS_CLOSED: Final = f"EXISTS (SELECT 1 FROM audit_head WHERE {SQL_RANK} > {_NEW_RANK})"  # noqa: S608 - our own names
FUNCTIONS: Final = {
    "audit_refuse": f"BEGIN {_REFUSE}; END",
    "audit_refuse_removal": f"BEGIN IF {_IS_PERMITTED} THEN RETURN OLD; END IF; {_REFUSE}; END",
    "audit_refuse_closed": f"BEGIN IF {_IS_CLOSED} THEN {_REFUSE}; END IF; RETURN NEW; END",
    "audit_refuse_change": f"BEGIN IF {_IS_PRUNING} THEN RETURN NEW; END IF; {_REFUSE}; END",
}


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


def _postgresql(name: str, table: str, event: str, condition: str = "", *, function: str = "audit_refuse") -> Guard:
    level = "STATEMENT" if event == "TRUNCATE" else "ROW"
    when = f"WHEN ({condition}) " if condition else ""
    statement = f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {level} {when}EXECUTE FUNCTION {function}()"
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

# What grows only as long as no other shard has followed.
_GROWING: Final = {
    "audit_entry_closed": ("audit_entry", "INSERT"),
    "audit_head_closed": ("audit_head", "UPDATE"),
    "audit_head_no_late": ("audit_head", "INSERT"),
}

GUARDS: Final[dict[str, tuple[Guard, ...]]] = {
    "sqlite": (
        _sqlite("audit_entry_no_update", "audit_entry", "UPDATE", f"NOT ({_IS_PRUNING})"),
        _sqlite("audit_entry_no_delete", "audit_entry", "DELETE"),
        _sqlite("audit_entry_no_replace", "audit_entry", "INSERT", _REPLACES_ENTRY),
        _sqlite("audit_head_only_grows", "audit_head", "UPDATE", _SHRINKS),
        _sqlite("audit_head_no_delete", "audit_head", "DELETE"),
        _sqlite("audit_head_no_replace", "audit_head", "INSERT", _REPLACES_HEAD),
        _sqlite("audit_disclosure_no_update", "audit_disclosure", "UPDATE"),
        _sqlite("audit_disclosure_no_delete", "audit_disclosure", "DELETE", f"NOT {_IS_PERMITTED}"),
        _sqlite("audit_disclosure_no_replace", "audit_disclosure", "INSERT", _REPLACES_DISCLOSURE),
        *(_sqlite(name, *grown, _IS_CLOSED) for name, grown in _GROWING.items()),
        *(_sqlite(f"{table}_no_update", table, "UPDATE") for table in _ADDED_TO),
        *(_sqlite(f"{table}_no_delete", table, "DELETE") for table in _ADDED_TO),
        *(_sqlite(f"{table}_no_replace", table, "INSERT", replaced) for table, replaced in _ADDED_TO.items()),
    ),
    "postgresql": (
        _postgresql("audit_entry_no_update", "audit_entry", "UPDATE", function="audit_refuse_change"),
        _postgresql("audit_entry_no_delete", "audit_entry", "DELETE"),
        _postgresql("audit_entry_no_truncate", "audit_entry", "TRUNCATE"),
        _postgresql("audit_head_only_grows", "audit_head", "UPDATE", _SHRINKS),
        _postgresql("audit_head_no_delete", "audit_head", "DELETE"),
        _postgresql("audit_head_no_truncate", "audit_head", "TRUNCATE"),
        _postgresql("audit_disclosure_no_update", "audit_disclosure", "UPDATE"),
        _postgresql("audit_disclosure_no_delete", "audit_disclosure", "DELETE", function="audit_refuse_removal"),
        _postgresql("audit_disclosure_no_truncate", "audit_disclosure", "TRUNCATE"),
        *(_postgresql(name, *grown, function="audit_refuse_closed") for name, grown in _GROWING.items()),
        *(_postgresql(f"{table}_no_update", table, "UPDATE") for table in _ADDED_TO),
        *(_postgresql(f"{table}_no_delete", table, "DELETE") for table in _ADDED_TO),
        *(_postgresql(f"{table}_no_truncate", table, "TRUNCATE") for table in _ADDED_TO),
    ),
}

# Of PostgreSQL only triggers that fire always, even in replica sessions, and call a function of ours with its own body.
_INSTALLED: Final = {
    "sqlite": "SELECT name, sql, '', '' FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname, pg_get_triggerdef(pg_trigger.oid), proname, prosrc"
        " FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE tgenabled = 'A'"
    ),
}


def connect(sender: AppConfig) -> None:
    """Install the guards after each migration of the ledger's database."""
    post_migrate.connect(_after_migrate, sender=sender, dispatch_uid="audit guards")


def install() -> None:
    """Make the guards anew, in one transaction: a table rebuild (SQLite's AlterField) drops them without a word.

    A permit that somebody left is taken away.
    """
    connection = connections[ALIAS]
    with transaction.atomic(using=ALIAS), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_permit")
        if connection.vendor == "postgresql":
            for name, body in FUNCTIONS.items():
                head = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
                cursor.execute(f"{head} AS $guard${body}$guard$")
        for guard in GUARDS[connection.vendor]:
            cursor.execute(_drop(guard, connection))
            cursor.execute(guard.statement)
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {guard.table} ENABLE ALWAYS TRIGGER {guard.name}")


def missing_guards() -> list[str]:
    """Return the names of the guards that are not there, or not as they should be, in the order of `GUARDS`.

    Besides, `recursive_triggers` where SQLite would let a REPLACE pass by, and `audit_permit` where somebody left the
    way open. Raises django.db.Error when the database does not answer.
    """
    connection = connections[ALIAS]
    with connection.cursor() as cursor:
        cursor.execute(_INSTALLED[connection.vendor])
        installed = {name: made for name, made, *called in cursor.fetchall() if _is_ours(*called)}
        left_open = _left_open(cursor, connection)
    return [guard.name for guard in GUARDS[connection.vendor] if not _is_as_made(guard, installed)] + left_open


def _is_ours(function: str, body: str) -> bool:
    return not function or FUNCTIONS.get(function) == body


def _left_open(cursor: Any, connection: BaseDatabaseWrapper) -> list[str]:
    found = []
    if connection.vendor == "sqlite":
        cursor.execute("PRAGMA recursive_triggers")
        found = [] if cursor.fetchone()[0] else ["recursive_triggers"]
    if "audit_permit" in connection.introspection.table_names(cursor):
        cursor.execute(f"SELECT 1 WHERE {_IS_PERMITTED}")
        found += ["audit_permit"] if cursor.fetchone() else []
    return found


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
    return "audit_permit" in tables and all(guard.table in tables for guard in GUARDS[connections[ALIAS].vendor])
