"""No value that may hold a secret shows itself: not in a repr, not in the row of an operation, not in a lock file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from tests.machine import PROJECT
from tests.meta.test_sizes import modules, name_of, tree_of

# Names under which a value of the user's may be a secret. Numbers and truth values hold none.
SECRET_NAME = re.compile(r"password|secret|(?:^|_)environment$|api_key|key_text|passphrase|credential", re.IGNORECASE)
HARMLESS_TYPES = {"int", "float", "bool"}
HIDING_CALLS = {"field", "engine_field"}
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
SECRET_ASSIGNMENT = "hunter2-the-secret-value"


def dataclasses_of(path: Path) -> Iterator[ast.ClassDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(found) for found in node.decorator_list):
            yield node


def shown_secrets(node: ast.ClassDef) -> list[str]:
    """The fields that are named like a secret and stand in the repr."""
    return [
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and SECRET_NAME.search(statement.target.id)
        and ast.unparse(statement.annotation) not in HARMLESS_TYPES
        and not is_hidden(statement.value)
    ]


def is_hidden(value: ast.expr | None) -> bool:
    """Whether the field says `repr=False`, or `secret=True` in our own spelling."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func).rpartition(".")[2] not in HIDING_CALLS:
        return False
    words = {word.arg: getattr(word.value, "value", None) for word in value.keywords}
    return words.get("repr") is False or words.get("secret") is True


def test_no_dataclass_shows_a_field_that_is_named_like_a_secret() -> None:
    found = {f"{name_of(path)} {node.name}": shown_secrets(node) for path in modules() for node in dataclasses_of(path)}
    assert {place: names for place, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password: str", ["password"]),
        ("password: str = field(repr=False)", []),
        ("environment: tuple[str, ...] = engine_field('Env', TEXTS, secret=True)", []),
        ("environment: tuple[str, ...] = engine_field('Env', TEXTS)", ["environment"]),
        ("secret_count: int", []),
        ("keyboard: str", []),
    ],
)
def test_a_shown_secret_is_recognised(line: str, shown: list[str]) -> None:
    (node,) = ast.parse(f"class Example:\n    {line}\n").body
    assert isinstance(node, ast.ClassDef)
    assert shown_secrets(node) == shown


def test_the_settings_of_a_container_do_not_show_what_people_hide_in_them() -> None:
    from containers_app.specs.settings import ContainerSettings

    hidden = (SECRET_ASSIGNMENT,)
    shown = repr(ContainerSettings(environment=hidden, command=hidden, entrypoint=hidden, labels={"a": hidden[0]}))
    assert SECRET_ASSIGNMENT not in shown


def test_no_parameter_of_an_operation_is_named_like_a_secret() -> None:
    """What stands in the params goes into the row and into the ledger."""
    from containers_app.operations.kinds import KINDS

    for kind in KINDS.values():
        assert is_dataclass(kind.params)
        assert [found.name for found in fields(kind.params) if SECRET_NAME.search(found.name)] == []


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt", "runtime.in", "dev.in"])
def test_a_requirements_file_holds_no_address(name: str) -> None:
    assert ADDRESS.findall((PROJECT / "requirements" / name).read_text()) == []
