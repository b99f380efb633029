"""What is read out of the request for the clone of a compose project."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.api.stacks import source_host, stacks
from containers_app.errors import InvalidRequest
from containers_app.models import Container, DockerHost
from containers_app.operations.clone_options import read_stack_clone
from containers_app.workflows.stack_clone import StackCloneParams
from tests import recipes

BODY = {"project": "shop", "newProject": "new"}


def test_the_plainest_request_has_the_careful_defaults() -> None:
    assert read_stack_clone(BODY) == StackCloneParams(project="shop", new_project="new")


def test_every_option_is_read() -> None:
    options = {
        "host": "other",
        "data": "all",
        "consistency": "stop",
        "start": True,
        "waitHealthySeconds": 30,
        "keepOnFailure": True,
        "confirmPrivileged": True,
        "confirmProtected": True,
        "dryRun": True,
        "planHash": "a" * 64,
    }
    about = {"sourceHost": "local", "reason": "a drill", "ticket": "OPS-1"}
    assert read_stack_clone({**BODY, **options, **about}) == StackCloneParams(
        project="shop",
        new_project="new",
        host="other",
        data="all",
        consistency="stop",
        start=True,
        wait_healthy_seconds=30,
        keep_on_failure=True,
        confirm_privileged=True,
        confirm_protected=True,
        dry_run=True,
        plan_hash="a" * 64,
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"project": None}, "project"),
        ({"project": "Shop"}, "project"),
        ({"project": 1}, "project"),
        ({"newProject": None}, "newProject"),
        ({"newProject": "a/b"}, "newProject"),
        ({"newProject": "a" * 64}, "newProject"),
        ({"host": "a" * 64}, "host"),
        ({"host": 1}, "host"),
        ({"data": "some"}, "data"),
        ({"consistency": "none"}, "consistency"),
        ({"start": "yes"}, "start"),
        ({"waitHealthySeconds": 5}, "waitHealthySeconds"),
        ({"waitHealthySeconds": -1, "start": True}, "waitHealthySeconds"),
        ({"waitHealthySeconds": 3601, "start": True}, "waitHealthySeconds"),
        ({"keepOnFailure": 1}, "keepOnFailure"),
        ({"confirmPrivileged": "true"}, "confirmPrivileged"),
        ({"confirmProtected": 0}, "confirmProtected"),
        ({"dryRun": "no"}, "dryRun"),
        ({"planHash": "zz"}, "planHash"),
        ({"planHash": "A" * 64}, "planHash"),
        ({"name": "x"}, "name"),
        ({"new_project": "x"}, "new_project"),
    ],
)
def test_a_mistake_is_named_by_its_field(change: dict[str, Any], field: str) -> None:
    body = {key: value for key, value in {**BODY, **change}.items() if value is not None}
    with pytest.raises(InvalidRequest) as caught:
        read_stack_clone(body)
    assert caught.value.field == field
    assert f"'{field}'" in caught.value.message or field in caught.value.message


def member_on(name: str, *, stack: str = "shop", **fields: Any) -> Container:
    number = Container.objects.count()
    return recipes.container(
        host=recipes.host(name), engine_id=f"{number:064x}", name=f"c{number}", stack=stack, **fields
    )


@pytest.mark.django_db
def test_the_host_that_has_the_project_is_found() -> None:
    recipes.host()
    member_on("far")
    member_on("far")
    member_on("other", stack="else")
    assert source_host({}, "shop").name == "far"


@pytest.mark.django_db
def test_a_named_host_is_taken_whoever_has_the_project() -> None:
    member_on("far")
    recipes.host("other")
    assert source_host({"sourceHost": "other"}, "shop").name == "other"


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["nobody", 1, "a" * 64])
def test_a_host_that_is_none_is_refused_by_its_field(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        source_host({"sourceHost": value}, "shop")
    assert caught.value.field == "sourceHost"


@pytest.mark.django_db
def test_a_project_that_nobody_has_means_the_local_host() -> None:
    assert source_host({}, "shop").name == DockerHost.LOCAL


@pytest.mark.django_db
def test_a_project_that_two_hosts_have_is_not_guessed() -> None:
    member_on("other")
    member_on("far")
    with pytest.raises(InvalidRequest, match="far, other have a project shop") as caught:
        source_host({}, "shop")
    assert caught.value.field == "sourceHost"
    assert source_host({"sourceHost": "far"}, "shop").name == "far"


@pytest.mark.django_db
def test_a_disabled_host_and_containers_that_are_gone_do_not_count() -> None:
    member_on("far")
    gone = member_on("other")
    DockerHost.objects.filter(name="far").update(enabled=False)
    Container.objects.filter(pk=gone.pk).update(removed_at=gone.last_seen_at)
    assert source_host({}, "shop").name == DockerHost.LOCAL


@pytest.mark.django_db
def test_projects_are_told_by_host_with_what_runs() -> None:
    member_on("far", service="web")
    member_on("far", service="db", state="exited")
    member_on("other", service="web")
    member_on("other", stack="")
    found = [
        (entry["project"], entry["host"], entry["services"], entry["running"])
        for entry in stacks(Container.objects.all())
    ]
    assert found == [("shop", "far", ["db", "web"], 1), ("shop", "other", ["web"], 1)]
