"""Legal holds on the ledger, and the erasure of personal data from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import NOTES, author_of
from containers_app.audit.erasure import ACTION, BY, Found
from containers_app.audit.holds import PLACED, RELEASED, Act, LegalHold
from containers_app.errors import InvalidRequest
from containers_app.operations.ledger_keeping import (
    ERASE,
    HOLD,
    SCOPE,
    all_holds,
    erase,
    look,
    place_hold,
    read_target,
    release_hold,
)
from containers_app.operations.visibility import SYSTEM
from containers_app.specs import fields

_TEXT = serializers.CharField
_REASONS: dict[str, Any] = {
    "reason": _TEXT(help_text="Why; kept in the ledger."),
    "ticket": _TEXT(required=False, help_text="A change ticket; kept in the ledger."),
}
_REQUEST = inline_serializer("LedgerHoldRequest", dict(_REASONS))


def _act_schema(name: str, *, allow_null: bool) -> Any:
    words = {"by": _TEXT(), "reason": _TEXT(help_text="'erased' when it was."), "ticket": _TEXT()}
    return inline_serializer(name, {"at": serializers.DateTimeField(), **words}, allow_null=allow_null)


_HOLD = inline_serializer(
    "LedgerHold",
    {
        "id": serializers.UUIDField(),
        "placed": _act_schema("LedgerHoldPlaced", allow_null=False),
        "released": _act_schema("LedgerHoldReleased", allow_null=True),
    },
)
_HOLDS = inline_serializer(
    "LedgerHolds",
    {"next": _TEXT(allow_null=True), "previous": _TEXT(allow_null=True), "results": serializers.ListField(child=_HOLD)},
)
_ERASURE_REQUEST = inline_serializer(
    "LedgerErasureRequest",
    {
        "actor": _TEXT(required=False, help_text="The id of a user: all that is personal in what it did."),
        "address": _TEXT(required=False, help_text="Exactly this address, wherever it stands."),
        "label": _TEXT(required=False, help_text="Exactly this name, wherever it stands."),
        "dryRun": serializers.BooleanField(required=False, help_text="Only count."),
        "confirm": serializers.BooleanField(required=False, help_text="True: this cannot be taken back."),
        **_REASONS,
    },
)
_ERASURE = inline_serializer(
    "LedgerErasure",
    {
        "values": serializers.IntegerField(),
        "kinds": serializers.DictField(child=serializers.IntegerField()),
        "erased": serializers.BooleanField(),
    },
)


class HoldsView(ConsoleView):
    """Legal holds."""

    access = {"GET": (SYSTEM, "ledger"), "POST": (HOLD, SCOPE)}
    verbs = {"POST": (PLACED,)}

    @extend_schema(operation_id="ledger_holds", responses=_HOLDS)
    def get(self, request: ApiRequest) -> Response:
        """All there ever were, the newest first, in one answer."""
        self.query(request)
        results = [_shown(hold) for hold in all_holds(asker_of(request))]
        return Response({"next": None, "previous": None, "results": results})

    @extend_schema(operation_id="ledger_hold", request=_REQUEST, responses={201: _HOLD})
    def post(self, request: ApiRequest) -> Response:
        """Let nothing be erased or pruned until it is released."""
        self.query(request)
        return Response(_shown(place_hold(author_of(request, _notes(request)))), status=201)


class HoldReleaseView(ConsoleView):
    """One hold."""

    access = {"POST": (HOLD, SCOPE)}
    verbs = {"POST": (RELEASED,)}

    @extend_schema(operation_id="ledger_hold_release", request=_REQUEST, responses=_HOLD)
    def post(self, request: ApiRequest, hold_id: UUID) -> Response:
        """Take it off."""
        self.query(request)
        return Response(_shown(release_hold(str(hold_id), author_of(request, _notes(request)))))


class ErasuresView(ConsoleView):
    """Erasure of personal data."""

    access = {"POST": (ERASE, SCOPE)}
    verbs = {"POST": (ACTION,)}

    @extend_schema(operation_id="ledger_erase", request=_ERASURE_REQUEST, responses=_ERASURE)
    def post(self, request: ApiRequest) -> Response:
        """Count the values, or erase them; the entries and every proof stay."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, NOTES | {*BY, "dryRun", "confirm"})
        target, by = read_target(body), author_of(request, body)
        if fields.flag(body, "dryRun"):
            return Response(_counted(look(target, by.asker), erased=False))
        if not fields.flag(body, "confirm"):
            raise InvalidRequest("'confirm' must be true: this cannot be taken back", field="confirm")
        return Response(_counted(erase(target, by), erased=True))


def _notes(request: ApiRequest) -> Mapping[str, Any]:
    body = read_object(request._request)
    fields.only(body, NOTES)
    return body


def _counted(found: Found, *, erased: bool) -> dict[str, Any]:
    return {"values": found.values, "kinds": dict(found.kinds), "erased": erased}


def _shown(hold: LegalHold) -> dict[str, Any]:
    return {"id": hold.id, "placed": _act(hold.placed), "released": _act(hold.released) if hold.released else None}


def _act(act: Act) -> dict[str, Any]:
    return {"at": act.at, "by": act.by, "reason": act.reason, "ticket": act.ticket}
