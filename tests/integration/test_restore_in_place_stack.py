"""A container replaced by its backup: the old one is kept, or is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.clone_bench import Body, codes, full_source, inspect, named, rest_of, volume_folder
from tests.integration.restore_bench import EVERYTHING, back_up, begin, everything_on, left_of, refusal, restore
from tests.integration.stack import Stack, embedded
from tests.integration.test_clone_faults_stack import kill_child
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = embedded
REACHED_SECONDS = 30.0


class Changed:
    """A container that was backed up, runs on, and has been changed since."""

    def __init__(self, stack: Stack) -> None:
        self.source = full_source(stack)
        self.name, self.id = str(self.source.name), str(self.source.id)
        self.folder = volume_folder(stack.engine, self.name)
        self.backup = back_up(stack, self.source, contents=EVERYTHING, consistency="pause")
        self.saved = snapshot(self.folder)
        assert self.source.exec_run(["sh", "-c", "echo changed > /etc/motd; echo x > /data/later"]).exit_code == 0
        self.volume = snapshot(self.folder)
        self.before = rest_of(inspect(stack, self.id))

    @property
    def wish(self) -> Body:
        """The body of a restore in its place."""
        return {"mode": "inPlace", "confirm": self.name}


def files_that_differ(first: dict[bytes, Any], second: dict[bytes, Any]) -> set[bytes]:
    return {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}


def test_a_container_is_replaced_and_the_old_one_kept(stack: Stack) -> None:
    old = Changed(stack)
    body = restore(stack, old.backup, **old.wish)
    found, kept = inspect(stack, body["newId"]), inspect(stack, old.id)
    assert (body["newName"], found["Name"], found["State"]["Running"]) == (old.name, f"/{old.name}", True)
    assert (body["keptId"], f"/{body['keptName']}", kept["State"]["Running"]) == (old.id, kept["Name"], False)
    assert body["keptName"].startswith(f"{old.name}.before-")
    (mount,) = found["Mounts"]
    assert mount["Name"] != old.name
    assert snapshot(volume_folder(stack.engine, mount["Name"])) == old.saved
    assert snapshot(old.folder) == old.volume
    assert stack.docker.containers.get(body["newId"]).exec_run(["cat", "/etc/motd"]).output == b"new\n"
    safety = stack.get(f"/api/backups/{body['safetyBackupId']}").json()
    assert safety["state"] == "complete"
    assert [part["kind"] for part in safety["parts"]] == ["rootfs", "index", "volume", "index", "config", "secrets"]
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded", codes(body)
    again = restore(stack, {"backupId": body["safetyBackupId"]}, name=f"{old.name}-again", start=True)
    assert stack.docker.containers.get(again["newId"]).exec_run(["cat", "/etc/motd"]).output == b"changed\n"


def test_the_plan_says_what_is_replaced_and_what_stays(stack: Stack) -> None:
    old = Changed(stack)
    before = everything_on(stack)
    plan = restore(stack, old.backup, mode="inPlace", dryRun=True)["plan"]
    assert plan["replaces"]["id"] == old.id
    assert plan["replaces"]["keptVolumes"] == [old.name]
    assert plan["volumes"][0]["target"] == f"{old.name}_2"
    assert plan["collisions"] == []
    assert everything_on(stack) == before
    assert refusal(stack, old.backup, **old.wish, planHash="0" * 64)[:2] == (409, "PLAN_CHANGED")


@pytest.mark.parametrize("confirm", [None, "another"])
def test_without_its_typed_name_a_container_is_not_replaced(stack: Stack, confirm: str | None) -> None:
    old = Changed(stack)
    before = everything_on(stack)
    assert refusal(stack, old.backup, mode="inPlace", confirm=confirm)[:2] == (400, "INVALID_REQUEST")
    assert everything_on(stack) == before
    assert rest_of(inspect(stack, old.id)) == old.before


def assert_as_it_was(stack: Stack, old: Changed, operation: str, before: set[str]) -> None:
    """The old container has its name, its state and its files; but for the moment of its start nothing differs."""
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert left_of(stack, operation) == []
    found = rest_of(inspect(stack, old.id))
    assert found["Name"] == f"/{old.name}"
    assert found["state"]["Status"] == "running"
    assert {key: found[key] for key in ("Config", "HostConfig", "mounts")} == {
        key: old.before[key] for key in ("Config", "HostConfig", "mounts")
    }
    assert snapshot(old.folder) == old.volume
    assert everything_on(stack) == before
    assert len(named(stack, old.name)) == 1


def test_a_new_one_that_does_not_start_gives_the_place_back(stack: Stack) -> None:
    old = Changed(stack)
    before = everything_on(stack)
    operation = begin(stack, old.backup, **old.wish, overrides={"entrypoint": ["/no/such/program"]})
    assert stack.finished(operation)["state"] == "failed"
    assert_as_it_was(stack, old, operation, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "skip"),
    [("/stop", 0), ("/rename", 0), ("/rename", 1), ("/start", 3)],
    ids=["stopped", "renamed away", "in place", "started"],
)
def test_a_worker_that_is_killed_in_the_middle_of_the_swap_gives_the_place_back(
    stack: Stack, path: str, skip: int
) -> None:
    old = Changed(stack)
    before = everything_on(stack)
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = begin(stack, old.backup, **old.wish)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        kill_child(stack, operation)
    ended = stack.finished(operation)
    assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
    assert_as_it_was(stack, old, operation, before)
    assert restore(stack, old.backup, **old.wish)["newName"] == old.name
