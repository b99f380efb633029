"""What the ledger has of the product itself: start, stop, version, schema, settings, and a clock that went back."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from containers_app import VERSION
from containers_app.audit import ledger
from containers_app.audit.inspection import payload_of
from containers_app.conf import Conf, load
from containers_app.errors import AuditUnavailable
from containers_app.operations.secrets import hashed

logger = logging.getLogger(__name__)
START, STOP = "system.start", "system.stop"
CLOCK_TOLERANCE_SECONDS = 1.0
# Secrets, what may be an address or hold one, and what is called like a secret: as keyed hashes, which only say that
# they changed.
_HASHED = frozenset(
    (
        *("age_identity", "environment_name", "anchor_email", "anchor_webhook", "anchor_webhook_key", "anchor_syslog"),
        *("anchor_witness", "anchor_s3_access_key", "anchor_s3_secret_key"),
    )
)
_NOT_CHOSEN = frozenset({"own_ports", "own_sockets"})
_SELF = ledger.Actor(type="system", label="scheduler")
_SOURCE = ledger.Source(channel="scheduler")


class Presence:
    """Of the one scheduler, which stands for the product. Whatever cannot be told now is told at the next look."""

    def __init__(self) -> None:
        self._has_told = False
        self._offset: float | None = None

    def look(self) -> None:
        """Tell the start once, and then each time that the clock went back. Raises AuditUnavailable."""
        if not self._has_told:
            _tell_start()
            self._has_told = True
        offset = time.time() - time.monotonic()
        if self._offset is not None and offset < self._offset - CLOCK_TOLERANCE_SECONDS:
            _tell_clock(self._offset - offset)
        self._offset = offset

    def leave(self) -> None:
        """Tell the end, if the start was told; an end is not held up by a ledger that does not answer."""
        if self._has_told:
            try:
                _tell(STOP)
            except AuditUnavailable:
                logger.warning("the ledger took no note of the stop")


def chosen_settings(conf: Conf) -> dict[str, str | None]:
    """Every setting as text; what is secret or personal as `hmac:settings:<hex>`, None where it is empty."""
    values = {one.name: _text(getattr(conf, one.name)) for one in fields(conf) if one.name not in _NOT_CHOSEN}
    return {name: _hashed(value) if name in _HASHED else value for name, value in values.items()}


def _text(value: object) -> str:
    return ",".join(sorted(value)) if isinstance(value, frozenset | tuple) else str(value)


def _hashed(value: str) -> str | None:
    return hashed(value, of="settings") if value else None


def _schema() -> dict[str, str]:
    """The last migration of our two apps, each by its database."""
    found = {}
    for app, alias in (("containers_app", "default"), ("audit", "audit")):
        applied = MigrationRecorder(connections[alias]).applied_migrations()
        found[app] = max((name for label, name in applied if label == app), default="")
    return found


def _tell_start() -> None:
    """The start holds how things stand; what is different from the last one has an entry of its own."""
    behind = _seconds_behind()
    before, ended = _last_start()
    now: dict[str, Any] = {"version": VERSION, "schema": _schema(), "settings": chosen_settings(load())}
    with ledger.together():
        _tell(START, {**now, "previous": ended})
        for verb, name in (("version_changed", "version"), ("migrated", "schema")):
            if before is not None and before.get(name) != now[name]:
                _tell(f"system.{verb}", {"before": before.get(name), "after": now[name]})
        changed = _changed((before or now)["settings"], now["settings"])
        if changed:
            _tell("config.settings_changed", changed)
    if behind > CLOCK_TOLERANCE_SECONDS:
        _tell_clock(behind)


def _last_start() -> tuple[Mapping[str, Any] | None, str]:
    """The details of the last start, None where there are none to compare with, and how that start ended."""
    last = {verb: ledger.entries().filter(action=verb).first() for verb in (START, STOP)}
    start, stop = last[START], last[STOP]
    if start is None:
        return None, ""
    details = payload_of(start).get("details")
    if not isinstance(details, Mapping) or not isinstance(details.get("settings"), Mapping):
        return None, "unreadable"  # pruned, or damaged: for that the self-check is there
    return details, "stopped" if stop is not None and stop.pk > start.pk else "not stopped"


def _changed(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> dict[str, Any]:
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if not names:
        return {}
    return {"before": {name: before.get(name) for name in names}, "after": {name: after.get(name) for name in names}}


def _seconds_behind() -> float:
    """How far the clock is behind the newest entry."""
    last = ledger.entries().first()
    return 0.0 if last is None else (last.time - datetime.now(UTC)).total_seconds()


def _tell_clock(seconds: float) -> None:
    _tell("system.clock_back", {"milliseconds": int(seconds * 1000)})


def _tell(action: str, details: Mapping[str, Any] | None = None) -> None:
    ledger.event(action=action, actor=_SELF, source=_SOURCE, details=details or {})
