"""Two answers for machines: the process lives; and everything it needs is there."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from containers_app.api.permissions import Anybody, CanReadSystem
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
        """Each check by name; 503 when one fails."""
        checks = {name: check() for name, check in _CHECKS.items()}
        return Response({"ready": all(checks.values()), "checks": checks}, status=200 if all(checks.values()) else 503)


def _migrated(alias: str) -> bool:
    try:
        executor = MigrationExecutor(connections[alias])
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False


_CHECKS: dict[str, Callable[[], bool]] = {
    "database": lambda: _migrated("default"),
    "ledger": lambda: _migrated("audit"),
    "broker": broker_answers,
}
