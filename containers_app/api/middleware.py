"""Of every answer: the request's id, the policy that lets a browser run only our own files, and a 503 that says why."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from containers_app.errors import AuditUnavailable
from containers_app.models.identifiers import uuid7

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """`X-Request-ID`: the client's own when it is harmless, else a new one; on the request as `request_id`."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Name the request, then answer it."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _ACCEPTABLE.fullmatch(given) else f"req_{uuid7().hex}"
        request.META["myco.request_id"] = request_id
        response = self._get_response(request)
        response["X-Request-ID"] = request_id
        return response


class ContentSecurityPolicyMiddleware:
    """A policy on every answer: that of settings, unless the answer has one of its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the policy."""
        response = self._get_response(request)
        response.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        if not request.path.startswith(settings.STATIC_URL):
            response.setdefault("Cache-Control", "no-store")
        return response


class LedgerMiddleware:
    """What the console does not do because the ledger takes no entry: a page says why, and no session is saved."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The 503; anything else is not ours, and the interface answers in its own form."""
        if not isinstance(exception, AuditUnavailable) or request.path.startswith("/api/"):
            return None
        return render(request, "503.html", {"message": exception.message}, status=503)
