"""What the tests of the console's clones share: a plan as a worker writes it, and a worker that writes it at once."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.models import Container, Operation, State
from containers_app.operations.submit import Request, Submitted, submit
from tests import recipes

HASH = "ab" * 32
Ends = dict[str, Any]


def collision(kind: str = "name", **fields: Any) -> dict[str, Any]:
    words = {"kind": kind, "subject": kind, "message": f"The {kind} is taken.", "resolution": None, "blocks": None}
    return {**words, **fields}


def plan(**fields: Any) -> dict[str, Any]:
    """A plan with one difference and one volume."""
    return {
        "hash": HASH,
        "name": "web-2",
        "create": {"Image": "web:1"},
        "diff": [{"field": "HostConfig.Memory", "source": None, "clone": 536870912}],
        "collisions": [],
        "volumes": [{"source": "pages", "target": "web-2_pages", "treatment": "copy", "mountPoints": ["/pages"]}],
        "warnings": [],
        **fields,
    }


def planned(**fields: Any) -> Ends:
    """How an operation that plans ends."""
    return {"state": State.SUCCEEDED, "outcome_index": 1, "plan": plan(**fields)}


def stack_plan(word: str = "shop", **more: Any) -> dict[str, Any]:
    """A plan of a project with one member, under this name."""
    return {
        "name": None,
        "diff": [],
        "project": word,
        "newProject": f"{word}-2",
        "members": [{"name": f"{word}-web-1", "newName": f"{word}-2-web-1", "service": word, "plan": plan()}],
        "networks": [{"source": f"{word}_front", "target": f"{word}-2_front", "driver": "bridge", "subnets": [word]}],
        **more,
    }


def refused_as(code: str, message: str) -> Ends:
    return {"state": State.FAILED, "outcome_index": 1, "error_code": code, "error_message": message}


class Worker:
    """Ends each operation as it is submitted, by the list of ends; those without one stay queued."""

    def __init__(self) -> None:
        self.ends: list[Ends] = []

    def submit(self, request: Request) -> Submitted:
        operation = submit(request).operation
        if self.ends:
            Operation.objects.filter(pk=operation.pk).update(finished_at=timezone.now(), **self.ends.pop(0))
        return Submitted(operation=operation)


def source(**fields: Any) -> Container:
    """A container with a port, a named volume, one without a name, and a bind."""
    mounts = [
        {"type": "volume", "name": "pages", "source": None, "target": "/pages", "readOnly": False},
        {"type": "volume", "name": "c" * 64, "source": None, "target": "/cache", "readOnly": False},
        {"type": "bind", "name": None, "source": "/srv", "target": "/srv", "readOnly": True},
    ]
    ports = [{"container": 80, "host": "8080", "protocol": "tcp", "hostIp": None}]
    return recipes.container(**{"mounts": mounts, "ports": ports, "image": "web:1", **fields})


def wish(*rows: Container, **values: str) -> dict[str, str]:
    """The least that the form takes; the ports as they were shown."""
    own = {"ports": "8080:80"} if len(rows) == 1 else {}
    ids = ",".join(str(row.pk) for row in rows)
    return {"ids": ids, "content": "none", "consistency": "live", **own, **values}


def send(client: Client, *rows: Container, **values: str) -> Any:
    return client.post(reverse("admin:containers_app_container_clone"), wish(*rows, **values))
