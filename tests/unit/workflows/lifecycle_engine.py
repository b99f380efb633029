"""One container on an Engine of a test's own, and an operation's context: every change is noted, in its order."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from containers_app.errors import Busy, ContainerNotFound, MycoError
from containers_app.specs.engine import ContainerSummary
from containers_app.workflows.context import Facts
from tests import recipes

WEB = "a" * 64
SECRET = "hunter2"


def inspected(state: str = "running", *, health: str = "", checks: list[int] | None = None, **more: Any) -> Any:
    """An inspect answer of `web`. `checks` are the exit codes of its healthcheck, whose output is a secret."""
    log = [{"ExitCode": code, "Output": SECRET} for code in checks or []]
    own = {"Status": state, "ExitCode": 0, "StartedAt": "2026-02-12T03:20:00Z", **more.pop("State", {})}
    return {
        "Id": WEB,
        "Name": "/web",
        "Created": "2026-02-12T03:20:00.123456789Z",
        "State": {**own, **({"Health": {"Status": health, "Log": log}} if health else {})},
        "Config": {"Env": [f"PASSWORD={SECRET}"], "Labels": {}, **more.pop("Config", {})},
        "HostConfig": {"AutoRemove": False, **more.pop("HostConfig", {})},
        **more,
    }


@dataclass
class Engine:
    """`now` is what inspect answers; `after` replaces it at the first change, None for a container that is gone."""

    now: Any
    after: Any = None
    unchanged: bool = False
    refusal: MycoError | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def resolve(self, reference: str) -> ContainerSummary:
        return ContainerSummary(
            id=WEB, name="web", image="i", image_id="sha256:1", state="", status="", created_epoch_seconds=0
        )

    def inspect(self, identifier: str) -> Any:
        assert identifier == WEB
        if self.now is None:
            raise ContainerNotFound("gone")
        return self.now

    def _change(self, *what: Any) -> bool:
        self.asked.append(what)
        if self.refusal:
            raise self.refusal
        if not self.unchanged:
            self.now = self.after
        return not self.unchanged

    def start(self, identifier: str) -> bool:
        return self._change("start", identifier)

    def stop(self, identifier: str, *, timeout_seconds: int) -> bool:
        return self._change("stop", identifier, timeout_seconds)

    def restart(self, identifier: str, *, timeout_seconds: int) -> bool:
        return self._change("restart", identifier, timeout_seconds)

    def remove(self, identifier: str, *, force: bool, volumes: bool) -> None:
        self._change("remove", identifier, force, volumes)


class Context:
    """An operation's context that keeps what it is told. `reason` is raised at the n-th checkpoint."""

    def __init__(self, engine: Any, *, busy: bool = False, reason: MycoError | None = None, after: int = 0) -> None:
        self.engine = engine
        self.locked: list[str] = []
        self.stages: list[str] = []
        self.warnings: list[tuple[str, str]] = []
        self.undo: list[Any] = []
        self._busy = busy
        self._reason = reason
        self._left = after

    @property
    def facts(self) -> Facts:
        return Facts(
            operation_id="o",
            lease_token=1,
            host_id=recipes.host().pk,
            host_name="local",
            plan_key=b"",
            may=lambda permission: True,
        )

    def gateway(self) -> AbstractContextManager[Any]:
        return nullcontext(self.engine)

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def checkpoint(self) -> None:
        self._left -= 1
        if self._reason and self._left < 0:
            raise self._reason

    def pin_target(self, container_id: str, name: str, *, lock: bool) -> None:
        assert lock, "no verb acts on a container that another one works on"
        if self._busy:
            raise Busy("another operation works on this container")
        self.locked.append(container_id)

    def warn(self, code: str, message: str) -> None:
        self.warnings.append((code, message))
