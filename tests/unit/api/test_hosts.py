"""Hosts through REST: strict bodies, administrators only, and no way to learn what is behind an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Backup, DockerHost, Operation
from tests import recipes
from tests.unit.api.asking import act_later

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
JSON = "application/json"
SITE = {"name": "site-b", "url": "tcp://10.0.0.7:2376", "tlsDirectory": "site-b", "queue": "site-b"}
MakeClient = Callable[..., Client]


@pytest.fixture
def adam(with_key: MakeClient) -> Client:
    return with_key(recipes.administrator())


def add(client: Client, **changes: Any) -> Any:
    return client.post("/api/hosts", {**SITE, **changes}, content_type=JSON)


def patch(client: Client, host: DockerHost, body: object) -> Any:
    return client.patch(f"/api/hosts/{host.pk}", body, content_type=JSON)


def test_a_host_is_registered_read_changed_and_removed(adam: Client) -> None:
    made = add(adam, reason="a second site", ticket="CHG-7")
    assert made.status_code == 201, made.content
    address = made["Location"]
    body = adam.get(address).json()
    assert body == made.json()
    assert {name: body[name] for name in SITE} == SITE
    assert (body["enabled"], body["allowPlain"], body["warnings"], body["reachable"]) == (True, False, [], None)
    changed = adam.patch(address, {"enabled": False, "tlsDirectory": "other"}, content_type=JSON)
    assert (changed.status_code, changed.json()["enabled"], changed.json()["tlsDirectory"]) == (200, False, "other")
    assert adam.delete(address).status_code == 204
    assert adam.get(address).status_code == 404
    actions = ledger.entries().order_by("id").values_list("action", flat=True)
    assert list(actions) == ["config.host_added", "config.host_changed", "config.host_removed"]


def test_a_host_that_something_refers_to_is_disabled_and_shown(adam: Client) -> None:
    host = DockerHost.objects.get(pk=add(adam).json()["id"])
    recipes.container(host=host)
    answer = adam.delete(f"/api/hosts/{host.pk}")
    assert (answer.status_code, answer.json()["enabled"]) == (200, False)


def test_a_connection_without_tls_is_taken_by_its_word_and_warned_about(adam: Client) -> None:
    plain = {"url": "http://10.0.0.7:2375", "tlsDirectory": None}
    refused = add(adam, **plain)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "allowPlain")
    made = add(adam, **plain, allowPlain=True)
    assert [warning["code"] for warning in made.json()["warnings"]] == ["PLAIN_CONNECTION"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"url": None}, "url"),
        ({"url": "ssh://u@-oProxyCommand=x"}, "url"),
        ({"url": "tcp://169.254.169.254:80"}, "url"),
        ({"url": "tcp://localhost:6379"}, "url"),
        ({"url": "x" * 256}, "url"),
        ({"tlsDirectory": "/etc"}, "tlsDirectory"),
        ({"queue": ""}, "queue"),
        ({"enabled": "yes"}, "enabled"),
        ({"allowPlain": 1}, "allowPlain"),
        ({"reason": "a\nb"}, "reason"),
        ({"id": 1}, "id"),
        ({"reachable": True}, "reachable"),
        ({"tls_directory": "x"}, "tls_directory"),
    ],
)
def test_a_body_that_is_not_meant_is_refused_by_its_field(adam: Client, changes: dict[str, Any], field: str) -> None:
    answer = add(adam, **changes)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    assert not DockerHost.objects.exists()


def test_the_same_strict_reading_as_everywhere(adam: Client) -> None:
    twice = b'{"name": "a", "name": "b", "url": "unix:///x.sock"}'
    assert adam.generic("POST", "/api/hosts", twice, content_type=JSON).status_code == 400
    assert adam.post("/api/hosts", SITE).status_code == 415
    assert adam.post("/api/hosts?name=x", SITE, content_type=JSON).status_code == 400


@pytest.mark.parametrize("body", [{}, {"reason": "only"}, {"name": "other"}, {"queue": None}, []])
def test_a_change_of_nothing_or_of_the_name_is_refused(adam: Client, body: object) -> None:
    host = recipes.host("site-b")
    assert patch(adam, host, body).status_code == 400
    assert DockerHost.objects.get() == host


def test_a_name_that_is_taken_and_a_host_that_is_not_there(adam: Client) -> None:
    add(adam)
    assert (add(adam).status_code, add(adam).json()["code"]) == (409, "NAME_TAKEN")
    assert adam.patch("/api/hosts/999", {"enabled": False}, content_type=JSON).status_code == 404
    assert adam.delete("/api/hosts/999").status_code == 404


def test_without_a_ledger_a_host_stays_as_it_is(adam: Client, database_down: Callable[[str], Any]) -> None:
    host = recipes.host("site-b")
    with database_down("audit"):
        answers = [
            add(adam, name="site-c"),
            patch(adam, host, {"enabled": False}),
            adam.delete(f"/api/hosts/{host.pk}"),
        ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "AUDIT_UNAVAILABLE")}
    assert list(DockerHost.objects.values_list("name", "enabled")) == [("site-b", True)]


@pytest.mark.parametrize("make", [recipes.stranger, recipes.operator, recipes.auditor])
def test_who_may_not_test_cannot_tell_which_hosts_there_are(make: Callable[[], Any], with_key: MakeClient) -> None:
    client, host = with_key(make()), recipes.host("site-b")
    DockerHost.objects.filter(pk=host.pk).update(url="tcp://10.0.0.7:2376", reachable=False, last_error="refused")
    real, invented = (client.post(f"/api/hosts/{pk}/test") for pk in (host.pk, 999))
    assert real.status_code == invented.status_code == 403
    assert real.content == invented.content
    assert b"refused" not in real.content
    assert not Operation.objects.exists()


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_who_may_not_change_hosts_cannot_tell_which_there_are(method: str, with_key: MakeClient) -> None:
    client, host = with_key(recipes.stranger()), recipes.host("site-b")
    real, invented = (getattr(client, method)(f"/api/hosts/{pk}") for pk in (host.pk, 999))
    assert (real.status_code, real.content) == (403, invented.content)


def test_a_container_of_another_host_is_acted_on_there_by_its_full_id(adam: Client) -> None:
    there = recipes.host("site-b")
    recipes.container(host=there, engine_id="c" * 64, name="web")
    for reference, host in (("c" * 64, "site-b"), ("web", "local"), ("d" * 64, "local")):
        answer = act_later(adam, {"action": "backup", "containerId": reference})
        assert (answer.status_code, answer.json()["target"]["host"]) == (202, host)


def test_a_disabled_host_gets_no_new_operation_but_may_be_tested(adam: Client) -> None:
    DockerHost.objects.filter(pk=recipes.host().pk).update(enabled=False)
    answer = act_later(adam, {"action": "backup", "containerId": "web"})
    assert (answer.status_code, "disabled" in answer.json()["error"]) == (400, True)
    tested = adam.generic("POST", f"/api/hosts/{recipes.host().pk}/test", headers={"Prefer": "respond-async"})
    assert tested.status_code == 202
    assert (Operation.objects.count(), Backup.objects.count()) == (1, 0)


def test_the_inventory_is_filtered_by_host(adam: Client) -> None:
    recipes.container(host=recipes.host("site-b"), engine_id="c" * 64, name="there")
    recipes.container(name="here")
    results = adam.get("/api/docker/containers?host=site-b").json()["results"]
    assert [(row["name"], row["host"]) for row in results] == [("there", "site-b")]
