"""What the tests of the ledger share: somebody who acts, and a way around the ledger for tampering."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from containers_app.audit import denials, ledger
from containers_app.audit.record import Actor, Source, Subject
from containers_app.specs.receipt import Receipt

Tamper = Callable[..., None]


@pytest.fixture
def alice() -> Actor:
    return Actor(type="user", id="7", label="alice@example.org", roles=("operators",), auth="session")


@pytest.fixture
def origin() -> Source:
    return Source(channel="api", ip="192.0.2.7", user_agent="Firefox/140", request_id="req-1")


@pytest.fixture
def web() -> Subject:
    return Subject(type="container", id="a" * 64, name="web-1", host="local")


@pytest.fixture
def begin(alice: Actor, origin: Source, web: Subject) -> Callable[..., Receipt]:
    """Record an intent; keywords replace the arguments."""

    def begun(**changed: Any) -> Receipt:
        arguments = {"action": "container.clone", "actor": alice, "source": origin, "subject": web}
        return ledger.intent(**{**arguments, "operation_id": str(uuid.uuid4()), **changed})

    return begun


@pytest.fixture
def end(alice: Actor, origin: Source, web: Subject) -> Callable[..., int]:
    """Record the outcome of an operation id; keywords replace the arguments."""

    def ended(operation_id: str, **changed: Any) -> int:
        arguments = {"action": "container.clone", "actor": alice, "source": origin, "subject": web}
        return ledger.outcome(**{**arguments, "operation_id": operation_id, "outcome": "success", **changed})

    return ended


@pytest.fixture
def tamper() -> Tamper:
    """Run a statement on the ledger's database, as somebody with SQL rights would."""

    def run(statement: str, *parameters: str) -> None:
        with connections["audit"].cursor() as cursor:
            cursor.execute(statement, parameters)

    return run


@pytest.fixture(autouse=True)
def no_flood_before() -> Iterator[None]:
    denials.control.forget()
    yield
    denials.control.forget()
