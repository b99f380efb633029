"""Lists and records: every row once, filters that mean one thing, null for what is absent, and no secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from model_bakery import baker

from containers_app.audit import ledger
from containers_app.models import Backup, Operation, State
from tests import recipes

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
LISTS = ["/api/docker/containers", "/api/operations", "/api/backups", "/api/hosts", "/api/ledger/entries"]
CANARY = "ghp_CanaryThatMustNotBeSeen"


@pytest.fixture
def administrator(groups: None, with_key: Callable[..., Client]) -> Client:
    return with_key(recipes.administrator())


def answered(client: Client, address: str) -> Any:
    response = client.get(address)
    assert response.status_code == 200, response.content
    return response.json()


def backup_of(name: str, **fields: Any) -> Backup:
    container = recipes.container(name=name, engine_id=name[0] * 64, **fields)
    operation = recipes.operation(state=State.SUCCEEDED)
    made: Backup = baker.make(
        Backup,
        operation=operation,
        container=container,
        container_name=name,
        container_engine_id=container.engine_id,
        stack=container.stack,
        host=container.host,
        created_at=timezone.now(),
    )
    return made


WRONG = [
    "?nope=1",
    "?limit=0",
    "?limit=201",
    "?limit=abc",
    "?limit=-1",
    "?limit=1e2",
    "?limit=",
    "?limit=٣",
    "?limit=5&limit=6",
]


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize(
    "query", [*WRONG, "?limit=1000000000000", "?state__startswith=q", "?user__password=x", "?x%00=1"]
)
def test_a_query_parameter_that_is_unknown_or_wrong_is_refused(administrator: Client, address: str, query: str) -> None:
    response = administrator.get(address + query)
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("address", LISTS[1:])
def test_a_refusal_of_our_own_routes_is_a_problem_that_names_the_field(administrator: Client, address: str) -> None:
    response = administrator.get(address + "?limit=0")
    assert response["Content-Type"] == "application/problem+json"
    assert set(response.json()) == {"type", "title", "status", "detail", "code", "errors"}
    assert [error["field"] for error in response.json()["errors"]] == ["limit"]


def cursor(text: str) -> str:
    return "?cursor=" + base64.urlsafe_b64encode(text.encode()).decode()


BAD_CURSORS = [
    "?cursor=x",
    "?cursor=%ff",
    cursor("p=abc"),
    cursor("p="),
    cursor("p=\x00"),
    cursor("p=1'--"),
    cursor("o=-1"),
]


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("query", BAD_CURSORS)
def test_a_cursor_that_no_answer_gave_is_refused_or_harmless(administrator: Client, address: str, query: str) -> None:
    recipes.container()
    response = administrator.get(address + query)
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert "cursor" in response.content.decode()


@pytest.mark.parametrize("position", ["9" * 30, "-" + "9" * 30, "0", "-1", "1" * 400])
@pytest.mark.parametrize("address", LISTS)
def test_a_cursor_far_outside_is_no_error_of_the_server(administrator: Client, address: str, position: str) -> None:
    assert administrator.get(address + cursor(f"p={position}")).status_code in (200, 400)


@pytest.mark.parametrize("limit", [1, 7, 50, 119, 120, 200])
def test_a_walk_sees_every_row_once_newest_first(administrator: Client, limit: int) -> None:
    Operation.objects.bulk_create(
        baker.prepare(
            Operation,
            _quantity=120,
            host=recipes.host(),
            kind="backup",
            created_at=timezone.now(),
            intent_shard=2026,
            intent_index=0,
            target_lock=None,
            idempotency_key=None,
        )
    )
    expected = [str(pk) for pk in Operation.objects.order_by("-id").values_list("pk", flat=True)]
    seen: list[str] = []
    address, pages = f"/api/operations?limit={limit}", 0
    while address:
        page = answered(administrator, address)
        assert set(page) == {"next", "previous", "results"}
        seen += [row["id"] for row in page["results"]]
        address, pages = page["next"], pages + 1
    assert seen == expected
    assert pages == -(-120 // limit)


def test_a_walk_back_meets_the_same_rows(administrator: Client) -> None:
    for _ in range(5):
        recipes.operation()
    first = answered(administrator, "/api/operations?limit=2")
    second = answered(administrator, first["next"])
    assert answered(administrator, second["previous"])["results"] == first["results"]
    assert first["previous"] is None


def test_what_comes_during_a_walk_moves_no_row(administrator: Client) -> None:
    rows = [recipes.operation(id=UUID(int=number)) for number in range(1, 5)]
    first = answered(administrator, "/api/operations?limit=2")
    recipes.operation(id=UUID(int=5))
    second = answered(administrator, first["next"])
    assert [row["id"] for row in first["results"] + second["results"]] == [str(row.pk) for row in reversed(rows)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"web", "db", "cache"}),
        ("?state=running", {"web", "cache"}),
        ("?stack=shop", {"web", "db"}),
        ("?stack=shop&state=exited", {"db"}),
        ("?host=local", {"web", "db", "cache"}),
        ("?host=elsewhere", set()),
        ("?label=tier", {"web", "db"}),
        ("?label=tier=front", {"web"}),
        ("?label=tier=", set()),
        ("?label=ti", set()),
        ("?unprotected=true", {"web", "db"}),
        ("?unprotected=false", {"cache"}),
    ],
)
def test_filters_choose_containers(administrator: Client, query: str, names: set[str]) -> None:
    recipes.container(name="web", engine_id="1" * 64, stack="shop", labels={"tier": "front"})
    recipes.container(name="db", engine_id="2" * 64, stack="shop", labels={"tier": "data"}, state="exited")
    recipes.container(name="gone", engine_id="3" * 64, stack="shop", removed_at=timezone.now())
    backup_of("cache")
    assert {row["name"] for row in answered(administrator, "/api/docker/containers" + query)["results"]} == names


def test_unprotected_is_true_or_false(administrator: Client) -> None:
    assert administrator.get("/api/docker/containers?unprotected=maybe").status_code == 400


@pytest.mark.parametrize(
    ("query", "count"),
    [("?state=queued", 1), ("?state=failed", 1), ("?kind=clone", 1), ("?container=" + "b" * 64, 1), ("?state=lost", 0)],
)
def test_filters_choose_operations(administrator: Client, query: str, count: int) -> None:
    recipes.operation(kind="clone", state=State.FAILED, outcome_index=1)
    recipes.operation(target_id="b" * 64)
    assert len(answered(administrator, "/api/operations" + query)["results"]) == count


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?stack=shop", ["web"]),
        ("?container=" + "d" * 64, ["db"]),
        ("?state=complete", ["db", "web"]),
        ("?state=missing", []),
    ],
)
def test_filters_choose_backups(administrator: Client, query: str, names: list[str]) -> None:
    backup_of("web", stack="shop")
    backup_of("db")
    rows = answered(administrator, "/api/backups" + query)["results"]
    assert sorted(row["container"]["name"] for row in rows) == names


def test_filters_choose_ledger_entries(administrator: Client) -> None:
    for actor in ("7", "8"):
        ledger.event(
            action="auth.login",
            actor=ledger.Actor(type="user", id=actor),
            source=ledger.Source(channel="api", request_id=f"request-{actor}"),
            ticket=f"CHG-{actor}",
        )
    for query in (
        "actor=8",
        "request=request-8",
        "ticket=CHG-8",
        "actor=8&verb=auth.login&channel=api&outcome=success",
    ):
        (row,) = answered(administrator, f"/api/ledger/entries?{query}")["results"]
        assert json.loads(row["payload"])["actor"]["id"] == "8"
    assert answered(administrator, "/api/ledger/entries?verb=auth.logout")["results"] == []


def test_one_entry_is_found_by_its_index_and_shard(administrator: Client) -> None:
    index = ledger.event(action="auth.login", actor=ledger.Actor(type="anonymous"), source=ledger.Source(channel="api"))
    year = timezone.now().year
    address = f"/api/ledger/entries/{index}"
    assert answered(administrator, address)["index"] == index
    assert answered(administrator, f"{address}?shard={year}")["shard"] == year
    assert administrator.get(f"{address}?shard={year - 1}").status_code == 404
    assert {administrator.get(f"{address}?shard={bad}").status_code for bad in ("x", "20260", "٢٠٢٦", "-1")} == {400}


def test_a_container_is_found_by_id_and_by_name(administrator: Client) -> None:
    recipes.container(removed_at=timezone.now() - timedelta(days=1), engine_id="e" * 64, image="old")
    recipes.container(image="new")
    assert answered(administrator, "/api/docker/containers/web")["image"] == "new"
    assert answered(administrator, "/api/docker/containers/" + "e" * 64)["image"] == "old"
    assert administrator.get("/api/docker/containers/-rf").status_code == 400


CONTAINER_FIELDS = {
    *("id", "name", "host", "image", "imageId", "state", "exitCode", "health", "stack", "service", "ports", "networks"),
    *("mounts", "labels", "environment", "createdAt", "lastSeenAt", "removedAt", "lastBackupAt", "unprotected"),
}
OPERATION_FIELDS = {
    *("id", "kind", "state", "stage", "stages", "bytesDone", "bytesTotal", "createdAt", "startedAt", "finishedAt"),
    *("actor", "channel", "target", "parent", "children", "warnings", "result", "error", "plan", "proof"),
}


def test_what_is_absent_is_null_and_no_missing_key(administrator: Client) -> None:
    recipes.container(image_id="", health="", stack="", service="")
    recipes.operation(stage="")
    (container,) = answered(administrator, "/api/docker/containers")["results"]
    (operation,) = answered(administrator, "/api/operations")["results"]
    assert set(container) == CONTAINER_FIELDS
    assert set(operation) == OPERATION_FIELDS
    absent = ("imageId", "exitCode", "health", "stack", "service", "createdAt", "removedAt", "lastBackupAt")
    assert {container[name] for name in absent} == {None}
    empty = ("stage", "bytesTotal", "startedAt", "finishedAt", "parent", "result", "error", "plan", "proof")
    assert {operation[name] for name in empty} == {None}


def test_times_are_utc_with_a_z(administrator: Client) -> None:
    recipes.operation()
    (operation,) = answered(administrator, "/api/operations")["results"]
    assert operation["createdAt"].endswith("Z")


def test_what_is_for_workers_and_staff_is_in_no_answer(administrator: Client) -> None:
    container = recipes.container(environment_names=["PASSWORD"])
    operation = recipes.operation(
        params={"container": CANARY},
        undo=[{"step": CANARY}],
        error_trace=CANARY,
        worker=CANARY,
        principal=CANARY,
        idempotency_key=CANARY,
        target_lock=CANARY,
    )
    addresses = [*LISTS, f"/api/operations/{operation.pk}", f"/api/docker/containers/{container.name}"]
    answers = [json.dumps(answered(administrator, address)) for address in addresses]
    assert [address for address, text in zip(addresses, answers, strict=True) if CANARY in text] == []
    assert '"environment": ["PASSWORD"]' in answers[0]


def test_markup_in_what_the_engine_says_stays_text(administrator: Client) -> None:
    recipes.container(labels={"x": "<script>alert(1)</script>"})
    response = administrator.get("/api/docker/containers")
    assert response["Content-Type"] == "application/json"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in response["Content-Security-Policy"]


def test_a_list_takes_the_same_number_of_queries_whatever_its_length(
    administrator: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(20):
        backup_of(f"{number:x}-web" if number < 16 else f"{'ghij'[number - 16]}-web")
    for address in LISTS[:4]:
        with django_assert_max_num_queries(8):
            answered(administrator, address)


def test_the_actor_of_an_operation_outlives_the_user(administrator: Client) -> None:
    olga = recipes.operator()
    operation = recipes.operation(user=olga, actor="olga")
    User.objects.filter(pk=olga.pk).delete()
    assert answered(administrator, f"/api/operations/{operation.pk}")["actor"] == "olga"


def test_a_cancelled_operation_is_recorded_with_who_did_it(administrator: Client) -> None:
    operation = recipes.operation()
    response = administrator.generic("POST", f"/api/operations/{operation.pk}/cancel")
    assert (response.status_code, response.json()["state"]) == (202, "cancelled")
    assert set(ledger.entries().values_list("action", "phase")) == {
        ("operation.cancel", "event"),
        ("container.backup", "outcome"),
    }
    assert administrator.generic("POST", f"/api/operations/{operation.pk}/cancel").status_code == 202


def test_nothing_is_cancelled_that_cannot_be_recorded(administrator: Client, database_down: Callable[..., Any]) -> None:
    operation = recipes.operation()
    with database_down("audit"):
        response = administrator.generic("POST", f"/api/operations/{operation.pk}/cancel")
    assert (response.status_code, response.json()["code"]) == (503, "AUDIT_UNAVAILABLE")
    operation.refresh_from_db()
    assert operation.state == State.QUEUED
