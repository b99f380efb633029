"""System checks with ids: combinations of settings that would make a promise false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from containers_app.audit.guards import missing_guards
from containers_app.conf import load


@register()
def settings_are_known(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """myco.E001: a key of MYCODOCKER is unknown or missing."""
    try:
        load()
    except TypeError as error:
        return [Error(f"MYCODOCKER is wrong: {error}", hint="See docs/reference/settings.md.", id="myco.E001")]
    return []


@register()
def secrets_are_not_served(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """myco.E002: a backup root, or the root of certificates, lies inside the folder of static files."""
    static_root, conf = str(settings.STATIC_ROOT).rstrip("/") + "/", load()
    inside = [root for root in (*conf.backup_roots, conf.tls_root) if (root + "/").startswith(static_root)]
    hint = "Move it out: static files are readable by everybody."
    return [Error(f"The folder {root} is inside STATIC_ROOT.", hint=hint, id="myco.E002") for root in inside]


@register()
def lease_outlives_heartbeat(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """myco.E003: a lease so short that a healthy worker may lose it."""
    if load().lease_seconds >= 3:
        return []
    return [Error("MYCO_LEASE_SECONDS is under 3.", hint="The heartbeat runs every third of it.", id="myco.E003")]


@register(Tags.database)
def ledger_is_guarded(app_configs: Any, databases: Sequence[str] | None = None, **options: Any) -> list[CheckMessage]:
    """myco.W001: the database does not itself refuse changes of the ledger."""
    if not settings.AUDIT_GUARDS or "audit" not in (databases or ()):
        return []
    try:
        missing = missing_guards()
    except DatabaseError:
        return []
    hint = "Run 'manage.py migrate --database audit'."
    return [Warning(f"The ledger's guard {name} is missing or open.", hint=hint, id="myco.W001") for name in missing]
