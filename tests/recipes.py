"""People and rows as tests need them, made by model-bakery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone
from model_bakery import baker

from containers_app.models import ApiKey, Backup, Container, DockerHost, Operation, State
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS, Scope
from containers_app.operations.authority import Asker

EVERY_SCOPE = list(Scope.values)


def person(name: str, *groups: str, **fields: Any) -> User:
    """A user in these groups; `is_staff`, so that the console's door is open and only rights decide."""
    user = User.objects.create_user(name, password="correct horse battery staple", is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def operator(name: str = "olga") -> User:
    """May act."""
    return person(name, OPERATORS)


def auditor(name: str = "aude") -> User:
    """May read everything but archives, and act on nothing."""
    return person(name, AUDITORS)


def administrator(name: str = "adam") -> User:
    """May do everything."""
    return person(name, ADMINISTRATORS)


def stranger(name: str = "charlie") -> User:
    """May nothing: every test file has this one."""
    return person(name)


def key_of(user: User, *scopes: str, days: int = 30) -> str:
    """The text of a new key, of all scopes unless some are named."""
    return ApiKey.objects.issue(user=user, name="test", scopes=list(scopes) or EVERY_SCOPE, expires_in_days=days).text


def asker(user: User) -> Asker:
    """The user without a key."""
    return Asker(user=user)


def host(name: str = DockerHost.LOCAL) -> DockerHost:
    """The host that the environment names."""
    return DockerHost.objects.get_or_create(name=name)[0]


def container(**fields: Any) -> Container:
    """A running container of the local host."""
    values = {"host": host(), "engine_id": "a" * 64, "name": "web", "state": "running", "last_seen_at": timezone.now()}
    made: Container = baker.make(Container, **{**values, **fields})
    return made


def operation(**fields: Any) -> Operation:
    """A queued backup of `web` without a key, whose intent nobody wrote; the caller sets what matters."""
    values: dict[str, Any] = {
        "kind": "backup",
        "host": host(),
        "params": {"container": "web", "name": None, "path": None},
        "target_name": "web",
        "actor": "olga",
        "channel": "api",
        "principal": "user:1",
        "created_at": timezone.now(),
        "published_at": timezone.now(),
        "intent_shard": timezone.now().year,
        "intent_index": 0,
        "intent_hash": "0" * 64,
        "target_lock": None,
        "idempotency_key": None,
    }
    made: Operation = baker.make(Operation, **{**values, **fields})
    return made


def backup(**fields: Any) -> Backup:
    """A complete backup of `web`; the caller sets the path and the figures of its file."""
    values: dict[str, Any] = {
        "operation": operation(state=State.SUCCEEDED, outcome_index=1),
        "host": host(),
        "container": None,
        "container_name": "web",
        "container_engine_id": "a" * 64,
        "file_name": "web.tar",
        "sha256": "0" * 64,
        "created_at": timezone.now(),
    }
    made: Backup = baker.make(Backup, **{**values, **fields})
    return made


def running(**fields: Any) -> Operation:
    """An operation that a worker holds, with lease token 1 and half a minute left."""
    values = {
        "state": State.RUNNING,
        "lease_token": 1,
        "lease_until": timezone.now() + timedelta(seconds=30),
        "started_at": timezone.now(),
        "worker": "worker/1",
    }
    return operation(**{**values, **fields})
