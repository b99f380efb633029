"""What tests with Django rows share: groups after every flush, no leftovers of flood control, clients with keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from containers_app.audit import denials
from containers_app.models.access import ensure_groups
from tests import recipes


@pytest.fixture(autouse=True)
def calm_flood_control() -> Iterator[None]:
    """Each test begins with full buckets."""
    denials.control.forget()
    yield
    denials.control.forget()


@pytest.fixture
def groups(db: None) -> None:
    """The three groups, which a flush of an earlier test may have taken away."""
    ensure_groups(apps)


@pytest.fixture
def backup_root() -> Iterator[Path]:
    """The first backup root, empty."""
    root = Path(settings.MYCODOCKER["backup_roots"][0])
    shutil.rmtree(root, ignore_errors=True)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def with_key() -> Callable[..., Client]:
    """A function: a client that sends a new key of this user, of all scopes unless some are named."""

    def make(user: User, *scopes: str) -> Client:
        return Client(headers={"Authorization": f"Bearer {recipes.key_of(user, *scopes)}"})

    return make
