"""Two answers for machines: the process lives; and everything it needs is there, with how the ledger is signed."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from containers_app.api.permissions import Anybody, CanReadSystem
from containers_app.audit.banner import health
from containers_app.audit.published import status
from containers_app.errors import AuditUnavailable
from containers_app.operations.dispatch import broker_answers


class LiveView(APIView):
    """The process answers. Nothing else is said, to nobody in particular."""

    authentication_classes = ()
    permission_classes = (Anybody,)

    @extend_schema(
        operation_id="livez", responses={200: {"type": "object", "properties": {"status": {"type": "string"}}}}
    )
    def get(self, request: Request) -> Response:
        """`{"status": "ok"}`."""
        return Response({"status": "ok"})


class ReadyView(APIView):
    """Both databases answer and are migrated, and the broker takes messages."""

    permission_classes = (CanReadSystem,)

    @extend_schema(operation_id="readyz", responses={200: {"type": "object"}, 503: {"type": "object"}})
    def get(self, request: Request) -> Response:
        """Each check by name, and how the ledger is signed; 503 when a check fails."""
        checks = {name: check() for name, check in _CHECKS.items()}
        ready = all(checks.values())
        told = {"ready": ready, "checks": checks, "ledger": _signing() if checks["ledger"] else {}}
        return Response(told, status=200 if ready else 503)


def _migrated(alias: str) -> bool:
    try:
        executor = MigrationExecutor(connections[alias])
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False


def _signing() -> dict[str, object]:
    """Not a check: an instance whose signatures are late still answers."""
    try:
        told, verified = status(), health()
    except AuditUnavailable:
        return {}
    age = None if told.outside is None else int(told.outside.age_seconds)
    counts = verified.tampered or verified.verified
    return {
        "state": told.state,
        "outsideAnchor": told.outside_state,
        "outsideAnchorAgeSeconds": age,
        "verification": "none" if counts is None else counts.verdict,
        "verificationAgeSeconds": None if counts is None else int(counts.age_seconds),
    }


_CHECKS: dict[str, Callable[[], bool]] = {
    "database": lambda: _migrated("default"),
    "ledger": lambda: _migrated("audit"),
    "broker": broker_answers,
}
