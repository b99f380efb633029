"""What the tests of drills through the whole product share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.clone_bench import Body
from tests.integration.restore_bench import everything_on, left_of
from tests.integration.stack import Stack

REACHED_SECONDS = 30.0
SECOND = 10**9
# What the healthcheck of a source finds in its volume.
CHECKED = "echo alive > /data/sign"


def health(test: str) -> dict[str, Any]:
    """A healthcheck that looks once a second."""
    return {"test": ["CMD-SHELL", test], "interval": SECOND, "timeout": 5 * SECOND, "retries": 2}


def ask(stack: Stack, backup: Body | str, /, *, by: str = "operator", **body: Any) -> Any:
    """The answer to a drill."""
    identifier = backup if isinstance(backup, str) else backup["backupId"]
    return stack.post(f"/api/backups/{identifier}/drill", body, by=by)


def drill(stack: Stack, backup: Body | str, /, **body: Any) -> Body:
    """A drill that passes; the answer's body."""
    answer = ask(stack, backup, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refusal(stack: Stack, backup: Body | str, /, **body: Any) -> tuple[int, str, str]:
    """Status, code and words of a drill that does not pass."""
    answer = ask(stack, backup, **body)
    return answer.status_code, answer.json()["code"], answer.json()["error"]


def begin(stack: Stack, backup: Body | str, /, **body: Any) -> str:
    """A drill that is not waited for; its operation's id."""
    identifier = backup if isinstance(backup, str) else backup["backupId"]
    answer = stack.post(f"/api/backups/{identifier}/drill", body, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def proven_at(stack: Stack, backup: Body | str) -> str | None:
    """When the backup was last proven."""
    identifier = backup if isinstance(backup, str) else backup["backupId"]
    found: str | None = stack.get(f"/api/backups/{identifier}").json()["provenAt"]
    return found


def assert_nothing_is_left(stack: Stack, operation: str, before: set[str]) -> None:
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    stack.wait(lambda: left_of(stack, operation) == [], what="the removal of what was made")
    assert everything_on(stack) == before
    phases = [row["phase"] for row in stack.ask("facts")["entries"] if row["operation_id"] == operation]
    assert (phases.count("intent"), phases.count("outcome")) == (1, 1)


def running(stack: Stack, operation: str) -> list[str]:
    """The ids of the drill's containers that run, without its helpers."""
    filters = {"name": f"^/drill-{operation[-8:]}-", "status": "running"}
    return [str(found["Id"]) for found in stack.docker.api.containers(filters=filters)]


@contextmanager
def booted(stack: Stack, backup: Body | str, /, **body: Any) -> Iterator[tuple[str, Any]]:
    """A drill held while its container runs and is waited for: its operation, and the container."""
    operation = begin(stack, backup, **body)

    def runs() -> bool:
        ended = stack.ask("operation", operation)
        assert ended["state"] in ("queued", "running"), ended
        return bool(running(stack, operation))

    stack.wait(runs, what="a container of the drill")
    (found,) = running(stack, operation)
    yield operation, stack.docker.containers.get(found)
