from __future__ import annotations

from typing import Any

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.hooks import (
    AUTO,
    Hook,
    Hooks,
    hooks_of,
    needs_hook_permission,
    read_hooks,
    recorded_hooks,
    reopened_hooks,
    sealed_hooks,
    shell,
    written_hooks,
)

SECRET = "hunter2"
CUSTOM = Hooks(before=shell(f"login {SECRET}"), after=Hook(command=("unlock", SECRET)), timeout_seconds=5)
CHOICES = [None, AUTO, CUSTOM, Hooks(after=shell("true"))]


def test_a_text_is_run_by_the_containers_shell_and_a_list_without_one() -> None:
    read = read_hooks({"hooks": {"before": "sync; true", "after": ["unlock", "--all", ""], "timeoutSeconds": 5}})
    assert read == Hooks(
        before=Hook(command=("/bin/sh", "-c", "sync; true")),
        after=Hook(command=("unlock", "--all", "")),
        timeout_seconds=5,
    )


def test_a_text_is_never_changed_on_its_way_to_the_shell() -> None:
    text = ' echo "$(id)" \'`x`\' \\\n; rm -rf "$HOME" # \u202e'
    read = read_hooks({"hooks": {"before": text}})
    assert isinstance(read, Hooks)
    assert read.before == Hook(command=("/bin/sh", "-c", text))


def test_arguments_of_a_shell_hook_are_words_of_their_own() -> None:
    assert shell('cat "$1"', "/a; rm -rf /").command == ("/bin/sh", "-c", 'cat "$1"', "sh", "/a; rm -rf /")


@pytest.mark.parametrize(("options", "read"), [({}, None), ({"hooks": None}, None), ({"hooks": "auto"}, AUTO)])
def test_nothing_is_no_hook_and_auto_stays_a_word(options: Any, read: Any) -> None:
    assert read_hooks(options) == read


def test_one_hook_is_enough_and_the_time_limit_is_a_minute() -> None:
    assert read_hooks({"hooks": {"after": "true", "before": None, "timeoutSeconds": None}}) == Hooks(
        after=shell("true"), timeout_seconds=60
    )


@pytest.mark.parametrize(
    ("hooks", "field", "words"),
    [
        ("AUTO", "options.hooks", '"auto"'),
        ("", "options.hooks", '"auto"'),
        (True, "options.hooks", "object"),
        (["auto"], "options.hooks", "object"),
        ({}, "options.hooks.before", "required"),
        ({"before": None, "after": None}, "options.hooks.before", "required"),
        ({"befor": "true"}, "options.hooks.befor", "unknown"),
        ({"before": "true", "user": "root"}, "options.hooks.user", "unknown"),
        ({"before": 1}, "options.hooks.before", "text"),
        ({"before": {"a": 1}}, "options.hooks.before", "text"),
        ({"after": ["a", 1]}, "options.hooks.after", "words"),
        ({"before": ""}, "options.hooks.before", "no program"),
        ({"before": " \n"}, "options.hooks.before", "no program"),
        ({"after": []}, "options.hooks.after", "no program"),
        ({"after": [""]}, "options.hooks.after", "no program"),
        ({"before": "a\0b"}, "options.hooks.before", "NUL"),
        ({"after": ["a", "\0"]}, "options.hooks.after", "NUL"),
        ({"before": "x" * 8192}, "options.hooks.before", "longer"),
        ({"after": ["x"] * 257}, "options.hooks.after", "longer"),
        ({"before": "true", "timeoutSeconds": 0}, "options.hooks.timeoutSeconds", "1 to 3600"),
        ({"before": "true", "timeoutSeconds": 3601}, "options.hooks.timeoutSeconds", "1 to 3600"),
        ({"before": "true", "timeoutSeconds": True}, "options.hooks.timeoutSeconds", "1 to 3600"),
        ({"before": "true", "timeoutSeconds": 1.5}, "options.hooks.timeoutSeconds", "1 to 3600"),
    ],
)
def test_a_mistake_is_refused_by_its_field(hooks: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        read_hooks({"hooks": hooks})
    assert refused.value.field == field


def test_a_refusal_does_not_repeat_the_command() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_hooks({"hooks": {"before": f"login {SECRET}\0"}})
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_survives_its_row(choice: Any) -> None:
    assert reopened_hooks(recorded_hooks(choice), sealed_hooks(choice)) == choice


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_recorded_of_a_choice_and_its_repr_hold_no_command(choice: Any) -> None:
    assert SECRET not in f"{recorded_hooks(choice)} {choice!r}"
    assert "login" not in f"{recorded_hooks(choice)} {choice!r}"


def test_a_custom_choice_whose_commands_are_not_sealed_with_it_is_not_taken_for_none() -> None:
    with pytest.raises(TypeError):
        reopened_hooks(recorded_hooks(CUSTOM), {})


def test_hooks_are_read_as_they_were_written() -> None:
    assert hooks_of(written_hooks(CUSTOM), inside="") == CUSTOM


def test_only_a_command_of_the_askers_own_needs_the_permission() -> None:
    assert [needs_hook_permission(choice) for choice in CHOICES] == [False, False, True, True]
