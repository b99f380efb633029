"""The one way to start work: permission, quota, ledger intent, row, message. What cannot be recorded is not run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source, Subject
from containers_app.conf import load
from containers_app.errors import DatabaseUnavailable, IdempotencyConflict, InvalidRequest, PermissionDenied, Throttled
from containers_app.models import DockerHost, Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.models.operations import ACTIVE_STATES
from containers_app.operations.authority import Asker
from containers_app.operations.dispatch import publish
from containers_app.operations.kinds import Kind, Params
from containers_app.operations.notes import check_notes
from containers_app.operations.secrets import sealed
from containers_app.specs.receipt import Receipt

# What an act is done to, where that is not a container.
_NOUNS = {"backup": "backups", "ledger": "the ledger"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One wish. `limited`: somebody waits for the answer, so the verb's time limit binds.

    `idempotency_key` with `request_digest` (SHA-256 of the body, hex) make a repetition answer with the first one.
    """

    kind: Kind
    params: Params
    host: DockerHost
    asker: Asker
    source: Source
    limited: bool = False
    idempotency_key: str | None = None
    request_digest: str = ""
    reason: str = ""
    ticket: str = ""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The operation; `published` False when no worker could be told; `replayed` when the key was known."""

    operation: Operation
    published: bool = True
    replayed: bool = False


def submit(request: Request) -> Submitted:
    """Record the wish and tell a worker.

    Raises PermissionDenied, InvalidRequest for a disabled host and for a missing reason or ticket, Throttled,
    IdempotencyConflict, AuditUnavailable or DatabaseUnavailable; after any of them nothing runs.
    """
    if not request.asker.may(request.kind.permission, request.kind.scope):
        raise PermissionDenied(_why_not(request))
    _check_notes(request)
    known = _known(request)
    if known:
        return Submitted(operation=known, replayed=True)
    _check_host(request)
    _check_quota(request.asker)
    operation_id = uuid7()
    receipt = _intent(request, operation_id)
    try:
        return _store_and_publish(request, operation_id, receipt)
    except IntegrityError as error:
        _close_intent(request, operation_id, "superseded by a request with the same idempotency key")
        first = _known(request)
        if first is None:
            raise DatabaseUnavailable("the operation could not be stored; try again") from error
        return Submitted(operation=first, replayed=True)
    except DatabaseError as error:
        _close_intent(request, operation_id, "the operation could not be stored")
        raise DatabaseUnavailable("the operation could not be stored, so nothing ran; try again") from error


def _why_not(request: Request) -> str:
    key = request.asker.api_key
    if key and request.kind.scope not in key.scopes:
        return f"this API key has not the scope '{request.kind.scope}': use a key that has it"
    if request.kind.subject_type in _NOUNS:
        act = f"{request.kind.verb.lower()} {_NOUNS[request.kind.subject_type]}"
        return f"you may not {act}: it needs the permission '{request.kind.permission}'"
    return f"you may not {request.kind.verb.lower()} containers: ask an administrator for the group 'operators'"


def _check_notes(request: Request) -> None:
    """What the product asks for by itself has nobody who could say why; a plan changes nothing."""
    if not request.asker.is_automatic and not getattr(request.params, "dry_run", False):
        check_notes(request.kind.action, reason=request.reason, ticket=request.ticket)


def _known(request: Request) -> Operation | None:
    if request.idempotency_key is None:
        return None
    rows = Operation.objects.select_related("host", "api_key")
    known = rows.filter(principal=request.asker.principal, idempotency_key=request.idempotency_key).first()
    if known and known.request_digest != request.request_digest:
        raise IdempotencyConflict("this Idempotency-Key was used with another request: take a new key")
    return known


def _check_host(request: Request) -> None:
    """A host that is disabled may still be tested: that is how one sees whether to enable it."""
    if not request.host.enabled and request.kind.on_engine and request.kind.subject_type != "host":
        raise InvalidRequest(f"the host '{request.host.name}' is disabled: an administrator may enable it")


def _check_quota(asker: Asker) -> None:
    allowed = load().max_active_operations
    if Operation.objects.filter(principal=asker.principal, state__in=ACTIVE_STATES).count() >= allowed:
        raise Throttled(f"you have {allowed} unfinished operations: wait until some end")


def _intent(request: Request, operation_id: UUID) -> Receipt:
    return ledger.intent(
        action=request.kind.action,
        actor=request.asker.as_actor(),
        source=request.source,
        subject=_subject(request),
        operation_id=str(operation_id),
        params=request.kind.tell(request.params),
        reason=request.reason,
        ticket=request.ticket,
    )


def _close_intent(request: Request, operation_id: UUID, why: str) -> None:
    ledger.outcome(
        action=request.kind.action,
        actor=request.asker.as_actor(),
        source=request.source,
        subject=_subject(request),
        operation_id=str(operation_id),
        outcome="failure",
        error_code="NOT_STARTED",
        error_message=why,
    )


def _subject(request: Request) -> Subject:
    name = request.kind.subject(request.params)
    return Subject(type=request.kind.subject_type, id="", name=name, host=request.host.name)


def _store_and_publish(request: Request, operation_id: UUID, receipt: Receipt) -> Submitted:
    told: list[bool] = []
    with transaction.atomic():
        operation = Operation.objects.create(**_row(request, operation_id, receipt))
        transaction.on_commit(lambda: told.append(publish(operation)), robust=True)
    return Submitted(operation=operation, published=not told or told[0])


def _row(request: Request, operation_id: UUID, receipt: Receipt) -> dict[str, Any]:
    now = timezone.now()
    return {
        "id": operation_id,
        "kind": request.kind.name,
        "state": State.QUEUED,
        "host": request.host,
        "params": request.kind.record(request.params),
        "sealed": sealed(request.kind.sealed(request.params)),
        "target_name": request.kind.subject(request.params),
        "user_id": request.asker.user.pk,
        "api_key": request.asker.api_key,
        "actor": request.asker.label,
        "channel": request.source.channel,
        "reason": request.reason,
        "ticket": request.ticket,
        "request_id": request.source.request_id,
        "principal": request.asker.principal,
        "idempotency_key": request.idempotency_key,
        "request_digest": request.request_digest,
        "intent_shard": receipt.shard,
        "intent_index": receipt.leaf_index,
        "intent_hash": receipt.leaf_hash,
        "created_at": now,
        "published_at": now,
        "deadline_at": _deadline(request, now),
    }


def _deadline(request: Request, now: datetime) -> datetime | None:
    return now + timedelta(seconds=request.kind.time_limit_seconds(load(), request.params)) if request.limited else None
