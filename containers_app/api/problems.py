"""One table from error codes to HTTP, one handler, two dresses: the published two fields, and RFC 9457 elsewhere."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.defaults import page_not_found as django_page_not_found
from django.views.defaults import server_error as django_server_error
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from containers_app import errors
from containers_app.api.auth import asker_of
from containers_app.audit import denials
from containers_app.audit.ledger import Actor
from containers_app.audit.origin import source_of
from containers_app.errors import MycoError
from containers_app.operations.authority import Asker

STATUS = {
    "INVALID_REQUEST": 400,
    "NOT_AUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "PROTECTED": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NAME_TAKEN": 409,
    "BUSY": 409,
    "PLAN_CHANGED": 409,
    "COLLISION": 409,
    "CONTAINER_RUNNING": 409,
    "PORT_TAKEN": 409,
    "BACKUP_CORRUPT": 409,
    "BACKUP_MISSING": 409,
    "BACKUP_DELETED": 409,
    "BACKUP_PINNED": 409,
    "BACKUP_HELD": 409,
    "LEDGER_HELD": 409,
    "LEDGER_TAMPERED": 409,
    "LEDGER_UNVERIFIED": 409,
    "LAST_GOOD_BACKUP": 409,
    "IDEMPOTENCY_CONFLICT": 409,
    "KEY_MISSING": 409,
    "WRONG_KEY": 409,
    "AMBIGUOUS_REFERENCE": 409,
    "BACKUP_UNUSABLE": 409,
    "INDEX_ENCRYPTED": 409,
    "INDEX_MISSING": 409,
    "REQUEST_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "THROTTLED": 429,
    "AUDIT_UNAVAILABLE": 503,
    "DATABASE_UNAVAILABLE": 503,
    "QUEUE_UNAVAILABLE": 503,
    "STORAGE_ERROR": 503,
    "TOO_MANY_WAITING": 503,
    "STORAGE_FULL": 507,
}
logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = {429: "10", 503: "2"}
_RECORDED = frozenset({400, 401, 403, 409, 413, 415, 429})
_DENIALS = (errors.NotAuthenticated, errors.PermissionDenied, errors.Hidden)


class MethodNotAllowed(MycoError):
    """The address exists, the method does not."""

    code = "METHOD_NOT_ALLOWED"


_SIGN_IN = "send 'Authorization: Bearer <key>', or sign in to the console"
_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], type[MycoError], str], ...] = (
    ((DatabaseError,), errors.DatabaseUnavailable, "the database does not answer; nothing was done, try again"),
    ((Http404, exceptions.NotFound), errors.NotFound, "there is no such thing, or you may not see it"),
    ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), errors.NotAuthenticated, _SIGN_IN),
    (
        (exceptions.PermissionDenied,),
        errors.PermissionDenied,
        "you may not do this; a browser must send a CSRF token",
    ),
    ((exceptions.MethodNotAllowed,), MethodNotAllowed, "this address does not take this method"),
    ((exceptions.UnsupportedMediaType,), errors.UnsupportedMediaType, "send 'application/json'"),
    ((exceptions.APIException,), errors.InvalidRequest, "the request is not understood: compare it with /api/docs"),
)


def status_of(code: str) -> int:
    """The HTTP status of an error code; an unforeseen failure of the work is a 500, as published."""
    return STATUS.get(code, 500)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. Refusals go to the ledger; None lets a bug become a plain 500."""
    ours = translate(error)
    if ours is None:
        return None
    request: Request = context["request"]
    status = status_of(ours.code)
    if status in _RECORDED or isinstance(ours, errors.Hidden):
        _record(ours, request)
    request.accepted_renderer = JSONRenderer()  # a page of HTML is refused in JSON too
    published = getattr(context["view"], "published", False)
    response = (
        Response({"error": ours.message, "code": ours.code}, status=status) if published else problem(ours, status)
    )
    if status in RETRY_AFTER_SECONDS:
        response["Retry-After"] = RETRY_AFTER_SECONDS[status]
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="mycodocker"'
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def problem(error: MycoError, status: int) -> Response:
    """RFC 9457 problem details, with our `code` and `errors`."""
    body = {
        "type": "about:blank",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "code": error.code,
        "errors": [{"field": error.field, "message": error.message}] if error.field else [],
    }
    return Response(body, status=status, content_type="application/problem+json")


def translate(error: Exception) -> MycoError | None:
    """Any foreseen exception as one of ours; None for a bug."""
    if isinstance(error, MycoError):
        return error
    for kinds, ours, words in _TRANSLATIONS:
        if isinstance(error, kinds):
            return ours(words)
    return None


def _record(error: MycoError, request: Request) -> None:
    """A refusal stays a refusal when the ledger does not answer: nothing runs, and it is counted for a later entry."""
    asker = _asker(request)
    denial = denials.Denial(
        action="authz.denied" if isinstance(error, _DENIALS) else "authz.invalid",
        code=error.code,
        actor=asker.identity if asker else Actor(type="anonymous"),
        roles=asker.roles if asker else None,
        source=source_of(request._request, channel="api"),
        message=error.message,
    )
    try:
        denials.record(denial)
    except errors.AuditUnavailable:
        logger.error("the ledger took no refusal; it is counted for a later entry", extra={"code": error.code})


def _asker(request: Request) -> Asker | None:
    """The asker, or None when authenticating was what failed."""
    try:
        return asker_of(request)
    except (MycoError, exceptions.APIException):
        return None


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 as a problem below /api/, as a page elsewhere."""
    if request.path.startswith("/api/"):
        error = errors.NotFound("there is no such address")
        return JsonResponse(problem(error, 404).data, status=404, content_type="application/problem+json")
    return django_page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 as JSON below /api/, as a page elsewhere; never with a traceback."""
    if not request.path.startswith("/api/"):
        return django_server_error(request)
    reference = request.META.get("myco.request_id", "")
    body = {"error": f"internal error, reference {reference}", "code": "INTERNAL"}
    return JsonResponse(body, status=500)
