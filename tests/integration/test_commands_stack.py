"""The commands that ask for operations, beside the whole product: what they make, say, and exit with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clone_bench import Body, full_source, inspect, logs_of, named, word
from tests.integration.restore_bench import flipped
from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = embedded
UNKNOWN_ID = "0190a000-0000-7000-8000-00000000dead"
SECRET = "correct horse battery staple of a command"


def run(stack: Stack, *arguments: str, code: int = 0, given: str = "") -> Body:
    """The JSON that a command prints, which ends with this exit code."""
    done = stack.command(*arguments, "--json", given=given)
    assert done.returncode == code, (done.stdout, done.stderr[-2000:])
    return dict(json.loads(done.stdout))


def operation(stack: Stack, body: Body) -> Body:
    return dict(stack.get(f"/api/operations/{body['operationId']}").json())


def last_entry(stack: Stack, verb: str) -> Body:
    return _payload(stack.get(f"/api/ledger/entries?verb={verb}&limit=1", by="auditor").json()["results"][0])


def _payload(entry: Body) -> Body:
    return dict(json.loads(entry["payload"]))


def operations(stack: Stack) -> list[str]:
    return [row["id"] for row in stack.ask("facts")["operations"]]


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "passphrase"
    file.write_text(f"{SECRET}\n")
    return str(file)


def test_a_backup_is_made_as_the_api_makes_it_and_audited_as_the_system(stack: Stack) -> None:
    source = full_source(stack)
    options = ["--contents", "rootfs,config,volumes", "--consistency", "pause", "--compression", "zstd:3", "--pin"]
    body = run(stack, "backup", str(source.id), *options, "--reason", "by hand", "--ticket", "CHG-7")
    assert (body["success"], body["action"], body["consistencyGrade"]) == (True, "backup", "paused")
    row = stack.get(f"/api/backups/{body['backupId']}").json()
    assert (row["state"], row["pinned"], row["actor"], row["channel"]) == ("complete", True, "command", "cli")
    assert [part["kind"] for part in row["parts"]] == ["rootfs", "index", "volume", "index", "config", "secrets"]
    entries = stack.get(f"/api/ledger/entries?operation={body['operationId']}", by="auditor").json()["results"]
    intent = next(entry for entry in map(_payload, entries) if entry["phase"] == "intent")
    assert (intent["action"], intent["source"]["channel"], intent["ticket"]) == ("container.backup", "cli", "CHG-7")
    assert intent["actor"]["type"] == "system"


def test_progress_and_result_are_told_in_words(stack: Stack) -> None:
    source = stack.source(large=True)
    done = stack.command("backup", source.name)
    assert done.returncode == 0
    assert f"message: Container backup created successfully\naction: backup\ncontainerId: {source.name}" in done.stdout
    assert "operation " in done.stderr
    assert "success:" not in done.stdout


def test_what_is_not_there_fails_and_leaves_nothing(stack: Stack) -> None:
    files = stack.files()
    body = run(stack, "backup", "no-such-container", code=1)
    assert (body["code"], body["state"]) == ("BACKUP_FAILED", "failed")
    done = stack.command("backup", "no-such-container")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Backup failed:" in done.stderr
    assert "Traceback" not in done.stderr
    assert stack.files() == files


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backup", "web", "--contents", "everything"], "--contents must have"),
        (["backup", "web", "--compression", "zstd:x"], "--compression must be"),
        (["backup", "web", "--recipient", "age1nonsense"], "--recipient or --passphrase-file"),
        (["backup", "web", "--passphrase-file", "/no/such/file"], "--passphrase-file must name a file"),
        (["backup", "web", "--user", "nobody"], "--user must be"),
        (["backup", "web", "--wait", "-1"], "--wait must be"),
        (["backup", "../web"], "containerId"),
        (["clone", "web", "--data", "some"], "--data must be"),
        (["clone", "web", "--volume", "data"], "--volume must be like"),
        (["clone", "web", "--wait-healthy-seconds", "5"], "--wait-healthy-seconds"),
        (["restore", "web"], "BACKUP must be the id"),
        (["restore", UNKNOWN_ID], "no such thing"),
        (["verify"], "--all"),
        (["verify", UNKNOWN_ID, "--all"], "--all"),
        (["verify", UNKNOWN_ID], "no such thing"),
    ],
)
def test_bad_input_is_named_by_its_option_and_nothing_is_begun(stack: Stack, arguments: list[str], words: str) -> None:
    before = operations(stack)
    done = stack.command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert operations(stack) == before


def test_a_backup_that_had_to_leave_something_out_is_three(stack: Stack, tmp_path: Path) -> None:
    source = stack.source(volumes={str(tmp_path): {"bind": "/in", "mode": "rw"}})
    options = ["--contents", "config,binds", "--user", "adam"]
    body = run(stack, "backup", str(source.id), *options, code=3)
    assert "BIND_LEFT_OUT" in [warning["code"] for warning in body["warnings"]]
    assert operation(stack, body)["actor"] == "adam"
    refused = run(stack, "backup", str(source.id), "--contents", "config,binds", code=1)
    assert refused["code"] == "PERMISSION_DENIED", "the system has no power over hosts"


def test_who_may_not_is_refused_and_the_ledger_has_it(stack: Stack) -> None:
    before = operations(stack)
    body = run(stack, "backup", "web", "--user", "charlie", code=1)
    assert body["code"] == "PERMISSION_DENIED"
    assert operations(stack) == before
    payload = last_entry(stack, "authz.denied")
    assert (payload["action"], payload["source"]["channel"], payload["actor"]["auth"]) == (
        "authz.denied",
        "cli",
        "none",
    )


def test_an_encrypted_backup_is_restored_with_the_file_that_has_its_key(stack: Stack, key_file: str) -> None:
    source = full_source(stack)
    made = run(stack, "backup", str(source.id), "--contents", "rootfs,config,volumes", "--passphrase-file", key_file)
    name = word()
    wrong = run(
        stack, "restore", made["backupId"], "--name", name, "--passphrase-file", "-", code=1, given="a wrong one"
    )
    assert wrong["code"] == "WRONG_KEY"
    assert named(stack, name) == []
    planned = run(stack, "restore", made["backupId"], "--name", name, "--passphrase-file", key_file, "--dry-run")
    assert planned["dryRun"] is True
    assert named(stack, name) == []
    body = run(stack, "restore", made["backupId"], "--name", name, "--passphrase-file", "-", "--start", given=SECRET)
    assert inspect(stack, body["newId"])["State"]["Running"]
    assert SECRET not in stack.ask("everything") + logs_of(stack)


def test_a_damaged_backup_is_neither_verified_nor_restored(stack: Stack) -> None:
    good = run(stack, "backup", str(stack.source().id), "--contents", "rootfs,config")
    bad = run(stack, "backup", str(stack.source().id), "--contents", "rootfs,config")
    assert run(stack, "verify", good["backupId"])["verifiedAt"]
    with flipped(Path(bad["backupPath"])):
        assert run(stack, "verify", bad["backupId"], code=1)["code"] == "BACKUP_CORRUPT"
        both = run(stack, "verify", good["backupId"], bad["backupId"], code=1)
        assert [result.get("code") for result in both["results"]] == [None, "BACKUP_CORRUPT"]
        body = run(stack, "restore", bad["backupId"], "--name", word(), code=1)
        assert body["code"] == "BACKUP_UNUSABLE"
    everything = run(stack, "verify", "--all")
    found = {result["backupId"]: result["state"] for result in everything["results"]}
    assert {found[good["backupId"]], found[bad["backupId"]]} == {"complete"}
    assert len(found) == everything["verified"]


def test_a_clone_is_made_planned_and_refused(stack: Stack) -> None:
    source, name = full_source(stack), word()
    plan = run(stack, "clone", str(source.id), "--name", name, "--dry-run")
    assert (plan["dryRun"], named(stack, name)) == (True, [])
    options = ["--name", name, "--data", "volumes", "--consistency", "pause", "--start"]
    body = run(stack, "clone", str(source.id), *options)
    assert (body["newName"], inspect(stack, body["newId"])["State"]["Running"]) == (name, True)
    assert body["proof"]["content"]
    taken = run(stack, "clone", str(source.id), "--name", name, code=1)
    assert taken["code"] == "NAME_TAKEN"


def test_who_does_not_wait_gets_the_operation(stack: Stack) -> None:
    source = stack.source(large=True)
    body = run(stack, "backup", str(source.id), "--wait", "0")
    assert (body["state"], stack.finished(body["operationId"])["state"]) == ("queued", "succeeded")


def test_an_operation_that_is_not_over_in_time_goes_on_and_that_is_two(stack: Stack) -> None:
    source = stack.source(large=True)
    with stack.without("worker"):
        body = run(stack, "backup", str(source.id), "--wait", "0.2", code=2)
    assert (body["code"], body["state"]) == ("NOT_FINISHED", "queued")
    assert stack.finished(body["operationId"])["state"] == "succeeded"


def test_ctrl_c_leaves_the_operation_to_the_worker(stack: Stack) -> None:
    source = stack.source(large=True)
    with stack.without("worker"):
        command = stack.begin_command("backup", str(source.id))
        assert command.stderr is not None
        told = next(line for line in command.stderr if line.startswith("operation "))
        command.send_signal(signal.SIGINT)
        printed, more = command.communicate(timeout=30)
    made = told.split()[1]
    assert (command.returncode, printed) == (2, "")
    assert f"operation {made} is not over, and goes on" in more
    assert stack.finished(made)["state"] == "succeeded"


def test_without_a_broker_nothing_is_done(stack: Stack) -> None:
    source: Any = stack.source()
    with stack.without("broker"):
        body = run(stack, "backup", str(source.id), code=1)
    assert body["code"] == "QUEUE_UNAVAILABLE"
