"""Requests to the published endpoint, and what must be true after a refused one."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Operation

PUBLISHED = "/api/docker/containers"
ASYNC = {"Prefer": "respond-async"}
BACKUP = {"action": "backup", "containerId": "web"}
CLONE = {"action": "clone", "containerId": "web"}
START = {"action": "start", "containerId": "web"}
STOP = {"action": "stop", "containerId": "web"}
RESTART = {"action": "restart", "containerId": "web"}
REMOVE = {"action": "remove", "containerId": "web", "options": {"confirm": "web"}}
STACK_CLONE = {"project": "shop", "newProject": "shop2"}
RESTORE = {"mode": "new"}
DRILL = {"waitHealthySeconds": 60}
STACK_BACKUP = {"project": "shop", "contents": ["config"]}
STACK_RESTORE = {"backupId": "0190a000-0000-7000-8000-00000000dead", "newProject": "shop2"}
LIFECYCLE = (START, STOP, RESTART, REMOVE)


def act(client: Client, body: object, **headers: str) -> Any:
    """POST a body to the published endpoint: bytes as they are, else as JSON. `_` in a header's name is `-`."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.generic("POST", PUBLISHED, data=data, CONTENT_TYPE="application/json", headers=names)


def act_later(client: Client, body: object, **headers: str) -> Any:
    """As `act`, without waiting for the end."""
    return act(client, body, **ASYNC, **headers)


def refusals() -> list[tuple[str, str, str]]:
    """Phase, action and outcome of every ledger entry, oldest first."""
    return list(ledger.entries().order_by("id").values_list("phase", "action", "outcome"))


def assert_refused(response: Any, status: int, code: str, *, words: str = "") -> None:
    """The published two fields with this status and code, nothing was run, and the ledger has the one refusal."""
    body = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert set(body) == {"error", "code"}
    assert words in body["error"]
    assert response.headers["Content-Type"].startswith("application/json")
    assert not Operation.objects.exists()
    kind = "authz.denied" if status in (401, 403) else "authz.invalid"
    assert refusals() == [("event", kind, "denied")]
