"""What our own routes share: declared access, known query parameters, lists by cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from containers_app.api.pagination import NewestFirst
from containers_app.api.permissions import Declared
from containers_app.errors import InvalidRequest
from containers_app.specs.raw_path import LONGEST_CHARACTERS

_LONGEST = 512
Access = Mapping[str, tuple[str, ...] | str]


class ConsoleView(APIView):
    """A view that declares its access. `published` ones keep the two-field error."""

    permission_classes: Sequence[type[BasePermission]] = (Declared,)
    access: ClassVar[Access] = {}
    # What the ledger has of each unsafe method.
    verbs: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    published: ClassVar[bool] = False
    filters: ClassVar[frozenset[str]] = frozenset()
    # Those that hold a path of a container.
    long_filters: ClassVar[frozenset[str]] = frozenset()

    def query(self, request: Request) -> dict[str, str]:
        """The query parameters. Raises InvalidRequest for one that is not known, or that is there twice."""
        known = self.filters | {"limit", "cursor"}
        for name, values in request.query_params.lists():
            if name not in known:
                raise InvalidRequest(f"unknown query parameter: known are {', '.join(sorted(known))}", field=name[:64])
            longest = LONGEST_CHARACTERS if name in self.long_filters else _LONGEST
            if len(values) > 1 or "\x00" in values[0] or len(values[0]) > longest:
                raise InvalidRequest(f"'{name}' must be there once, at most {longest} characters long", field=name)
        return {name: values[0] for name, values in request.query_params.lists()}

    def page(self, rows: QuerySet[Any], serializer: type[BaseSerializer[Any]]) -> Response:
        """One page of rows."""
        pagination = NewestFirst()
        page = pagination.paginate_queryset(rows, self.request, view=self)
        return pagination.get_paginated_response(serializer(page, many=True).data)
