"""Each role at each address, through a key and through the console's session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import ApiKey, Backup, DockerHost, Operation
from tests import recipes
from tests.unit.api.asking import (
    ASYNC,
    BACKUP,
    CLONE,
    REMOVE,
    RESTART,
    STACK_BACKUP,
    STACK_CLONE,
    START,
    STOP,
    act_later,
)
from tests.unit.api.matrix import MATRIX, METHODS, OWN_LISTS, REDIRECTS, ROLES, UNKNOWN_ID, Row, undeclared
from tests.unit.api.visiting import Visitor, make_places, records_of

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
def places(backup_root: Path) -> dict[str, str]:
    return make_places(backup_root)


@pytest.fixture
def visit(places: dict[str, str], with_key: MakeClient) -> Callable[..., Visitor]:
    """A function: somebody of this role comes, with a key or through the console."""

    def make(role: str, *, session: bool = False) -> Visitor:
        if role not in PEOPLE:
            return Visitor(Client(), {**places, "own_operation": places["operation"], "own_entry": places["entry"]})
        person = PEOPLE[role]()
        client = Client() if session else with_key(person)
        if session:
            client.force_login(person)
        return Visitor(client, {**places, **records_of(person)})

    return make


def expected(row: Row, role: str) -> int:
    return int(row.expected.split()[ROLES.index(role)])


@pytest.mark.parametrize("session", [False, True], ids=["key", "session"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_a_role_gets_what_the_matrix_says(row: Row, role: str, session: bool, visit: Callable[..., Visitor]) -> None:
    assert visit(role, session=session).ask(row).status_code == expected(row, role)


@pytest.mark.parametrize("row", [row for row in MATRIX if row.method == "GET"], ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_head_answers_as_get_does(row: Row, role: str, visit: Callable[..., Visitor]) -> None:
    response = visit(role).ask(row, "HEAD")
    assert response.status_code == expected(row, role)
    assert b"".join(response) == b""


@pytest.mark.parametrize("role", ROLES)
def test_options_tell_nobody_more_than_get_does(role: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(role)
    reading = {row.route: row for row in MATRIX if row.method == "GET"}
    for row in MATRIX:
        wanted = expected(reading[row.route], role) if row.route in reading else 401 if role == "anonymous" else 405
        if row.route not in REDIRECTS:
            response = visitor.ask(row, "OPTIONS")
            # There the rows decide, and the description is no row.
            wanted = 200 if row.route.endswith("/content") and wanted == 403 else wanted
            known = 405 if row.address == "/api/docs" else 200
            assert response.status_code == (wanted if wanted in (401, 403, 405) else known), str(row)
            assert "results" not in response.json(), str(row)


@pytest.mark.parametrize("role", ROLES[1:])
@pytest.mark.parametrize("address", OWN_LISTS)
def test_a_list_has_the_rows_that_the_role_may_see(address: str, role: str, visit: Callable[..., Visitor]) -> None:
    answer = visit(role).client.get(address)
    wanted = int(OWN_LISTS[address].split()[ROLES.index(role) - 1])
    assert (answer.status_code if wanted == 403 else len(answer.json()["results"])) == wanted


# One answer about the whole ledger each: no list.
OF_THE_LEDGER = {"/api/ledger/checkpoint", "/api/ledger/consistency?from=1&to=1"}


def test_every_list_is_counted_for_every_role() -> None:
    lists = {row.address for row in MATRIX if row.route.startswith("api/") and row.method == "GET"}
    pages = {row.address for row in MATRIX if "<" in row.route}
    assert set(OWN_LISTS) == lists - pages - {"/api/schema", "/api/docs"} - OF_THE_LEDGER


def test_an_operator_is_told_the_names_of_hosts_only(visit: Callable[..., Visitor], places: dict[str, str]) -> None:
    DockerHost.objects.update(last_error="dial unix /run/secret.sock", engine_version="29.0", reachable=False)
    operator = visit("operator").client
    listed = operator.get("/api/hosts").json()["results"]
    shown = operator.get("/api/hosts/" + places["host"]).json()
    assert shown in listed
    assert {name for name, value in shown.items() if value is not None} == {"id", "name"}
    full = visit("auditor").client.get("/api/hosts").json()["results"][0]
    assert list(full) == list(shown)
    assert full["engineVersion"] == "29.0"


@pytest.mark.parametrize(("address", "method"), undeclared())
def test_no_other_method_is_taken_from_anybody(
    address: str, method: str, places: dict[str, str], with_key: MakeClient
) -> None:
    path = address.format(**places)
    before = (Operation.objects.count(), Backup.objects.count())
    nobody = Client().generic(method, path)
    all_powerful = with_key(recipes.person("root", is_superuser=True)).generic(method, path)
    assert nobody.status_code == (405 if path == "/livez" or path.startswith("/download/") else 401)
    assert all_powerful.status_code == 405
    assert (Operation.objects.count(), Backup.objects.count()) == before


@pytest.mark.parametrize("role", ["anonymous", "stranger"])
def test_every_refusal_is_in_the_ledger(role: str, visit: Callable[..., Visitor]) -> None:
    client = visit(role).client
    before = ledger.entries().count()
    assert client.get("/api/hosts").status_code in (401, 403)
    (entry,) = ledger.entries()[: ledger.entries().count() - before]
    assert (entry.action, entry.outcome) == ("authz.denied", "denied")


HIDING = [
    ("stranger", "GET", "/api/stacks/shop", "/api/stacks/nothing"),
    ("stranger", "PATCH", "/api/hosts/{host}", "/api/hosts/99999999"),
    ("operator", "PATCH", "/api/hosts/{host}", "/api/hosts/99999999"),
    ("operator", "DELETE", "/api/hosts/{spare_host}", "/api/hosts/99999999"),
    ("stranger", "GET", "/api/operations/{operation}", f"/api/operations/{UNKNOWN_ID}"),
    ("stranger", "POST", "/api/operations/{operation}/cancel", f"/api/operations/{UNKNOWN_ID}/cancel"),
    ("stranger", "GET", "/api/backups/{backup}", f"/api/backups/{UNKNOWN_ID}"),
    ("stranger", "GET", "/api/backups/{backup}/files", f"/api/backups/{UNKNOWN_ID}/files"),
    ("stranger", "GET", "/api/backups/{backup}/content", f"/api/backups/{UNKNOWN_ID}/content"),
    ("auditor", "GET", "/api/backups/{backup}/content", f"/api/backups/{UNKNOWN_ID}/content"),
    ("stranger", "GET", "/api/docker/containers/web", "/api/docker/containers/nobody"),
    ("stranger", "GET", "/api/hosts/{host}", "/api/hosts/99999999"),
    ("stranger", "POST", "/api/hosts/{host}/test", "/api/hosts/99999999/test"),
    *(
        ("stranger", "POST", f"/api/backups/{{backup}}/{verb}", f"/api/backups/{UNKNOWN_ID}/{verb}")
        for verb in ("verify", "pin", "unpin", "hold", "release")
    ),
    ("stranger", "DELETE", "/api/backups/{backup}", f"/api/backups/{UNKNOWN_ID}"),
    ("operator", "DELETE", "/api/backups/{backup}", f"/api/backups/{UNKNOWN_ID}"),
    ("operator", "POST", "/api/backups/{backup}/hold", f"/api/backups/{UNKNOWN_ID}/hold"),
    ("auditor", "POST", "/api/backups/{backup}/verify", f"/api/backups/{UNKNOWN_ID}/verify"),
    ("auditor", "POST", "/api/hosts/{host}/test", "/api/hosts/99999999/test"),
    ("stranger", "POST", "/api/backups/{backup}/restore", f"/api/backups/{UNKNOWN_ID}/restore"),
    ("auditor", "POST", "/api/backups/{backup}/restore", f"/api/backups/{UNKNOWN_ID}/restore"),
    ("auditor", "POST", "/api/operations/{operation}/cancel", f"/api/operations/{UNKNOWN_ID}/cancel"),
    ("operator", "GET", "/api/ledger/entries/{entry}", "/api/ledger/entries/99999999"),
]


@pytest.mark.parametrize(("role", "method", "real", "invented"), HIDING)
def test_who_may_not_see_a_record_cannot_tell_whether_it_exists(
    role: str, method: str, real: str, invented: str, visit: Callable[..., Visitor]
) -> None:
    visitor = visit(role)
    counted = []
    for address in (real, invented):
        before = ledger.entries().count()
        answer = visitor.client.generic(method, address.format(**visitor.places))
        newest = ledger.entries()[: ledger.entries().count() - before]
        counted.append((answer.status_code, answer.content, [(entry.action, entry.outcome) for entry in newest]))
    assert counted[0] == counted[1]
    assert counted[0][2] == [("authz.denied", "denied")]


def test_a_record_that_is_not_there_is_no_refusal_for_who_may_see_all(visit: Callable[..., Visitor]) -> None:
    client = visit("operator").client
    before = ledger.entries().count()
    assert client.get("/api/docker/containers/nobody").status_code == 404
    assert ledger.entries().count() == before


@pytest.mark.parametrize(("project", "host"), [("shop", "spare"), ("shop", "elsewhere"), ("nothing", "spare")])
@pytest.mark.parametrize(
    ("address", "wish"), [("/api/stacks/clone", STACK_CLONE), ("/api/stacks/backup", STACK_BACKUP)]
)
def test_who_may_not_act_is_told_of_no_stack_and_no_host(
    project: str, host: str, address: str, wish: dict[str, Any], visit: Callable[..., Visitor]
) -> None:
    body = {**wish, "project": project, "sourceHost": host}
    refused = visit("stranger").client.post(address, json.dumps(body), content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    assert host not in refused.json()["error"]
    assert not Operation.objects.exclude(kind="backup").exists()


def test_the_parts_of_an_operation_are_seen_by_who_sees_the_whole(visit: Callable[..., Visitor]) -> None:
    visitor = visit("stranger")
    whole = Operation.objects.get(pk=visitor.places["own_operation"])
    part, foreign = recipes.operation(user=whole.user, parent=whole), recipes.operation(parent=recipes.operation())
    assert visitor.client.get(f"/api/operations/{whole.pk}").json()["children"] == [str(part.pk)]
    assert visitor.client.get(f"/api/operations/{part.pk}").json()["parent"] == str(whole.pk)
    assert visitor.client.get(f"/api/operations/{foreign.pk}").status_code == 404
    assert visitor.client.generic("POST", f"/api/operations/{foreign.pk}/cancel").status_code == 404


@pytest.mark.parametrize(
    "address",
    ["/api/operations/{own_operation}/cancel", "/api/hosts/{host}/test", "/api/backups/{backup}/verify"],
)
@pytest.mark.parametrize("name", ["owner", "status", "sha256", "storage_path", "is_admin", "scope"])
def test_a_request_without_fields_takes_none(name: str, address: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit("administrator")
    path = address.format(**visitor.places)
    refused = visitor.client.post(path, json.dumps({name: "x"}), content_type="application/json", headers=ASYNC)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")
    assert name in refused.content.decode()
    assert not Operation.objects.exclude(cancel_requested_at=None).exists()
    empty = visitor.client.post(path, "{}", content_type="application/json", headers=ASYNC)
    assert empty.status_code == 202


@pytest.mark.parametrize("address", ["/api/operations/{}", "/api/operations/{}/cancel", "/api/backups/{}"])
@pytest.mark.parametrize("spelling", ["upper", "plain", "other"])
def test_an_id_has_one_spelling_and_one_noun(address: str, spelling: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit("administrator")
    places = visitor.places
    own, other = ("backup", "operation") if "backups" in address else ("operation", "backup")
    ids = {"upper": places[own].upper(), "plain": places[own].replace("-", ""), "other": places[other]}
    method = "POST" if address.endswith("cancel") else "GET"
    assert visitor.client.generic(method, address.format(ids[spelling])).status_code == 404


@pytest.mark.parametrize("address", [row.address for row in MATRIX if row.route not in REDIRECTS])
def test_another_site_is_told_nothing_about_sharing(address: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit("anonymous")
    ask_first = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = visitor.client.options(address.format(**visitor.places), headers=ask_first)
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.status_code == (200 if address == "/livez" or address.startswith("/download/") else 401)


GUESSES = [
    "/.git/config",
    "/.env",
    "/static/",
    "/static/.env",
    "/static/admin",
    "/static/admin/js/core.js.map",
    "/static/../manage.py",
    "/static/%2e%2e/manage.py",
    "/media/web.tar",
    "/backups/containers/web.tar",
]
SPELLINGS = [
    "/api/operations/",
    "//api/operations",
    "/API/operations",
    "/api/operations;x",
    "/api/operations%2f",
    "/api/./operations",
    "/api/docker/containers/",
    "/api/docker/containers/../operations",
    "/api/docker/containers//web",
    "/api/docker/containers/WEB",
    "/api/Docker/containers",
    "/api/docker/containers/web%2f..%2f",
    "/api/hosts/1/",
    "/api/hosts/-1",
    "/api/hosts/" + "9" * 5_000,
    "/api/operations/1",
    "/api/ledger/entries/",
    "/api//ledger/entries",
    "/readyz/",
    "/READYZ",
    "/api/nothing",
]


@pytest.mark.parametrize("role", ROLES)
def test_no_file_can_be_guessed(role: str, visit: Callable[..., Visitor]) -> None:
    client = visit(role, session=True).client
    assert {address: client.get(address).status_code for address in GUESSES} == dict.fromkeys(GUESSES, 404)


@pytest.mark.parametrize("role", ROLES)
def test_another_spelling_of_an_address_opens_nothing(role: str, visit: Callable[..., Visitor]) -> None:
    client = visit(role).client
    answers = {address: client.get(address).status_code for address in SPELLINGS}
    assert {address: status for address, status in answers.items() if status not in (401, 403, 404)} == {}


@pytest.mark.parametrize("role", ROLES)
def test_an_escaped_slash_is_a_slash_and_no_way_around(role: str, visit: Callable[..., Visitor]) -> None:
    client = visit(role).client
    for address in ("/api/operations", "/api/hosts", "/api/ledger/entries"):
        escaped = address.replace("/api/", "/api%2f").replace("ledger/", "ledger%2F")
        assert client.get(escaped).status_code == client.get(address).status_code


@pytest.mark.parametrize("address", ["/api/nothing", "/api/operations/", "/api/operations/1"])
def test_an_address_that_is_not_there_is_a_problem(address: str, client: Client) -> None:
    response = client.get(address)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "NOT_FOUND"


SCOPES = {
    "read": ["/api/docker/containers/web", "/api/stacks/shop", *(one for one in OWN_LISTS if "ledger" not in one)],
    "ledger": ["/api/ledger/entries", "/api/schema", "/api/docs"],
}


@pytest.mark.usefixtures("places")
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


CHANGES = {
    "/api/operations/{operation}/cancel": "cancel",
    "/api/hosts": "hosts",
    "/api/hosts/{host}": "hosts",
    "/api/hosts/{spare_host}": "hosts",
    "/api/hosts/{host}/test": "hosts",
    "/api/stacks/clone": "clone",
    "/api/backups/{backup}/restore": "restore",
    "/api/backups/{backup}": "delete",
    "/api/backups/{backup}/verify": "verify",
    "/api/backups/{backup}/pin": "keep",
    "/api/backups/{backup}/unpin": "keep",
    "/api/backups/{backup}/hold": "keep",
    "/api/backups/{backup}/release": "keep",
    "/api/backups/orphans/adopt": "backup",
    "/api/backups/{backup}/links": "download",
}


@pytest.mark.parametrize("row", [row for row in MATRIX if row.method != "GET" and row.address in CHANGES], ids=str)
def test_a_key_without_the_scope_does_not_change_anything(
    row: Row, places: dict[str, str], with_key: MakeClient
) -> None:
    owner, scope = recipes.administrator(), CHANGES[row.address]
    others = [one for one in recipes.EVERY_SCOPE if one != scope]
    assert Visitor(with_key(owner, *others), places).ask(row).status_code == 403
    assert Visitor(with_key(owner, scope), places).ask(row).status_code == expected(row, "administrator")


def test_a_key_gives_its_owner_nothing_new(with_key: MakeClient) -> None:
    assert act_later(with_key(recipes.auditor(), "backup"), BACKUP).status_code == 403


def test_a_role_that_was_taken_away_opens_nothing_any_more(with_key: MakeClient) -> None:
    olga = recipes.operator()
    client = with_key(olga)
    assert act_later(client, BACKUP).status_code == 202
    olga.groups.clear()
    assert act_later(client, BACKUP).status_code == 403
    assert client.get("/api/hosts").status_code == 403
    (own,) = client.get("/api/operations").json()["results"]
    assert own["actor"].startswith("olga")


def test_every_method_is_in_the_matrix_or_among_the_undeclared() -> None:
    pairs = {(row.address, row.method) for row in MATRIX} | set(undeclared())
    assert {method for _, method in pairs} == set(METHODS)
    assert ApiKey.objects.count() == 0
