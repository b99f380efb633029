"""Each role at each address, through a key and through the console's session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from model_bakery import baker

from containers_app.audit import ledger
from containers_app.models import ApiKey, Backup, Operation
from tests import recipes
from tests.unit.api.asking import BACKUP, CLONE, REMOVE, RESTART, START, STOP, act_later
from tests.unit.api.matrix import MATRIX, METHODS, ROLES, Row, undeclared

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
PEOPLE: dict[str, Callable[[], User]] = {
    "stranger": recipes.stranger,
    "operator": recipes.operator,
    "auditor": recipes.auditor,
    "administrator": recipes.administrator,
}
MakeClient = Callable[..., Client]


@pytest.fixture
def places() -> dict[str, str]:
    """One record of each sort, to be put into addresses."""
    container = recipes.container()
    operation = recipes.operation(outcome_index=None)
    backup = baker.make(
        Backup, operation=operation, container=container, host=container.host, created_at=timezone.now()
    )
    entry = ledger.event(
        action="session.login", actor=ledger.Actor(type="anonymous"), source=ledger.Source(channel="api")
    )
    return {
        "operation": str(operation.pk),
        "backup": str(backup.pk),
        "host": str(container.host.pk),
        "spare_host": str(recipes.host("spare").pk),
        "entry": str(entry),
    }


def ask(client: Client, row: Row, places: dict[str, str]) -> Any:
    address = row.address.format(**places)
    arguments = {} if row.body is None else {"data": row.body, "content_type": "application/json"}
    return getattr(client, row.method.lower())(address, **arguments, headers=row.headers)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_a_key_opens_what_its_owners_role_may(
    row: Row, role: str, places: dict[str, str], with_key: MakeClient
) -> None:
    client = with_key(PEOPLE[role]()) if role in PEOPLE else Client()
    expected = int(row.expected.split()[ROLES.index(role)])
    assert ask(client, row, places).status_code == expected


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_a_session_opens_what_its_users_role_may(row: Row, role: str, places: dict[str, str], client: Client) -> None:
    if role in PEOPLE:
        client.force_login(PEOPLE[role]())
    expected = int(row.expected.split()[ROLES.index(role)])
    assert ask(client, row, places).status_code == expected


@pytest.mark.parametrize("row", [row for row in MATRIX if row.method == "GET"], ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_head_answers_as_get_does(row: Row, role: str, places: dict[str, str], with_key: MakeClient) -> None:
    client = with_key(PEOPLE[role]()) if role in PEOPLE else Client()
    response = client.head(row.address.format(**places))
    assert response.status_code == int(row.expected.split()[ROLES.index(role)])
    assert response.content == b""


@pytest.mark.parametrize(("address", "method"), undeclared())
def test_no_other_method_is_taken_from_anybody(
    address: str, method: str, places: dict[str, str], with_key: MakeClient
) -> None:
    path = address.format(**places)
    before = (Operation.objects.count(), Backup.objects.count())
    nobody = Client().generic(method, path)
    all_powerful = with_key(recipes.person("root", is_superuser=True)).generic(method, path)
    assert nobody.status_code == (405 if path == "/livez" else 401)
    assert all_powerful.status_code == 405
    assert (Operation.objects.count(), Backup.objects.count()) == before


@pytest.mark.parametrize("role", ["anonymous", "stranger"])
def test_every_refusal_is_in_the_ledger(role: str, places: dict[str, str], with_key: MakeClient) -> None:
    client = with_key(PEOPLE[role]()) if role in PEOPLE else Client()
    before = ledger.entries().count()
    assert client.get("/api/operations").status_code in (401, 403)
    (entry,) = ledger.entries()[: ledger.entries().count() - before]
    assert (entry.action, entry.outcome) == ("authz.denied", "denied")


@pytest.mark.parametrize("address", ["/api/operations/{}", "/api/operations/{}/cancel"])
def test_a_stranger_cannot_tell_what_exists(address: str, places: dict[str, str], with_key: MakeClient) -> None:
    client = with_key(recipes.stranger())
    method = "POST" if address.endswith("cancel") else "GET"
    ids = (places["operation"], "0190a000-0000-7000-8000-00000000dead")
    real, invented = (client.generic(method, address.format(one)) for one in ids)
    assert (real.status_code, real.content) == (invented.status_code, invented.content)


@pytest.mark.parametrize(
    "address",
    [
        "/api/operations/",
        "//api/operations",
        "/API/operations",
        "/api/operations;x",
        "/api/operations%2f",
        "/api/./operations",
        "/api/docker/containers/",
        "/api/docker/containers/../operations",
        "/api/docker/containers/web%2f..%2f",
        "/api/hosts/1/",
        "/api/hosts/-1",
        "/api/hosts/" + "9" * 5_000,
        "/api/operations/1",
        "/api/nothing",
    ],
)
def test_another_spelling_of_an_address_opens_nothing(address: str, client: Client) -> None:
    assert client.get(address).status_code in (401, 404)


@pytest.mark.parametrize("address", ["/api/nothing", "/api/operations/", "/api/operations/1"])
def test_an_address_that_is_not_there_is_a_problem(address: str, client: Client) -> None:
    response = client.get(address)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "NOT_FOUND"


SCOPES = {
    "read": ["/api/docker/containers", "/api/operations", "/api/backups", "/api/hosts"],
    "ledger": ["/api/ledger/entries", "/api/schema", "/api/docs"],
}


@pytest.mark.parametrize(("scope", "address"), [(scope, one) for scope, many in SCOPES.items() for one in many])
def test_a_key_without_the_scope_does_not_read(scope: str, address: str, with_key: MakeClient) -> None:
    owner = recipes.administrator()
    others = [one for one in recipes.EVERY_SCOPE if one != scope]
    assert with_key(owner, scope).get(address).status_code == 200
    assert with_key(owner, *others).get(address).status_code == 403


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        (BACKUP, "backup"),
        (CLONE, "clone"),
        (START, "operate"),
        (STOP, "operate"),
        (RESTART, "operate"),
        (REMOVE, "remove"),
    ],
)
def test_a_key_without_the_scope_does_not_act(body: dict[str, Any], scope: str, with_key: MakeClient) -> None:
    owner = recipes.administrator()
    others = [one for one in recipes.EVERY_SCOPE if one != scope]
    refused = act_later(with_key(owner, *others), body)
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    assert scope in refused.json()["error"]
    assert not Operation.objects.exists()
    assert act_later(with_key(owner, scope), body).status_code == 202


@pytest.mark.parametrize(
    ("path", "scope"), [("/api/operations/{operation}/cancel", "cancel"), ("/api/hosts/{host}/test", "hosts")]
)
def test_a_key_without_the_scope_does_not_change_anything(
    path: str, scope: str, places: dict[str, str], with_key: MakeClient
) -> None:
    owner = recipes.administrator()
    others = [one for one in recipes.EVERY_SCOPE if one != scope]
    address, later = path.format(**places), {"Prefer": "respond-async"}
    assert with_key(owner, *others).post(address, headers=later).status_code == 403
    assert with_key(owner, scope).post(address, headers=later).status_code == 202


def test_a_key_gives_its_owner_nothing_new(with_key: MakeClient) -> None:
    assert act_later(with_key(recipes.auditor(), "backup"), BACKUP).status_code == 403


def test_a_role_that_was_taken_away_opens_nothing_any_more(with_key: MakeClient) -> None:
    olga = recipes.operator()
    client = with_key(olga)
    assert act_later(client, BACKUP).status_code == 202
    olga.groups.clear()
    assert act_later(client, BACKUP).status_code == 403
    assert client.get("/api/operations").status_code == 403


def test_every_method_is_in_the_matrix_or_among_the_undeclared() -> None:
    pairs = {(row.address, row.method) for row in MATRIX} | set(undeclared())
    assert {method for _, method in pairs} == set(METHODS)
    assert ApiKey.objects.count() == 0
