"""The commands that ask for operations: every option is the API's, and every end has its exit code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from containers_app.audit import ledger
from containers_app.management.acts import following
from containers_app.management.acts.following import Outcome, ended, worst
from containers_app.models import Operation, State
from containers_app.operations.authority import still_may
from tests import recipes

UNKNOWN = "0190a000-0000-7000-8000-00000000dead"
pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "backup_root"),
]
BACKUP_ID = "0190a000-0000-7000-8000-000000000001"
Broker = Callable[[bool], None]


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker that takes every message, and no worker; called with False, it takes none."""

    def answer(takes: bool) -> None:
        monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: takes)

    answer(True)
    return answer


def run(*arguments: str, code: int = 0) -> Any:
    """What a command prints with `--json`, whose exit code is this."""
    out = io.StringIO()
    ended_with: object = 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        ended_with = end.code
    assert ended_with == code, out.getvalue()
    return json.loads(out.getvalue())


def later(*arguments: str) -> Operation:
    """The operation of a command that does not wait."""
    body = run(*arguments, "--wait", "0")
    assert body["state"] == "queued"
    return Operation.objects.get(pk=body["operationId"])


def test_every_option_of_a_backup_is_the_one_of_the_api(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a passphrase of six words or so\n")
    made = later(
        *("backup", "web", "--contents", "volumes, config", "--volume", "data", "--volume", "/cache"),
        *("--include", "a", "--exclude", "b", "--exclude", "c", "--without-secrets", "--consistency", "pause"),
        *("--compression", "zstd:9:2", "--passphrase-file", str(key), "--hooks", "auto", "--name", "web.tar"),
        *("--path", "nightly", "--note", "by hand", "--pin", "--confirm-protected"),
        *("--reason", "before the update", "--ticket", "CHG-7"),
    )
    encoding = {"codec": "zstd", "level": 9, "threads": 2, "encryption": "age", "keys": "passphrase", "recipients": []}
    assert made.params == {
        "container": "web",
        "contents": ["config", "volumes"],
        "volumes": ["data", "/cache"],
        "include": ["a"],
        "exclude": ["b", "c"],
        "with_values": False,
        "consistency": "pause",
        "encoding": encoding,
        "hooks": {"choice": "auto"},
        "name": "web.tar",
        "path": "nightly",
        "note": "by hand",
        "pin": True,
        "confirm_protected": True,
    }
    assert (made.kind, made.reason, made.ticket) == ("backup", "before the update", "CHG-7")
    assert made.sealed
    assert "six words" not in repr([made.params, list(ledger.entries().values())])


def test_without_options_a_backup_is_the_documented_one() -> None:
    made = later("backup", "web")
    assert (made.params["contents"], made.params["encoding"]["codec"], made.params["hooks"]) == (
        ["rootfs"],
        "none",
        None,
    )


def test_every_option_of_a_clone_is_the_one_of_the_api(tmp_path: Path) -> None:
    overrides = tmp_path / "overrides.json"
    overrides.write_text('{"env": {"set": {"TOKEN": "hunter2"}, "drop": ["OLD"]}}')
    made = later(
        *("clone", "web", "--name", "web-2", "--host", "site-b", "--data", "volumes", "--volume", "/a=b=empty"),
        *("--consistency", "stop", "--start", "--wait-healthy-seconds", "30", "--overrides-file", str(overrides)),
        *("--dry-run", "--plan-hash", "a" * 64, "--confirm-privileged", "--confirm-protected"),
    )
    expected = {
        "container": "web",
        "name": "web-2",
        "host": "site-b",
        "data": "volumes",
        "volumes": [{"volume": "/a=b", "treatment": "empty"}],
        "consistency": "stop",
        "start": True,
        "wait_healthy_seconds": 30,
        "dry_run": True,
        "plan_hash": "a" * 64,
        "confirm_privileged": True,
        "confirm_protected": True,
    }
    assert {name: made.params[name] for name in expected} == expected
    assert "TOKEN" in str(made.params["overrides"])
    assert "hunter2" not in repr([made.params, list(ledger.entries().values())])


def test_every_option_of_a_restore_is_the_one_of_the_api(tmp_path: Path) -> None:
    recipes.backup(pk=BACKUP_ID)
    recipes.host("site-b")
    key = tmp_path / "key"
    key.write_text("AGE-SECRET-KEY-1\n")
    made = later(
        *("restore", BACKUP_ID, "--mode", "inPlace", "--name", "web", "--host", "site-b", "--part", "web.tar"),
        *("--start", "--wait-healthy-seconds", "30", "--identity-file", str(key), "--dry-run", "--confirm", "web"),
        *("--plan-hash", "a" * 64, "--confirm-privileged", "--confirm-protected"),
    )
    expected = {"backup": BACKUP_ID, "mode": "inPlace", "name": "web", "parts": ["web.tar"], "confirm": "web"}
    assert {name: made.params[name] for name in expected} == expected
    assert (made.host.name, made.params["wait_healthy_seconds"], made.params["dry_run"]) == ("site-b", 30, True)
    assert later("restore", BACKUP_ID, "--mode", "volume", "--volume", "data").params["volume"] == "data"
    assert later("restore", BACKUP_ID).params["mode"] == "new"


def test_one_or_all_backups_are_verified() -> None:
    recipes.backup(pk=BACKUP_ID)
    other = recipes.backup(file_name="b.tar", state="corrupt")
    recipes.backup(file_name="c.tar", state="deleted")
    made = later("verify", BACKUP_ID)
    assert (made.kind, made.params) == ("verify", {"backup": BACKUP_ID, "name": "web.tar"})
    body = run("verify", "--all", "--wait", "0")
    assert [result["backupId"] for result in body["results"]] == [BACKUP_ID, str(other.pk)]
    assert run("verify", BACKUP_ID, BACKUP_ID, UNKNOWN, "--wait", "0", code=2)["verified"] == 2
    assert run("verify", code=2)["code"] == "INVALID_REQUEST"


def test_the_system_asks_or_a_user_and_the_ledger_says_which() -> None:
    made = later("backup", "web")
    assert (made.principal, made.actor, made.channel, made.user_id) == ("system:command", "command", "cli", None)
    assert still_may(made, "containers_app.backup_container")
    assert not still_may(made, "containers_app.clone_privileged")
    olga = recipes.operator()
    own = later("backup", "web", "--user", "olga")
    assert (own.principal, own.actor, own.user_id) == (f"user:{olga.pk}", "olga", olga.pk)
    actors = [json.loads(entry.payload)["actor"] for entry in ledger.entries().order_by("leaf_index")]
    assert [(actor["type"], actor["auth"]) for actor in actors] == [("system", "none"), ("user", "none")]


@pytest.mark.parametrize("who", ["charlie", "aude"])
def test_who_may_not_is_refused_and_the_ledger_has_it(who: str) -> None:
    recipes.stranger()
    recipes.auditor()
    assert run("backup", "web", "--user", who, code=1)["code"] == "PERMISSION_DENIED"
    assert not Operation.objects.exists()
    (entry,) = ledger.entries()
    assert (entry.action, entry.channel, entry.outcome) == ("authz.denied", "cli", "denied")


def test_a_stranger_does_not_learn_which_backups_there_are() -> None:
    recipes.backup(pk=BACKUP_ID)
    recipes.stranger()
    there = run("restore", BACKUP_ID, "--user", "charlie", code=2)
    assert there == run("restore", UNKNOWN, "--user", "charlie", code=2)
    assert not Operation.objects.exclude(kind="backup").exists()
    assert run("verify", "--all", "--user", "charlie")["results"] == []


def test_a_user_who_may_not_sign_in_asks_nothing() -> None:
    gone = recipes.operator()
    gone.is_active = False
    gone.save()
    assert "--user" in run("backup", "web", "--user", "olga", code=2)["error"]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("backup", "web", "--contents", "all"), "--contents"),
        (("backup", "web", "--volume", "data"), "--volume goes with"),
        (("backup", "web", "--without-secrets"), "--without-secrets"),
        (("backup", "web", "--hooks-file", "FILE"), "--hooks-file must name a file with JSON"),
        (("backup", "web", "--compression", "zstd:high"), "--compression"),
        (("backup", "web", "--compression", "zstd:99"), "--compression"),
        (("backup", "web", "--reason", "a\nb"), "--reason"),
        (("clone", "web", "--overrides-file", "FILE"), "--overrides-file must name a file with JSON"),
        (("clone", "web", "--plan-hash", "x"), "--plan-hash"),
        (("restore", BACKUP_ID, "--mode", "old"), "--mode must be"),
        (("restore", BACKUP_ID, "--part", "x", "--mode", "volume"), "--part does not go"),
        (("restore", BACKUP_ID, "--host", "none"), "--host must be"),
    ],
)
def test_a_mistake_is_told_by_its_option(arguments: tuple[str, ...], option: str, tmp_path: Path) -> None:
    recipes.backup(pk=BACKUP_ID)
    file = tmp_path / "file"
    file.write_text("{a secret that no message repeats")
    filled = [str(file) if one == "FILE" else one for one in arguments]
    body = run(*filled, code=2)
    assert body["code"] == "INVALID_REQUEST"
    assert option in body["error"]
    assert "a secret" not in body["error"]
    assert Operation.objects.count() == 1


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    for content in (b"x" * 70_000, b"\xff\xfe"):
        (tmp_path / "key").write_bytes(content)
        assert "--passphrase-file" in run("backup", "web", "--passphrase-file", str(tmp_path / "key"), code=2)["error"]


def test_without_json_an_error_is_one_line_without_control_characters() -> None:
    with pytest.raises(CommandError) as caught:
        call_command("backup", "web\x1b[2J", stdout=io.StringIO(), stderr=io.StringIO())
    assert caught.value.returncode == 2
    assert "\x1b" not in str(caught.value)


@pytest.mark.django_db(databases=["default", "audit"], transaction=True)
def test_without_a_broker_nothing_is_left_to_run(broker: Broker) -> None:
    broker(False)
    assert run("backup", "web", code=1)["code"] == "QUEUE_UNAVAILABLE"
    assert Operation.objects.get().state == State.FAILED


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"state": State.SUCCEEDED, "outcome_index": 1, "result": {"success": True}}, 0),
        ({"state": State.FAILED, "outcome_index": 1, "error_code": "ENGINE_ERROR"}, 1),
        ({"state": State.ERRORED, "outcome_index": 1, "error_code": "INTERNAL"}, 1),
        ({"state": State.CANCELLED, "outcome_index": 1, "error_code": "CANCELLED"}, 1),
        ({"state": State.INTERRUPTED, "outcome_index": 1, "error_code": "INTERRUPTED"}, 1),
        ({"state": State.FAILED, "outcome_index": 1, "error_code": "INVALID_REQUEST"}, 2),
        ({"state": State.SUCCEEDED}, 2),
        ({"state": State.RUNNING}, 2),
        ({"state": State.PARTIAL, "outcome_index": 1, "result": {"success": True}}, 3),
    ],
)
def test_each_end_has_its_exit_code(fields: dict[str, Any], code: int) -> None:
    outcome = ended(recipes.operation(**fields))
    assert (outcome.code, "error" in outcome.body) == (code, code in (1, 2))
    assert outcome.body["operationId"]


def test_the_worst_of_several_is_told() -> None:
    def of(*codes: int) -> int:
        return worst(Outcome(code=code, body={}) for code in codes)

    assert [of(), of(0, 0), of(0, 3), of(3, 2, 0), of(2, 3, 1)] == [0, 0, 3, 2, 1]


def test_who_waits_is_told_stages_and_the_end_and_ctrl_c_ends_the_waiting_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        recipes.running(stage="read", bytes_done=2048),
        recipes.operation(state=State.SUCCEEDED, outcome_index=1, result={"success": True}),
    ]
    waited = iter(rows)
    monkeypatch.setattr(following, "wait_until", lambda *_, **__: next(waited))
    out, told = io.StringIO(), io.StringIO()
    call_command("backup", "web", stdout=out, stderr=told)
    assert "read, 2.00 KiB" in told.getvalue()
    assert f"operationId: {rows[1].pk}" in out.getvalue()

    def interrupt(*_: Any, **__: Any) -> Operation:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "wait_until", interrupt)
    body = run("backup", "web", code=2)
    assert (body["code"], Operation.objects.get(pk=body["operationId"]).state) == ("NOT_FINISHED", State.QUEUED)
    recipes.backup(pk=BACKUP_ID)
    recipes.backup(file_name="b.tar")
    assert run("verify", "--all", code=2)["verified"] == 1, "the second is not begun"
