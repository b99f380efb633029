"""API keys: a dead one opens nothing and says nothing, and the text of a live one is kept nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.test import Client
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.models import ApiKey
from tests import recipes
from tests.unit.api.asking import BACKUP, PUBLISHED, act, act_later

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
HOUR = timedelta(hours=1)


def with_text(text: str, scheme: str = "Bearer") -> Client:
    return Client(headers={"Authorization": f"{scheme} {text}"})


def refused(client: Client) -> tuple[int, bytes, str]:
    response = client.get("/api/operations")
    return response.status_code, response.content, response["WWW-Authenticate"]


def kill_by_time() -> str:
    text = recipes.key_of(recipes.operator())
    ApiKey.objects.update(expires_at=timezone.now())
    return text


def kill_by_revoking() -> str:
    text = recipes.key_of(recipes.operator())
    ApiKey.objects.update(revoked_at=timezone.now())
    return text


def kill_by_owner() -> str:
    text = recipes.key_of(olga := recipes.operator())
    olga.is_active = False
    olga.save()
    return text


def right_prefix_wrong_secret() -> str:
    text = recipes.key_of(recipes.operator())
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def wrong_prefix_right_secret() -> str:
    _, _, secret = recipes.key_of(recipes.operator()).split("_", 2)
    return f"myco_00000000_{secret}"


DEAD: list[Callable[[], str]] = [
    kill_by_time,
    kill_by_revoking,
    kill_by_owner,
    right_prefix_wrong_secret,
    wrong_prefix_right_secret,
    lambda: "myco_" + "x" * 50,
    lambda: "x" * 20_000,
    lambda: "",
    lambda: "myco_ab_' OR 1=1 --",
    lambda: recipes.key_of(recipes.operator()).upper(),
    lambda: recipes.key_of(recipes.operator())[5:],
    lambda: recipes.key_of(recipes.operator()) + ", Bearer x",
]


@pytest.mark.parametrize("dead", DEAD)
def test_every_dead_key_gets_the_same_answer(dead: Callable[[], str]) -> None:
    assert refused(with_text(dead())) == refused(with_text("myco_00000000_nobody-ever-had-this-one"))


def test_the_hash_of_a_key_is_no_key() -> None:
    recipes.key_of(recipes.operator())
    digest = ApiKey.objects.get().digest
    assert [refused(with_text(text))[0] for text in (digest, f"myco_{ApiKey.objects.get().prefix}_{digest}")] == [
        401,
        401,
    ]


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest", ""])
def test_a_key_is_taken_as_a_bearers_only(scheme: str) -> None:
    assert refused(with_text(recipes.key_of(recipes.operator()), scheme))[0] == 401


def test_a_key_ends_at_its_moment() -> None:
    text = recipes.key_of(recipes.operator(), days=1)
    assert with_text(text).get("/api/operations").status_code == 200
    with time_machine.travel(timezone.now() + 25 * HOUR, tick=False):
        assert with_text(text).get("/api/operations").status_code == 401


@pytest.mark.parametrize(
    "request_with",
    [
        lambda text: Client().get(f"/api/operations?token={text}"),
        lambda text: Client().get(f"/api/operations?access_token={text}&api_key={text}"),
        lambda text: Client().post(PUBLISHED, {**BACKUP, "token": text}, content_type="application/json"),
        lambda text: Client(headers={"X-Api-Key": text}).get("/api/operations"),
        lambda text: Client(headers={"Cookie": f"sessionid={text}; token={text}"}).get("/api/operations"),
    ],
)
def test_a_key_anywhere_but_in_its_header_is_not_seen(request_with: Callable[[str], Any]) -> None:
    response = request_with(recipes.key_of(recipes.operator()))
    assert (response.status_code, response.json()["code"]) == (401, "NOT_AUTHENTICATED")


def test_a_wrong_key_is_not_saved_by_a_session(client: Client) -> None:
    client.force_login(recipes.operator())
    response = client.get("/api/operations", headers={"Authorization": "Bearer myco_00000000_nobody-ever-had-it"})
    assert response.status_code == 401


def test_the_last_use_is_noted_once_a_minute() -> None:
    client = with_text(recipes.key_of(recipes.operator()))
    ApiKey.objects.update(last_used_at=None)
    client.get("/api/operations")
    first = ApiKey.objects.get().last_used_at
    client.get("/api/operations")
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - HOUR)
    client.get("/api/operations")
    assert ApiKey.objects.get().last_used_at != first - HOUR


def test_a_refused_key_was_not_used() -> None:
    text = kill_by_revoking()
    ApiKey.objects.update(last_used_at=None)
    with_text(text).get("/api/operations")
    assert ApiKey.objects.get().last_used_at is None


def every_value(alias: str) -> Iterator[tuple[str, str]]:
    connection = connections[alias]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - names of our own tables
            for row in cursor.fetchall():
                yield from ((table, str(value)) for value in row)


@pytest.mark.usefixtures("patient_broker")
def test_the_text_of_a_key_is_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issued = ApiKey.objects.issue(user=recipes.operator(), name="test", scopes=recipes.EVERY_SCOPE, expires_in_days=1)
    secret = issued.text.split("_", 2)[2]
    client = with_text(issued.text)
    answers = [
        act_later(client, BACKUP, Idempotency_Key="k-1"),
        act(client, b"{"),
        client.get("/api/operations"),
        client.get("/api/ledger/entries"),
        client.get("/api/schema"),
        client.get(f"/api/operations?token={issued.text}"),
        with_text(issued.text + "x").get("/api/operations"),
        with_text(issued.text, "Basic").get("/api/operations"),
    ]
    assert {response.status_code for response in answers} == {200, 202, 400, 401, 403}
    values = [*every_value("default"), *every_value("audit")]
    assert any(issued.row.digest in value for _, value in values)
    assert [table for table, value in values if secret in value] == []
    assert secret not in caplog.text
    assert not any(secret in response.content.decode() for response in answers)
    assert secret not in repr(issued)


def test_a_key_in_a_query_reaches_neither_the_ledger_nor_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = recipes.key_of(recipes.operator())
    assert Client().get(f"/api/operations?token={text}").status_code == 401
    assert not any(text in value for _, value in every_value("audit"))
    assert text not in caplog.text


def test_the_first_use_of_a_key_is_in_the_ledger_once() -> None:
    made = ApiKey.objects.issue(user=recipes.operator(), name="ci", scopes=["read"], expires_in_days=1)
    for _request in range(2):
        assert with_text(made.text).get("/api/operations").status_code == 200
    entry = ledger.entries().get(action="auth.key_first_used")
    assert (entry.actor_type, entry.object_id, entry.object_name) == ("key", str(made.row.pk), made.row.prefix)


def test_a_key_is_not_used_first_without_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ApiKey.objects.issue(user=recipes.operator(), name="ci", scopes=["read"], expires_in_days=1)
    monkeypatch.setattr(ledger, "event", away)
    assert with_text(made.text).get("/api/operations").status_code == 503
    made.row.refresh_from_db()
    assert made.row.last_used_at is None


def away(**_fact: Any) -> int:
    raise AuditUnavailable("the ledger is away")
