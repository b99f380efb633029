"""Coverage of all containers: true states and totals, only what one may see, and few queries however many there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from containers_app.errors import InvalidRequest
from containers_app.models import Backup, BackupPart, Container, Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations.authority import Asker
from containers_app.operations.coverage import Coverage, coverage_of, page_of
from containers_app.specs.coverage import NO_BACKUP_LABEL
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
DATA = {"type": "volume", "name": "data", "source": "/v", "target": "/data", "readOnly": False}


@pytest.fixture
def asker() -> Asker:
    return recipes.asker(recipes.operator())


def made(name: str, **fields: Any) -> Container:
    number = Container.objects.count()
    return recipes.container(name=name, engine_id=f"{number:064x}", **fields)


def saved(container: Container, *parts: str, days: float = 0, **fields: Any) -> Backup:
    """A backup with its file system, and these parts besides, named after their kind or `kind:name`."""
    moment = timezone.now() - timedelta(days=days)
    backup = recipes.backup(container=container, container_name=container.name, created_at=moment, **fields)
    for number, part in enumerate(parts, start=1):
        kind, _, name = part.partition(":")
        recipes.part(backup, number, kind=kind, name=name or kind, file_name=f"{number}")
    return backup


def states(coverage: Coverage) -> dict[str, str]:
    return {row.container.name: row.judgement.state for row in coverage.rows}


@pytest.fixture
def all_sorts() -> None:
    """One container of each state."""
    saved(
        made("protected", stack="shop", mounts=[DATA]), "config", "secrets", "volume:data", verified_at=timezone.now()
    )
    saved(made("partly", mounts=[DATA]), "config", "secrets")
    saved(made("stale"), "config", "secrets", days=8)
    saved(made("unusable"), "config", "secrets", state="corrupt")
    made("never")
    made("excluded", labels={NO_BACKUP_LABEL: "true"})
    made("gone", removed_at=timezone.now())


@pytest.mark.usefixtures("all_sorts")
def test_each_container_has_its_state_and_those_that_are_gone_are_left_out(asker: Asker) -> None:
    found = coverage_of(asker)
    assert states(found) == {name: name for name in ("protected", "partly", "stale", "unusable", "never", "excluded")}
    assert {row.container.name: row.damaged for row in found.rows if row.damaged} == {"unusable": 1}
    totals = found.totals
    assert (totals.containers, totals.counted) == (6, 5)
    assert totals.states == dict.fromkeys(totals.states, 1)
    assert (totals.verified, totals.proven, totals.encrypted) == (1, 0, 0)
    assert (totals.share(totals.verified), totals.protected_percent) == (0.2, 20)


def test_the_newest_usable_backup_counts_and_no_other(asker: Asker) -> None:
    web = made("web", mounts=[DATA])
    saved(web, "config", "secrets", "volume:data", days=3)
    newest = saved(web, "config", "secrets", days=2, file_name="b.tar")
    saved(web, "config", "secrets", "volume:data", days=1, state="missing", file_name="c.tar")
    (row,) = coverage_of(asker).rows
    assert row.newest is not None
    assert row.newest.backup == str(newest.pk)
    assert [place.name for place in row.judgement.missing] == ["data"]
    assert (row.judgement.state, row.damaged) == ("partly", 1)


def test_a_backup_that_was_deleted_leaves_none_usable(asker: Asker) -> None:
    saved(made("web"), state="deleted")
    (row,) = coverage_of(asker).rows
    assert (row.judgement.state, row.damaged) == ("unusable", 0)


def test_encrypted_is_every_file_or_it_is_not(asker: Asker) -> None:
    half, whole = saved(made("half"), "config"), saved(made("whole"), "config")
    BackupPart.objects.filter(backup=whole).update(encryption="age")
    BackupPart.objects.filter(backup=half, kind="config").update(encryption="age")
    found = {row.container.name: row.newest for row in coverage_of(asker).rows}
    assert {name: newest and newest.encrypted for name, newest in found.items()} == {"half": False, "whole": True}


def test_patterns_of_the_backup_are_told(asker: Asker) -> None:
    operation = recipes.operation(state=State.SUCCEEDED, outcome_index=1, params={"exclude": ["cache"]})
    saved(made("web"), operation=operation)
    (row,) = coverage_of(asker).rows
    assert row.newest is not None
    assert row.newest.chosen


def test_of_an_adopted_backup_it_is_not_known_whether_patterns_chose(asker: Asker) -> None:
    saved(made("web"), operation=recipes.operation(kind="adopt", state=State.SUCCEEDED, outcome_index=1, params={}))
    (row,) = coverage_of(asker).rows
    assert row.newest is not None
    assert row.newest.chosen is None


def test_the_age_that_is_stale_is_a_setting(asker: Asker, settings: Any) -> None:
    saved(made("web"), "config", "secrets", days=2)
    assert states(coverage_of(asker)) == {"web": "protected"}
    settings.MYCODOCKER = {**settings.MYCODOCKER, "stale_days": 1.5}
    assert states(coverage_of(asker)) == {"web": "stale"}


@pytest.mark.usefixtures("all_sorts")
def test_host_and_stack_narrow_the_totals_and_a_state_does_not(asker: Asker) -> None:
    made("far", host=recipes.host("site-b"), stack="shop")
    assert set(states(coverage_of(asker, host="site-b"))) == {"far"}
    assert set(states(coverage_of(asker, stack="shop"))) == {"protected", "far"}
    page = page_of(coverage_of(asker), state="never", after=None, limit=50)
    assert set(states(page)) == {"never", "far"}
    assert page.totals.containers == 7


def test_pages_follow_each_other_without_a_gap_or_a_double(asker: Asker) -> None:
    names = [f"{letter}{number}" for number in range(4) for letter in "aB_é"]
    for name in names:
        made(name, stack=name[0])
    seen: list[str] = []
    after: int | None = None
    for _ in range(20):
        page = page_of(coverage_of(asker), state=None, after=after, limit=3)
        seen += states(page)
        after = page.more_after
        if after is None:
            break
        Container.objects.filter(pk=after).update(removed_at=timezone.now())  # what a page ended with may go meanwhile
    assert len(seen) == len(set(seen)) == len(names)


@pytest.mark.parametrize(
    ("wrong", "field"), [({"state": "good", "after": None}, "state"), ({"state": None, "after": 9}, "after")]
)
def test_what_there_is_not_is_refused_by_its_field(asker: Asker, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        page_of(coverage_of(asker), limit=5, **wrong)
    assert caught.value.field == field


@pytest.mark.usefixtures("all_sorts")
@pytest.mark.parametrize("permissions", [(), ("view_container",), ("view_backup",)])
def test_who_may_not_see_both_sees_nothing(permissions: tuple[str, ...]) -> None:
    user = recipes.stranger()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    found = coverage_of(recipes.asker(user))
    assert (found.rows, found.totals.containers, found.totals.share(0)) == ((), 0, None)


def test_five_hundred_containers_are_as_many_queries_as_one(asker: Asker) -> None:
    saved(made("first", mounts=[DATA]), "config", "volume:data")
    coverage_of(asker)  # reads the asker's rights once
    one = _queries(lambda: coverage_of(asker))
    _many(500)
    many = _queries(lambda: page_of(coverage_of(asker), state="partly", after=None, limit=200))
    assert many == one == 4
    assert coverage_of(asker).totals.states["partly"] == 501


def _queries(act: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def _many(number: int) -> None:
    now, template = timezone.now(), recipes.operation(state=State.SUCCEEDED, outcome_index=1)
    facts = {field.attname: getattr(template, field.attname) for field in Operation._meta.concrete_fields}
    operations = Operation.objects.bulk_create(Operation(**{**facts, "id": uuid7()}) for _ in range(number))
    containers = Container.objects.bulk_create(
        Container(host=recipes.host(), engine_id=f"m{index:063x}", name=f"m{index}", mounts=[DATA], last_seen_at=now)
        for index in range(number)
    )
    backups = Backup.objects.bulk_create(
        Backup(
            operation=operation,
            host=container.host,
            container=container,
            size_bytes=1,
            stored_bytes=1,
            duration_seconds=1.0,
            created_at=now,
        )
        for operation, container in zip(operations, containers, strict=True)
    )
    BackupPart.objects.bulk_create(
        BackupPart(backup=backup, number=0, kind="volume", name="data", size_bytes=1, stored_bytes=1)
        for backup in backups
    )
