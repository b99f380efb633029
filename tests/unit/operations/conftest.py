"""What the tests of the operations share: an operation whose intent is in the ledger, and a ledger that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from containers_app.audit import ledger
from containers_app.audit.ledger import Actor, Source, Subject
from containers_app.models import Operation
from containers_app.models.identifiers import uuid7
from tests import recipes

Make = Callable[..., Operation]


def intent_of(identifier: str, action: str = "container.backup") -> dict[str, Any]:
    """An intent in the ledger, as the fields that a row keeps of it."""
    receipt = ledger.intent(
        action=action,
        actor=Actor(type="user", id="1", label="olga"),
        source=Source(channel="api"),
        subject=Subject(type="container", name="web", host="local"),
        operation_id=identifier,
    )
    return {"intent_shard": receipt.shard, "intent_index": receipt.leaf_index, "intent_hash": receipt.leaf_hash}


@pytest.fixture
def queued() -> Make:
    """A function: a queued backup with its intent in the ledger; keywords are its fields."""

    def make(**fields: Any) -> Operation:
        identifier = uuid7()
        return recipes.operation(id=identifier, **{**intent_of(str(identifier)), **fields})

    return make


@pytest.fixture
def claimed() -> Make:
    """A function: a running backup with lease token 1 and its intent in the ledger."""

    def make(**fields: Any) -> Operation:
        identifier = uuid7()
        return recipes.running(id=identifier, **{**intent_of(str(identifier)), **fields})

    return make


@pytest.fixture
def break_ledger(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Callable[[], None]]:
    """A function that takes the ledger's database away, and returns the one that gives it back."""
    from django.db import OperationalError

    from containers_app.audit import appending

    def stop() -> None:
        raise OperationalError("the ledger is away")

    def break_it() -> Callable[[], None]:
        monkeypatch.setattr(appending, "_lock", stop)
        return monkeypatch.undo

    return break_it


def outcomes_of(operation: Operation) -> list[str]:
    """The outcomes that the ledger has of this operation."""
    rows = ledger.entries().filter(operation_id=str(operation.pk), phase="outcome")
    return list(rows.values_list("outcome", flat=True))
