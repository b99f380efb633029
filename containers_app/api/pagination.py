"""Lists: newest first, by cursor, without a total; at most 200 a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from containers_app.errors import InvalidRequest

if TYPE_CHECKING:  # the framework imports this module while it makes its views
    from rest_framework.views import APIView


class NewestFirst(CursorPagination):
    """`{"next", "previous", "results"}`; `limit` is 1 to 200, 50 by default."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        """One page. Raises InvalidRequest for a limit out of range, and for a cursor that no answer gave."""
        limit_of(request.query_params)
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, ValidationError) as error:
            raise InvalidRequest("'cursor' must come from 'next' or 'previous' of an answer", field="cursor") from error


def limit_of(query: Mapping[str, str]) -> int:
    """How many rows a page may have. Raises InvalidRequest."""
    limit = query.get("limit", str(NewestFirst.page_size))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= NewestFirst.max_page_size):
        raise InvalidRequest(f"'limit' must be 1 to {NewestFirst.max_page_size}", field="limit")
    return int(limit)
