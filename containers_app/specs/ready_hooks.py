"""Hooks for known programs, chosen by a container's labels or by its image's name; their texts are ours and fixed.

No value of a container is ever put into a text: what they need of its environment the container's own shell expands,
so no password leaves it or stands on a command line. They run under any POSIX shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs.engine import LABEL_PREFIX
from containers_app.specs.hooks import AUTO, HookChoice, Hooks, hooks_of, shell

HOOK_LABEL = LABEL_PREFIX + "hook"
BEFORE_LABEL, AFTER_LABEL = HOOK_LABEL + ".before", HOOK_LABEL + ".after"
TIMEOUT_LABEL = HOOK_LABEL + ".timeout-seconds"
NONE, _SQLITE = "none", "sqlite:"
_LONGEST_PATH = 4096

# A password may be in a file that the environment names, as the official images have it.
_VALUE_OR_FILE = """
value() { if [ -n "$2" ]; then cat "$2"; else printf %s "$1"; fi; }
"""
_POSTGRES = (
    _VALUE_OR_FILE
    + """
PGPASSWORD=$(value "${POSTGRES_PASSWORD:-}" "${POSTGRES_PASSWORD_FILE:-}") || exit
export PGPASSWORD
pg_isready -q -U "${POSTGRES_USER:-postgres}" -d postgres || exit
exec psql -X -q -w -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres -c CHECKPOINT
"""
)
# Without a limit of its own, a flush that waits for one long statement would keep all others waiting behind it.
_MYSQL = (
    _VALUE_OR_FILE
    + """
MYSQL_PWD=$(value "${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}" \\
  "${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}") || exit
export MYSQL_PWD
client=mariadb
command -v "$client" >/dev/null || client=mysql
exec "$client" --user=root --batch --execute='SET SESSION lock_wait_timeout=30; FLUSH TABLES'
"""
)
# One picture of its state answers all: whether a child writes, and how the last one ended. A reply is judged by its
# words, because the program ends with 0 after a refusal.
_REDIS = (
    _VALUE_OR_FILE
    + """
REDISCLI_AUTH=${REDISCLI_AUTH:-$(value "${REDIS_PASSWORD:-${VALKEY_PASSWORD:-}}" \\
  "${REDIS_PASSWORD_FILE:-${VALKEY_PASSWORD_FILE:-}}")} || exit
if [ -n "$REDISCLI_AUTH" ]; then export REDISCLI_AUTH; else unset REDISCLI_AUTH; fi
client=redis-cli
command -v "$client" >/dev/null || client=valkey-cli
wait_for_writers() {
  while :; do
    state=$("$client" INFO persistence) || return
    case $state in
      *_in_progress:1* | *loading:1*) sleep 0.2 2>/dev/null || sleep 1 ;;
      *rdb_last_bgsave_status:*) return 0 ;;
      *) return 1 ;;
    esac
  done
}
while :; do
  wait_for_writers || exit 1
  case $("$client" BGSAVE) in
    *saving\\ started*) break ;;
    *already\\ in\\ progress* | *AOF*) ;;
    *) exit 1 ;;
  esac
done
wait_for_writers || exit 1
case $state in *rdb_last_bgsave_status:ok*) exit 0 ;; *) exit 1 ;; esac
"""
)
# The program makes a database that is missing, and ends with 0 when somebody kept it from the work: its first column.
_SQLITE_CHECKPOINT = """
[ -f "$1" ] || exit 66
answer=$(sqlite3 -batch -bail -cmd '.timeout 30000' "$1" 'PRAGMA wal_checkpoint(TRUNCATE);') || exit
case $answer in 0*) exit 0 ;; *) exit 75 ;; esac
"""
_READY: Mapping[str, Hooks] = {
    "postgres": Hooks(before=shell(_POSTGRES)),
    "mysql": Hooks(before=shell(_MYSQL)),
    "redis": Hooks(before=shell(_REDIS)),
}
_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("postgres", "postgresql", "timescaledb", "postgis"), "postgres"),
    **dict.fromkeys(("mysql", "mariadb", "percona"), "mysql"),
    **dict.fromkeys(("redis", "valkey"), "redis"),
}
# `postgresql-15`, `mariadb-server`: as Debian names its packages. Not `redis-exporter`.
_REPOSITORY = re.compile(r"([a-z]+)(?:-server)?(?:-[0-9]+(?:\.[0-9]+)*)?", re.ASCII)


def hooks_for(choice: HookChoice | None, inspect: Mapping[str, Any]) -> Hooks | None:
    """The hooks that a choice means for this container. Raises InvalidRequest for labels that cannot be."""
    return chosen_hooks(inspect) if choice == AUTO else choice


def chosen_hooks(inspect: Mapping[str, Any]) -> Hooks | None:
    """The hooks of `"auto"`: commands of its labels, else ready-made ones by its label or its image, else None.

    Raises InvalidRequest (field `options.hooks`), which names the label that is wrong.
    """
    config = inspect.get("Config") or {}
    labels: Mapping[str, str] = config.get("Labels") or {}
    try:
        if BEFORE_LABEL in labels or AFTER_LABEL in labels:
            return hooks_of(_labelled(labels), inside=f"{HOOK_LABEL}.")
        ready = _by_label(labels[HOOK_LABEL]) if HOOK_LABEL in labels else _by_image(str(config.get("Image", "")))
        return None if ready is None else replace(ready, timeout_seconds=_seconds(labels) or ready.timeout_seconds)
    except InvalidRequest as error:
        words = f"the container's labels of hooks are wrong, change them or send the hooks themselves: {error.message}"
        raise InvalidRequest(words, field="options.hooks") from error


def _labelled(labels: Mapping[str, str]) -> dict[str, Any]:
    commands = {"before": labels.get(BEFORE_LABEL), "after": labels.get(AFTER_LABEL)}
    return {**commands, "timeoutSeconds": _seconds(labels)}


def _seconds(labels: Mapping[str, str]) -> int | None:
    text = labels.get(TIMEOUT_LABEL)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= 3600:
        raise InvalidRequest(f"'{TIMEOUT_LABEL}' must be a whole number, 1 to 3600")
    return int(text)


def _by_label(value: str) -> Hooks | None:
    path = value.removeprefix(_SQLITE)
    if value == NONE or value in _READY:
        return _READY.get(value)
    if path == value or not path.startswith("/") or len(path) > _LONGEST_PATH or not path.isprintable():
        known = ", ".join((*_READY, f"{_SQLITE}/path/to.db", NONE))
        raise InvalidRequest(f"'{HOOK_LABEL}' must be one of: {known}")
    return Hooks(before=shell(_SQLITE_CHECKPOINT, path))


def _by_image(reference: str) -> Hooks | None:
    """By the last part of its name: registry, tag and digest say nothing of what it is."""
    repository = reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
    found = _REPOSITORY.fullmatch(repository)
    return _READY.get(_NAMES.get(found[1], "")) if found else None
