"""Test a Docker host's connection: an audited operation like any other."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.api.schemas import HOST_TEST_RESPONSES
from containers_app.api.strict_json import read_nothing
from containers_app.api.views import ConsoleView
from containers_app.audit.origin import source_of
from containers_app.operations.kinds import HOST_TEST
from containers_app.operations.submit import Request
from containers_app.operations.visibility import find
from containers_app.workflows.hosts import HostTestParams


class HostTestView(ConsoleView):
    """Does the Engine answer, and what is it."""

    published = True
    access = {"POST": (HOST_TEST.permission, HOST_TEST.scope)}

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
