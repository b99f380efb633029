"""`GET .../trends`: true figures, in the order of time, however many backups there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers_app.models import Backup, Container, Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations.trends import trend_of
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ADDRESS = "/api/docker/containers/web/trends"
NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture
def web() -> Container:
    return recipes.container()


def stored(web: Container, day: int, stored_bytes: int, **fields: Any) -> Backup:
    moment = NOW + day * timedelta(days=1)
    values = {"container": web, "created_at": moment, "size_bytes": stored_bytes, "duration_seconds": 2.0}
    return recipes.backup(**{**values, **fields})


def asked(client: Client, address: str = ADDRESS) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_each_backup_has_its_sizes_its_rate_and_its_change(operator: Client, web: Container) -> None:
    first = stored(web, 0, 1000)
    recipes.part(first, 1, kind="volume", name="data", file_name="v.tar", size_bytes=5000)
    recipes.part(first, 2, kind="index", name="web.tar", file_name="web.tar.index", size_bytes=700)
    recipes.part(first, 3, kind="image", name="sha256:1", file_name="image.tar", size_bytes=9000)
    second = stored(web, 1, 1500, state="corrupt", duration_seconds=0.0)
    body = asked(operator)
    assert body["results"] == [
        {
            "backup": str(first.pk),
            "createdAt": "2026-11-20T02:00:00Z",
            "state": "complete",
            "usable": True,
            "storedBytes": 1000,
            "contentBytes": 6000,
            "durationSeconds": 2.0,
            "bytesPerSecond": 3000.0,
            "changeBytes": None,
            "changeShare": None,
        },
        {
            "backup": str(second.pk),
            "createdAt": "2026-11-21T02:00:00Z",
            "state": "corrupt",
            "usable": False,
            "storedBytes": 1500,
            "contentBytes": 1500,
            "durationSeconds": 0.0,
            "bytesPerSecond": None,
            "changeBytes": 500,
            "changeShare": 0.5,
        },
    ]
    assert (body["container"], body["host"]) == ("a" * 64, "local")
    assert body["storedBytes"] == {"first": 1000, "last": 1500, "lowest": 1000, "highest": 1500}
    assert body["bytesPerSecond"]["last"] == 3000.0
    assert body["changeBytes"] == {"first": 500, "last": 500, "lowest": 500, "highest": 500}


def test_a_container_without_a_backup_has_no_figures(operator: Client, web: Container) -> None:
    other = recipes.container(engine_id="b" * 64, name="other")
    stored(other, 0, 1000)
    body = asked(operator)
    assert (body["results"], body["storedBytes"], body["bytesPerSecond"]) == ([], None, None)


def test_the_last_so_many_are_given_by_time_not_by_number(operator: Client, web: Container) -> None:
    for day in (3, 1, 0, 2):
        stored(web, day, 100 * (day + 1))
    body = asked(operator, ADDRESS + "?last=2")
    assert [entry["storedBytes"] for entry in body["results"]] == [300, 400]
    assert [entry["changeBytes"] for entry in body["results"]] == [100, 100]


@pytest.mark.parametrize("last", ["0", "201", "-1", "x", "", "1" * 30])
def test_a_number_that_is_none_is_refused_by_its_field(operator: Client, web: Container, last: str) -> None:
    answer = operator.get(f"{ADDRESS}?last={last}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "last")


def test_ten_thousand_backups_are_one_query_of_a_few_rows(web: Container) -> None:
    many = 10_000
    host, now = web.host, NOW
    template = recipes.operation(state=State.SUCCEEDED, outcome_index=1)
    facts = {field.attname: getattr(template, field.attname) for field in Operation._meta.concrete_fields}
    operations = [Operation(**{**facts, "id": uuid7()}) for _ in range(many)]
    Operation.objects.bulk_create(operations, batch_size=500)
    Backup.objects.bulk_create(
        (
            Backup(
                operation=operation,
                host=host,
                container=web,
                container_engine_id=web.engine_id,
                container_name="web",
                size_bytes=number,
                stored_bytes=number,
                duration_seconds=1.0,
                created_at=now + number * timedelta(minutes=1),
            )
            for number, operation in enumerate(operations)
        ),
        batch_size=500,
    )
    asker = recipes.asker(recipes.operator())
    asker.may("containers_app.view_backup", "read")
    with CaptureQueriesContext(connection) as queries:
        points = trend_of(asker, web)
    assert len(queries) == 1
    assert "LIMIT 31" in queries[0]["sql"]
    assert [point.sizes.stored_bytes for point in points] == list(range(many - 30, many))


def test_who_sees_containers_but_no_backups_is_not_told_that_there_are_none(
    web: Container, with_key: Callable[..., Client]
) -> None:
    stored(web, 0, 1000)
    half = recipes.stranger()
    half.user_permissions.add(Permission.objects.get(codename="view_container"))
    assert with_key(half).get("/api/docker/containers/web").status_code == 200
    assert with_key(half).get(ADDRESS).status_code == 404
