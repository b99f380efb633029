"""Each address answers in one form, its refusals in JSON, whatever the client says that it accepts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from containers_app.audit import denials, ledger
from tests import recipes
from tests.unit.api.asking import ASYNC, BACKUP, PUBLISHED, act

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
ACCEPTS = ["text/html", "application/xml", "text/html;q=0.9", "*/*;q=0", "nonsense", ""]
JSON_ROUTES = [PUBLISHED, "/api/operations", "/api/backups", "/api/hosts", "/livez"]


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("address", JSON_ROUTES)
def test_a_route_answers_in_json_whatever_is_accepted(operator: Client, address: str, accept: str) -> None:
    response = operator.get(address, headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert isinstance(response.json(), dict)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_work_is_not_refused_over_the_form_of_its_answer(operator: Client, accept: str) -> None:
    assert act(operator, BACKUP, Accept=accept, **ASYNC).status_code == 202


@pytest.mark.parametrize("address", JSON_ROUTES[:-1])
def test_a_format_in_the_query_is_an_unknown_parameter(operator: Client, address: str) -> None:
    response = operator.get(address + "?format=xml")
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize("address", ["/api/docs", "/api/schema"])
def test_the_description_is_refused_as_a_problem(address: str, accept: str, with_key: Callable[..., Client]) -> None:
    for client, status, code in (
        (Client(), 401, "NOT_AUTHENTICATED"),
        (with_key(recipes.operator()), 403, "PERMISSION_DENIED"),
    ):
        response = client.get(address, headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
        assert response.json()["code"] == code


def test_the_page_of_the_description_is_html(with_key: Callable[..., Client]) -> None:
    response = with_key(recipes.auditor()).get("/api/docs", headers={"Accept": "application/json"})
    assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_a_refusal_that_is_only_counted_costs_one_query(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denials.control, "_clock", lambda: 1_000.0)  # on a slow machine a bucket fills meanwhile
    for _ in range(denials.BURST):
        assert act(operator, b"[]").status_code == 400
    written = ledger.entries().count()
    with django_assert_num_queries(1) as seen, django_assert_num_queries(0, using="audit"):
        assert act(operator, b"[]").status_code == 400
    assert isinstance(seen, CaptureQueriesContext)
    assert "apikey" in seen.captured_queries[0]["sql"]
    assert (ledger.entries().count(), denials.control.waiting) == (written, 1)
    denials.control.settle_all()
    first, last = ledger.disclosed_all(ledger.entries().order_by("id"))[:: denials.BURST]
    assert last["actor"]["roles"] == first["actor"]["roles"] == ["operators"]


def test_a_refusal_is_recorded_without_roles_when_they_cannot_be_read(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_asker: object) -> tuple[str, ...]:
        raise OperationalError("gone")

    monkeypatch.setattr("containers_app.operations.authority.Asker.roles", fail)
    assert act(operator, b"[]").status_code == 400
    (entry,) = ledger.disclosed_all(ledger.entries())
    assert entry["actor"]["type"] == "key"
    assert "roles" not in entry["actor"]
