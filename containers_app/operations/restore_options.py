"""The body of a restore, read into typed params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from containers_app.archives.codecs import Keys
from containers_app.errors import InvalidRequest
from containers_app.operations.clone_options import plan_hash, wait_seconds
from containers_app.specs import fields
from containers_app.specs.overrides import read_overrides
from containers_app.specs.raw_path import LONGEST_CHARACTERS
from containers_app.specs.reference import check_clone_name
from containers_app.specs.stack import check_project
from containers_app.workflows.path_source import path_of
from containers_app.workflows.restore import MODES, RestoreParams
from containers_app.workflows.stack_restore import StackRestoreParams

_KNOWN = frozenset(
    {"mode", "name", "host", "parts", "volume", "start", "waitHealthySeconds", "dryRun", "planHash", "confirm"}
    | {"paths", "container", "target"}
    | {"confirmPrivileged", "confirmProtected", "passphrase", "identity", "overrides", "reason", "ticket"}
)
_STACK_KNOWN = frozenset(
    {"backupId", "newProject", "host", "start", "waitHealthySeconds", "keepOnFailure", "confirmPrivileged"}
    | {"dryRun", "planHash", "passphrase", "identity", "reason", "ticket"}
)
_CONTAINER = ("new", "inPlace")
_OF_MODES = {
    **dict.fromkeys(("parts", "start", "waitHealthySeconds", "confirmPrivileged", "overrides"), _CONTAINER),
    "volume": ("volume",),
    "name": ("new", "inPlace", "volume"),
    **dict.fromkeys(("paths", "container", "target"), ("path",)),
    **dict.fromkeys(("confirm", "confirmProtected"), ("inPlace", "path")),
}
MOST_PATHS = 50
_LONGEST_KEY = 16 * 1024


def read_restore(backup_id: str, body: Mapping[str, Any]) -> RestoreParams:
    """Check the body; `host` is the caller's to look up. Raises InvalidRequest that names the field."""
    fields.only(body, _KNOWN)
    if not body.get("mode"):
        raise InvalidRequest(f"'mode' is required: one of {', '.join(MODES)}", field="mode")
    name, mode = fields.text(body, "name"), fields.choice(body, "mode", MODES, default="new")
    _check_fields(body, mode)
    return RestoreParams(
        backup=backup_id,
        mode=mode,
        name=None if name is None else _name(name),
        parts=_parts(body),
        volume=fields.text(body, "volume", longest=4096),
        paths=_paths(body) if mode == "path" else (),
        container=fields.text(body, "container"),
        target=_target(body),
        start=fields.flag(body, "start"),
        wait_healthy_seconds=wait_seconds({**body, "start": True} if mode == "inPlace" else body, inside=""),
        dry_run=fields.flag(body, "dryRun"),
        plan_hash=plan_hash(body, inside=""),
        confirm=fields.text(body, "confirm"),
        confirm_privileged=fields.flag(body, "confirmPrivileged"),
        confirm_protected=fields.flag(body, "confirmProtected"),
        overrides=read_overrides(fields.mapping(body, "overrides"), inside="overrides."),
        keys=read_keys(body),
    )


def read_stack_restore(body: Mapping[str, Any]) -> StackRestoreParams:
    """Check the body; `host` and the backup are the caller's to look up. Raises InvalidRequest that names the field."""
    fields.only(body, _STACK_KNOWN)
    new_project = fields.text(body, "newProject")
    return StackRestoreParams(
        backup=_backup_id(fields.required_text(body, "backupId")),
        new_project=None if new_project is None else check_project(new_project, field_name="newProject"),
        start=fields.flag(body, "start"),
        wait_healthy_seconds=wait_seconds(body, inside=""),
        keep_on_failure=fields.flag(body, "keepOnFailure"),
        confirm_privileged=fields.flag(body, "confirmPrivileged"),
        dry_run=fields.flag(body, "dryRun"),
        plan_hash=plan_hash(body, inside=""),
        keys=read_keys(body),
    )


def _backup_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        words = "must be the id of a backup: 'id' in the answer of GET /api/backups"
        raise InvalidRequest(f"'backupId' {words}", field="backupId") from error


def _check_fields(body: Mapping[str, Any], mode: str) -> None:
    """A field that its mode does not know would be a wish that nobody hears."""
    for name, modes in _OF_MODES.items():
        if body.get(name) not in (None, False) and mode not in modes:
            raise InvalidRequest(f"'{name}' does not go with the mode '{mode}'", field=name)
    if mode == "volume" and not body.get("volume"):
        raise InvalidRequest("'volume' is required: the one to restore, by its name or mount point", field="volume")


def _name(name: str) -> str:
    try:
        return check_clone_name(name)
    except InvalidRequest as error:
        words = "must have 2 to 63 letters, digits, _ . - and start with a letter or digit"
        raise InvalidRequest(f"'name' {words}", field="name") from error


def _parts(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    parts = fields.texts(body, "parts", longest=4096)
    if parts is not None and not parts:
        raise InvalidRequest("'parts' must name at least one part, or be left out", field="parts")
    return parts


def _paths(body: Mapping[str, Any]) -> tuple[str, ...]:
    paths = fields.texts(body, "paths", longest=LONGEST_CHARACTERS)
    if not paths or len(paths) > MOST_PATHS:
        words = f"must name 1 to {MOST_PATHS} files or folders, each with its absolute path in the container"
        raise InvalidRequest(f"'paths' {words}", field="paths")
    for path in paths:
        path_of(path, field_name="paths")
    return paths


def _target(body: Mapping[str, Any]) -> str | None:
    target = fields.text(body, "target", longest=LONGEST_CHARACTERS)
    if target is not None:
        path_of(target, field_name="target")
    return target


def read_keys(body: Mapping[str, Any]) -> Keys:
    """What opens an encrypted backup. Raises InvalidRequest."""
    identity = fields.text(body, "identity", longest=_LONGEST_KEY)
    passphrase = fields.text(body, "passphrase", longest=1024)
    return Keys(identities=() if identity is None else (identity,), passphrase=passphrase)
