"""The sets of one stack backup find each other by what their manifests say; one that is gone is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.codecs import Keys
from containers_app.archives.manifest import StackIdentity
from containers_app.errors import BackupUnusable, InvalidRequest
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from containers_app.workflows import stack_sets
from containers_app.workflows.stack_sets import open_stack, related
from tests import recipes

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
MEMBERS = ("shop-db-1", "shop-web-1")


def whole() -> Operation:
    return recipes.operation(kind="stackBackup")


def member(name: str, parent: Operation | None, **fields: Any) -> Backup:
    """The set of one container of `shop`; without a parent, an adopted one."""
    operation = recipes.operation(kind="backup" if parent else "adopt", parent=parent)
    return recipes.backup(operation=operation, stack="shop", container_name=name, file_name=f"{name}.tar", **fields)


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which stack backup the manifest of each set says that it is of; by default the one of its parent."""
    given: dict[str, str] = {}

    def opened(_context: Any, backup_id: str, _keys: Keys) -> Any:
        row = Backup.objects.get(pk=backup_id)
        stack_sets_usable(row)
        said = given.get(backup_id, str(row.operation.parent_id or ""))
        identity = StackIdentity(project="shop", service="", operation_id=said, members=MEMBERS) if said else None
        manifest = SimpleNamespace(stack=identity, container=SimpleNamespace(name=row.container_name))
        return SimpleNamespace(backup=row, manifest=manifest)

    monkeypatch.setattr(stack_sets, "open_set", opened)
    return given


def stack_sets_usable(row: Backup) -> None:
    if not row.is_usable:
        raise BackupUnusable("it is gone")


def opened(row: Backup, warn: Any = None) -> list[str]:
    context: Any = SimpleNamespace(warn=warn)
    return sorted(str(files.backup.pk) for files in open_stack(context, str(row.pk), Keys(), field="backupId").files)


def test_all_that_were_made_together_are_found_from_each_of_them() -> None:
    parent, other = whole(), whole()
    sets = [member(name, parent) for name in MEMBERS]
    later = [member(name, other) for name in MEMBERS]
    for row in sets:
        assert opened(row) == sorted(str(one.pk) for one in sets)
    assert opened(later[0]) == sorted(str(one.pk) for one in later)


@pytest.mark.parametrize("state", [BackupState.DELETED, BackupState.MISSING, BackupState.CORRUPT])
def test_a_set_that_is_gone_is_named(state: BackupState) -> None:
    parent = whole()
    db, web = (member(name, parent) for name in MEMBERS)
    Backup.objects.filter(pk=db.pk).update(state=state)
    with pytest.raises(BackupUnusable, match="shop-db-1"):
        opened(web)


def test_a_backup_of_one_container_is_none_of_a_stack() -> None:
    single = recipes.backup(stack="shop")
    assert not related(single).exists()
    with pytest.raises(InvalidRequest, match="of one container") as caught:
        opened(single)
    assert caught.value.field == "backupId"


def test_adopted_sets_find_each_other_by_their_manifests(said: dict[str, str]) -> None:
    db, web, stranger = member(MEMBERS[0], None), member(MEMBERS[1], None), member(MEMBERS[0], None)
    said |= {str(db.pk): "first", str(web.pk): "first", str(stranger.pk): "another"}
    assert opened(web) == sorted([str(db.pk), str(web.pk)])
    said[str(db.pk)] = "another"
    with pytest.raises(BackupUnusable, match="shop-db-1"):
        opened(web)


def test_an_adopted_set_that_stands_in_for_a_lost_one_is_told_of(said: dict[str, str]) -> None:
    parent, warned = whole(), []
    web, adopted = member(MEMBERS[1], parent), member(MEMBERS[0], None)
    said[str(adopted.pk)] = str(parent.pk)
    assert opened(web, lambda code, words: warned.append(code)) == sorted([str(web.pk), str(adopted.pk)])
    assert warned == ["ADOPTED_SET"]


def test_a_planted_set_adds_no_container_and_takes_the_place_of_none(said: dict[str, str]) -> None:
    parent = whole()
    db, web = (member(name, parent) for name in MEMBERS)
    added = member("evil", None)
    said[str(added.pk)] = str(parent.pk)
    assert opened(web) == sorted([str(db.pk), str(web.pk)])
    double = member(MEMBERS[0], None)
    said[str(double.pk)] = str(parent.pk)
    with pytest.raises(BackupUnusable, match="two sets say that they are shop-db-1"):
        opened(web)


def test_a_set_of_the_same_project_on_another_host_is_none_of_them() -> None:
    parent = whole()
    here = member(MEMBERS[0], parent)
    far = member(MEMBERS[1], parent, host=recipes.host("site-b"))
    assert list(related(here)) == [here]
    assert list(related(far)) == [far]
