"""Brings both databases to the schema of this release, at no cost when they have it."""

from __future__ import annotations

from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from containers_app.management.launch.failures import CannotStart

ALIASES = ("default", "audit")


def migrate() -> tuple[str, ...]:
    """Migrate what is not migrated yet; returns the databases that were. Raises CannotStart."""
    try:
        behind = tuple(alias for alias in ALIASES if is_behind(alias))
        for alias in behind:
            call_command("migrate", database=alias, interactive=False, verbosity=0)
    except DatabaseError as error:
        raise CannotStart(f"The database does not take the set-up: {str(error).strip()}") from error
    return behind


def is_behind(alias: str) -> bool:
    """Whether a migration is not applied."""
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
