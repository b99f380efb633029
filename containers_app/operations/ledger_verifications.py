"""Verifications of the ledger: what may be asked for, and the one that the scheduler asks for by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.audit.notes import read_verifier_key
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, InvalidRequest
from containers_app.models import Operation
from containers_app.models.operations import ACTIVE_STATES
from containers_app.operations.authority import Asker
from containers_app.operations.hosts import local_host
from containers_app.operations.kinds import LEDGER_VERIFY
from containers_app.operations.ledger_search import shard_of
from containers_app.operations.submit import Request, submit
from containers_app.specs import fields
from containers_app.workflows.ledger_verify import LedgerVerifyParams

FIELDS: Final = frozenset({"shard", "quick", "vkeys"})
LEDGER_VERIFIER: Final = Asker(user=AnonymousUser(), system="ledger verifier")
_MOST_KEYS: Final = 20
_LONGEST_KEY: Final = 400
_ELSEWHERE = "without an entry, 'manage.py ledger verify' verifies it on the product's machine"


def read_verification(body: Mapping[str, Any]) -> LedgerVerifyParams:
    """The checked wish. Raises InvalidRequest that names the field."""
    shard = fields.whole(body, "shard", highest=999_999)
    vkeys = fields.texts(body, "vkeys", longest=_LONGEST_KEY) or ()
    if len(vkeys) > _MOST_KEYS:
        raise InvalidRequest(f"'vkeys' must be at most {_MOST_KEYS} keys", field="vkeys")
    check_keys(vkeys, field="vkeys")
    return LedgerVerifyParams(
        shard=None if shard is None else shard_of(str(shard)),
        quick=fields.flag(body, "quick"),
        vkeys=vkeys,
    )


def check_keys(vkeys: tuple[str, ...], *, field: str) -> None:
    """Raise InvalidRequest for what is no verifier key."""
    try:
        for one in vkeys:
            read_verifier_key(one)
    except ValueError as error:
        raise InvalidRequest(f"'{field}' must be a verifier key: {error}", field=field) from error


@contextmanager
def pointing_elsewhere() -> Iterator[None]:
    """A verification is an operation, and has an intent: a ledger that takes none says how it is verified then."""
    try:
        yield
    except AuditUnavailable as error:
        raise type(error)(f"{error.message.rstrip('.')}; {_ELSEWHERE}") from error


def schedule_ledger_verification() -> bool:
    """Ask for one of every shard when the last is MYCO_LEDGER_VERIFY_HOURS old, or the ledger is. Whether it did.

    Two schedulers at one moment know the same last one, and so have one idempotency key.
    """
    hours = load().ledger_verify_hours
    rows = Operation.objects.filter(principal=LEDGER_VERIFIER.principal, kind=LEDGER_VERIFY.name)
    last = rows.order_by("-pk").first()
    since = _begun() if last is None else last.created_at
    if hours == 0 or since is None or timezone.now() - since < timedelta(hours=hours):
        return False
    if last is not None and last.state in ACTIVE_STATES:
        return False
    wish = Request(
        kind=LEDGER_VERIFY,
        params=LedgerVerifyParams(),
        host=local_host(),
        asker=LEDGER_VERIFIER,
        source=Source(channel="scheduler"),
        idempotency_key=f"ledger verify after {last.pk if last else 'none'}",
        request_digest=LEDGER_VERIFY.name,
    )
    return not submit(wish).replayed


def _begun() -> datetime | None:
    """When the ledger was begun: a new one has nothing old to verify. Raises django.db.Error."""
    times = ledger.entries().order_by("id").values_list("time", flat=True)
    return times.first()
