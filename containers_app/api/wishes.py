"""What every act of the interface has besides its own fields: who asks, why, and the operation that it may become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.audit.origin import source_of
from containers_app.models import DockerHost
from containers_app.operations.backup_contents import Reader
from containers_app.operations.kinds import Kind, Params
from containers_app.operations.registering import Author
from containers_app.operations.secrets import request_digest
from containers_app.operations.submit import Request
from containers_app.specs import fields

NOTES = frozenset({"reason", "ticket"})


def author_of(request: ApiRequest, body: Mapping[str, Any]) -> Author:
    """Who asks, with the notes of the body. Raises InvalidRequest for notes that are none."""
    return Author(
        asker=asker_of(request),
        source=source_of(request._request, channel="api"),
        reason=fields.line(body, "reason", longest=fields.LONGEST_REASON),
        ticket=fields.line(body, "ticket", longest=fields.LONGEST_TICKET),
    )


def reader_of(request: ApiRequest) -> Reader:
    """Who reads."""
    return Reader(asker=asker_of(request), source=source_of(request._request, channel="api"))


def run_wish(request: ApiRequest, kind: Kind, params: Params, *, host: DockerHost, body: Mapping[str, Any]) -> Response:
    """Submit the operation that the body asks for, and answer as the client prefers. Raises what `answers.run` does."""
    preference, by = preference_of(request), author_of(request, body)
    digest = request_digest(json.dumps([kind.name, request.path, body], sort_keys=True).encode())
    wanted = Request(
        kind=kind,
        params=params,
        host=host,
        asker=by.asker,
        source=by.source,
        limited=not preference.respond_async,
        idempotency_key=idempotency_key(request),
        request_digest=digest,
        reason=by.reason,
        ticket=by.ticket,
    )
    return run(wanted, preference)
