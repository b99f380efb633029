"""People and rows as tests need them, made by model-bakery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import CharField, Model, TextField
from django.utils import timezone
from model_bakery import baker

from containers_app.models import ApiKey, Backup, BackupPart, Container, DockerHost, Operation, State
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS, Scope
from containers_app.operations.authority import Asker

# What a container or a person may call itself: markup, a way out of an attribute, a switch of direction, a line break.
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>\u202egnp.\nend'
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
    """The text of a key that was used before, of all scopes unless some are named."""
    made = ApiKey.objects.issue(user=user, name="test", scopes=list(scopes) or EVERY_SCOPE, expires_in_days=days)
    ApiKey.objects.filter(pk=made.row.pk).update(last_used_at=timezone.now() - timedelta(days=1))
    return made.text


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
    """A complete backup of `web` in one plain tar; the caller sets the path and the figures of its file."""
    if "operation" not in fields:
        fields["operation"] = operation(state=State.SUCCEEDED, outcome_index=1)
    values: dict[str, Any] = {
        "host": host(),
        "container": None,
        "container_name": "web",
        "container_engine_id": "a" * 64,
        "file_name": "web.tar",
        "sha256": "0" * 64,
        "created_at": timezone.now(),
    }
    file_name = fields.get("file_name", "web.tar")
    values |= {"manifest_name": f"{file_name}.manifest.json", "stored_bytes": fields.get("size_bytes", 0)}
    made: Backup = baker.make(Backup, **{**values, **fields})
    part(made)
    return made


def part(backup: Backup, number: int = 0, **fields: Any) -> BackupPart:
    """A file of a backup: by default its first one."""
    values: dict[str, Any] = {
        "kind": "rootfs",
        "name": backup.container_name,
        "file_name": backup.file_name,
        "codec": "none",
        "size_bytes": backup.size_bytes,
        "stored_bytes": backup.size_bytes,
        "sha256": backup.sha256,
        "stored_sha256": backup.sha256,
        "members": backup.members,
    }
    made: BackupPart = baker.make(BackupPart, backup=backup, number=number, **{**values, **fields})
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


def hostile_texts(model: type[Model], *kept: str) -> dict[str, str]:
    """`HOSTILE` for every free text of the model: without choices, not `kept`, and as long as the column lets it be."""
    texts = [field for field in model._meta.get_fields() if isinstance(field, CharField | TextField)]
    free = [field for field in texts if not field.choices and not field.primary_key and field.name not in kept]
    return {field.name: HOSTILE[: field.max_length] for field in free}


def hostile_rows() -> dict[str, Any]:
    """One row of each model whose every text is hostile, the newest of them a key; by the model's name."""
    DockerHost.objects.filter(pk=host().pk).update(**hostile_texts(DockerHost, "name"))
    owner = person("owner", OPERATORS, first_name=HOSTILE, last_name=HOSTILE)
    many = {"labels": {HOSTILE: HOSTILE}, "environment_names": [HOSTILE], "networks": [HOSTILE]}
    mount = {"type": HOSTILE, "name": HOSTILE, "source": HOSTILE, "target": HOSTILE, "readOnly": True}
    port = {"container": 80, "host": HOSTILE, "protocol": "tcp", "hostIp": HOSTILE}
    web = container(**hostile_texts(Container, "engine_id"), **many, mounts=[mount], ports=[port])
    failed = operation(
        **hostile_texts(Operation, "kind", "target_lock", "idempotency_key", "target_id"),
        state=State.FAILED,
        outcome_index=1,
        target_id=web.engine_id,
        started_at=timezone.now(),
        finished_at=timezone.now(),
        stages=[{"name": HOSTILE, "state": "failed"}],
        warnings=[{"code": HOSTILE, "message": HOSTILE}],
        result={HOSTILE: HOSTILE},
        undo=[{"step": HOSTILE}],
    )
    facts: dict[str, Any] = hostile_texts(Backup, "container_engine_id")
    backup = baker.make(
        Backup,
        **facts,
        operation=failed,
        host=web.host,
        container=web,
        container_engine_id=web.engine_id,
        size_bytes=5_368_709_120,
        duration_seconds=1.5,
        created_at=timezone.now(),
    )
    key = ApiKey.objects.issue(user=owner, name=HOSTILE[:100], scopes=[Scope.READ, HOSTILE], expires_in_days=1).row
    return {
        "container": web,
        "operation": failed,
        "backup": backup,
        "dockerhost": web.host,
        "apikey": key,
        "user": owner,
    }
