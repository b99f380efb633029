"""What the tests of a stack's restore share: a project that compose brought up, backed up and gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.clone_bench import Body
from tests.integration.stack import Stack
from tests.integration.test_stack_clone import Project

SERVICES = ("store", "side", "web")
LABEL = "com.docker.compose.project"
CONTENT = ["sh", "-c", "stat -c '%u %g %h' /kept/a; cat /kept/b /fresh/f /layer"]


class SavedProject(Project):
    """The project with the store's content in two volumes and its layer, and the backups of its containers."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__(stack, folder)
        self.up()
        self.before = {service: self.inspect(f"{self.name}-{service}-1") for service in SERVICES}
        self.backups: dict[str, str] = {}
        self.file_names: dict[str, str] = {}

    def back_up(self, **body: Any) -> None:
        """All of it, as it is at one moment."""
        wish = {"project": self.name, "contents": ["rootfs", "config", "volumes"], "consistency": "pause", **body}
        answer = self.stack.post("/api/stacks/backup", wish)
        assert answer.status_code == 200, answer.text
        rows = {row["name"].split("-")[-2]: row for row in answer.json()["backups"]}
        self.backups = {service: str(row["backupId"]) for service, row in rows.items()}
        self.file_names = {service: str(row["backupFile"]) for service, row in rows.items()}

    def ask(self, *, by: str = "operator", **body: Any) -> Any:
        """The answer to a restore, asked for by the backup of one of its members."""
        return self.stack.post("/api/stacks/restore", {"backupId": self.backups["web"], **body}, by=by)

    def restore(self, **body: Any) -> Body:
        """A restore that succeeds; the answer's body."""
        answer = self.ask(**body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refusal(self, **body: Any) -> tuple[int, str, str]:
        """Status, code and words of a restore that is refused."""
        answer = self.ask(**body)
        return answer.status_code, answer.json()["code"], answer.json()["error"]

    def begin(self, **body: Any) -> str:
        """A restore that is not waited for; its operation's id."""
        wish = {"backupId": self.backups["web"], **body}
        answer = self.stack.post("/api/stacks/restore", wish, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def delete(self, service: str) -> Any:
        """The answer to the deletion of the service's set."""
        wish = {"confirm": self.file_names[service]}
        return self.stack.delete(f"/api/backups/{self.backups[service]}", wish, by="administrator")

    def remove(self, *more: str) -> None:
        """As `compose down` does."""
        self.compose.by_labels(self.name, "down", *more, "--timeout", "1")

    def parts(self, operation: str) -> list[dict[str, Any]]:
        """The operations below it."""
        children = self.stack.get(f"/api/operations/{operation}").json()["children"]
        return [dict(self.stack.get(f"/api/operations/{child}").json()) for child in children]
