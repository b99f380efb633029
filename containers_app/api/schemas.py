"""How the published endpoint is described in the API reference."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from containers_app.api.serializers import ErrorSerializer, OperationSerializer, WarningSerializer
from containers_app.specs.clone_volumes import DATA_CHOICES
from containers_app.workflows.quiesce import CONSISTENCIES
from containers_app.workflows.restore import MODES


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # its package publishes no types
    """`Authorization: Bearer <key>`."""

    target_class = "containers_app.api.auth.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """As OpenAPI calls it."""
        return {"type": "http", "scheme": "bearer"}


class ConsoleSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # its package publishes no types
    """The console's cookie."""

    target_class = "containers_app.api.auth.ConsoleSessionAuthentication"
    name = "consoleSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """As OpenAPI calls it."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


def _optional(kind: type[serializers.Field[Any, Any, Any, Any]], text: str) -> serializers.Field[Any, Any, Any, Any]:
    return kind(required=False, help_text=text)


def _set_fields(prefix: str = "") -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """What a backup set may be asked to be."""
    texts = serializers.ListField
    return {
        "path": _optional(serializers.CharField, f"{prefix}The folder, below an allowed root."),
        "contents": _optional(texts, f"{prefix}Some of rootfs, config, volumes, binds, image; rootfs by default."),
        "include": _optional(texts, f"{prefix}Patterns of paths to save, below volumes and binds."),
        "exclude": _optional(texts, f"{prefix}Patterns of paths to leave out."),
        "secrets": _optional(serializers.BooleanField, f"{prefix}false leaves the environment's values out."),
        "compression": _optional(serializers.JSONField, f"{prefix}none, gzip, zstd, or codec, level and threads."),
        "encryption": _optional(serializers.DictField, f"{prefix}age: recipients, or a passphrase."),
        "hooks": _optional(serializers.JSONField, f"{prefix}auto, or before, after and timeoutSeconds."),
        "note": _optional(serializers.CharField, f"{prefix}Words for people."),
        "pin": _optional(serializers.BooleanField, f"{prefix}Keep it until the pin is taken out."),
    }


PUBLISHED_REQUEST = inline_serializer(
    "ContainerAction",
    {
        "action": serializers.ChoiceField(["clone", "backup", "start", "stop", "restart", "remove"]),
        "containerId": serializers.CharField(help_text="A full id, an id prefix of at least 12 digits, or a name."),
        "options": inline_serializer(
            "ContainerActionOptions",
            {
                "name": _optional(serializers.CharField, "Clone: the new name. Backup: the file's name."),
                **_set_fields("Backup: "),
                "confirmProtected": _optional(serializers.BooleanField, "Work on a protected container."),
                "confirmPrivileged": _optional(serializers.BooleanField, "Clone: it may hold power over its host."),
                "dryRun": _optional(serializers.BooleanField, "Clone: answer the plan, make nothing."),
                "planHash": _optional(serializers.CharField, "Clone: only if the plan is still that one."),
                "host": _optional(serializers.CharField, "Clone: the registered host to make it on."),
                "data": serializers.ChoiceField(DATA_CHOICES, required=False, help_text="Clone: what is copied."),
                "consistency": serializers.ChoiceField(
                    CONSISTENCIES, required=False, help_text="Clone, backup: the source while it is read."
                ),
                "start": _optional(serializers.BooleanField, "Clone: start it."),
                "overrides": _optional(serializers.DictField, "Clone: what it has otherwise than its source."),
                "waitHealthySeconds": _optional(serializers.IntegerField, "Start, clone: how long, 0 to 3600."),
                "timeoutSeconds": _optional(serializers.IntegerField, "Stop, restart: until the kill, 0 to 3600."),
                "confirm": _optional(serializers.CharField, "Remove: the container's name, exactly."),
                "force": _optional(serializers.BooleanField, "Remove: also when it runs."),
                "volumes": _optional(
                    serializers.JSONField,
                    "Remove: true, its anonymous volumes too. Clone: copy, empty or share by name or mount point. "
                    "Backup: a list of names or mount points.",
                ),
            },
            required=False,
        ),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    },
)
_DONE = inline_serializer(
    "ContainerActionResult",
    {
        "success": serializers.BooleanField(),
        "message": serializers.CharField(),
        "action": serializers.CharField(),
        "sourceId": _optional(serializers.CharField, "Clone: what the request named."),
        "newId": _optional(serializers.CharField, "Clone: the Engine's id."),
        "newName": _optional(serializers.CharField, "Clone: the new name."),
        "dryRun": _optional(serializers.BooleanField, "Clone: true where only the plan was asked for."),
        "plan": _optional(serializers.DictField, "Clone: what was planned, and what stood in the way."),
        "proof": _optional(serializers.DictField, "Clone: every field and every tree that was compared."),
        "containerId": _optional(serializers.CharField, "All but clone: what the request named."),
        "backupFile": _optional(serializers.CharField, "Backup: the file's name."),
        "backupPath": _optional(serializers.CharField, "Backup: where it stands, complete."),
        "sizeBytes": _optional(serializers.IntegerField, "Backup: bytes."),
        "sizeMB": _optional(serializers.FloatField, "Backup: MiB, two decimals."),
        "timestamp": _optional(serializers.CharField, "Backup: UTC, milliseconds, Z."),
        "backupId": _optional(serializers.CharField, "Backup: its record."),
        "sha256": _optional(serializers.CharField, "Backup: of the file."),
        "consistencyGrade": _optional(serializers.CharField, "Backup: live, paused or stopped."),
        "name": _optional(serializers.CharField, "Start, stop, restart, remove: the container's name."),
        "stateBefore": _optional(serializers.CharField, "The same: the Engine's word before."),
        "stateAfter": _optional(serializers.CharField, "The same: the Engine's word after, or removed."),
        "exitCode": serializers.IntegerField(required=False, allow_null=True, help_text="Where it has ended."),
        "health": serializers.CharField(required=False, allow_null=True, help_text="Where it has a healthcheck."),
        "operationId": serializers.CharField(),
        "warnings": WarningSerializer(many=True),
    },
)
_ERROR = OpenApiResponse(ErrorSerializer)
_ERRORS = dict.fromkeys((400, 401, 403, 409, 413, 415, 429, 500, 503, 507), _ERROR)
PUBLISHED_RESPONSES: dict[int, Any] = {200: _DONE, 202: OperationSerializer, **_ERRORS}


def _host_fields(*, address_required: bool) -> dict[str, Any]:
    return {
        "url": serializers.CharField(required=address_required, help_text="unix://, https://, tcp:// or http://"),
        "tlsDirectory": _optional(serializers.CharField, "A folder below MYCO_TLS_ROOT on the workers' machine."),
        "queue": _optional(serializers.CharField, "The broker queue of the workers that reach the Engine."),
        "enabled": _optional(serializers.BooleanField, "Whether it gets new operations, and is followed."),
        "allowPlain": _optional(serializers.BooleanField, "The address may be without TLS."),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    }


HOST_REQUEST = inline_serializer("NewHost", {"name": serializers.CharField(), **_host_fields(address_required=True)})
HOST_CHANGE = inline_serializer("HostChange", _host_fields(address_required=False))
HOST_TEST_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "HostTestResult",
        {
            "host": serializers.CharField(),
            "engineVersion": serializers.CharField(),
            "apiVersion": serializers.CharField(help_text="The newest that both sides speak."),
            "operationId": serializers.CharField(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **dict.fromkeys((401, 403, 404, 500, 503), _ERROR),
}
STACK_RESPONSE = inline_serializer(
    "Stack",
    {
        "project": serializers.CharField(),
        "host": serializers.CharField(),
        "services": serializers.ListField(child=serializers.CharField()),
        "containers": serializers.IntegerField(),
        "running": serializers.IntegerField(),
        "unprotected": serializers.IntegerField(),
    },
    many=True,
)
STACK_CLONE_REQUEST = inline_serializer(
    "StackClone",
    {
        "project": serializers.CharField(help_text="The compose project."),
        "newProject": serializers.CharField(help_text="Its clone's name, by compose's grammar."),
        "sourceHost": _optional(serializers.CharField, "The project's host, where several have one of this name."),
        "host": _optional(serializers.CharField, "The target host; the source's own without it."),
        "data": _optional(serializers.CharField, "none, volumes or all."),
        "consistency": _optional(serializers.CharField, "live, pause or stop, while content is read."),
        "start": _optional(serializers.BooleanField, "Start the clones in the order of their dependencies."),
        "waitHealthySeconds": _optional(serializers.IntegerField, "With start: wait for all to be healthy."),
        "keepOnFailure": _optional(serializers.BooleanField, "Leave what was made when it fails."),
        "confirmPrivileged": _optional(serializers.BooleanField, "The clones may hold their sources' host power."),
        "confirmProtected": _optional(serializers.BooleanField, "Work on protected containers."),
        "dryRun": _optional(serializers.BooleanField, "Plan only."),
        "planHash": _optional(serializers.CharField, "Do it only if this is still the plan."),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    },
)
STACK_CLONE_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "StackCloneResult",
        {
            "success": serializers.BooleanField(),
            "message": serializers.CharField(),
            "action": serializers.CharField(),
            "project": serializers.CharField(),
            "newProject": serializers.CharField(),
            "containers": serializers.ListField(child=serializers.DictField()),
            "quietSeconds": serializers.FloatField(help_text="How long the sources were paused or stopped."),
            "operationId": serializers.CharField(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **_ERRORS,
}
STACK_BACKUP_REQUEST = inline_serializer(
    "StackBackup",
    {
        "project": serializers.CharField(help_text="The compose project."),
        "sourceHost": _optional(serializers.CharField, "The project's host, where several have one of this name."),
        "name": _optional(serializers.CharField, "What the names of all files begin with."),
        **_set_fields(),
        "consistency": _optional(serializers.CharField, "live, pause or stop, all containers together."),
        "confirmProtected": _optional(serializers.BooleanField, "Work on protected containers."),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    },
)
STACK_BACKUP_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "StackBackupResult",
        {
            "success": serializers.BooleanField(),
            "message": serializers.CharField(),
            "action": serializers.CharField(),
            "project": serializers.CharField(),
            "sizeBytes": serializers.IntegerField(help_text="What all files take."),
            "timestamp": serializers.CharField(),
            "backups": serializers.ListField(child=serializers.DictField(), help_text="One for each container."),
            "quietSeconds": serializers.FloatField(help_text="How long the containers were paused or stopped."),
            "operationId": serializers.CharField(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    **_ERRORS,
}
RESTORE_REQUEST = inline_serializer(
    "Restore",
    {
        "mode": serializers.ChoiceField(MODES, help_text="new, inPlace: a container. volume, path: a part of it."),
        "name": _optional(serializers.CharField, "Of what is made; without it the name in the backup."),
        "host": _optional(serializers.CharField, "The host to restore on; the backup's own without it."),
        "parts": serializers.ListField(
            child=serializers.CharField(), required=False, help_text="Kinds or names of the parts; all without it."
        ),
        "volume": _optional(serializers.CharField, "With volume: which one, by name or mount point."),
        "paths": serializers.ListField(
            child=serializers.CharField(), required=False, help_text="With path: absolute paths in the container."
        ),
        "container": _optional(serializers.CharField, "With path: which one gets them; the backup's own without it."),
        "target": _optional(serializers.CharField, "With path: its folder for them; their own places without it."),
        "start": _optional(serializers.BooleanField, "Start the container."),
        "waitHealthySeconds": _optional(serializers.IntegerField, "With start: how long, 0 to 3600."),
        "dryRun": _optional(serializers.BooleanField, "Plan only."),
        "planHash": _optional(serializers.CharField, "Do it only if this is still the plan."),
        "confirm": _optional(serializers.CharField, "inPlace, path: the name of the container that changes."),
        "confirmPrivileged": _optional(serializers.BooleanField, "It may hold power over its host."),
        "confirmProtected": _optional(serializers.BooleanField, "inPlace, path: change a protected container."),
        "passphrase": serializers.CharField(required=False, write_only=True, help_text="Of an encrypted backup."),
        "identity": serializers.CharField(required=False, write_only=True, help_text="An age or SSH secret key."),
        "overrides": _optional(serializers.DictField, "What it has otherwise than in the backup, as of a clone."),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    },
)
RESTORE_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "RestoreResult",
        {
            "success": serializers.BooleanField(),
            "message": serializers.CharField(),
            "action": serializers.CharField(),
            "newId": serializers.CharField(allow_null=True, help_text="The container's id; null for a volume."),
            "newName": serializers.CharField(),
            "backupId": serializers.CharField(),
            "mode": serializers.CharField(),
            "containerId": _optional(serializers.CharField, "path: the container that got them."),
            "entries": _optional(serializers.DictField, "path: how many are new, overwritten and unchanged."),
            "keptIn": _optional(serializers.ListField, "path: its folders that have what was replaced."),
            "keptId": _optional(serializers.CharField, "inPlace: the old container."),
            "keptName": _optional(serializers.CharField, "inPlace: its name now."),
            "safetyState": _optional(serializers.CharField, "inPlace: whether that backup is complete or partial."),
            "safetyBackupId": _optional(serializers.CharField, "inPlace: what it was, as a backup."),
            "plan": _optional(serializers.DictField, "What was planned, and what stood in the way."),
            "proof": _optional(serializers.DictField, "Every field and every tree that was compared."),
            "operationId": serializers.CharField(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    404: _ERROR,
    **_ERRORS,
}
DRILL_REQUEST = inline_serializer(
    "Drill",
    {
        "command": serializers.JSONField(
            required=False, write_only=True, help_text="Words, or a text for /bin/sh, that must end well in it."
        ),
        "waitHealthySeconds": _optional(serializers.IntegerField, "1 to 3600 for each container; 120 without it."),
        "memoryBytes": _optional(serializers.IntegerField, "The limit of each container; its own, else 1 GiB."),
        "nanoCpus": _optional(serializers.IntegerField, "The same for processors; its own, else one processor."),
        "stack": _optional(serializers.BooleanField, "All sets of the stack backup that it is of, together."),
        "host": _optional(serializers.CharField, "The host to drill on; the backup's own without it."),
        "passphrase": serializers.CharField(required=False, write_only=True, help_text="Of an encrypted backup."),
        "identity": serializers.CharField(required=False, write_only=True, help_text="An age or SSH secret key."),
        "reason": _optional(serializers.CharField, "Why; kept in the ledger."),
        "ticket": _optional(serializers.CharField, "A change ticket; kept in the ledger."),
    },
)
DRILL_RESPONSES: dict[int, Any] = {
    200: inline_serializer(
        "DrillResult",
        {
            "success": serializers.BooleanField(),
            "message": serializers.CharField(),
            "action": serializers.CharField(),
            "backupId": serializers.CharField(),
            "passed": serializers.BooleanField(),
            "proven": serializers.BooleanField(help_text="Passed, and nothing of the container's data was missing."),
            "rtoSeconds": serializers.FloatField(help_text="From the first byte that was read until all was up."),
            "rpoSeconds": serializers.FloatField(help_text="The age of the oldest backup in it."),
            "plan": _optional(serializers.DictField, "What was planned."),
            "proof": serializers.DictField(help_text="The evidence: steps, health, content and configuration."),
            "operationId": serializers.CharField(),
            "warnings": WarningSerializer(many=True),
        },
    ),
    202: OperationSerializer,
    404: _ERROR,
    **_ERRORS,
}
