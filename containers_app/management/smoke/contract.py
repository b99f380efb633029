"""The published answers as rules, written down apart from the code that makes them.

Source: the published description of `POST /api/docker/containers`. What we add to an answer is allowed, except to the
two fields of an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MEBIBYTE = 1024 * 1024
_Kinds = Mapping[str, type | tuple[type, ...]]
_CLONE_FIELDS: _Kinds = {"success": bool, "message": str, "action": str, "sourceId": str, "newId": str, "newName": str}
_BACKUP_FIELDS: _Kinds = {
    **{"success": bool, "message": str, "action": str, "containerId": str, "backupFile": str, "backupPath": str},
    **{"sizeBytes": int, "sizeMB": (int, float), "timestamp": str},
}
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_ENGINE_ID = re.compile(r"[0-9a-f]{64}")
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}"
ERRORS = {"clone": ("CLONE_FAILED", "Clone failed: "), "backup": ("BACKUP_FAILED", "Backup failed: ")}


def clone_problems(body: Mapping[str, Any], *, requested: str, source_name: str) -> list[str]:
    """What is wrong with the answer to a clone without a name of its own; empty when nothing is."""
    problems = _field_problems(body, _CLONE_FIELDS)
    if problems:
        return problems
    wanted = {"success": True, "message": "Container cloned successfully", "action": "clone", "sourceId": requested}
    problems = _value_problems(body, wanted)
    if not _ENGINE_ID.fullmatch(body["newId"]):
        problems.append("newId is not an Engine's id")
    if not re.fullmatch(re.escape(source_name) + r"-clone-[0-9]{13}", body["newName"]):
        problems.append(f"newName is not {source_name}-clone-<epoch milliseconds>")
    return problems


def backup_problems(body: Mapping[str, Any], *, requested: str, source_name: str) -> list[str]:
    """What is wrong with the answer to a backup without a name of its own; empty when nothing is."""
    problems = _field_problems(body, _BACKUP_FIELDS)
    if problems:
        return problems
    message = "Container backup created successfully"
    problems = _value_problems(
        body, {"success": True, "message": message, "action": "backup", "containerId": requested}
    )
    if not re.fullmatch(re.escape(source_name) + rf"-backup-{_STAMP}\.tar", body["backupFile"]):
        problems.append(f"backupFile is not {source_name}-backup-<UTC time>.tar")
    if not body["backupPath"].startswith("/") or not body["backupPath"].endswith(f"/{body['backupFile']}"):
        problems.append("backupPath is not the absolute path of backupFile")
    if not _TIMESTAMP.fullmatch(body["timestamp"]):
        problems.append("timestamp is not UTC with milliseconds and Z")
    return problems + _size_problems(body["sizeBytes"], body["sizeMB"])


def _size_problems(size_bytes: int, size_mb: float) -> list[str]:
    """MiB rounded to two decimals; a whole number is written without a fraction."""
    rounded = round(size_bytes / _MEBIBYTE, 2)
    if size_mb != rounded:
        return [f"sizeMB is {size_mb} and not {rounded}"]
    if rounded.is_integer() and not isinstance(size_mb, int):
        return ["sizeMB is a whole number written with a fraction"]
    return []


def error_problems(status: int, body: Mapping[str, Any], action: str) -> list[str]:
    """What is wrong with the published error for a container that does not exist; empty when nothing is."""
    code, prefix = ERRORS[action]
    problems = [] if status == 500 else [f"the status is {status} and not 500"]
    if set(body) != {"error", "code"}:
        return [*problems, f"the fields are {sorted(body)} and not code, error"]
    if body["code"] != code:
        problems.append(f"code is {body['code']!r} and not {code!r}")
    if not str(body["error"]).startswith(prefix) or str(body["error"]) == prefix:
        problems.append(f"error does not begin with {prefix!r} and a message")
    if "Traceback" in str(body["error"]):
        problems.append("error holds a traceback")
    return problems


def _field_problems(body: Mapping[str, Any], fields: _Kinds) -> list[str]:
    missing = [f"{name} is missing" for name in fields if name not in body]
    return missing + [f"{name} has the wrong type" for name, kind in fields.items() if not _is(body.get(name), kind)]


def _is(value: object, kind: type | tuple[type, ...]) -> bool:
    """A JSON true is no number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _value_problems(body: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [f"{name} is not {value!r}" for name, value in wanted.items() if body[name] != value]
