"""Saved views of the ledger, and the marks of auditors on its entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.ledger_schemas import NOTES_FIELDS
from containers_app.api.records import entry_of, parameters, shard_in
from containers_app.api.strict_json import read_object, read_optional
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import NOTES, author_of, reader_of
from containers_app.audit.inspection import disclosed_all
from containers_app.audit.reviews import ACTION, KINDS, reviews_of
from containers_app.models import LedgerView
from containers_app.operations.ledger_reads import ENTRY, record_look
from containers_app.operations.ledger_reviews import REVIEW, review_entry
from containers_app.operations.ledger_search import FILTERS
from containers_app.operations.ledger_views import change_view, delete_view, find_view, may_change, save_view, views_for
from containers_app.operations.visibility import SYSTEM
from containers_app.specs import fields

_TEXT, _TRUTH = serializers.CharField, serializers.BooleanField
_FIELDS = frozenset({"name", "filters", "shared"}) | NOTES
_FILTERS = serializers.DictField(
    child=_TEXT(), required=False, help_text="As the list takes them: names and values. Absent: all entries."
)
_SHARED = _TRUTH(required=False, help_text="For all who read the ledger; it needs the permission to share.")
_SAVE = inline_serializer(
    "LedgerViewRequest", {"name": _TEXT(), "filters": _FILTERS, "shared": _SHARED, **NOTES_FIELDS}
)
_CHANGE = inline_serializer(
    "LedgerViewChange", {"name": _TEXT(required=False), "filters": _FILTERS, "shared": _SHARED, **NOTES_FIELDS}
)
_NOTES_REQUEST = inline_serializer("LedgerViewNotes", dict(NOTES_FIELDS))
_REVIEW_REQUEST = inline_serializer(
    "LedgerReviewRequest",
    {
        "mark": serializers.ChoiceField(choices=KINDS),
        "comment": _TEXT(required=False, help_text="Required for a comment and a flag; can be erased later."),
    },
)
_REVIEW = inline_serializer(
    "LedgerReview",
    {
        "shard": serializers.IntegerField(help_text="Where the mark itself is an entry."),
        "index": serializers.IntegerField(),
        "at": serializers.DateTimeField(),
        "by": _TEXT(),
        "mark": _TEXT(),
        "comment": _TEXT(help_text="'erased' when it was."),
    },
)
_REVIEWS = inline_serializer(
    "LedgerReviews",
    {
        "next": _TEXT(allow_null=True),
        "previous": _TEXT(allow_null=True),
        "results": serializers.ListField(child=_REVIEW),
    },
)
_SHARD = OpenApiParameter("shard", int)


class LedgerViewSerializer(serializers.Serializer[LedgerView]):
    """One saved view."""

    id = _TEXT(source="pk")
    name = _TEXT()
    filters = serializers.SerializerMethodField()
    shared = _TRUTH(source="is_shared")
    owner = _TEXT(source="owner.username")
    mayChange = serializers.SerializerMethodField()
    createdAt = serializers.DateTimeField(source="created_at")

    def get_filters(self, row: LedgerView) -> dict[str, str]:
        """As the list of entries takes them."""
        return dict(parse_qsl(row.filters))

    def get_mayChange(self, row: LedgerView) -> bool:  # noqa: N802 - the field's name
        """Whether the asker may."""
        return may_change(row, self.context["asker"])


class LedgerViewsView(ConsoleView):
    """Saved views."""

    access = {"GET": (SYSTEM, "ledger"), "POST": (SYSTEM, "ledger")}
    verbs = {"POST": ("audit.view_saved",)}

    @extend_schema(
        operation_id="ledger_views", parameters=parameters(frozenset()), responses=LedgerViewSerializer(many=True)
    )
    def get(self, request: ApiRequest) -> Response:
        """One's own and the shared ones, newest first."""
        self.query(request)
        return self.page(views_for(asker_of(request)), _serializer(request))

    @extend_schema(operation_id="ledger_view_save", request=_SAVE, responses={201: LedgerViewSerializer})
    def post(self, request: ApiRequest) -> Response:
        """Keep a set of filters under a name."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, _FIELDS)
        name, shared = fields.required_text(body, "name"), fields.flag(body, "shared")
        view = save_view(name, _filters(body), author_of(request, body), is_shared=shared)
        return Response(_serializer(request)(view).data, status=201)


class LedgerViewView(ConsoleView):
    """One saved view."""

    access = {"PATCH": (SYSTEM, "ledger"), "DELETE": (SYSTEM, "ledger")}
    verbs = {"PATCH": ("audit.view_changed",), "DELETE": ("audit.view_deleted",)}

    @extend_schema(operation_id="ledger_view_change", request=_CHANGE, responses=LedgerViewSerializer)
    def patch(self, request: ApiRequest, view_id: int) -> Response:
        """Change what is given, and nothing else."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, _FIELDS)
        before = find_view(view_id, asker_of(request))
        view = change_view(
            view_id,
            fields.required_text(body, "name") if "name" in body else before.name,
            author_of(request, body),
            is_shared=fields.flag(body, "shared") if "shared" in body else before.is_shared,
            filters=_filters(body) if "filters" in body else None,
        )
        return Response(_serializer(request)(view).data)

    @extend_schema(operation_id="ledger_view_delete", request=_NOTES_REQUEST, responses={204: None})
    def delete(self, request: ApiRequest, view_id: int) -> Response:
        """Delete it; what it showed stays."""
        self.query(request)
        body = read_optional(request._request)
        fields.only(body, NOTES)
        delete_view(view_id, author_of(request, body))
        return Response(status=204)


class ReviewsView(ConsoleView):
    """What auditors said of one entry."""

    access = {"GET": (SYSTEM, "ledger"), "POST": (REVIEW, "ledger")}
    verbs = {"POST": (ACTION,)}
    filters = frozenset({"shard"})

    @extend_schema(operation_id="ledger_reviews", responses=_REVIEWS, parameters=[_SHARD])
    def get(self, request: ApiRequest, index: int) -> Response:
        """The last 100 marks, oldest first, in one answer."""
        entry = entry_of(request, index, shard_in(self.query(request)))
        record_look(reader_of(request), ENTRY, of=entry.place)
        return Response({"next": None, "previous": None, "results": _shown(reviews_of(entry))})

    @extend_schema(operation_id="ledger_review", request=_REVIEW_REQUEST, responses={201: _REVIEW}, parameters=[_SHARD])
    def post(self, request: ApiRequest, index: int) -> Response:
        """One mark more; old ones stay as they are."""
        entry = entry_of(request, index, shard_in(self.query(request)))
        body = read_object(request._request)
        fields.only(body, frozenset({"mark", "comment"}))
        comment = fields.line(body, "comment", longest=fields.LONGEST_REASON)
        said_at = review_entry(
            entry, fields.required_text(body, "mark"), replace(author_of(request, {}), reason=comment)
        )
        mark = next(one for one in reversed(reviews_of(entry)) if one.leaf_index == said_at)
        return Response(_shown([mark])[0], status=201)


def _serializer(request: ApiRequest) -> Any:
    context = {"asker": asker_of(request)}
    return lambda rows, **more: LedgerViewSerializer(rows, context=context, **more)


def _filters(body: Any) -> dict[str, str]:
    chosen = fields.text_map(body, "filters")
    fields.only(chosen, FILTERS, inside="filters.")
    return chosen


def _shown(marks: list[Any]) -> list[dict[str, Any]]:
    """From the payloads, which the tree proves; of a pruned one there is its place."""
    return [
        {
            "shard": row.shard,
            "index": row.leaf_index,
            "at": told.get("time"),
            "by": told.get("actor", {}).get("label", ""),
            "mark": told.get("details", {}).get("mark", ""),
            "comment": told.get("reason", ""),
        }
        for row, told in zip(marks, disclosed_all(marks), strict=True)
    ]
