"""How the routes of kept backups are described in the API reference."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from containers_app.api.serializers import ErrorSerializer, OperationSerializer, WarningSerializer

_TEXT, _WHOLE, _TRUTH = serializers.CharField, serializers.IntegerField, serializers.BooleanField
_ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 429, 500, 503), OpenApiResponse(ErrorSerializer))


def _optional(kind: type[serializers.Field[Any, Any, Any, Any]], text: str) -> serializers.Field[Any, Any, Any, Any]:
    return kind(required=False, help_text=text)


def _with_notes(name: str, more: dict[str, Any]) -> Any:
    notes = {
        "reason": _optional(_TEXT, "Why; kept in the ledger."),
        "ticket": _optional(_TEXT, "A change ticket; kept in the ledger."),
    }
    return inline_serializer(name, {**notes, **more})


def _done(name: str, more: dict[str, Any]) -> dict[int, Any]:
    common: dict[str, Any] = {
        "success": _TRUTH(),
        "message": _TEXT(),
        "action": _TEXT(),
        "backupFile": _TEXT(),
        "backupPath": _TEXT(),
        "backupId": _TEXT(),
    }
    own = {"operationId": _TEXT(), "warnings": WarningSerializer(many=True)}
    return {200: inline_serializer(name, {**common, **more, **own}), 202: OperationSerializer, **_ERRORS}


_VERDICT = inline_serializer(
    "FileVerdict",
    {
        "kind": _TEXT(help_text="manifest, or the kind of the part."),
        "name": _TEXT(),
        "path": _TEXT(),
        "verdict": _TEXT(help_text="intact, corrupt or missing."),
        "bytesRead": _WHOLE(),
        "decoded": _TRUTH(help_text="Its content was compared too, not its stored bytes alone."),
        "problem": _TEXT(allow_null=True),
    },
    many=True,
)
NOTES_REQUEST = _with_notes("Notes", {})
HOLD_REQUEST = _with_notes(
    "NewHold",
    {
        "reason": _TEXT(help_text="Why it must not be deleted."),
        "until": serializers.DateTimeField(required=False, help_text="RFC 3339; without it, until it is released."),
    },
)
DELETE_REQUEST = _with_notes(
    "BackupDeletion",
    {
        "confirm": _TEXT(help_text="Its file name, exactly."),
        "confirmLast": _optional(_TRUTH, "Also the last good one of a container that is gone."),
    },
)
ADOPT_REQUEST = _with_notes("Adoption", {"path": _TEXT(help_text="The manifest's path, as the list has it.")})
_READ = {"bytesRead": _WHOLE(), "parts": _VERDICT}
VERIFY_RESPONSES = _done("BackupVerified", {"state": _TEXT(), "verifiedAt": _TEXT(), **_READ})
ADOPT_RESPONSES = _done("BackupAdopted", {"timestamp": _TEXT(), **_READ})
DELETE_RESPONSES = _done(
    "BackupDeleted",
    {
        "stateBefore": _TEXT(),
        "stateAfter": _TEXT(),
        "keptFiles": serializers.ListField(child=_TEXT(), help_text="What other backups need."),
    },
)
ORPHANS_RESPONSE = inline_serializer(
    "Orphans",
    {
        "next": _TEXT(allow_null=True),
        "previous": _TEXT(allow_null=True),
        "results": serializers.ListField(child=serializers.DictField()),
        "more": _TRUTH(),
    },
)
STACK_RESTORE_REQUEST = _with_notes(
    "StackRestore",
    {
        "backupId": serializers.UUIDField(help_text="Any of the backups that were made of the stack together."),
        "newProject": _optional(_TEXT, "Another name for it, by compose's grammar."),
        "host": _optional(_TEXT, "The host to restore on; the backup's own without it."),
        "start": _optional(_TRUTH, "Start the containers in the order of their dependencies."),
        "waitHealthySeconds": _optional(_WHOLE, "With start: wait for all to be healthy."),
        "keepOnFailure": _optional(_TRUTH, "Leave what was made when it fails."),
        "confirmPrivileged": _optional(_TRUTH, "They may hold power over their host."),
        "dryRun": _optional(_TRUTH, "Plan only."),
        "planHash": _optional(_TEXT, "Do it only if this is still the plan."),
        "passphrase": _TEXT(required=False, write_only=True, help_text="Of encrypted backups."),
        "identity": _TEXT(required=False, write_only=True, help_text="An age or SSH secret key."),
    },
)
STACK_RESTORE_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "StackRestoreResult",
        {
            "success": _TRUTH(),
            "message": _TEXT(),
            "action": _TEXT(),
            "project": _TEXT(),
            "newProject": _TEXT(),
            "backupId": _TEXT(),
            "containers": serializers.ListField(
                child=serializers.DictField(),
                help_text="In the order of their start: service, newId, newName, backupId.",
            ),
            "plan": serializers.DictField(required=False, help_text="What was planned, and what stood in the way."),
            "proof": serializers.DictField(required=False, help_text="Every tree that was compared."),
            "operationId": _TEXT(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **_ERRORS,
}
