"""What may be done to a backup: restore it, or try whether it can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.api.schemas import DRILL_REQUEST, DRILL_RESPONSES, RESTORE_REQUEST, RESTORE_RESPONSES
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.audit.origin import source_of
from containers_app.operations.drill_options import read_drill
from containers_app.operations.hosts import restore_host
from containers_app.operations.kinds import DRILL, RESTORE, Kind, Params
from containers_app.operations.restore_options import read_restore
from containers_app.operations.secrets import request_digest
from containers_app.operations.submit import Request
from containers_app.operations.visibility import find
from containers_app.specs import fields
from containers_app.workflows.set_reader import check_usable


class BackupRestoreView(ConsoleView):
    """Restore one backup."""

    published = True
    # Declared, not left to the verb: who may not restore must not learn which backups there are.
    access = {"POST": (RESTORE.permission, RESTORE.scope)}
    verbs = {"POST": ("backup.restore",)}

    @extend_schema(operation_id="backups_restore", request=RESTORE_REQUEST, responses=RESTORE_RESPONSES)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Restore it, and wait for the end; with `Prefer: respond-async` do not wait."""
        body = read_object(request._request)
        return _run(request, backup_id, body, RESTORE, read_restore(str(backup_id), body))


class BackupDrillView(ConsoleView):
    """Try the restore of one backup, or of all of its stack."""

    published = True
    access = {"POST": (DRILL.permission, DRILL.scope)}
    verbs = {"POST": ("backup.drill",)}

    @extend_schema(operation_id="backups_drill", request=DRILL_REQUEST, responses=DRILL_RESPONSES)
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """Boot it in isolation, keep the evidence, and remove everything; with `Prefer: respond-async` do not wait."""
        body = read_object(request._request)
        return _run(request, backup_id, body, DRILL, read_drill(str(backup_id), body))


def _run(request: ApiRequest, backup_id: UUID, body: Mapping[str, Any], kind: Kind, params: Params) -> Response:
    asker, preference = asker_of(request), preference_of(request)
    backup = find(asker, "backup", kind.name, pk=backup_id)
    check_usable(backup)
    wanted = Request(
        kind=kind,
        params=params,
        host=restore_host(backup, body),
        asker=asker,
        source=source_of(request._request, channel="api"),
        limited=not preference.respond_async,
        idempotency_key=idempotency_key(request),
        request_digest=request_digest(json.dumps([kind.name, str(backup_id), body], sort_keys=True).encode()),
        reason=fields.line(body, "reason", longest=fields.LONGEST_REASON),
        ticket=fields.line(body, "ticket", longest=fields.LONGEST_TICKET),
    )
    return run(wanted, preference)
