"""The console with rows to look at: stacks, operations, two pages of ledger, and one hostile row of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page

from containers_app.audit import ledger
from containers_app.models import Container, DockerHost, State
from tests import recipes

# name, stack, image, state, health, exit code, published port
CONTAINERS = (
    ("shop-web-1", "shop", "ghcr.io/example/shop/web-frontend:2026.11.3", "running", "healthy", None, 8080),
    ("shop-db-1", "shop", "postgres:17.6-alpine", "running", "unhealthy", None, 5432),
    ("shop-worker-1", "shop", "ghcr.io/example/shop/worker:2026.11.3", "exited", "", 137, None),
    ("paperless-webserver-1", "paperless", "paperless-ngx:2.19.6", "running", "starting", None, 8010),
    ("paperless-broker-1", "paperless", "valkey:8.1", "paused", "", None, None),
    ("adguard", "", "adguard/adguardhome:v0.107.67", "running", "", None, 3001),
    ("zealous_wozniak", "", "alpine:3.22", "exited", "", 0, None),
)


@dataclass
class Site:
    """The server's address, the rows to open, and a session for each role."""

    address: str
    rows: dict[str, Any]
    sessions: dict[str, str]


@dataclass
class Visitor:
    """One tab of one role, and all that it complained about since it was opened."""

    site: Site
    context: BrowserContext
    page: Page
    noise: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Take down messages of the console (the policy's among them), errors of scripts, and dialogs."""
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.noise.append(f"page error: {error}"))
        self.page.on("dialog", self._refuse)

    def _refuse(self, dialog: Dialog) -> None:
        self.noise.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type not in ("verbose", "info"):  # Chromium's advice to authors about fields of forms
            self.noise.append(f"{message.type}: {message.text}")

    def open(self, path: str) -> int:
        """Go there; the status of the answer."""
        self.noise.clear()
        answer = self.page.goto(self.site.address + path)
        assert answer is not None
        return answer.status


def fill(address: str) -> Site:
    """Make every row; both databases are the caller's to empty."""
    rows = recipes.hostile_rows()
    root = recipes.person("root", is_superuser=True)
    auditor = recipes.auditor()
    DockerHost.objects.update(reachable=True, last_seen_at=timezone.now(), address="unix:///var/run/docker.sock")
    for number, (name, stack, image, state, health, code, port) in enumerate(CONTAINERS):
        ports = [{"container": port, "host": str(port), "protocol": "tcp", "hostIp": "0.0.0.0"}] if port else []
        facts = {"name": name, "stack": stack, "image": image, "state": state, "health": health}
        recipes.container(**facts, exit_code=code, ports=ports, engine_id=f"{number:x}" * 64)
    rows["running"] = recipes.running(stage="read the file system", bytes_done=52_428_800, bytes_total=104_857_600)
    recipes.operation(state=State.SUCCEEDED, kind="clone", outcome_index=1, target_name="adguard")
    _ledger()
    rows["entry"] = ledger.entries()[0]
    return Site(address, rows, {"superuser": _session(root), "auditor": _session(auditor)})


def _ledger() -> None:
    actor, source = ledger.Actor(type="user", id="1", label=recipes.HOSTILE), ledger.Source(channel="ui")
    for number in range(6):
        subject = ledger.Subject(type="user", name=recipes.HOSTILE if number % 2 else f"person {number}")
        ledger.event(action="access.user_changed", actor=actor, source=source, subject=subject)


def _session(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def another_container() -> Container:
    """A container that comes while the list is open."""
    return recipes.container(name="late-1", stack="shop", engine_id="e" * 64)
