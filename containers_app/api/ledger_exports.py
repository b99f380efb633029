"""Exports of the ledger for auditors: ask for one, and fetch its file."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.backup_contents import FILE_RESPONSES
from containers_app.api.ledger_schemas import EXPORT_REQUEST, EXPORT_RESPONSES
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import NOTES, reader_of, run_wish
from containers_app.operations.download_answers import answer
from containers_app.operations.hosts import local_host
from containers_app.operations.kinds import LEDGER_EXPORT
from containers_app.operations.ledger_exports import FIELDS, download_export, read_export
from containers_app.specs import fields


class ExportsView(ConsoleView):
    """Exports of the ledger."""

    published = True
    access = {"POST": (LEDGER_EXPORT.permission, LEDGER_EXPORT.scope)}
    verbs = {"POST": ("audit.export",)}

    @extend_schema(operation_id="ledger_export", request=EXPORT_REQUEST, responses=EXPORT_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Write a period, or all, to a file, through a worker. Those there are: `/api/operations?kind=ledgerExport`."""
        body = read_object(request._request)
        fields.only(body, FIELDS | NOTES)
        return run_wish(request, LEDGER_EXPORT, read_export(body), host=local_host(), body=body)


class ExportContentView(ConsoleView):
    """The file of one export."""

    access = {"GET": (LEDGER_EXPORT.scope,)}

    @extend_schema(operation_id="ledger_export_content", responses=FILE_RESPONSES)
    def get(self, request: ApiRequest, operation_id: UUID) -> HttpResponseBase:
        """As it was written; each download is in the ledger."""
        self.query(request)
        return answer(request._request, download_export(reader_of(request), operation_id))
