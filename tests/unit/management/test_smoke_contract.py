"""The trial's rules accept the published examples and notice each way of breaking them."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.management.smoke.contract import backup_problems, clone_problems, error_problems

CLONE: dict[str, Any] = {
    "success": True,
    "message": "Container cloned successfully",
    "action": "clone",
    "sourceId": "abc",
    "newId": "a" * 64,
    "newName": "mycosoft-mas-n8n-1-clone-1770866431710",
}
BACKUP: dict[str, Any] = {
    "success": True,
    "message": "Container backup created successfully",
    "action": "backup",
    "containerId": "abc",
    "backupFile": "container-backup-2026-02-12T03-20-00.tar",
    "backupPath": "/backups/containers/container-backup-2026-02-12T03-20-00.tar",
    "sizeBytes": 1048576,
    "sizeMB": 1,
    "timestamp": "2026-02-12T03:20:00.000Z",
}


def of_clone(**changes: Any) -> list[str]:
    return clone_problems({**CLONE, **changes}, requested="abc", source_name="mycosoft-mas-n8n-1")


def of_backup(**changes: Any) -> list[str]:
    return backup_problems({**BACKUP, **changes}, requested="abc", source_name="container")


def test_the_published_examples_are_right() -> None:
    assert of_clone() == []
    assert of_backup() == []


def test_what_we_add_is_allowed() -> None:
    assert of_clone(warnings=[], operationId="1") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"success": 1},
        {"message": "Cloned"},
        {"action": "backup"},
        {"sourceId": "a" * 64},
        {"newId": "abc"},
        {"newName": "/mycosoft-mas-n8n-1-clone-1770866431710"},
        {"newName": "mycosoft-mas-n8n-1-clone-1770866431"},
    ],
)
def test_a_wrong_clone_answer_is_noticed(changes: dict[str, Any]) -> None:
    assert of_clone(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"sizeBytes": "1048576"},
        {"sizeBytes": True},
        {"sizeMB": 1.0},
        {"sizeMB": 1.01},
        {"timestamp": "2026-02-12T03:20:00Z"},
        {"timestamp": "2026-02-12T03:20:00.000000Z"},
        {"backupFile": "other-backup-2026-02-12T03-20-00.tar"},
        {"backupPath": "/backups/containers/other.tar"},
        {"containerId": "def"},
    ],
)
def test_a_wrong_backup_answer_is_noticed(changes: dict[str, Any]) -> None:
    assert of_backup(**changes)


@pytest.mark.parametrize(("size_bytes", "size_mb"), [(3187712, 3.04), (0, 0), (1, 0), (1572864, 1.5)])
def test_the_size_is_in_mebibytes_with_two_decimals(size_bytes: int, size_mb: float) -> None:
    assert of_backup(sizeBytes=size_bytes, sizeMB=size_mb) == []


@pytest.mark.parametrize("field", sorted(CLONE))
def test_a_missing_field_is_named(field: str) -> None:
    body = {name: value for name, value in CLONE.items() if name != field}
    problems = clone_problems(body, requested="abc", source_name="mycosoft-mas-n8n-1")
    assert f"{field} is missing" in problems


def test_the_published_error_is_right() -> None:
    assert error_problems(500, {"error": "Clone failed: no such container", "code": "CLONE_FAILED"}, "clone") == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": "Clone failed: x", "code": "CLONE_FAILED"}),
        (500, {"error": "Clone failed: x", "code": "BACKUP_FAILED"}),
        (500, {"error": "Clone failed: ", "code": "CLONE_FAILED"}),
        (500, {"error": "x", "code": "CLONE_FAILED"}),
        (500, {"error": "Clone failed: x", "code": "CLONE_FAILED", "detail": "y"}),
        (500, {"detail": "y"}),
        (500, {"error": "Clone failed: Traceback (most recent call last)", "code": "CLONE_FAILED"}),
    ],
)
def test_a_wrong_error_is_noticed(status: int, body: dict[str, str]) -> None:
    assert error_problems(status, body, "clone")
