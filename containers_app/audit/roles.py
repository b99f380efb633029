"""The roles that the ledger's PostgreSQL database should know: what each process may do, and nothing more."""

from __future__ import annotations

from typing import Final

from django.apps import apps

from containers_app.audit.guards import FUNCTIONS
from containers_app.audit.models import Permit
from containers_app.audit.pruned import COLUMNS
from containers_app.audit.router import APP_LABEL

ROLES: Final = ("owner", "writer", "reader", "pruner")


def statements(prefix: str) -> list[str]:
    """The SQL that makes the roles `<prefix>_owner`, `_writer`, `_reader` and `_pruner`, and grants; safe to repeat.

    To be run by a superuser in the ledger's database, once its tables are there and after each migration. The roles can
    sign in and have no passwords yet.
    """
    tables = [model._meta.db_table for model in apps.get_app_config(APP_LABEL).get_models()]
    appended = ", ".join(table for table in tables if table != Permit._meta.db_table)
    everything = ", ".join([*tables, "django_migrations"])
    owner, writer, reader, pruner = (f"{prefix}_{role}" for role in ROLES)
    columns = ", ".join(sorted(COLUMNS))
    return [
        *(_role(name) for name in (owner, writer, reader, pruner)),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {owner};",
        f"GRANT USAGE ON SCHEMA public TO {writer}, {reader}, {pruner};",
        *(f"ALTER TABLE {table} OWNER TO {owner};" for table in (*tables, "django_migrations")),
        *(f"ALTER FUNCTION {name}() OWNER TO {owner};" for name in FUNCTIONS),
        f"REVOKE ALL ON {everything} FROM PUBLIC, {writer}, {reader}, {pruner};",
        f"GRANT SELECT ON {everything} TO {writer}, {reader}, {pruner};",
        f"GRANT INSERT ON {appended} TO {writer};",
        f"GRANT UPDATE (size, frontier) ON audit_head TO {writer};",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {writer}, {pruner};",
        f"GRANT UPDATE ({columns}) ON audit_entry TO {pruner};",
        f"GRANT DELETE ON audit_disclosure TO {pruner};",
        f"GRANT INSERT, DELETE ON audit_permit TO {pruner};",
    ]


def _role(name: str) -> str:
    return (
        f"DO $$ BEGIN CREATE ROLE {name} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE;"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
    )
