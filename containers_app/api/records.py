"""Operations, backups and the ledger as REST clients read them, and what may be done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.serializers import BackupSerializer, EntrySerializer, OperationSerializer
from containers_app.api.views import ConsoleView
from containers_app.audit import inspection
from containers_app.audit.origin import source_of
from containers_app.errors import InvalidRequest, NotFound
from containers_app.models import Backup, Operation
from containers_app.operations.authority import visible_operations
from containers_app.operations.cancel import cancel

MISSING = "there is no such thing, or you may not see it"


def parameters(names: frozenset[str]) -> list[OpenApiParameter]:
    """The query parameters of a list, for the API's description."""
    return [OpenApiParameter(name, str) for name in sorted(names | {"limit", "cursor"})]


def filtered(rows: QuerySet[Any], query: Mapping[str, str], columns: Mapping[str, str]) -> QuerySet[Any]:
    """The rows that equal each given filter."""
    return rows.filter(**{columns[name]: value for name, value in query.items() if name in columns})


class OperationsView(ConsoleView):
    """All operations."""

    access = {"GET": ("containers_app.view_operation", "read")}
    columns = {"kind": "kind", "state": "state", "host": "host__name", "container": "target_id"}
    filters = frozenset(columns)

    @extend_schema(
        operation_id="operations_list", parameters=parameters(filters), responses=OperationSerializer(many=True)
    )
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        rows = filtered(visible_operations(asker_of(request)), self.query(request), self.columns)
        return self.page(rows, OperationSerializer)


class OperationView(ConsoleView):
    """One operation."""

    access = {"GET": ("containers_app.view_operation", "read")}

    @extend_schema(operation_id="operations_read", responses=OperationSerializer)
    def get(self, request: ApiRequest, operation_id: UUID) -> Response:
        """Where it is, and how it ended."""
        self.query(request)
        return Response(OperationSerializer(_operation(request, operation_id)).data)


class OperationCancelView(ConsoleView):
    """Stop one operation."""

    access = {"POST": ("containers_app.cancel_operation", "cancel")}

    @extend_schema(operation_id="operations_cancel", request=None, responses={202: OperationSerializer})
    def post(self, request: ApiRequest, operation_id: UUID) -> Response:
        """Ask for a stop; what was begun is taken back. The answer has the operation as it is now."""
        operation = _operation(request, operation_id, scope="cancel")
        cancel(operation, asker=asker_of(request), source=source_of(request._request, channel="api"))
        return Response(OperationSerializer(_operation(request, operation_id, scope="cancel")).data, status=202)


def _operation(request: ApiRequest, operation_id: UUID, *, scope: str = "read") -> Operation:
    found = visible_operations(asker_of(request), scope=scope).filter(pk=operation_id).first()
    if found is None:
        raise NotFound(MISSING)
    return found


class BackupsView(ConsoleView):
    """All backups."""

    access = {"GET": ("containers_app.view_backup", "read")}
    columns = {"container": "container_engine_id", "host": "host__name", "state": "state", "stack": "container__stack"}
    filters = frozenset(columns)

    @extend_schema(operation_id="backups_list", parameters=parameters(filters), responses=BackupSerializer(many=True))
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        rows = Backup.objects.select_related("host", "operation")
        return self.page(filtered(rows, self.query(request), self.columns), BackupSerializer)


class BackupView(ConsoleView):
    """One backup."""

    access = {"GET": ("containers_app.view_backup", "read")}

    @extend_schema(operation_id="backups_read", responses=BackupSerializer)
    def get(self, request: ApiRequest, backup_id: UUID) -> Response:
        """The backup with its parts."""
        self.query(request)
        found = Backup.objects.select_related("host", "operation").filter(pk=backup_id).first()
        if found is None:
            raise NotFound(MISSING)
        return Response(BackupSerializer(found).data)


class EntriesView(ConsoleView):
    """The audit ledger."""

    access = {"GET": ("audit.view_entry", "ledger")}
    columns = {
        "actor": "actor_id",
        "verb": "action",
        "object": "object_id",
        "outcome": "outcome",
        "channel": "channel",
        "operation": "operation_id",
        "request": "request_id",
        "ticket": "ticket",
    }
    filters = frozenset(columns)

    @extend_schema(operation_id="ledger_list", parameters=parameters(filters), responses=EntrySerializer(many=True))
    def get(self, request: ApiRequest) -> Response:
        """Newest first: the stored text with its leaf hash."""
        rows = filtered(inspection.entries(), self.query(request), self.columns)
        return self.page(rows, EntrySerializer)


class EntryView(ConsoleView):
    """One ledger entry."""

    access = {"GET": ("audit.view_entry", "ledger")}
    filters = frozenset({"shard"})

    @extend_schema(operation_id="ledger_read", responses=EntrySerializer, parameters=[OpenApiParameter("shard", int)])
    def get(self, request: ApiRequest, index: int) -> Response:
        """By leaf index, in the newest shard unless `shard` names another."""
        shard = self.query(request).get("shard")
        if shard is not None and not (shard.isascii() and shard.isdigit() and len(shard) == 4):
            raise InvalidRequest("'shard' must be a year of four digits", field="shard")
        rows = inspection.entries().filter(leaf_index=index)
        found = (rows.filter(shard=int(shard)) if shard else rows.order_by("-shard")).first()
        if found is None:
            raise NotFound(MISSING)
        return Response(EntrySerializer([found], many=True).data[0])
