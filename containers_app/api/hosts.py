"""Docker hosts as REST clients read, add, change, remove and test them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.api.records import parameters
from containers_app.api.schemas import HOST_CHANGE, HOST_REQUEST, HOST_TEST_RESPONSES
from containers_app.api.serializers import HostNameSerializer, HostSerializer
from containers_app.api.strict_json import read_nothing, read_object
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import author_of
from containers_app.audit.origin import source_of
from containers_app.errors import InvalidRequest
from containers_app.operations.kinds import HOST_TEST
from containers_app.operations.registering import add, change, remove
from containers_app.operations.submit import Request
from containers_app.operations.visibility import find, sees_system, visible_to
from containers_app.specs import fields
from containers_app.specs.host import LONGEST_FOLDER, LONGEST_URL, HostValues
from containers_app.workflows.hosts import HostTestParams

Reader = Callable[[Mapping[str, Any], str], Any]


def _text(longest: int) -> Reader:
    return lambda body, name: fields.text(body, name, longest=longest) or ""


# What may be chosen for a host: the field, the column, and how it is read.
_CHOICES: Mapping[str, tuple[str, Reader]] = {
    "url": ("url", _text(LONGEST_URL)),
    "tlsDirectory": ("tls_directory", _text(LONGEST_FOLDER)),
    "queue": ("queue", fields.required_text),
    "enabled": ("enabled", fields.flag),
    "allowPlain": ("allow_plain", fields.flag),
}
_NOTES = frozenset({"reason", "ticket"})


class HostsView(ConsoleView):
    """All Docker hosts."""

    access = {
        "GET": ("containers_app.view_dockerhost", "read"),
        "POST": ("containers_app.add_dockerhost", "hosts"),
    }
    verbs = {"POST": ("config.host_added",)}

    @extend_schema(operation_id="hosts_list", parameters=parameters(frozenset()), responses=HostSerializer(many=True))
    def get(self, request: ApiRequest) -> Response:
        """Newest first."""
        self.query(request)
        return self.page(visible_to(asker_of(request), "host"), _serializer(request))

    @extend_schema(operation_id="hosts_add", request=HOST_REQUEST, responses={201: HostSerializer})
    def post(self, request: ApiRequest) -> Response:
        """Register a host; the ledger has it first."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, _NOTES | _CHOICES.keys() | {"name"})
        name, _ = fields.required_text(body, "name"), fields.required_text(body, "url", longest=LONGEST_URL)
        host = add(HostValues(name=name, **_chosen(body)), author_of(request, body))
        return Response(HostSerializer(host).data, status=201, headers={"Location": f"/api/hosts/{host.pk}"})


class HostView(ConsoleView):
    """One Docker host."""

    access = {
        "GET": ("containers_app.view_dockerhost", "read"),
        "PATCH": ("containers_app.change_dockerhost", "hosts"),
        "DELETE": ("containers_app.change_dockerhost", "hosts"),
    }
    verbs = {"PATCH": ("config.host_changed",), "DELETE": ("config.host_removed", "config.host_changed")}

    @extend_schema(operation_id="hosts_read", responses=HostSerializer)
    def get(self, request: ApiRequest, host_id: int) -> Response:
        """What its Engine last said."""
        self.query(request)
        return Response(_serializer(request)(find(asker_of(request), "host", pk=host_id)).data)

    @extend_schema(operation_id="hosts_change", request=HOST_CHANGE, responses=HostSerializer)
    def patch(self, request: ApiRequest, host_id: int) -> Response:
        """Change what the body names, and nothing else; the name of a host never changes."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, _NOTES | _CHOICES.keys())
        changes = _chosen(body)
        if not changes:
            raise InvalidRequest(f"nothing to change: send one of {', '.join(sorted(_CHOICES))}")
        host = find(asker_of(request), "host", "change", pk=host_id)
        return Response(HostSerializer(change(host, changes, author_of(request, body))).data)

    @extend_schema(operation_id="hosts_remove", request=None, responses={200: HostSerializer, 204: None})
    def delete(self, request: ApiRequest, host_id: int) -> Response:
        """204 when nothing referred to it and it is gone; else 200 with the host, disabled."""
        self.query(request)
        read_nothing(request._request)
        host = find(asker_of(request), "host", "change", pk=host_id)
        gone = remove(host, author_of(request, {}))
        return Response(status=204) if gone else Response(HostSerializer(host).data)


class HostTestView(ConsoleView):
    """Does the Engine answer, and what is it."""

    published = True
    # Declared, not left to the verb: who may not test must not learn which hosts there are.
    access = {"POST": (HOST_TEST.permission, HOST_TEST.scope)}
    verbs = {"POST": ("host.test",)}

    @extend_schema(operation_id="hosts_test", request=None, responses=HOST_TEST_RESPONSES)
    def post(self, request: ApiRequest, host_id: int) -> Response:
        """Ask the Engine for its versions, through a worker."""
        preference = preference_of(request)
        read_nothing(request._request)
        host = find(asker_of(request), "host", "test", pk=host_id)
        wanted = Request(
            kind=HOST_TEST,
            params=HostTestParams(host=host.name),
            host=host,
            asker=asker_of(request),
            source=source_of(request._request, channel="api"),
            limited=not preference.respond_async,
            idempotency_key=idempotency_key(request),
            request_digest=f"hostTest {host.pk}",
        )
        return run(wanted, preference)


def _serializer(request: ApiRequest) -> type[HostSerializer]:
    """All of a host for who may see how the product is set up, else its name."""
    return HostSerializer if sees_system(asker_of(request)) else HostNameSerializer


def _chosen(body: Mapping[str, Any]) -> dict[str, Any]:
    return {column: read(body, name) for name, (column, read) in _CHOICES.items() if name in body}
