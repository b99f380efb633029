"""A clone through the whole product: planned, bound to its plan, changed by overrides, and refused where it must be."""

from __future__ import annotations

import os
from typing import Any

import pytest

from containers_app.specs.engine import LABEL_PREFIX
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.clone_bench import (
    clone,
    codes,
    explained,
    inspect,
    named,
    plan,
    refusal,
    rest_of,
    volume_folder,
    word,
)
from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
PLAN_KEYS = {"content", "hash", "name", "create", "diff", "collisions", "volumes", "warnings"}


def everything(stack: Stack) -> set[str]:
    """Containers and volumes, by id and name."""
    api = stack.docker.api
    containers = {str(entry["Id"]) for entry in api.containers(all=True)}
    return containers | {str(entry["Name"]) for entry in api.volumes()["Volumes"] or ()}


def test_a_dry_run_answers_the_plan_and_changes_nothing(stack: Stack) -> None:
    source = stack.source(environment={"MODE": "x"}, labels={"team": "mycology"})
    before, there = rest_of(inspect(stack, source.id)), everything(stack)
    body = clone(stack, source, dryRun=True, name="planned", data="all", overrides={"env": {"set": {"MODE": "y"}}})
    assert (body["success"], body["action"], body["dryRun"], body["warnings"]) == (True, "clone", True, [])
    assert set(body["plan"]) == PLAN_KEYS
    assert (body["plan"]["name"], body["plan"]["collisions"]) == ("planned", [])
    assert sorted(body["plan"]["create"]["Env"]) == ["MODE", "PATH"]
    assert body["plan"]["diff"] == [{"field": "Env.MODE", "source": "[hidden]", "clone": "[hidden]"}]
    assert named(stack, "planned") == []
    assert rest_of(inspect(stack, source.id)) == before
    assert everything(stack) == there
    row = stack.ask("operation", body["operationId"])
    assert (row["state"], row["target"], row["undo"], row["stages"][-1]) == ("succeeded", source.id, [], "plan")


@embedded
def test_a_plan_says_how_much_would_be_copied_and_what_is_free(stack: Stack) -> None:
    volume = word()
    stack.docker.volumes.create(volume)
    source = stack.source(volumes={volume: {"bind": "/data"}})
    folder = volume_folder(stack.engine, volume)
    (folder / "file").write_bytes(b"x" * 3_000_000)
    os.link(folder / "file", folder / "same")
    before = everything(stack)
    content = plan(stack, source, data="volumes")["content"]
    assert (content["entries"], content["bytes"], content["imageBytes"]) == (3, 3_000_000, 0)
    disk = os.statvfs(stack.engine.directory)
    assert content["freeBytes"] == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)
    assert everything(stack) == before
    assert plan(stack, source, data="none")["content"] is None


def test_a_clone_is_bound_to_its_plan(stack: Stack) -> None:
    source = stack.source()
    name = word()
    planned = plan(stack, source, name=name)
    body = clone(stack, source, name=name, planHash=planned["hash"])
    assert body["plan"]["hash"] == planned["hash"]
    status, code, error = refusal(stack, source, name=name, planHash=planned["hash"])
    assert (status, code) == (409, "PLAN_CHANGED")
    assert "plan again" in error
    assert [found.id for found in named(stack, name)] == [body["newId"]]


@embedded
def test_a_plan_with_a_default_name_stays_valid_and_one_of_a_changed_source_does_not(stack: Stack) -> None:
    tag = f"mycodocker/{word()}:1"
    stack.docker.images.get(SAMPLE_IMAGE).tag(tag)
    stack.docker.volumes.create(volume := word())
    source = stack.docker.containers.create(tag, name=word(), volumes={volume: {"bind": "/data"}})
    planned = plan(stack, source, data="volumes")
    again = plan(stack, source, data="volumes")
    assert (planned["hash"], planned["name"]) != (again["hash"], again["name"])
    assert planned["hash"] == again["hash"]
    clone(stack, source, data="volumes", planHash=planned["hash"])
    assert refusal(stack, source, data="none", planHash=planned["hash"])[:2] == (409, "PLAN_CHANGED")
    stack.engine.make_image("mycodocker/other:1", "LABEL other=1")
    stack.docker.images.get("mycodocker/other:1").tag(tag)
    assert refusal(stack, source, data="volumes", planHash=planned["hash"])[:2] == (409, "PLAN_CHANGED")
    network = stack.docker.networks.create(word())
    network.connect(source)
    moved = plan(stack, source, data="volumes")
    assert moved["hash"] not in (planned["hash"], None)
    assert codes(moved) == ["IMAGE_BY_ID"]
    clone(stack, source, data="volumes", planHash=moved["hash"])


OVERRIDES: dict[str, tuple[Any, str, Any]] = {
    "command": (["sleep", "12345"], "Config.Cmd", ["sleep", "12345"]),
    "entrypoint": (["/bin/sh", "-c"], "Config.Entrypoint", ["/bin/sh", "-c"]),
    "restartPolicy": (
        {"name": "on-failure", "maximumRetries": 3},
        "HostConfig.RestartPolicy",
        {"Name": "on-failure", "MaximumRetryCount": 3},
    ),
    "user": ("1000:1000", "Config.User", "1000:1000"),
    "hostname": ("other", "Config.Hostname", "other"),
    "ports": (
        [{"container": 80, "host": 18999, "hostIp": "127.0.0.1"}],
        "HostConfig.PortBindings",
        {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18999"}]},
    ),
    "resources": ({"memoryBytes": 64 * 2**20}, "HostConfig.Memory", 64 * 2**20),
    "mounts": ([{"type": "tmpfs", "target": "/scratch"}], "HostConfig.Tmpfs", {"/scratch": ""}),
}


def value_at(inspected: Any, path: str) -> Any:
    for part in path.split("."):
        inspected = inspected[part]
    return inspected


@embedded
def test_every_override_arrives_and_the_proof_explains_exactly_that(stack: Stack) -> None:
    source = stack.source(ports={"80/tcp": 18998}, labels={"a": "1", "b": "2"}, environment={"A": "1", "B": "2"})
    before = inspect(stack, source.id)
    for name, (value, path, arrived) in OVERRIDES.items():
        body = clone(stack, source, overrides={name: value})
        made = inspect(stack, body["newId"])
        assert value_at(made, path) == arrived, name
        assert explained(body), name
        assert all(reason == "Asked for by an override." for reason in explained(body).values()), (name, body)
        assert all(field.split(".")[:2] == path.split(".")[:2] or name in _WIDE for field in explained(body)), name
        assert codes(body) == [], name
        assert stack.ask("operation", body["operationId"])["state"] == "succeeded"
    assert rest_of(inspect(stack, source.id)) == rest_of(before)


# These change more than one field.
_WIDE = ("ports", "resources", "mounts", "restartPolicy")


@embedded
def test_environment_labels_networks_and_healthcheck_arrive_as_asked(stack: Stack) -> None:
    source = stack.source(labels={"a": "1", "b": "2"}, environment={"A": "1", "B": "2"})
    network = stack.docker.networks.create(word())
    overrides = {
        "env": {"set": {"A": "new", "C": "c=\n1"}, "drop": ["B"]},
        "labels": {"set": {"c": "3"}, "drop": ["a"]},
        "networks": [{"name": network.name, "aliases": ["db"]}],
        "healthcheck": {"test": ["CMD", "true"], "intervalSeconds": 7, "retries": 2},
    }
    body = clone(stack, source, overrides=overrides)
    made = inspect(stack, body["newId"])
    assert sorted(entry for entry in made["Config"]["Env"] if not entry.startswith("PATH")) == ["A=new", "C=c=\n1"]
    labels = {key: value for key, value in made["Config"]["Labels"].items() if not key.startswith(LABEL_PREFIX)}
    assert labels == {"b": "2", "c": "3"}
    assert list(made["NetworkSettings"]["Networks"]) == [network.name]
    assert "db" in made["NetworkSettings"]["Networks"][network.name]["Aliases"]
    assert made["Config"]["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 7 * 10**9, "Retries": 2}
    assert set(explained(body).values()) == {"Asked for by an override."}
    assert codes(body) == []


@embedded
def test_another_image_brings_its_own_defaults(stack: Stack) -> None:
    old, new = f"mycodocker/{word()}:old", f"mycodocker/{word()}:new"
    stack.engine.make_image(old, "ENV VERSION=1", "LABEL version=1", 'CMD ["/bin/idle"]', "WORKDIR /old")
    stack.engine.make_image(new, "ENV VERSION=2", 'CMD ["/bin/sleep", "77777"]', "WORKDIR /new", "EXPOSE 99")
    source = stack.docker.containers.create(old, name=word(), environment={"MINE": "1"}, hostname="kept")
    body = clone(stack, source, overrides={"image": new})
    made = inspect(stack, body["newId"])
    assert made["Image"] == stack.docker.images.get(new).id
    assert {"MINE=1", "VERSION=2"} <= set(made["Config"]["Env"])
    assert "VERSION=1" not in made["Config"]["Env"]
    assert "version" not in made["Config"]["Labels"]
    assert (made["Config"]["Cmd"], made["Config"]["WorkingDir"]) == (["/bin/sleep", "77777"], "/new")
    assert made["Config"]["Hostname"] == "kept"
    status, code, error = refusal(stack, source, overrides={"image": "nobody/nothing:1"})
    assert (status, code) == (500, "CLONE_FAILED")
    assert "nobody/nothing:1" in error
    status, code, error = refusal(stack, source, data="all", overrides={"image": new})
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "options.data" in error


@embedded
def test_all_collisions_are_listed_at_once_and_the_proposals_work(stack: Stack) -> None:
    api: Any = stack.docker.api
    pool = api.create_network(word(), ipam={"Config": [{"Subnet": "10.213.99.0/24"}]})
    endpoint = api.create_endpoint_config(ipv4_address="10.213.99.9")
    made = api.create_container(
        SAMPLE_IMAGE,
        name=word(),
        ports=[80],
        host_config=api.create_host_config(port_bindings={80: ("127.0.0.1", 18777)}, network_mode=pool["Id"]),
        networking_config=api.create_networking_config({pool["Id"]: endpoint}),
    )
    source = stack.docker.containers.get(made["Id"])
    source.start()
    taken = stack.source()
    collisions = plan(stack, source, name=taken.name)["collisions"]
    assert {(entry["kind"], entry["blocks"]) for entry in collisions} >= {
        ("name", "create"),
        ("port", "start"),
        ("address", "start"),
    }
    proposed: dict[str, Any] = {"overrides": {}}
    for entry in collisions:
        proposed["overrides"] |= entry["resolution"].get("overrides", {})
        proposed |= {key: value for key, value in entry["resolution"].items() if key != "overrides"}
    before = stack.labelled()
    status, code, error = refusal(stack, source, name=taken.name, start=True)
    assert (status, code) == (409, "COLLISION")
    assert all(entry["message"] in error for entry in collisions if entry["blocks"])
    assert stack.labelled() == before
    assert plan(stack, source, **proposed)["collisions"] == []
    body = clone(stack, source, start=True, **proposed)
    assert inspect(stack, body["newId"])["State"]["Running"]


@embedded
def test_a_port_that_is_held_stops_a_start_before_anything_is_made_and_is_advice_otherwise(stack: Stack) -> None:
    source = stack.source(ports={"80/tcp": ("127.0.0.1", 18776)})
    source.start()
    name = word()
    assert refusal(stack, source, name=name, start=True)[:2] == (409, "COLLISION")
    assert named(stack, name) == []
    body = clone(stack, source, name=name, consistency="live", data="volumes")
    assert codes(body) == ["PORT_HELD"]


@embedded
def test_a_port_that_no_container_holds_is_found_at_the_start_and_the_clone_is_taken_back(stack: Stack) -> None:
    source = stack.source(network_mode="host", command=["/bin/nc", "-l", "-p", "18775"], privileged=False)
    source.start()
    other = stack.source(ports={"80/tcp": ("0.0.0.0", 18775)})
    name = word()
    status, code, _ = refusal(stack, other, name=name, start=True)
    assert (status, code) == (409, "PORT_TAKEN")
    assert named(stack, name) == []


@embedded
@pytest.mark.parametrize(
    ("test", "state", "warnings"),
    [("true", "succeeded", []), ("false", "partial", ["UNHEALTHY"])],
    ids=["healthy", "unhealthy"],
)
def test_a_clone_is_started_and_waited_for(stack: Stack, test: str, state: str, warnings: list[str]) -> None:
    source = stack.source()
    check = {"test": ["CMD", test], "intervalSeconds": 1, "timeoutSeconds": 5, "retries": 1}
    body = clone(stack, source, start=True, waitHealthySeconds=40, overrides={"healthcheck": check})
    assert codes(body) == warnings
    assert stack.ask("operation", body["operationId"])["state"] == state
    assert inspect(stack, body["newId"])["State"]["Running"]


@embedded
def test_a_clone_that_removes_itself_when_it_ends_may_be_gone_at_once(stack: Stack) -> None:
    source = stack.docker.containers.create(SAMPLE_IMAGE, ["true"], name=word(), auto_remove=True)
    body = clone(stack, source, start=True, waitHealthySeconds=20)
    assert codes(body) == ["ENDED"]
    assert stack.ask("operation", body["operationId"])["state"] == "partial"


def test_power_over_the_host_by_an_override_is_for_administrators_who_say_so(stack: Stack) -> None:
    source = stack.source()
    root: dict[str, Any] = {"overrides": {"mounts": [{"type": "bind", "source": "/", "target": "/host"}]}}
    planned = plan(stack, source, **root)
    assert {(entry["kind"], entry["blocks"]) for entry in planned["collisions"]} == {("privilege", "confirm")}
    before = stack.labelled()
    for who, options in (("operator", {"confirmPrivileged": True}), ("administrator", {})):
        assert refusal(stack, source, by=who, **root, **options)[:2] == (403, "PERMISSION_DENIED")
    assert stack.labelled() == before
    body = clone(stack, source, by="administrator", confirmPrivileged=True, **root)
    assert codes(body) == ["HOST_POWER"]
    assert [mount["Source"] for mount in inspect(stack, body["newId"])["Mounts"]] == ["/"]


@embedded
def test_a_protected_source_is_cloned_only_by_an_administrator_who_says_so(stack: Stack) -> None:
    source = stack.source(labels={"org.mycodocker.protected": "true"})
    assert refusal(stack, source, confirmProtected=True)[:2] == (403, "PROTECTED")
    assert refusal(stack, source, by="administrator", dryRun=True)[:2] == (403, "PROTECTED")
    assert codes(clone(stack, source, by="administrator", confirmProtected=True)) == ["PROTECTED"]


@embedded
@pytest.mark.parametrize("by", ["stranger", "auditor"])
def test_who_may_not_clone_may_not_plan_either_and_nothing_runs(stack: Stack, by: str) -> None:
    source = stack.source()
    operations = len(stack.ask("facts")["operations"])
    for options in ({}, {"dryRun": True}, {"data": "all"}, {"host": "local"}):
        assert refusal(stack, source, by=by, **options)[:2] == (403, "PERMISSION_DENIED")
    assert len(stack.ask("facts")["operations"]) == operations


@embedded
def test_a_volume_that_an_override_names_and_nobody_has_is_made_and_taken_back_after_a_failure(stack: Stack) -> None:
    source = stack.source(network_mode="host", command=["/bin/nc", "-l", "-p", "18774"])
    source.start()
    other, volume = stack.source(ports={"80/tcp": ("0.0.0.0", 18774)}), word()
    overrides = {"mounts": [{"type": "volume", "source": volume, "target": "/new"}]}
    assert refusal(stack, other, start=True, overrides=overrides)[0] == 409
    assert volume not in [found.name for found in stack.docker.volumes.list()]
    body = clone(stack, other, overrides=overrides)
    assert [mount["Name"] for mount in inspect(stack, body["newId"])["Mounts"]] == [volume]
