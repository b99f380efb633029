from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.manifest import Part
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.workflows.set_history import compared_with_last
from tests import recipes

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
MEBIBYTE = 1024 * 1024


class Heard:
    """A context that keeps its warnings."""

    def __init__(self, host_id: int) -> None:
        self.facts = SimpleNamespace(host_id=host_id)
        self.codes: list[str] = []

    def warn(self, code: str, message: str) -> None:
        self.codes.append(code)


def last_set(*, members: int = 100, size_bytes: int = 10 * MEBIBYTE, **fields: Any) -> Backup:
    return recipes.backup(container_name="web", members=members, size_bytes=size_bytes, **fields)


def now(members: int = 100, size_bytes: int = 10 * MEBIBYTE, *, kind: str = "rootfs", name: str = "web") -> Part:
    return Part(
        kind=kind,
        name=name,
        path="web.tar",
        size_bytes=size_bytes,
        stored_bytes=size_bytes,
        sha256="0" * 64,
        stored_sha256="0" * 64,
        members=members,
    )


def compared(before: Backup, part: Part, *, container: str = "web") -> tuple[bool, list[str]]:
    context: Any = Heard(before.host_id)
    return compared_with_last(context, container, [part]), context.codes


@pytest.mark.parametrize(
    ("part", "codes"),
    [
        (now(), []),
        (now(99, 6 * MEBIBYTE), []),
        (now(99, 4 * MEBIBYTE), ["CONTENT_SHRUNKEN"]),
        (now(1, 10 * MEBIBYTE), ["CONTENT_EMPTY"]),
        (now(0, 512), ["CONTENT_EMPTY"]),
        (now(300, 90 * MEBIBYTE), []),
        (now(1, 512, kind="config"), []),
        (now(1, 512, name="another"), []),
    ],
)
def test_a_part_that_is_empty_or_has_shrunk_is_named(part: Part, codes: list[str]) -> None:
    assert compared(last_set(), part) == (not codes, codes)


def test_what_was_small_may_shrink() -> None:
    assert compared(last_set(size_bytes=MEBIBYTE - 1), now(99, 10)) == (True, [])


def test_without_a_set_before_there_is_nothing_to_compare() -> None:
    assert compared(last_set(), now(1, 512), container="another") == (True, [])


@pytest.mark.parametrize("state", [BackupState.MISSING, BackupState.CORRUPT, BackupState.DELETED])
def test_a_set_that_cannot_be_used_is_no_measure(state: str) -> None:
    assert compared(last_set(state=state), now(1, 512)) == (True, [])


def test_another_host_s_container_of_that_name_is_another_one() -> None:
    last_set(host=recipes.host(name="elsewhere"))
    assert compared(last_set(members=1, size_bytes=100), now(1, 512)) == (True, [])
