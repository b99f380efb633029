"""The trial: clone and back up one container as documented, look at what came of it, and take it away again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from containers_app.management.smoke import contract, evidence
from containers_app.management.smoke.report import CannotTell, Report
from containers_app.management.smoke.service import Service
from containers_app.specs.endpoint import Endpoint

Body = dict[str, Any]


@dataclass
class Trial:
    """One trial of `container`; `on_step` and `on_progress` tell the terminal where it is."""

    service: Service
    endpoint: Endpoint
    container: str
    on_step: Callable[[str], None]
    on_progress: Callable[[Body], None]
    report: Report = field(default_factory=Report)
    clones: list[Body] = field(default_factory=list)
    backups: list[Body] = field(default_factory=list)

    def run(self) -> Report:
        """Everything; what was made is removed again whatever happens."""
        try:
            with self._step("The console and the Engine answer"):
                before = evidence.inspect(self.endpoint, self.container)
                self.service.request("GET", "/livez")
                self._actions(before)
        finally:
            self._clean_up()
        return self.report

    def _actions(self, before: Body) -> None:
        name = str(before["Name"]).removeprefix("/")
        self.report.add("the console and the Engine answer", [])
        with self._step("a clone, as documented"):
            self._clone(before, name)
        with self._step("a backup, as documented"):
            self._judge_backup("the backup's answer", self._done(self.service.act("backup", self.container)), before)
        with self._step("a backup that is followed"):
            self._judge_backup("the followed backup's answer", self._followed(), before)
        for action in contract.ERRORS:
            with self._step(f"the error of a {action} of nothing"):
                self._unknown_container(action)
        with self._step("the source is as it was"):
            after = evidence.inspect(self.endpoint, str(before["Id"]))
            self.report.add("the source is as it was", evidence.source_problems(before, after))

    def _clone(self, source: Body, name: str) -> None:
        body = self._done(self.service.act("clone", self.container))
        if not body:
            return
        self.clones.append(body)
        problems = contract.clone_problems(body, requested=self.container, source_name=name)
        if not self._judged("the clone's answer", problems):
            return
        with self._step("the clone on the Engine"):
            clone = evidence.inspect(self.endpoint, str(body["newId"]))
            found = evidence.clone_problems(source, clone, operation_id=str(body.get("operationId", "")))
            self.report.add("the clone on the Engine equals its source and is not started", found)

    def _judge_backup(self, title: str, body: Body, source: Body) -> None:
        if not body:
            return
        self.backups.append(body)
        name = str(source["Name"]).removeprefix("/")
        if self._judged(title, contract.backup_problems(body, requested=self.container, source_name=name)):
            with self._step(f"the file {body['backupFile']}"):
                problems = evidence.file_problems(body, container_id=str(source["Id"]))
                self.report.add(f"the file {body['backupFile']}", problems)

    def _followed(self) -> Body:
        reply = self.service.act("backup", self.container, prefer="respond-async")
        address = reply.headers.get("Location", "")
        if reply.status != 202 or not address.startswith("/api/operations/"):
            self.report.add("the answer to respond-async", [f"{reply.status} with Location {address!r}, and not 202"])
            return {}
        operation = self.service.follow(address, self.on_progress)
        if operation.get("state") != "succeeded":
            self.report.add(
                "the operation succeeds", [f"it ended as {operation.get('state')}: {operation.get('error')}"]
            )
            return {}
        return {**(operation.get("result") or {}), "operationId": operation["id"]}

    def _done(self, reply: Any) -> Body:
        if reply.status == 200:
            return dict(reply.body)
        self.report.add("the status is 200", [f"it is {reply.status}: {reply.body.get('error')}"])
        return {}

    def _unknown_container(self, action: str) -> None:
        reply = self.service.act(action, f"missing-{secrets.token_hex(4)}")
        self.report.add(
            f"the error of a {action} of nothing", contract.error_problems(reply.status, reply.body, action)
        )

    def _judged(self, name: str, problems: list[str]) -> bool:
        self.report.add(name, problems)
        return not problems

    def _clean_up(self) -> None:
        for body in self.clones:
            with self._step(f"removing the clone {body.get('newName')}"):
                operation_id = str(body.get("operationId", ""))
                evidence.remove_clone(self.endpoint, str(body.get("newId")), operation_id=operation_id)
        for body in self.backups:
            with self._step(f"removing the file {body.get('backupFile')}"):
                evidence.remove_backup(body, operation_id=str(body.get("operationId", "")))

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """One step; what cannot be looked at is noted, and the next step goes on."""
        self.on_step(name)
        try:
            yield
        except CannotTell as reason:
            self.report.unknown(name, str(reason))
