"""Who may ask what of which address: the one list that every route of the product must be in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit.api.asking import (
    ASYNC,
    BACKUP,
    CLONE,
    DRILL,
    LIFECYCLE,
    RESTORE,
    STACK_BACKUP,
    STACK_CLONE,
    STACK_RESTORE,
)

ROLES = ("anonymous", "stranger", "operator", "auditor", "administrator")
UNKNOWN_ID = "0190a000-0000-7000-8000-00000000dead"
EVERYBODY = "200 200 200 200 200"
LISTS = "401 200 200 200 200"  # a stranger's is empty, see OWN_LISTS
PAGES = "401 404 200 200 200"
MISSING = "401 404 404 404 404"
SIGNED_IN_READERS = "401 403 200 200 200"
ACTORS = "401 403 202 403 202"
SYSTEM_READERS = "401 403 403 200 200"
VERIFIERS = "401 404 202 403 202"  # operators too
PINNERS = "401 404 200 403 200"
KEEPERS = "401 404 403 403 200"  # administrators alone
DELETERS = "401 404 403 403 202"
HOLD = {"reason": "a lawsuit"}
EXPORT_CONTENT = "api/ledger/exports/<uuid:operation_id>/content"
RELEASE = "api/ledger/holds/<uuid:hold_id>/release"
VIEW, REVIEWS = "api/ledger/views/<int:view_id>", "api/ledger/entries/<int:index>/reviews"
NEW_VIEW = {"name": "Denied", "filters": {"denied": "true"}}
DELETION = {"confirm": "web.tar"}
NEW_HOST = {"name": "site-c", "url": "tcp://10.0.0.7:2376", "tlsDirectory": "site-c"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request and its status for each of ROLES.

    `address` may hold, and a text of `body` may be, {operation}, {backup}, {orphan}, {host}, {spare_host}, {entry}:
    nobody's; {own_operation}, {own_entry}: the asker's.
    """

    route: str
    address: str
    expected: str
    method: str = "GET"
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.address} {(self.body or {}).get('action', '')}".strip()


def _read(route: str, address: str, expected: str) -> Row:
    return Row(route=route, address=address, expected=expected)


def _act(route: str, address: str, expected: str, body: dict[str, Any] | None = None) -> Row:
    return Row(route=route, address=address, expected=expected, method="POST", body=body, headers=ASYNC)


def _change(route: str, address: str, expected: str, body: dict[str, Any]) -> Row:
    return Row(route=route, address=address, expected=expected, method="PATCH", body=body)


def _remove(route: str, address: str, expected: str, body: dict[str, Any] | None = None) -> Row:
    return Row(route=route, address=address, expected=expected, method="DELETE", body=body, headers=ASYNC)


def _keep(verb: str, known: str, unknown: str, body: dict[str, Any] | None = None) -> tuple[Row, Row]:
    """A verb of one backup, which is there or not."""
    route = f"api/backups/<uuid:backup_id>/{verb}"
    addresses = {f"/api/backups/{{backup}}/{verb}": known, f"/api/backups/{UNKNOWN_ID}/{verb}": unknown}
    there, missing = (_act(route, address, expected, body) for address, expected in addresses.items())
    return there, missing


MATRIX = (
    _read("", "/", "302 302 302 302 302"),
    _read("livez", "/livez", EVERYBODY),
    _read("readyz", "/readyz", "401 403 403 503 503"),  # the tests have no broker, and who may ask is told so
    _read("api/schema", "/api/schema", SYSTEM_READERS),
    _read("api/docs", "/api/docs", SYSTEM_READERS),
    _read("api/docker/containers", "/api/docker/containers", LISTS),
    _act("api/docker/containers", "/api/docker/containers", ACTORS, BACKUP),
    _act("api/docker/containers", "/api/docker/containers", ACTORS, CLONE),
    *(_act("api/docker/containers", "/api/docker/containers", ACTORS, body) for body in LIFECYCLE),
    _read("api/docker/containers/<str:reference>", "/api/docker/containers/web", PAGES),
    _read("api/docker/containers/<str:reference>", "/api/docker/containers/nobody", MISSING),
    _read("api/docker/containers/<str:reference>/trends", "/api/docker/containers/web/trends", PAGES),
    _read("api/docker/containers/<str:reference>/trends", "/api/docker/containers/nobody/trends", MISSING),
    _read("api/stacks", "/api/stacks", LISTS),
    _act("api/stacks/clone", "/api/stacks/clone", ACTORS, STACK_CLONE),
    _act("api/stacks/backup", "/api/stacks/backup", ACTORS, STACK_BACKUP),
    _act("api/stacks/restore", "/api/stacks/restore", "401 403 404 403 404", STACK_RESTORE),
    _read("api/stacks/<str:project>", "/api/stacks/shop", PAGES),
    _read("api/stacks/<str:project>", "/api/stacks/nothing", MISSING),
    _read("api/operations", "/api/operations", LISTS),
    _read("api/operations/<uuid:operation_id>", "/api/operations/{operation}", PAGES),
    _read("api/operations/<uuid:operation_id>", "/api/operations/{own_operation}", LISTS),
    _read("api/operations/<uuid:operation_id>", f"/api/operations/{UNKNOWN_ID}", MISSING),
    _act("api/operations/<uuid:operation_id>/cancel", "/api/operations/{operation}/cancel", "401 404 202 403 202"),
    _act("api/operations/<uuid:operation_id>/cancel", "/api/operations/{own_operation}/cancel", "401 202 202 202 202"),
    _act("api/operations/<uuid:operation_id>/cancel", f"/api/operations/{UNKNOWN_ID}/cancel", "401 404 404 403 404"),
    _read("api/backups", "/api/backups", LISTS),
    _read("api/backups/<uuid:backup_id>", "/api/backups/{backup}", PAGES),
    _read("api/backups/<uuid:backup_id>", f"/api/backups/{UNKNOWN_ID}", MISSING),
    _act("api/backups/<uuid:backup_id>/restore", "/api/backups/{backup}/restore", ACTORS, RESTORE),
    _act("api/backups/<uuid:backup_id>/restore", f"/api/backups/{UNKNOWN_ID}/restore", "401 403 404 403 404", RESTORE),
    _remove("api/backups/<uuid:backup_id>", "/api/backups/{backup}", DELETERS, DELETION),
    _remove("api/backups/<uuid:backup_id>", f"/api/backups/{UNKNOWN_ID}", "401 404 403 403 404", DELETION),
    *_keep("verify", VERIFIERS, "401 404 404 403 404"),
    *_keep("pin", PINNERS, "401 404 404 403 404"),
    *_keep("unpin", PINNERS, "401 404 404 403 404"),
    *_keep("hold", KEEPERS, "401 404 403 403 404", HOLD),
    *_keep("release", KEEPERS, "401 404 403 403 404"),
    _read("api/backups/orphans", "/api/backups/orphans", SYSTEM_READERS),
    _act("api/backups/orphans/adopt", "/api/backups/orphans/adopt", "401 403 403 403 202", {"path": "{orphan}"}),
    _act("api/backups/orphans/adopt", "/api/backups/orphans/adopt", "401 403 403 403 404", {"path": "{no_orphan}"}),
    _act("api/backups/<uuid:backup_id>/drill", "/api/backups/{backup}/drill", ACTORS, DRILL),
    _act("api/backups/<uuid:backup_id>/drill", f"/api/backups/{UNKNOWN_ID}/drill", "401 403 404 403 404", DRILL),
    _read("api/backups/<uuid:backup_id>/files", "/api/backups/{backup}/files", PAGES),
    _read("api/backups/<uuid:backup_id>/files", f"/api/backups/{UNKNOWN_ID}/files", MISSING),
    _read("api/backups/<uuid:backup_id>/content", "/api/backups/{backup}/content", "401 404 200 403 200"),
    _read("api/backups/<uuid:backup_id>/content", "/api/backups/{backup}/content?path=a", "401 404 200 403 200"),
    _read("api/backups/<uuid:backup_id>/content", f"/api/backups/{UNKNOWN_ID}/content", "401 404 404 403 404"),
    _act("api/backups/<uuid:backup_id>/links", "/api/backups/{backup}/links", "401 404 201 403 201", {}),
    _act("api/backups/<uuid:backup_id>/links", f"/api/backups/{UNKNOWN_ID}/links", "401 404 404 403 404", {}),
    _read("api/backups/<uuid:backup_id>/compare", "/api/backups/{backup}/compare?with={backup}", PAGES),
    _read("api/backups/<uuid:backup_id>/compare", f"/api/backups/{UNKNOWN_ID}/compare?with={UNKNOWN_ID}", MISSING),
    _read("api/coverage", "/api/coverage", LISTS),
    _read("download/<str:token>", "/download/no-such-link", "404 404 404 404 404"),
    _read("api/hosts", "/api/hosts", SIGNED_IN_READERS),
    _act("api/hosts", "/api/hosts", "401 403 403 403 201", NEW_HOST),
    _read("api/hosts/<int:host_id>", "/api/hosts/{host}", SIGNED_IN_READERS),
    _read("api/hosts/<int:host_id>", "/api/hosts/99999999999999999999999", "401 403 404 404 404"),
    _change("api/hosts/<int:host_id>", "/api/hosts/{host}", "401 403 403 403 200", {"queue": "site-b"}),
    _change("api/hosts/<int:host_id>", "/api/hosts/999999", "401 403 403 403 404", {"queue": "site-b"}),
    _remove("api/hosts/<int:host_id>", "/api/hosts/{spare_host}", "401 403 403 403 204"),
    _remove("api/hosts/<int:host_id>", "/api/hosts/999999", "401 403 403 403 404"),
    _act("api/hosts/<int:host_id>/test", "/api/hosts/999999/test", "401 403 403 403 404"),
    _act("api/hosts/<int:host_id>/test", "/api/hosts/{host}/test", "401 403 403 403 202"),
    _act("api/hosts/<int:host_id>/test", "/api/hosts/99999999999999999999999/test", "401 403 403 403 404"),
    _read("api/ledger/entries", "/api/ledger/entries", SIGNED_IN_READERS),
    _read("api/ledger/entries/<int:index>", "/api/ledger/entries/{entry}", "401 403 404 200 200"),
    _read("api/ledger/entries/<int:index>", "/api/ledger/entries/{own_entry}", SIGNED_IN_READERS),
    _read("api/ledger/entries/<int:index>", "/api/ledger/entries/99999999999999999999999", "401 403 404 404 404"),
    _act("api/ledger/exports", "/api/ledger/exports", "401 403 403 202 202", {"format": "csv"}),
    _read(EXPORT_CONTENT, f"/api/ledger/exports/{UNKNOWN_ID}/content", "401 404 403 404 404"),
    _read("api/ledger/holds", "/api/ledger/holds", SYSTEM_READERS),
    _act("api/ledger/holds", "/api/ledger/holds", "401 403 403 403 201", HOLD),
    _act(RELEASE, f"/api/ledger/holds/{UNKNOWN_ID}/release", "401 403 403 403 404", HOLD),
    _act("api/ledger/erasures", "/api/ledger/erasures", "401 403 403 403 200", {"actor": "7", "dryRun": True}),
    _act("api/ledger/verify", "/api/ledger/verify", "401 403 403 202 202", {"quick": True}),
    _read("api/ledger/views", "/api/ledger/views", SYSTEM_READERS),
    _act(
        "api/ledger/views",
        "/api/ledger/views",
        "401 403 403 201 201",
        NEW_VIEW,
    ),
    _change(VIEW, "/api/ledger/views/999999", "401 403 403 404 404", {"name": "Other"}),
    _remove(VIEW, "/api/ledger/views/999999", "401 403 403 404 404"),
    _read(REVIEWS, "/api/ledger/entries/{entry}/reviews", SYSTEM_READERS),
    _act(REVIEWS, "/api/ledger/entries/{entry}/reviews", "401 403 403 201 403", {"mark": "reviewed"}),
    # The tests' ledger is not signed: who may ask is told so.
    _read("api/ledger/entries/<int:index>/proof", "/api/ledger/entries/{own_entry}/proof", "401 403 404 404 404"),
    _read("api/ledger/entries/<int:index>/proof", "/api/ledger/entries/{entry}/proof", "401 403 404 404 404"),
    _read("api/ledger/checkpoint", "/api/ledger/checkpoint", "401 403 404 404 404"),
    _read("api/ledger/consistency", "/api/ledger/consistency?from=1&to=1", SIGNED_IN_READERS),
)
# How many rows each of ROLES sees, of one record of nobody's and, where there is such a thing, one of his own.
OWN_LISTS = {
    "/api/docker/containers": "0 1 1 1",
    "/api/stacks": "0 1 1 1",
    "/api/operations": "1 2 2 2",
    "/api/backups": "0 1 1 1",
    "/api/coverage": "0 1 1 1",
    "/api/backups/orphans": "403 403 1 1",
    "/api/ledger/entries": "403 1 2 2",
    "/api/ledger/holds": "403 403 0 0",
    "/api/ledger/views": "403 403 0 0",
    "/api/hosts": "403 2 2 2",
}
REDIRECTS = frozenset({""})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def undeclared() -> list[tuple[str, str]]:
    """Every address with each method that no row of it has."""
    addresses = {row.route: row.address for row in MATRIX if row.route not in REDIRECTS}
    known = {(row.route, row.method) for row in MATRIX}
    return [(addresses[route], method) for route in addresses for method in METHODS if (route, method) not in known]
