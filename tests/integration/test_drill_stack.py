"""Drills through the whole product: what comes up is proven, it reaches nothing meanwhile, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.clone_bench import codes, explained, full_source, logs_of, overheard, word
from tests.integration.drill_bench import (
    ask,
    assert_nothing_is_left,
    booted,
    drill,
    health,
    proven_at,
    refusal,
)
from tests.integration.restore_bench import EVERYTHING, back_up, everything_on, flipped, own_image
from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [embedded]
PASSPHRASE = "correct horse battery staple"
SECRET = "the-secret-of-this-test"
MEBIBYTE = 1024**2


def saved(stack: Stack, **options: Any) -> dict[str, Any]:
    """A backup of a running container with a volume; the container stays."""
    return back_up(stack, full_source(stack, **options), contents=EVERYTHING, consistency="pause")


def answers(container: Any, address: str) -> bool:
    """Whether something at the address or name answers a ping of the container."""
    return bool(container.exec_run(["ping", "-c", "1", "-W", "1", address]).exit_code == 0)


def test_a_backup_that_comes_up_is_proven_and_the_evidence_says_how(stack: Stack) -> None:
    check = "test -d /data && grep -q new /etc/motd && test ! -e /bin/zcat"
    backup = saved(stack, healthcheck=health(check), environment={"TOKEN": SECRET}, ports={"80/tcp": 18080})
    before = everything_on(stack)
    assert proven_at(stack, backup) is None
    with overheard(stack) as heard:
        body = drill(stack, backup, waitHealthySeconds=60)
    assert (body["action"], body["passed"], body["proven"]) == ("drill", True, True)
    proof = body["proof"]
    assert [entry["verdict"] for entry in proof["health"]] == ["healthy"]
    assert [(tree["kind"], tree["equal"]) for tree in proof["content"]] == [("rootfs", True), ("volume", True)]
    assert [field for field, reason in explained(body).items() if reason is None] == []
    assert "HostConfig.PortBindings" in explained(body)
    assert 0 < sum(step["seconds"] for step in proof["steps"]) <= body["rtoSeconds"] == proof["rtoSeconds"]
    assert body["rpoSeconds"] == proof["rpoSeconds"] > 0
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded"
    assert proven_at(stack, backup) is not None
    assert_nothing_is_left(stack, body["operationId"], before)
    assert SECRET not in repr(body) + logs_of(stack) + heard.decode(errors="replace")


def test_a_container_of_a_drill_has_limits_and_reaches_nobody(stack: Stack) -> None:
    name = word()
    stack.docker.networks.create(name)
    source = full_source(stack, ports={"80/tcp": 18081}, network=name, labels={"traefik.enable": "true"})
    backup = back_up(stack, source, contents=EVERYTHING, consistency="pause")
    source.reload()
    own = source.attrs["NetworkSettings"]["Networks"][name]
    host_address = stack.docker.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    assert all(answers(source, address) for address in (host_address, own["Gateway"], own["IPAddress"]))
    before = everything_on(stack)
    with booted(stack, backup, memoryBytes=64 * MEBIBYTE) as (operation, container):
        found = container.attrs
        host, networks = found["HostConfig"], found["NetworkSettings"]["Networks"]
        assert list(networks) == [f"drill-{operation[-8:]}"]
        network = stack.docker.networks.get(next(iter(networks)))
        assert network.attrs["Internal"] is True
        assert source.name in networks[network.name]["Aliases"]
        published = (host["PortBindings"] or {}, host["PublishAllPorts"], found["NetworkSettings"]["Ports"])
        assert published == ({}, False, {})
        assert host["RestartPolicy"]["Name"] in ("", "no")
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 * MEBIBYTE, 10**9, 512)
        assert host["LogConfig"]["Type"] == "local"
        assert "traefik.enable" not in found["Config"]["Labels"]
        assert [mount["Type"] for mount in found["Mounts"]] == ["volume"]
        assert all(mount["Name"].startswith("drill-") for mount in found["Mounts"])
        around = (host_address, own["Gateway"], own["IPAddress"], networks[network.name]["Gateway"])
        assert [address for address in around if answers(container, address)] == []
        assert answers(container, source.name)
        assert container.exec_run(["nslookup", "example.com"]).exit_code != 0
    ended = stack.finished(operation)
    assert ended["state"] == "succeeded"
    stack.docker.containers.get(source.id).remove(force=True)
    assert_nothing_is_left(stack, operation, before - {str(source.id)})
    stack.docker.networks.get(name).remove()


def test_a_command_of_one_s_own_must_end_well_and_is_kept_nowhere(stack: Stack) -> None:
    backup = saved(stack)
    command = ["sh", "-c", f"test -d /data # {SECRET}"]
    assert refusal(stack, backup, command=command)[:2] == (403, "PERMISSION_DENIED")
    with overheard(stack) as heard:
        body = drill(stack, backup, command=command, by="administrator", waitHealthySeconds=3)
        failed = ask(stack, backup, command=f"exit 3 # {SECRET}", by="administrator", waitHealthySeconds=1)
    assert "the command ended with exit code 0" in [entry["verdict"] for entry in body["proof"]["health"]]
    assert (failed.status_code, failed.json()["code"]) == (500, "DRILL_FAILED")
    assert "exit code 3" in failed.json()["error"]
    assert SECRET not in stack.ask("everything") + logs_of(stack) + heard.decode(errors="replace")


def test_what_does_not_become_healthy_fails_is_not_proven_and_leaves_nothing(stack: Stack) -> None:
    backup = saved(stack, healthcheck=health(f"echo {SECRET}; exit 1"))
    before = everything_on(stack)
    status, code, words = refusal(stack, backup)
    assert (status, code) == (500, "DRILL_FAILED")
    assert "unhealthy" in words
    assert "restore the backup under another name" in words
    (row,) = stack.get("/api/operations?kind=drill&state=failed&limit=1").json()["results"]
    assert (row["proof"]["passed"], row["proof"]["rtoSeconds"]) == (False, None)
    assert [entry["verdict"] for entry in row["proof"]["health"]] == ["UNHEALTHY"]
    assert SECRET not in repr(row)
    assert proven_at(stack, backup) is None
    assert_nothing_is_left(stack, row["id"], before)


@pytest.mark.parametrize(
    ("options", "power"),
    [
        ({"privileged": True}, "It is privileged"),
        ({"cap_add": ["NET_ADMIN"]}, "NET_ADMIN"),
        ({"network_mode": "host"}, "network namespace"),
        ({"pid_mode": "host"}, "process namespace"),
        ({"devices": ["/dev/null:/dev/other:r"]}, "/dev/null"),
    ],
)
def test_power_over_the_host_is_refused_by_its_name_and_to_everybody(
    stack: Stack, options: dict[str, Any], power: str
) -> None:
    backup = back_up(stack, stack.source(**options), contents=["config"])
    before = everything_on(stack)
    for by in ("operator", "administrator"):
        status, code, words = refusal(stack, backup, by=by)
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert power in words
    assert proven_at(stack, backup) is None
    assert everything_on(stack) == before


@pytest.mark.parametrize("kind", ["rootfs", "volume", "config"])
def test_a_flipped_byte_is_refused_and_proves_nothing(stack: Stack, kind: str) -> None:
    backup = saved(stack)
    base = Path(backup["backupPath"])
    path = base if kind == "rootfs" else next(base.parent.glob(f"{base.name}.{kind}*"))
    before = everything_on(stack)
    with flipped(path):
        assert refusal(stack, backup)[:2] == (409, "BACKUP_UNUSABLE")
    assert proven_at(stack, backup) is None
    assert everything_on(stack) == before


def test_a_folder_of_the_host_is_never_mounted_and_what_is_missing_is_not_proven(stack: Stack) -> None:
    folder = stack.directory / "folder"
    folder.mkdir()
    source = stack.source(volumes={str(folder): {"bind": "/folder", "mode": "rw"}})
    source.start()
    backup = back_up(stack, source, contents=EVERYTHING, consistency="pause")
    with booted(stack, backup, waitHealthySeconds=3) as (operation, container):
        assert {mount["Type"] for mount in container.attrs["Mounts"]} <= {"volume"}
        assert str(folder) not in repr(container.attrs)
    assert stack.finished(operation)["warnings"] == ["BIND_LEFT_OUT"]
    assert stack.finished(operation)["state"] == "partial"
    assert proven_at(stack, backup) is None


def test_an_image_that_was_loaded_for_a_drill_is_gone_afterwards(stack: Stack) -> None:
    name = own_image(stack)
    source = stack.docker.containers.create(name, ["/bin/idle"], name=word())
    backup = back_up(stack, source, contents=["config", "image"])
    source.remove()
    stack.docker.images.remove(name)
    before = everything_on(stack)
    body = drill(stack, backup, waitHealthySeconds=2)
    assert (body["plan"]["image"]["from"], body["proven"]) == ("set", True)
    assert_nothing_is_left(stack, body["operationId"], before)


def test_an_encrypted_backup_is_drilled_with_its_passphrase_alone(stack: Stack) -> None:
    encryption = {"passphrase": PASSPHRASE}
    backup = back_up(stack, full_source(stack), contents=EVERYTHING, consistency="pause", encryption=encryption)
    assert refusal(stack, backup)[:2] == (409, "KEY_MISSING")
    assert refusal(stack, backup, passphrase="another one altogether")[:2] == (409, "WRONG_KEY")
    with overheard(stack) as heard:
        assert drill(stack, backup, passphrase=PASSPHRASE, waitHealthySeconds=2)["proven"]
    assert PASSPHRASE not in stack.ask("everything") + logs_of(stack) + heard.decode(errors="replace")


def test_a_volume_that_the_backup_has_not_is_not_proven(stack: Stack) -> None:
    backup = back_up(stack, full_source(stack), contents=["config"])
    body = drill(stack, backup, waitHealthySeconds=2)
    assert (body["passed"], body["proven"]) == (True, False)
    assert set(codes(body)) == {"ROOTFS_FROM_IMAGE", "VOLUME_WITHOUT_CONTENT"}
    assert proven_at(stack, backup) is None


def test_who_may_not_drill_learns_nothing(stack: Stack) -> None:
    backup = back_up(stack, stack.source(), contents=["config"])
    assert refusal(stack, backup, by="stranger")[:2] == (403, "PERMISSION_DENIED")
    assert refusal(stack, backup, by="auditor")[:2] == (403, "PERMISSION_DENIED")
    assert refusal(stack, backup["operationId"])[:2] == (404, "NOT_FOUND")
