"""Waiting for an operation and answering with it: at once, at the end, or with where to look."""

from __future__ import annotations

import re

from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api import prefer
from containers_app.api.problems import RETRY_AFTER_SECONDS, status_of
from containers_app.api.serializers import OperationSerializer
from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.models import Operation
from containers_app.operations.answers import error_body, finished_body, published_error
from containers_app.operations.kinds import KINDS, Kind
from containers_app.operations.submit import Request, Submitted, submit
from containers_app.operations.transitions import request_cancel, unqueue
from containers_app.operations.waiting import place, wait_until_finished

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_GRACE_SECONDS = 3.0


def preference_of(request: ApiRequest) -> prefer.Preference:
    """What the Prefer header asks for."""
    return prefer.parse(request.headers.get("Prefer", ""))


def idempotency_key(request: ApiRequest) -> str | None:
    """The Idempotency-Key header. Raises InvalidRequest when it is not 1 to 255 visible ASCII characters."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest("'Idempotency-Key' must be 1 to 255 visible ASCII characters", field="Idempotency-Key")
    return key


def run(wanted: Request, preference: prefer.Preference) -> Response:
    """Submit, and answer as the client prefers. Raises what `submit` raises, and TooManyWaiting."""
    if preference.respond_async and not preference.wait_seconds:
        return _final_or_later(submit(wanted).operation, preference)
    with place():
        submitted = submit(wanted)
        if not preference.respond_async:
            return _now(submitted)
        return _final_or_later(wait_until_finished(submitted.operation, seconds=preference.wait_seconds), preference)


def _now(submitted: Submitted) -> Response:
    """Wait as long as the verb may take; then cancel, and give the clean-up a moment before the answer."""
    operation = submitted.operation
    kind = KINDS[operation.kind]
    if not submitted.published and unqueue(operation):
        return _error(kind, "QUEUE_UNAVAILABLE", "no worker can be told now; nothing was done, try again")
    limit_seconds = _limit_seconds(operation)
    row = wait_until_finished(operation, seconds=limit_seconds)
    if row.is_finished:
        return _final(row)
    message = (
        f"not finished within {limit_seconds:g} s, so it was cancelled; send 'Prefer: respond-async' to wait longer"
    )
    request_cancel(row, reason=message)
    row = wait_until_finished(row, seconds=_GRACE_SECONDS)
    return _final(row) if row.is_finished else _error(kind, "TIMED_OUT", message)


def _limit_seconds(operation: Operation) -> float:
    """As it was set when the wish was recorded; an operation that had none is waited for as long as any may take."""
    if operation.deadline_at is None:
        return load().backup_timeout_seconds
    return (operation.deadline_at - operation.created_at).total_seconds()


def _final(row: Operation) -> Response:
    if published_error(row) is not None:
        return _error(KINDS[row.kind], row.error_code, row.error_message)
    return Response(finished_body(row))


def _error(kind: Kind, code: str, message: str) -> Response:
    body = error_body(kind, code=code, message=message)
    status = status_of(body["code"])
    response = Response(body, status=status)
    if status in RETRY_AFTER_SECONDS:
        response["Retry-After"] = RETRY_AFTER_SECONDS[status]
    return response


def _final_or_later(operation: Operation, preference: prefer.Preference) -> Response:
    if operation.is_finished:
        return _final(operation)
    response = Response(OperationSerializer(operation).data, status=202)
    response["Location"] = f"/api/operations/{operation.pk}"
    response["Preference-Applied"] = preference.applied
    return response
