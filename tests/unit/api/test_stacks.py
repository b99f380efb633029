"""Compose projects as REST clients see them, and how the clone of one is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.models import DockerHost, Operation, State
from tests import recipes
from tests.unit.api.asking import ASYNC, STACK_CLONE, assert_refused

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
PLAN_HASH = "a" * 64


@pytest.fixture
def stacks() -> None:
    """`shop` on two hosts, `blog`, one container of none, and one that is gone."""
    recipes.container(stack="shop", service="web", name="shop-web-1", engine_id="1" * 64)
    recipes.container(stack="shop", service="web", name="shop-web-2", engine_id="2" * 64, state="exited")
    recipes.container(stack="shop", service="db", name="far", engine_id="3" * 64, host=recipes.host("site-b"))
    recipes.container(stack="blog", service="blog", name="blog", engine_id="4" * 64)
    recipes.container(name="lone", engine_id="5" * 64)
    recipes.container(stack="gone", name="gone", engine_id="6" * 64, removed_at=timezone.now())


def clone(client: Client, body: dict[str, Any], **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/stacks/clone", json.dumps(body), content_type="application/json", headers=given)


@pytest.mark.usefixtures("stacks")
def test_a_project_is_one_on_each_host_and_counts_what_is_there(operator: Client) -> None:
    shop = {"project": "shop", "host": "local", "services": ["web"], "containers": 2, "running": 1, "unprotected": 2}
    far = {"project": "shop", "host": "site-b", "services": ["db"], "containers": 1, "running": 1, "unprotected": 1}
    results = operator.get("/api/stacks").json()["results"]
    assert [(entry["project"], entry["host"]) for entry in results] == [
        ("blog", "local"),
        ("shop", "local"),
        ("shop", "site-b"),
    ]
    assert results[1:] == [shop, far]
    assert operator.get("/api/stacks?host=site-b").json()["results"] == [far]


@pytest.mark.usefixtures("stacks")
def test_one_project_has_its_containers(operator: Client) -> None:
    body = operator.get("/api/stacks/shop").json()
    assert [entry["host"] for entry in body["stacks"]] == ["local", "site-b"]
    assert [member["name"] for member in body["members"]] == ["shop-web-1", "shop-web-2", "far"]
    there = operator.get("/api/stacks/shop?host=site-b").json()
    assert [member["name"] for member in there["members"]] == ["far"]
    for nothing in ("/api/stacks/gone", "/api/stacks/blog?host=site-b"):
        assert operator.get(nothing).status_code == 404


@pytest.mark.usefixtures("patient_broker", "stacks")
@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({"sourceHost": "local"}, "local"),
        ({"sourceHost": "site-b"}, "site-b"),
        ({"project": "blog"}, "local"),
        ({"project": "db"}, "site-b"),
        ({"project": "nothing"}, "local"),
    ],
)
def test_the_host_of_a_project_is_found_by_the_inventory(operator: Client, more: dict[str, str], host: str) -> None:
    recipes.container(stack="db", name="db", engine_id="7" * 64, host=recipes.host("site-b"))
    answer = clone(operator, {**STACK_CLONE, **more}, **ASYNC)
    assert (answer.status_code, answer.json()["target"]["host"]) == (202, host)


@pytest.mark.usefixtures("patient_broker", "stacks")
def test_a_project_of_several_hosts_needs_a_word_about_which(operator: Client) -> None:
    answer = clone(operator, STACK_CLONE)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert "'sourceHost' is needed: local, site-b have a project shop" in answer.json()["error"]
    assert not Operation.objects.exists()


@pytest.mark.usefixtures("patient_broker")
def test_every_field_is_in_the_recorded_params(operator: Client) -> None:
    recipes.host("site-b")
    chosen = {"host": "site-b", "data": "all", "consistency": "pause", "start": True, "waitHealthySeconds": 60}
    flags = dict.fromkeys(("keepOnFailure", "confirmPrivileged", "confirmProtected", "dryRun"), True)
    body = {**STACK_CLONE, **chosen, **flags, "planHash": PLAN_HASH, "reason": "a rehearsal", "ticket": "CHG-7"}
    assert clone(operator, body, **ASYNC).status_code == 202
    row, intent = Operation.objects.get(), ledger.entries().get()
    assert row.params == {
        "project": "shop",
        "new_project": "shop2",
        "host": "site-b",
        "data": "all",
        "consistency": "pause",
        "start": True,
        "wait_healthy_seconds": 60,
        "keep_on_failure": True,
        "confirm_privileged": True,
        "confirm_protected": True,
        "dry_run": True,
        "plan_hash": PLAN_HASH,
    }
    assert (row.reason, row.ticket, intent.action) == ("a rehearsal", "CHG-7", "stack.clone")


WRONG = [
    ({"project": None}, "'project'"),
    ({"newProject": "Shop"}, "'newProject'"),
    ({"newProject": "a" * 64}, "'newProject'"),
    ({"data": "some"}, "'data'"),
    ({"consistency": "perfect"}, "'consistency'"),
    ({"start": "yes"}, "'start'"),
    ({"waitHealthySeconds": 5}, "'waitHealthySeconds' goes with 'start'"),
    ({"start": True, "waitHealthySeconds": 3601}, "'waitHealthySeconds'"),
    ({"keepOnFailure": 1}, "'keepOnFailure'"),
    ({"dryRun": "no"}, "'dryRun'"),
    ({"planHash": "A" * 64}, "'planHash'"),
    ({"sourceHost": "nowhere"}, "'sourceHost' must be the name of a registered Docker host"),
    ({"options": {}}, "unknown field 'options'"),
]


@pytest.mark.parametrize(("more", "words"), WRONG)
def test_a_mistake_names_its_field(operator: Client, more: dict[str, Any], words: str) -> None:
    assert_refused(clone(operator, {**STACK_CLONE, **more}), 400, "INVALID_REQUEST", words=words)


@pytest.mark.usefixtures("groups")
def test_who_may_not_clone_is_refused_before_the_body_is_judged(with_key: Callable[..., Client]) -> None:
    refused = clone(with_key(recipes.auditor()), {"project": "No Name"})
    assert_refused(refused, 403, "PERMISSION_DENIED", words="clone_container")
    assert not DockerHost.objects.exists()


@pytest.mark.usefixtures("patient_broker")
def test_the_answer_has_its_fields_and_those_of_each_container_in_the_published_order(operator: Client) -> None:
    assert clone(operator, STACK_CLONE, Idempotency_Key="k", **ASYNC).status_code == 202
    member = {"newId": "d" * 64, "newName": "shop2-web-1", "service": "web", "sourceId": "a" * 64}
    result = {"action": "stackClone", "message": "done", "success": True, "project": "shop", "containers": [member]}
    more = {"newProject": "shop2", "quietSeconds": 0.5}
    ended = {"finished_at": timezone.now(), "outcome_index": 1, "plan": {"hash": PLAN_HASH}, "proof": {"content": []}}
    Operation.objects.update(state=State.SUCCEEDED, result={**result, **more}, **ended)
    body = clone(operator, STACK_CLONE, Idempotency_Key="k").json()
    first = ["success", "message", "action", "project", "newProject", "containers", "quietSeconds"]
    assert list(body) == [*first, "plan", "proof", "operationId", "warnings"]
    assert list(body["containers"][0]) == ["service", "sourceId", "newId", "newName"]
