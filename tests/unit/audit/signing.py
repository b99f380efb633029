"""What the tests of the signer share: names, and what was published."""

from __future__ import annotations

from collections.abc import Callable

from containers_app.audit.models import SignedCheckpoint
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import Signer
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
Tamper = Callable[..., None]
Start = Callable[[], Signer]
Accept = Callable[[], int]

HEARTBEAT_SECONDS = 3600
NOON = "2026-11-30T12:00:00Z"
ROOT = Actor(type="user", id="1", label="root")
TERMINAL = Source(channel="cli")


def published() -> list[SignedCheckpoint]:
    return list(SignedCheckpoint.objects.order_by("id"))
