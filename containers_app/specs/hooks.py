"""Commands that run in a container before and after it is read: what a client may ask for, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from containers_app.errors import InvalidRequest
from containers_app.specs import fields

AUTO: Literal["auto"] = "auto"
DEFAULT_TIMEOUT_SECONDS = 60
LONGEST_TIMEOUT_SECONDS = 3600
LONGEST_COMMAND, MOST_WORDS = 8192, 256
_KNOWN = frozenset({"before", "after", "timeoutSeconds"})
_NAME = "hooks"


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A program and its arguments; it runs as the container's own user. The words may hold secrets."""

    command: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """`before` runs before the container is read, `after` in every case after it; each has the time limit."""

    before: Hook | None = None
    after: Hook | None = None
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS


# What a request asks for: hooks of its own, or those that the container is known to need.
HookChoice = Hooks | Literal["auto"]


def shell(text: str, *arguments: str) -> Hook:
    """A text for the container's own shell; the arguments are its `$1`, `$2` and so on, and are never read as code."""
    return Hook(command=("/bin/sh", "-c", text, *(("sh", *arguments) if arguments else ())))


def read_hooks(options: Mapping[str, Any], *, inside: str = "options.") -> HookChoice | None:
    """The option `hooks`: `"auto"`, `{"before", "after", "timeoutSeconds"}`, or None where absent or null.

    `before` and `after` are a text, which the container's `/bin/sh` runs, or a list of words. Raises InvalidRequest.
    """
    value = options.get(_NAME)
    if value is None or value == AUTO:
        return value
    if not isinstance(value, dict):
        field_name = inside + _NAME
        words = f"'{field_name}' must be \"auto\" or an object with 'before' and 'after'"
        raise InvalidRequest(words, field=field_name)
    return hooks_of(value, inside=f"{inside}{_NAME}.")


def hooks_of(values: Mapping[str, Any], *, inside: str) -> Hooks:
    """Hooks of a client's object. Raises InvalidRequest, with fields that begin with `inside`."""
    fields.only(values, _KNOWN, inside=inside)
    before, after = (read_hook(values, name, inside=inside) for name in ("before", "after"))
    if before is None and after is None:
        field_name = f"{inside}before"
        words = f"'{field_name}' or '{inside}after' is required: leave 'hooks' out to run none"
        raise InvalidRequest(words, field=field_name)
    seconds = fields.whole(values, "timeoutSeconds", inside=inside, lowest=1, highest=LONGEST_TIMEOUT_SECONDS)
    return Hooks(before=before, after=after, timeout_seconds=DEFAULT_TIMEOUT_SECONDS if seconds is None else seconds)


def read_hook(values: Mapping[str, Any], name: str, *, inside: str) -> Hook | None:
    """One command: a text, which the container's `/bin/sh` runs, or a list of words; None where absent or null.

    Raises InvalidRequest.
    """
    value, field_name = values.get(name), inside + name
    if value is None:
        return None
    if isinstance(value, str):
        # A blank one would succeed, and do nothing.
        hook = shell(value) if value.strip() else Hook(command=())
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        hook = Hook(command=tuple(value))
    else:
        raise InvalidRequest(f"'{field_name}' must be a text for /bin/sh, or a list of words", field=field_name)
    wrong = _mistake(hook.command)
    if wrong:
        raise InvalidRequest(f"'{field_name}' {wrong}", field=field_name)
    return hook


def _mistake(command: tuple[str, ...]) -> str | None:
    if not command or not command[0]:
        return "names no program: leave it out to run none"
    if len(command) > MOST_WORDS or sum(map(len, command)) > LONGEST_COMMAND:
        return f"is longer than {LONGEST_COMMAND} characters or {MOST_WORDS} words: put it into a file of the container"
    if any("\0" in word for word in command):
        return "holds a NUL character, which no command can"
    return None


def written_hooks(hooks: Hooks) -> dict[str, Any]:
    """The hooks as an object that `hooks_of` reads. It holds the commands: to be sealed wherever it is kept."""
    before, after = (None if hook is None else list(hook.command) for hook in (hooks.before, hooks.after))
    return {"before": before, "after": after, "timeoutSeconds": hooks.timeout_seconds}


def recorded_hooks(choice: HookChoice | None) -> dict[str, Any] | None:
    """What a row and the ledger keep of a choice: that there are hooks, and their time limit; never a command."""
    if choice is None:
        return None
    return {"choice": AUTO} if choice == AUTO else {"choice": "custom", "timeoutSeconds": choice.timeout_seconds}


def sealed_hooks(choice: HookChoice | None) -> dict[str, Any]:
    """What of a choice has to be sealed; empty for none."""
    return {_NAME: written_hooks(choice)} if isinstance(choice, Hooks) else {}


def reopened_hooks(recorded: Mapping[str, Any] | None, sealed: Mapping[str, Any]) -> HookChoice | None:
    """The choice again, of what `recorded_hooks` and `sealed_hooks` gave. Raises TypeError where they do not fit."""
    if recorded is None or recorded == {"choice": AUTO}:
        return None if recorded is None else AUTO
    choice = read_hooks(sealed, inside="")
    if not isinstance(choice, Hooks):
        raise TypeError("the row's hooks are not in what was sealed")
    return choice


def needs_hook_permission(choice: HookChoice | None) -> bool:
    """Whether the asker chose a command: it runs with all that the container may do and knows."""
    return isinstance(choice, Hooks)
