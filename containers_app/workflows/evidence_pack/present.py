"""What is so now: containers and their protection, hosts, storage, people and keys; and the rows of the signer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db.models import Prefetch

from containers_app.audit.canonical import timestamp
from containers_app.audit.evidence import anchorings_of, checkpoints_of
from containers_app.audit.selection import Selection
from containers_app.conf import Conf
from containers_app.models import ApiKey, Backup, Container, DockerHost
from containers_app.models.coverage import Covered, covered
from containers_app.specs.coverage import STATES
from containers_app.workflows.evidence_pack.tables import DATABASE, Spool, Table

# How late a checkpoint may be before the time without one is called a gap.
_PATIENCE: Final = timedelta(seconds=60)
_ROWS_AT_ONCE: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class Present:
    """Fills tables from the database. `checkpoint` is called often, and may raise to stop."""

    spool: Spool
    conf: Conf
    selection: Selection
    checkpoint: Callable[[], None]

    def tables(self) -> list[Table]:
        """All of them. Raises OSError, AuditUnavailable."""
        coverage = covered(Container.objects.select_related("host"), Backup.objects.all())
        totals = coverage.totals
        states = [
            *({"state": state, "containers": totals.states[state]} for state in STATES),
            *({"state": f"newest backup {name}", "containers": getattr(totals, name)} for name in _COUNTED),
            {"state": "all containers", "containers": totals.containers},
        ]
        return [
            self._table("coverage", "Coverage of containers", _COVERAGE, states, note=self._coverage_note()),
            self._table("inventory", "Inventory of containers", _INVENTORY, map(_container, coverage.rows)),
            self._table("hosts", "Docker hosts", _HOSTS, map(_host, DockerHost.objects.all())),
            self._table("destinations", "Where backups are stored", _DESTINATIONS, self._destinations()),
            self._table("users", "Users", _USERS, _users()),
            self._table("groups", "Groups and what they may do", _GROUPS, _groups()),
            self._table("keys", "API keys", _KEYS, _keys()),
            *self._signing(),
            self._table("anchors", "Attempts to bring checkpoints elsewhere", _ANCHORS, self._anchors()),
        ]

    def _table(
        self, name: str, title: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], *, note: str = ""
    ) -> Table:
        table = Table(name=name, title=title, source=DATABASE, columns=columns, spool=self.spool, note=note)
        for row in rows:
            table.add(row)
        return table

    def _coverage_note(self) -> str:
        return f"As of now, not of the period. A backup older than {self.conf.stale_days:g} days counts as stale."

    def _destinations(self) -> Iterator[dict[str, Any]]:
        for number, root in enumerate(self.conf.backup_roots):
            yield {"folder": root, "use": "backups that name no folder" if number == 0 else "backups that name it"}

    def _signing(self) -> list[Table]:
        """The checkpoints, and the times in which there was none although one was due."""
        due = timedelta(seconds=self.conf.checkpoint_seconds) + _PATIENCE
        every = self._table("checkpoints", "Checkpoints of the period", _CHECKPOINTS, (), note=_CHECKPOINTS_NOTE)
        every.for_programs = frozenset({"note"})
        note = f"Longer than {due.total_seconds():g} seconds without a new checkpoint: the signer did not run."
        gaps = self._table("gaps", "Times without a checkpoint", _GAPS, (), note=note)
        for row, since in checkpoints_of(self.selection):
            self.checkpoint()
            every.add(
                {
                    "signedAt": timestamp(row.signed_at),
                    "origin": row.origin,
                    "size": row.size,
                    "root": row.root,
                    "note": row.note,
                }
            )
            if since > due:
                gaps.add({"until": timestamp(row.signed_at), "seconds": int(since.total_seconds())})
        return [every, gaps]

    def _anchors(self) -> Iterator[dict[str, Any]]:
        for row in anchorings_of(self.selection):
            self.checkpoint()
            yield {
                "at": timestamp(row.at),
                "kind": row.kind,
                "target": row.target,
                "shard": row.shard,
                "size": row.size,
                "done": row.is_done,
                "error": row.error,
            }


_COUNTED: Final = ("verified", "proven", "encrypted")
_COVERAGE: Final = {"state": "State", "containers": "Containers"}
_INVENTORY: Final = {
    "container": "Container",
    "host": "Host",
    "stack": "Stack",
    "image": "Image",
    "running": "Engine's state",
    "state": "Protection",
    "missing": "Not in the newest backup",
    "newest": "Newest usable backup (UTC)",
    "verified": "Verified (UTC)",
    "proven": "Drilled (UTC)",
    "encrypted": "Encrypted",
    "damaged": "Damaged backups",
    "id": "Id",
}
_HOSTS: Final = {
    "name": "Name",
    "address": "Address",
    "enabled": "Enabled",
    "engine": "Engine",
    "reachable": "Reachable",
    "lastSeen": "Last seen (UTC)",
}
_DESTINATIONS: Final = {"folder": "Folder", "use": "For"}
_USERS: Final = {
    "name": "Name",
    "id": "Id",
    "active": "May sign in",
    "superuser": "Superuser",
    "groups": "Groups",
    "own": "Rights of their own",
    "lastSignIn": "Last sign-in (UTC)",
    "since": "Since (UTC)",
}
_GROUPS: Final = {"name": "Name", "members": "Members", "rights": "Rights"}
_KEYS: Final = {
    "prefix": "Prefix",
    "name": "Name",
    "owner": "Owner",
    "scopes": "Scopes",
    "alive": "Usable",
    "created": "Made (UTC)",
    "expires": "Ends (UTC)",
    "revoked": "Revoked (UTC)",
    "lastUsed": "Last used (UTC)",
}
_CHECKPOINTS: Final = {
    "signedAt": "Signed (UTC)",
    "origin": "Origin",
    "size": "Entries",
    "root": "Root",
    "note": "Signed note",
}
_CHECKPOINTS_NOTE: Final = "The signed note of each is in the files beside this one: its signature can be checked."
_GAPS: Final = {"until": "Until (UTC)", "seconds": "Seconds"}
_ANCHORS: Final = {
    "at": "When (UTC)",
    "kind": "Kind",
    "target": "Target",
    "shard": "Shard",
    "size": "Entries",
    "done": "Arrived",
    "error": "Error",
}


def _moment(value: datetime | None) -> str:
    return timestamp(value) if value else ""


def _container(row: Covered) -> dict[str, Any]:
    container, newest = row.container, row.newest
    missing = [f"{place.kind} {place.name}" for place in row.judgement.missing if place.counts]
    return {
        "container": container.name,
        "host": container.host.name,
        "stack": container.stack,
        "image": container.image,
        "running": container.state,
        "state": row.judgement.state,
        "missing": [*row.judgement.lacks, *missing],
        "newest": _moment(newest.created_at if newest else None),
        "verified": _moment(newest.verified_at if newest else None),
        "proven": _moment(newest.proven_at if newest else None),
        "encrypted": newest.encrypted if newest else None,
        "damaged": row.damaged,
        "id": container.engine_id,
    }


def _host(row: DockerHost) -> dict[str, Any]:
    return {
        "name": row.name,
        "address": row.address or row.url,
        "enabled": row.enabled,
        "engine": row.engine_version,
        "reachable": row.reachable,
        "lastSeen": _moment(row.last_seen_at),
    }


def _users() -> Iterator[dict[str, Any]]:
    rows = User.objects.order_by("pk").prefetch_related("groups", "user_permissions__content_type")
    for row in rows.iterator(chunk_size=_ROWS_AT_ONCE):
        yield {
            "name": row.get_username(),
            "id": row.pk,
            "active": row.is_active,
            "superuser": row.is_superuser,
            "groups": sorted(group.name for group in row.groups.all()),
            "own": sorted(_right(one) for one in row.user_permissions.all()),
            "lastSignIn": _moment(row.last_login),
            "since": _moment(row.date_joined),
        }


def _groups() -> Iterator[dict[str, Any]]:
    members = Prefetch("user_set", queryset=User.objects.only("pk"))
    for row in Group.objects.order_by("name").prefetch_related("permissions__content_type", members):
        rights = sorted(_right(one) for one in row.permissions.all())
        yield {"name": row.name, "members": len(row.user_set.all()), "rights": rights}


def _keys() -> Iterator[dict[str, Any]]:
    for row in ApiKey.objects.select_related("user").order_by("pk").iterator(chunk_size=_ROWS_AT_ONCE):
        yield {
            "prefix": row.prefix,
            "name": row.name,
            "owner": row.user.get_username(),
            "scopes": row.scopes,
            "alive": row.is_alive,
            "created": _moment(row.created_at),
            "expires": _moment(row.expires_at),
            "revoked": _moment(row.revoked_at),
            "lastUsed": _moment(row.last_used_at),
        }


def _right(permission: Any) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"
