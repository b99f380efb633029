"""The console with rows to look at: stacks, operations, two pages of ledger, and one hostile row of each kind."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page

from containers_app.audit import holds, ledger
from containers_app.audit.reviews import review
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.models import Container, DockerHost, LedgerView, State
from tests import recipes
from tests.unit.admin.cloning import collision, plan
from tests.unit.archives.samples import Member, tar_of
from tests.written_sets import written_set

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
    rows |= _clones(rows["container"])
    rows |= _stored(rows["container"])
    rows["hold"] = _ledger()
    rows["entry"] = ledger.entries()[0]
    rows["reviewed"] = _reviewed(auditor)
    return Site(address, rows, {"superuser": _session(root), "auditor": _session(auditor)})


def _clones(source: Container) -> dict[str, Any]:
    """A volume to choose for, a clone with its proofs that went wrong in part, and the same with hostile words."""
    mount = {"type": "volume", "name": recipes.HOSTILE, "source": None, "target": recipes.HOSTILE, "readOnly": False}
    Container.objects.filter(pk=source.pk).update(mounts=[*source.mounts, mount])
    facts: dict[str, Any] = {"kind": "clone", "state": State.PARTIAL, "outcome_index": 1}
    words: dict[str, Any] = {"plain": "adguard", "hostile": recipes.HOSTILE}
    return {
        f"clone-{name}": recipes.operation(
            **facts,
            target_name=word,
            plan=a_plan(word),
            proof=_proof(word),
            result={"newId": "f" * 64, "newName": word},
            warnings=[{"code": "DIFFERS", "message": f"The clone differs: {word}"}],
        )
        for name, word in words.items()
    }


def _stored(source: Container) -> dict[str, Any]:
    """Two backups that are on the storage, of a file system with hostile names."""
    hostile = recipes.HOSTILE.replace("/", "|")
    members = [
        Member("etc", typeflag=tarfile.DIRTYPE, seconds=1.7e9),
        Member("etc/hosts", b"localhost", owner=1000, seconds=1.7e9),
        Member("etc/a-name-that-is-long-enough-to-need-more-than-one-line-on-a-phone.configuration"),
        Member(f"etc/{hostile}", b"x" * 70_000),
        Member("etc/mtab", typeflag=tarfile.SYMTYPE, target=hostile),
        *(Member(f"etc/conf.d/{number:03}") for number in range(3)),
    ]
    changed = [Member("etc/hosts", b"changed"), Member(f"etc/{hostile}-2"), Member("etc/conf.d/001")]
    facts: dict[str, Any] = {"container": source, "host": source.host, "container_name": source.name}
    return {
        name: written_set(name=f"{name}.tar", rootfs=tar_of(found), **facts, created_at=timezone.now())
        for name, found in (("stored-before", members), ("stored", changed), ("stored-other", members))
    }


def a_plan(word: str) -> dict[str, Any]:
    """A plan with everything in it that a plan can have, under this name."""
    ports = [{"container": 80, "host": 8081, "hostIp": None, "protocol": "tcp"}]
    moved = collision("port", message=f"The host port is held by {word}.", resolution={"overrides": {"ports": ports}})
    taken = collision("name", message=f"{word} exists.", resolution={"name": "web-2"}, blocks="create")
    return plan(
        name=word,
        diff=[
            {"field": "HostConfig.Memory", "source": None, "clone": 536870912},
            {"field": f"Labels.{word}", "source": word, "clone": None},
            {"field": "HostConfig.Binds", "source": [f"{word}:/a"], "clone": [f"a-long-volume-name-{word}:/a"]},
        ],
        collisions=[{**moved, "blocks": "start"}, taken],
        volumes=[{"source": word, "target": f"{word}-2", "treatment": "copy", "mountPoints": [word, "/data"]}],
        warnings=[{"code": "VOLUME_SHARED", "message": f"The clone shares the volume {word}."}],
    )


def _proof(word: str) -> dict[str, Any]:
    fields = {"source": word, "clone": f"{word}-2"}
    differences = [
        {"field": "Config.User", **fields, "reason": None},
        {"field": word, **fields, "reason": "Asked for."},
    ]
    sides = {side: {"entries": 1204, "bytes": 52428800, "sha256": side[0] * 64} for side in ("source", "copy")}
    trees = [
        {"kind": "volume", "name": word, "target": f"{word}-2", "equal": equal, **sides} for equal in (True, False)
    ]
    configuration = {"equal": False, "comparedFields": 204, "differences": differences, "leftOut": ["Id", word]}
    return {"configuration": configuration, "content": trees}


def _ledger() -> holds.LegalHold:
    """Entries about people and plain ones, and two holds, of which one is over; returns the other."""
    actor, source = ledger.Actor(type="user", id="1", label=recipes.HOSTILE), ledger.Source(channel="ui")
    for number in range(6):
        subject = ledger.Subject(type="user", name=recipes.HOSTILE if number % 2 else f"person {number}")
        ledger.event(action="access.user_changed", actor=actor, source=source, subject=subject)
    placed = [holds.place(actor=actor, source=source, reason=recipes.HOSTILE, ticket="CASE-1") for _ in range(2)]
    holds.release(placed[0].id, actor=actor, source=source, reason=recipes.HOSTILE)
    return placed[1]


def _reviewed(auditor: Any) -> Any:
    """A change with hostile words before and after, flagged with more of them, in a signed ledger; and a saved view."""
    actor, source = ledger.Actor(type="user", id="1", label=recipes.HOSTILE), ledger.Source(channel="ui")
    details = {"before": {"url": recipes.HOSTILE, "queue": "a"}, "after": {"url": "tcp://b", "queue": "a"}}
    ledger.event(action="config.host_changed", actor=actor, source=source, details=details, reason=recipes.HOSTILE)
    changed = ledger.entries()[0]
    review(changed, "flag", actor=actor, source=source, comment=recipes.HOSTILE)
    with tempfile.TemporaryDirectory() as folder:
        Signer(SignerFolder(Path(folder)), name="a.example", heartbeat_seconds=3600).look()
    LedgerView.objects.create(name=recipes.HOSTILE[:100], filters="denied=true", is_shared=True, owner=auditor)
    return changed


def _session(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def another_container() -> Container:
    """A container that comes while the list is open."""
    return recipes.container(name="late-1", stack="shop", engine_id="e" * 64)
