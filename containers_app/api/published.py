"""The published endpoint, `/api/docker/containers`: kept exactly; everything that we add is additive."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api import lifecycle
from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.api.containers import container_list
from containers_app.api.permissions import Declared
from containers_app.api.records import parameters
from containers_app.api.schemas import PUBLISHED_REQUEST, PUBLISHED_RESPONSES
from containers_app.api.serializers import ContainerSerializer
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.audit.origin import source_of
from containers_app.errors import InvalidRequest
from containers_app.operations.backup_options import read_backup
from containers_app.operations.clone_options import read_clone
from containers_app.operations.hosts import host_of_reference
from containers_app.operations.kinds import BACKUP, CLONE, Kind, Params
from containers_app.operations.secrets import request_digest
from containers_app.operations.submit import Request
from containers_app.operations.visibility import visible_to
from containers_app.specs import fields
from containers_app.specs.reference import check_reference

_BODY = frozenset({"action", "containerId", "options", "reason", "ticket"})


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A checked body."""

    kind: Kind
    params: Params
    reason: str
    ticket: str
    digest: str


_READERS: Mapping[str, tuple[Kind, Callable[[str, Mapping[str, Any]], Params]]] = {
    "clone": (CLONE, read_clone),
    "backup": (BACKUP, read_backup),
    **lifecycle.READERS,
}


class ContainersView(ConsoleView):
    """Act on containers; list the inventory."""

    published = True
    access = {"GET": ("read",), "POST": Declared.VERB}
    verbs = {"POST": tuple(kind.action for kind, _reader in _READERS.values())}
    filters = frozenset({"host", "state", "stack", "label", "unprotected"})

    @extend_schema(
        operation_id="containers_list",
        parameters=parameters(filters),
        responses=ContainerSerializer(many=True),
    )
    def get(self, request: ApiRequest) -> Response:
        """The containers of the inventory that the Engine still has, newest record first."""
        query = self.query(request)
        return self.page(container_list(visible_to(asker_of(request), "container"), query), ContainerSerializer)

    @extend_schema(operation_id="containers_act", request=PUBLISHED_REQUEST, responses=PUBLISHED_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Act on a container, and wait for the end; with `Prefer: respond-async` do not wait."""
        wish = read_wish(read_object(request._request))
        preference = preference_of(request)
        return run(_request(request, wish, limited=not preference.respond_async), preference)


def read_wish(body: Mapping[str, Any]) -> Wish:
    """A body as a checked wish. Raises InvalidRequest that names the field."""
    fields.only(body, _BODY)
    action = fields.required_text(body, "action")
    if action not in _READERS:
        raise InvalidRequest(f"'action' must be one of: {', '.join(sorted(_READERS))}", field="action")
    container = fields.required_text(body, "containerId")
    check_reference(container)
    kind, reader = _READERS[action]
    return Wish(
        kind=kind,
        params=reader(container, fields.mapping(body, "options")),
        reason=fields.line(body, "reason", longest=fields.LONGEST_REASON),
        ticket=fields.line(body, "ticket", longest=fields.LONGEST_TICKET),
        digest=request_digest(json.dumps(body, sort_keys=True).encode()),
    )


def _request(request: ApiRequest, wish: Wish, *, limited: bool) -> Request:
    return Request(
        kind=wish.kind,
        params=wish.params,
        host=host_of_reference(wish.kind.subject(wish.params)),
        asker=asker_of(request),
        source=source_of(request._request, channel="api"),
        limited=limited,
        idempotency_key=idempotency_key(request),
        request_digest=wish.digest,
        reason=wish.reason,
        ticket=wish.ticket,
    )
