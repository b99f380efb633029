"""Backups after they were made: one of them read, verified, kept and deleted; and those that nobody recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.backup_schemas import (
    ADOPT_REQUEST,
    ADOPT_RESPONSES,
    DELETE_REQUEST,
    DELETE_RESPONSES,
    HOLD_REQUEST,
    NOTES_REQUEST,
    ORPHANS_RESPONSE,
    VERIFY_RESPONSES,
)
from containers_app.api.serializers import BackupSerializer
from containers_app.api.strict_json import read_object, read_optional
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import NOTES, author_of, run_wish
from containers_app.errors import InvalidRequest, PermissionDenied
from containers_app.models import Backup
from containers_app.operations.keeping import hold, pin, release, unpin
from containers_app.operations.kinds import ADOPT, DELETE_BACKUP, VERIFY
from containers_app.operations.orphans import Orphan, host_of_orphan, orphans
from containers_app.operations.registering import Author
from containers_app.operations.visibility import SYSTEM, find, sees_system
from containers_app.specs import fields
from containers_app.workflows.adopt import AdoptParams
from containers_app.workflows.deletion import DeleteParams
from containers_app.workflows.verify import VerifyParams

_LONGEST_PATH = 4096


class BackupView(ConsoleView):
    """One backup."""

    access = {"GET": ("read",), "DELETE": ("delete",)}
    verbs = {"DELETE": ("backup.delete",)}

    @extend_schema(operation_id="backups_read", responses=BackupSerializer)
    def get(self, request: ApiRequest, backup_id: UUID) -> Response:
        """The backup with its parts."""
        self.query(request)
        return Response(BackupSerializer(find(asker_of(request), "backup", pk=backup_id)).data)

    @extend_schema(operation_id="backups_delete", request=DELETE_REQUEST, responses=DELETE_RESPONSES)
    def delete(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Remove its files, through a worker; the record stays. The body has its file name as `confirm`."""
        backup = find(asker_of(request), "backup", "delete", pk=backup_id)
        body = read_object(request._request)
        fields.only(body, NOTES | {"confirm", "confirmLast"})
        params = DeleteParams(
            backup=str(backup.pk),
            name=backup.file_name,
            confirm=fields.required_text(body, "confirm"),
            confirm_last=fields.flag(body, "confirmLast"),
        )
        return run_wish(request, DELETE_BACKUP, params, host=backup.host, body=body)


class BackupVerifyView(ConsoleView):
    """Is every byte as it was recorded."""

    published = True
    access = {"POST": ("verify",)}
    verbs = {"POST": ("backup.verify",)}

    @extend_schema(operation_id="backups_verify", request=NOTES_REQUEST, responses=VERIFY_RESPONSES)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Read all of it back, through a worker."""
        backup = find(asker_of(request), "backup", "verify", pk=backup_id)
        body = _notes(request)
        params = VerifyParams(backup=str(backup.pk), name=backup.file_name)
        return run_wish(request, VERIFY, params, host=backup.host, body=body)


class _KeepView(ConsoleView):
    """One change of what keeps a backup, at once."""

    access = {"POST": ("keep",)}
    verb = "pin"

    def change(self, request: ApiRequest, backup_id: UUID, act: Callable[[Backup, Author], Backup]) -> Response:
        """The backup after the change."""
        backup = find(asker_of(request), "backup", self.verb, pk=backup_id)
        changed = act(backup, author_of(request, _notes(request)))
        return Response(BackupSerializer(changed).data)


class BackupPinView(_KeepView):
    """Keep a backup."""

    verbs = {"POST": ("backup.pinned",)}

    @extend_schema(operation_id="backups_pin", request=NOTES_REQUEST, responses=BackupSerializer)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Keep it until the pin is taken out."""
        return self.change(request, backup_id, pin)


class BackupUnpinView(_KeepView):
    """Keep a backup no longer."""

    verbs = {"POST": ("backup.unpinned",)}

    @extend_schema(operation_id="backups_unpin", request=NOTES_REQUEST, responses=BackupSerializer)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Take the pin out."""
        return self.change(request, backup_id, unpin)


class BackupReleaseView(_KeepView):
    """End a legal hold."""

    verb = "hold"
    verbs = {"POST": ("backup.released",)}

    @extend_schema(operation_id="backups_release", request=NOTES_REQUEST, responses=BackupSerializer)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Take the hold off."""
        return self.change(request, backup_id, release)


class BackupHoldView(ConsoleView):
    """Begin a legal hold."""

    access = {"POST": ("keep",)}
    verbs = {"POST": ("backup.held",)}

    @extend_schema(operation_id="backups_hold", request=HOLD_REQUEST, responses=BackupSerializer)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Forbid to delete it, for a reason, until a moment or until it is released."""
        backup = find(asker_of(request), "backup", "hold", pk=backup_id)
        body = read_object(request._request)
        fields.only(body, NOTES | {"until"})
        return Response(BackupSerializer(hold(backup, author_of(request, body), until=_moment(body, "until"))).data)


class OrphansView(ConsoleView):
    """Sets in the storage that no record knows."""

    access = {"GET": (SYSTEM, "read")}

    @extend_schema(operation_id="orphans_list", responses=ORPHANS_RESPONSE)
    def get(self, request: ApiRequest) -> Response:
        """By path. They are few, so they come in one answer; `more` says that it is not all of them."""
        self.query(request)
        found = orphans()
        results = [_shown(orphan) for orphan in found.orphans]
        return Response({"next": None, "previous": None, "results": results, "more": found.more})


class OrphanAdoptView(ConsoleView):
    """Record a set that nobody recorded."""

    published = True
    access = {"POST": (ADOPT.permission, ADOPT.scope)}
    verbs = {"POST": ("backup.adopt",)}

    @extend_schema(operation_id="orphans_adopt", request=ADOPT_REQUEST, responses=ADOPT_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Read all of it, through a worker, and make its record from its manifest."""
        if not sees_system(asker_of(request), ADOPT.scope):
            raise PermissionDenied(f"you may not do this: it needs the permission '{SYSTEM}' too")
        body = read_object(request._request)
        fields.only(body, NOTES | {"path"})
        path = fields.required_text(body, "path", longest=_LONGEST_PATH)
        return run_wish(request, ADOPT, AdoptParams(path=path), host=host_of_orphan(path), body=body)


def _notes(request: ApiRequest) -> dict[str, Any]:
    """A body that may have a reason and a ticket, or be none."""
    body = read_optional(request._request)
    fields.only(body, NOTES)
    return body


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    """An RFC 3339 moment with its offset, or None when it is absent or null. Raises InvalidRequest."""
    text = fields.text(body, name, longest=40)
    if text is None:
        return None
    with suppress(ValueError, OverflowError):
        moment = parse_datetime(text)
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    raise InvalidRequest(f"'{name}' must be a moment like 2026-02-12T03:20:00Z", field=name)


def _shown(orphan: Orphan) -> dict[str, Any]:
    manifest = orphan.manifest
    known: dict[str, Any] = dict.fromkeys(("operation", "container", "host", "createdAt", "storedBytes", "parts"))
    if manifest:
        known = {
            "operation": manifest.operation_id,
            "container": {"id": manifest.container.id, "name": manifest.container.name},
            "host": manifest.host,
            "createdAt": manifest.created_at,
            "storedBytes": sum(part.stored_bytes for part in manifest.parts),
            "parts": len(manifest.parts),
        }
    return {"path": orphan.path, **known, "problem": orphan.problem or None}
