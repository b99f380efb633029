"""The registry knows every verb that the product says, and says each in plain words."""

from __future__ import annotations

import re

import pytest

from containers_app.audit import verbs
from containers_app.models.backups import BackupState
from containers_app.operations.kinds import KINDS
from tests.machine import PROJECT


def test_every_kind_of_operation_is_a_registered_verb() -> None:
    assert {kind.action for kind in KINDS.values()} <= set(verbs.ALL)


def test_every_state_that_a_backup_may_be_found_in_is_a_registered_verb() -> None:
    assert {f"backup.found_{state}" for state in BackupState.values} <= set(verbs.ALL)


@pytest.mark.parametrize("name", verbs.ALL)
def test_a_verb_fits_its_column_and_has_a_title_of_its_own(name: str) -> None:
    noun, _, verb = name.partition(".")
    assert noun.isidentifier()
    assert verb.isidentifier()
    assert len(name) <= 64
    titles = [one.title for one in verbs.ALL.values()]
    assert titles.count(verbs.ALL[name].title) == 1


def test_the_page_of_verbs_has_them_all_and_nothing_else() -> None:
    page = (PROJECT / "docs" / "reference" / "verbs.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+) \| `([a-z]+)` \| (yes)? ?\|$", page, re.MULTILINE)
    assert {
        name: verbs.Verb(title=title, category=category, is_read=bool(read)) for name, title, category, read in rows
    } == verbs.ALL
