"""The inventory as REST clients read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.serializers import ContainerSerializer
from containers_app.api.views import ConsoleView
from containers_app.errors import InvalidRequest
from containers_app.models import Container
from containers_app.operations.visibility import find
from containers_app.specs.reference import check_reference


def container_list(rows: QuerySet[Any], query: Mapping[str, str]) -> QuerySet[Any]:
    """Those of the rows that the Engine still has, filtered. Raises InvalidRequest for a wrong value."""
    rows = rows.filter(removed_at=None)
    exact = {"host": "host__name", "state": "state", "stack": "stack"}
    rows = rows.filter(**{column: query[name] for name, column in exact.items() if name in query})
    if "label" in query:
        rows = rows.filter(pk__in=_labelled(rows, query["label"]))
    if "unprotected" in query:
        if query["unprotected"] not in ("true", "false"):
            raise InvalidRequest("'unprotected' must be true or false", field="unprotected")
        rows = rows.filter(protected=query["unprotected"] == "false")
    return rows


def _labelled(rows: QuerySet[Any], wanted: str) -> list[int]:
    """Ids of the rows with a label, `name` or `name=value`: compared here, for names may hold any character."""
    name, given, value = wanted.partition("=")
    pairs = rows.values_list("pk", "labels")
    return [pk for pk, labels in pairs if name in labels and (not given or labels[name] == value)]


def container_of(request: Request, reference: str) -> Container:
    """By full id, or by name: the one that the Engine has, else the latest that it had. Raises as `find`."""
    check_reference(reference)
    named = Q(engine_id=reference) | Q(name=reference, removed_at=None)
    found: Container = find(asker_of(request), "container", "read", named)
    return found


class ContainerView(ConsoleView):
    """One container."""

    access = {"GET": ("read",)}

    @extend_schema(operation_id="containers_read", responses=ContainerSerializer)
    def get(self, request: Request, reference: str) -> Response:
        """By full id, or by name: the one that the Engine has, else the latest that it had."""
        self.query(request)
        return Response(ContainerSerializer(container_of(request, reference)).data)
