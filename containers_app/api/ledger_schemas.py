"""How the exports of the ledger are described in the API reference."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from containers_app.api.serializers import EntrySerializer, ErrorSerializer, OperationSerializer, WarningSerializer
from containers_app.audit.selection import NAMES
from containers_app.specs.period import NAMED
from containers_app.workflows.ledger_export import FORMATS

_TEXT, _WHOLE = serializers.CharField, serializers.IntegerField
LEDGER_ERRORS: dict[int, Any] = dict.fromkeys((400, 401, 403, 409, 429, 500, 503), OpenApiResponse(ErrorSerializer))


NOTES_FIELDS: dict[str, Any] = {
    "reason": _TEXT(required=False, help_text="Why; kept in the ledger."),
    "ticket": _TEXT(required=False, help_text="A change ticket; kept in the ledger."),
}


def _optional(text: str) -> serializers.CharField:
    return _TEXT(required=False, help_text=text)


EXPORT_REQUEST: Any = inline_serializer(
    "LedgerExport",
    {
        "format": serializers.ChoiceField(choices=FORMATS, required=False, help_text="bundle if it is absent."),
        "since": _optional("A day (all of it), or a moment in RFC 3339. Absent: from the first entry."),
        "until": _optional("A day, which is still inside, or a moment, which is not. Absent: to the newest entry."),
        "period": serializers.ChoiceField(
            choices=NAMED, required=False, help_text="Instead of since and until, a period of the calendar in UTC."
        ),
        "filter": serializers.DictField(
            child=_TEXT(),
            required=False,
            help_text=f"As the list has them: {', '.join(sorted(NAMES))}.",
        ),
        "rtoGoalSeconds": _WHOLE(required=False, min_value=1, help_text="What an evidence pack compares drills with."),
        "rpoGoalSeconds": _WHOLE(required=False, min_value=1),
        **NOTES_FIELDS,
    },
)
EXPORT_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "LedgerExported",
        {
            "success": serializers.BooleanField(),
            "message": _TEXT(),
            "action": _TEXT(),
            "format": _TEXT(),
            "fileName": _TEXT(),
            "sizeBytes": _WHOLE(),
            "sha256": _TEXT(),
            "entries": _WHOLE(help_text="How many it shows; nothing is ever cut off."),
            "firstEntry": _TEXT(help_text="shard/leaf index; empty when there is none."),
            "lastEntry": _TEXT(),
            "notSigned": _WHOLE(help_text="Entries newer than the checkpoint, which are not in a bundle."),
            "operationId": _TEXT(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **LEDGER_ERRORS,
}
LEDGER_LIST: Any = inline_serializer(
    "LedgerEntries",
    {
        "next": serializers.URLField(allow_null=True),
        "previous": serializers.URLField(allow_null=True),
        "results": EntrySerializer(many=True),
    },
)
