"""Verification of the ledger, on demand."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.ledger_schemas import LEDGER_ERRORS, NOTES_FIELDS
from containers_app.api.serializers import OperationSerializer, WarningSerializer
from containers_app.api.strict_json import read_optional
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import NOTES, run_wish
from containers_app.audit.verifying import VERDICTS
from containers_app.operations.hosts import local_host
from containers_app.operations.kinds import LEDGER_VERIFY
from containers_app.operations.ledger_verifications import FIELDS, pointing_elsewhere, read_verification
from containers_app.specs import fields

_TEXT, _WHOLE, _TRUTH = serializers.CharField, serializers.IntegerField, serializers.BooleanField
_REQUEST: Any = inline_serializer(
    "LedgerVerify",
    {
        "shard": _WHOLE(required=False, help_text="This one only. Absent: every shard."),
        "quick": _TRUTH(required=False, help_text="Hashes, heads and checkpoints, not the columns of lists."),
        "vkeys": serializers.ListField(
            child=_TEXT(), required=False, help_text="Trust only these verifier keys, not those of the database."
        ),
        **NOTES_FIELDS,
    },
)
_SHARD = inline_serializer(
    "LedgerVerifiedShard",
    {
        "shard": _WHOLE(),
        "size": _WHOLE(help_text="Entries."),
        "root": _TEXT(help_text="Hexadecimal."),
        **{name: _WHOLE() for name in ("checkpoints", "unknownCheckpoints", "lostCheckpoints", "pruned")},
    },
)
_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "LedgerVerified",
        {
            "success": _TRUTH(),
            "message": _TEXT(help_text="Begins with VERIFIED, TAMPERED or CANNOT VERIFY."),
            "action": _TEXT(),
            "verdict": serializers.ChoiceField(choices=VERDICTS),
            "quick": _TRUTH(),
            "shard": _WHOLE(allow_null=True),
            "ownKeys": _WHOLE(),
            "entries": _WHOLE(),
            "erasedValues": _WHOLE(),
            "shards": serializers.ListField(child=_SHARD),
            "problems": serializers.ListField(child=_TEXT(), help_text="The first 100."),
            "operationId": _TEXT(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **LEDGER_ERRORS,
}


class LedgerVerifyView(ConsoleView):
    """Verification of the ledger."""

    published = True
    access = {"POST": (LEDGER_VERIFY.permission, LEDGER_VERIFY.scope)}
    verbs = {"POST": (LEDGER_VERIFY.action,)}

    @extend_schema(operation_id="ledger_verify", request=_REQUEST, responses=_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Recompute every entry, tree and checkpoint. Damage is a 409, and the operation has the finding."""
        self.query(request)
        body = read_optional(request._request)
        fields.only(body, FIELDS | NOTES)
        params = read_verification(body)
        with pointing_elsewhere():
            return run_wish(request, LEDGER_VERIFY, params, host=local_host(), body=body)
