"""What the tests of the API share: rights, places to wait, and dependencies that fail on demand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.db import OperationalError, connections
from django.test import Client
from pytest_django import Settings

from containers_app.models import Operation
from tests import recipes


@pytest.fixture
def operator(groups: None, with_key: Callable[..., Client]) -> Client:
    """Olga's client, with a key of all scopes."""
    return with_key(recipes.operator())


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    """A function: change settings of the product for this test."""

    def change(**values: Any) -> None:
        settings.MYCODOCKER = {**settings.MYCODOCKER, **values}

    return change


@contextlib.contextmanager
def silent(alias: str) -> Iterator[None]:
    """Every statement on this database fails, as on a server that went away."""

    def refuse(*_arguments: object) -> NoReturn:
        raise OperationalError("the server closed the connection unexpectedly")

    with connections[alias].execute_wrapper(refuse):
        yield


@pytest.fixture
def database_down() -> Callable[[str], contextlib.AbstractContextManager[None]]:
    """A function: a context in which the database of this alias does not answer."""
    return silent


@pytest.fixture
def patient_broker(monkeypatch: pytest.MonkeyPatch, backup_root: Path) -> list[Operation]:
    """A broker that takes every message, and no worker that reads one. The list is what it took."""
    taken: list[Operation] = []

    def take(operation: Operation) -> bool:
        taken.append(operation)
        return True

    monkeypatch.setattr("containers_app.operations.submit.publish", take)
    return taken
