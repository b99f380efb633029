"""The options of a backup, of a container or of a stack, read into typed params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.operations.hosts import store_of
from containers_app.specs import fields
from containers_app.specs.encoding import read_encoding
from containers_app.specs.hooks import Hooks, read_hooks
from containers_app.specs.stack import check_project
from containers_app.workflows.backup import BackupParams
from containers_app.workflows.quiesce import CONSISTENCIES
from containers_app.workflows.set_content import CONTENTS
from containers_app.workflows.stack_backup import StackBackupParams

_KNOWN = frozenset(
    {"name", "path", "confirmProtected", "contents", "volumes", "include", "exclude", "secrets", "consistency"}
    | {"compression", "encryption", "hooks", "note", "pin"}
)
_STACK_KNOWN = (_KNOWN - {"volumes"}) | {"project", "sourceHost", "reason", "ticket"}
_WITHIN = "options."
_LONGEST_NOTE = 500
_LONGEST_PATTERN, _MOST_PATTERNS = 256, 64
_LONGEST_PREFIX = 100


def read_backup(container: str, options: Mapping[str, Any]) -> BackupParams:
    """Check the options. Raises InvalidRequest that names the field."""
    fields.only(options, _KNOWN, inside=_WITHIN)
    name = fields.text(options, "name", inside=_WITHIN)
    return BackupParams(container=container, volumes=_volumes(options), **_wish(options, name=name, inside=_WITHIN))


def read_stack_backup(body: Mapping[str, Any]) -> StackBackupParams:
    """Check the body. Raises InvalidRequest that names the field."""
    fields.only(body, _STACK_KNOWN)
    project = check_project(fields.required_text(body, "project"), field_name="project")
    name = fields.text(body, "name", longest=_LONGEST_PREFIX)
    wish = _wish(body, name=name, inside="")
    if isinstance(wish["hooks"], Hooks):
        words = 'can only be "auto" for a stack: commands of one\'s own belong to one container, or into its labels'
        raise InvalidRequest(f"'hooks' {words}", field="hooks")
    return StackBackupParams(project=project, **wish)


def _wish(options: Mapping[str, Any], *, name: str | None, inside: str) -> dict[str, Any]:
    """What both have in common."""
    path = fields.text(options, "path", inside=inside, longest=1024)
    store_of(load()).locate(path, "any.tar" if name is None else name)
    contents = _contents(options, inside)
    return {
        "name": name,
        "path": path,
        "confirm_protected": fields.flag(options, "confirmProtected", inside=inside),
        "contents": contents,
        "include": _patterns(options, "include", contents, inside=inside),
        "exclude": _patterns(options, "exclude", contents, inside=inside),
        "with_values": _with_values(options, contents, inside=inside),
        "consistency": fields.choice(options, "consistency", CONSISTENCIES, inside=inside, default="live"),
        "encoding": read_encoding(options.get("compression"), options.get("encryption")),
        "hooks": read_hooks(options, inside=inside),
        "note": fields.line(options, "note", inside=inside, longest=_LONGEST_NOTE),
        "pin": fields.flag(options, "pin", inside=inside),
    }


def _contents(options: Mapping[str, Any], inside: str) -> tuple[str, ...]:
    """In the order of CONTENTS, each once."""
    chosen = fields.texts(options, "contents", inside=inside)
    if chosen is None:
        return ("rootfs",)
    if not chosen or set(chosen) - set(CONTENTS):
        words = f"must have at least one of: {', '.join(CONTENTS)}, and nothing else"
        raise InvalidRequest(f"'{inside}contents' {words}", field=f"{inside}contents")
    return tuple(content for content in CONTENTS if content in chosen)


def _volumes(options: Mapping[str, Any]) -> tuple[str, ...] | None:
    chosen = fields.texts(options, "volumes", inside=_WITHIN, longest=4096)
    if chosen is not None and "volumes" not in _contents(options, _WITHIN):
        raise InvalidRequest("'options.volumes' goes with 'volumes' in 'options.contents'", field="options.volumes")
    return chosen


def _patterns(options: Mapping[str, Any], name: str, contents: tuple[str, ...], *, inside: str) -> tuple[str, ...]:
    """Patterns of paths below a volume or a bind."""
    patterns = fields.texts(options, name, inside=inside, longest=_LONGEST_PATTERN) or ()
    field = inside + name
    if patterns and not {"volumes", "binds"} & set(contents):
        raise InvalidRequest(f"'{field}' goes with 'volumes' or 'binds' in '{inside}contents'", field=field)
    if len(patterns) > _MOST_PATTERNS:
        raise InvalidRequest(f"'{field}' has more than {_MOST_PATTERNS} patterns", field=field)
    for pattern in patterns:
        if not pattern.strip("/") or pattern.startswith("/") or "\0" in pattern or not _is_utf8(pattern):
            words = "must hold patterns of paths below a volume, such as 'cache' or '*.tmp', without a '/' in front"
            raise InvalidRequest(f"'{field}' {words}", field=field)
    return tuple(pattern.rstrip("/") for pattern in patterns)


def _is_utf8(text: str) -> bool:
    """Whether it can be a word of a command; a lone surrogate cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _with_values(options: Mapping[str, Any], contents: tuple[str, ...], *, inside: str) -> bool:
    if options.get("secrets") is None:
        return True
    if "config" not in contents:
        field = f"{inside}secrets"
        raise InvalidRequest(f"'{field}' goes with 'config' in '{inside}contents'", field=field)
    return fields.flag(options, "secrets", inside=inside)
