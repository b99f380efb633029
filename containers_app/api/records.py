"""Operations, backups and the ledger as REST clients read them, and what may be done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from containers_app.api.auth import asker_of
from containers_app.api.ledger_schemas import LEDGER_LIST
from containers_app.api.pagination import limit_of
from containers_app.api.serializers import BackupSerializer, EntrySerializer, OperationSerializer
from containers_app.api.strict_json import read_nothing
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import reader_of
from containers_app.audit.inspection import at_leaf
from containers_app.audit.origin import source_of
from containers_app.operations.cancel import cancel
from containers_app.operations.ledger_reads import ENTRY, LIST, record_look
from containers_app.operations.ledger_search import FILTERS, find_entries, read_search, shard_of
from containers_app.operations.visibility import LEDGER_READERS, find, visible_to


def parameters(names: frozenset[str]) -> list[OpenApiParameter]:
    """The query parameters of a list, for the API's description."""
    return [OpenApiParameter(name, str) for name in sorted(names | {"limit", "cursor"})]


def filtered(rows: QuerySet[Any], query: Mapping[str, str], columns: Mapping[str, str]) -> QuerySet[Any]:
    """The rows that equal each given filter."""
    return rows.filter(**{columns[name]: value for name, value in query.items() if name in columns})


class OperationsView(ConsoleView):
    """All operations."""

    access = {"GET": ("read",)}
    columns = {"kind": "kind", "state": "state", "host": "host__name", "container": "target_id"}
    filters = frozenset(columns)

    @extend_schema(
        operation_id="operations_list", parameters=parameters(filters), responses=OperationSerializer(many=True)
    )
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        query = self.query(request)
        return self.page(filtered(visible_to(asker_of(request), "operation"), query, self.columns), OperationSerializer)


class OperationView(ConsoleView):
    """One operation."""

    access = {"GET": ("read",)}

    @extend_schema(operation_id="operations_read", responses=OperationSerializer)
    def get(self, request: ApiRequest, operation_id: UUID) -> Response:
        """Where it is, and how it ended."""
        self.query(request)
        return Response(OperationSerializer(find(asker_of(request), "operation", pk=operation_id)).data)


class OperationCancelView(ConsoleView):
    """Stop one operation."""

    access = {"POST": ("cancel",)}
    verbs = {"POST": ("operation.cancel",)}

    @extend_schema(operation_id="operations_cancel", request=None, responses={202: OperationSerializer})
    def post(self, request: ApiRequest, operation_id: UUID) -> Response:
        """Ask for a stop; what was begun is taken back. The answer has the operation as it is now."""
        asker = asker_of(request)
        read_nothing(request._request)
        operation = find(asker, "operation", "cancel", pk=operation_id)
        cancel(operation, asker=asker, source=source_of(request._request, channel="api"))
        return Response(OperationSerializer(find(asker, "operation", "cancel", pk=operation_id)).data, status=202)


class BackupsView(ConsoleView):
    """All backups."""

    access = {"GET": ("read",)}
    columns = {"container": "container_engine_id", "host": "host__name", "state": "state", "stack": "stack"}
    filters = frozenset(columns)

    @extend_schema(operation_id="backups_list", parameters=parameters(filters), responses=BackupSerializer(many=True))
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        query = self.query(request)
        return self.page(filtered(visible_to(asker_of(request), "backup"), query, self.columns), BackupSerializer)


class EntriesView(ConsoleView):
    """The audit ledger."""

    access = {"GET": (*LEDGER_READERS, "ledger")}
    filters = FILTERS

    @extend_schema(operation_id="ledger_list", parameters=parameters(filters), responses=LEDGER_LIST)
    def get(self, request: ApiRequest) -> Response:
        """Newest first: the stored text with its leaf hash. Operators get what they did themselves.

        A page that is not full and has a `next` looked as far as one request may: go on there.
        """
        query = self.query(request)
        wanted = read_search(query, now=timezone.now())
        found = find_entries(asker_of(request), wanted, cursor=query.get("cursor", ""), limit=limit_of(query))
        record_look(reader_of(request), LIST, chosen=query)
        links = {name: _link(request, cursor) for name, cursor in (("next", found.older), ("previous", found.newer))}
        return Response({**links, "results": EntrySerializer(found.entries, many=True).data})


class EntryView(ConsoleView):
    """One ledger entry."""

    access = {"GET": (*LEDGER_READERS, "ledger")}
    filters = frozenset({"shard"})

    @extend_schema(operation_id="ledger_read", responses=EntrySerializer, parameters=[OpenApiParameter("shard", int)])
    def get(self, request: ApiRequest, index: int) -> Response:
        """By leaf index, in the newest shard unless `shard` names another."""
        found = entry_of(request, index, shard_in(self.query(request)))
        record_look(reader_of(request), ENTRY, of=found.place)
        return Response(EntrySerializer([found], many=True).data[0])


def shard_in(query: Mapping[str, str]) -> int | None:
    """The shard that a request names. Raises InvalidRequest."""
    return shard_of(query["shard"]) if "shard" in query else None


def entry_of(request: ApiRequest, index: int, shard: int | None) -> Any:
    """The entry that the asker may read. Raises NotFound."""
    place = at_leaf(index) if shard is None else Q(leaf_index=index, shard=shard)
    return find(asker_of(request), "entry", "read", place)


def _link(request: ApiRequest, cursor: str) -> str | None:
    return replace_query_param(request.build_absolute_uri(), "cursor", cursor) if cursor else None
