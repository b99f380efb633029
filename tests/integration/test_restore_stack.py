"""Restores through the whole product: what is lost comes back as it was, and what cannot leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.clone_bench import (
    codes,
    explained,
    full_source,
    inspect,
    logs_of,
    named,
    overheard,
    volume_folder,
    word,
)
from tests.integration.restore_bench import (
    EVERYTHING,
    Lost,
    ask,
    back_up,
    everything_on,
    files_of,
    flipped,
    own_image,
    refusal,
    restore,
)
from tests.integration.stack import Stack, embedded
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
SECRET = "the-secret-of-this-test"
PASSPHRASE = "correct horse battery staple"


def test_a_lost_container_comes_back_with_its_files_its_volume_and_its_configuration(stack: Stack) -> None:
    lost = Lost(stack, environment={"TOKEN": SECRET}, labels={"own": "label"}, mem_limit="64m", hostname="its-own")
    body = restore(stack, lost.backup)
    found = inspect(stack, body["newId"])
    assert (body["newName"], found["State"]["Status"]) == (lost.name, "created")
    assert snapshot(volume_folder(stack.engine, lost.name)) == lost.volume
    assert stack.docker.volumes.get(lost.name).attrs["Labels"]["keep"] == "this"
    assert files_of(stack.docker.api.export(body["newId"])) == files_of(Path(lost.backup["backupPath"]))
    assert f"TOKEN={SECRET}" in found["Config"]["Env"]
    assert {field: reason for field, reason in explained(body).items() if reason is None} == {}
    assert [(tree["kind"], tree["equal"]) for tree in body["proof"]["content"]] == [("rootfs", True), ("volume", True)]
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded"
    stack.docker.containers.get(body["newId"]).start()
    assert stack.docker.containers.get(body["newId"]).exec_run(["cat", "/etc/motd"]).output == b"new\n"


@embedded
def test_without_a_file_system_in_the_backup_it_is_the_image_s(stack: Stack) -> None:
    lost = Lost(stack, contents=["config", "volumes"])
    body = restore(stack, lost.backup, start=True)
    assert inspect(stack, body["newId"])["Image"] == lost.inspect["Image"]
    assert (codes(body), explained(body)) == (["ROOTFS_FROM_IMAGE"], {})
    assert snapshot(volume_folder(stack.engine, lost.name)) == lost.volume
    assert inspect(stack, body["newId"])["State"]["Running"]
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded"


@embedded
def test_an_image_that_is_gone_is_loaded_from_the_backup_and_gets_its_name_again(stack: Stack) -> None:
    name = own_image(stack)
    source = stack.docker.containers.create(name, name=word())
    before = inspect(stack, str(source.id))
    backup = back_up(stack, source, contents=["config", "image"])
    source.remove()
    stack.docker.images.remove(name)
    plan = restore(stack, backup, dryRun=True)["plan"]
    assert plan["image"] == {"from": "set", "reference": None}
    body = restore(stack, backup)
    found = inspect(stack, body["newId"])
    assert (found["Image"], found["Config"]["Image"]) == (before["Image"], name)
    assert explained(body) == {}


@embedded
def test_an_image_that_nobody_has_is_named_and_nothing_is_made(stack: Stack) -> None:
    name = own_image(stack)
    source = stack.docker.containers.create(name, name=word())
    image_id = inspect(stack, str(source.id))["Image"]
    backup = back_up(stack, source, contents=["config"])
    source.remove()
    stack.docker.images.remove(name)
    before = everything_on(stack)
    status, code, words = refusal(stack, backup)
    assert (status, code) == (500, "RESTORE_FAILED")
    assert image_id in words
    assert everything_on(stack) == before


@embedded
def test_a_network_that_is_gone_is_made_again_as_it_was(stack: Stack) -> None:
    name, api = word(), stack.docker.api
    pool = {"Subnet": "10.211.0.0/24", "IPRange": "10.211.0.128/25", "Gateway": "10.211.0.7"}
    ipam: Any = {"Config": [pool]}
    api.create_network(name, ipam=ipam, labels={"team": "one"}, internal=True)
    before = api.inspect_network(name)
    endpoints: Any = {name: api.create_endpoint_config(ipv4_address="10.211.0.50", aliases=["other"])}
    wanted = api.create_networking_config(endpoints)
    host = api.create_host_config(network_mode=name)
    made = api.create_container(SAMPLE_IMAGE, name=word(), networking_config=wanted, host_config=host)
    backup = back_up(stack, stack.docker.containers.get(made["Id"]), contents=["config"])
    api.remove_container(made["Id"])
    api.remove_network(name)
    body = restore(stack, backup, start=True)
    found = api.inspect_network(name)
    assert {key: found[key] for key in ("Driver", "IPAM", "Internal", "Options")} == {
        key: before[key] for key in ("Driver", "IPAM", "Internal", "Options")
    }
    assert found["Labels"]["team"] == "one"
    assert inspect(stack, body["newId"])["NetworkSettings"]["Networks"][name]["IPAddress"] == "10.211.0.50"
    assert [entry for entry in explained(body).values() if entry is None] == []
    api.remove_container(body["newId"], force=True)
    api.remove_network(name)


@embedded
@pytest.mark.parametrize("kind", ["rootfs", "volume", "index", "config", "secrets", "manifest"])
def test_a_flipped_byte_anywhere_is_refused_and_nothing_is_left(stack: Stack, kind: str) -> None:
    lost = Lost(stack, environment={"TOKEN": SECRET})
    before = everything_on(stack)
    with flipped(lost.part_file(kind)):
        status, code, words = refusal(stack, lost.backup)
        assert (status, code) == (409, "BACKUP_UNUSABLE"), words
    assert everything_on(stack) == before
    assert restore(stack, lost.backup)["newName"] == lost.name


@embedded
def test_a_file_that_is_missing_is_named(stack: Stack) -> None:
    lost = Lost(stack)
    path = lost.part_file("volume")
    moved = path.rename(path.with_name(f"{path.name}.away"))
    try:
        status, code, words = refusal(stack, lost.backup)
    finally:
        moved.rename(path)
    assert (status, code) == (409, "BACKUP_UNUSABLE")
    # The reconciler may have looked in between: then the whole backup is known to be missing.
    assert path.name in words or "this backup is missing" in words


@embedded
def test_a_stranger_an_auditor_and_a_wrong_id_restore_nothing(stack: Stack) -> None:
    backup = back_up(stack, stack.source(), contents=["config"])
    assert refusal(stack, backup, by="stranger")[:2] == (403, "PERMISSION_DENIED")
    assert refusal(stack, backup, by="auditor")[:2] == (403, "PERMISSION_DENIED")
    wrong = {"backupId": backup["operationId"]}
    assert refusal(stack, wrong)[:2] == (404, "NOT_FOUND")


@embedded
def test_a_name_in_use_is_refused_and_a_free_one_is_proposed(stack: Stack) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=EVERYTHING)
    status, code, _ = refusal(stack, backup)
    assert (status, code) == (409, "NAME_TAKEN")
    (collision,) = restore(stack, backup, dryRun=True)["plan"]["collisions"]
    body = restore(stack, backup, **collision["resolution"])
    assert body["newName"] == f"{source.name}-2"


@embedded
def test_a_volume_that_is_there_stays_as_it_is(stack: Stack) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=["config", "volumes"])
    stack.docker.api.remove_container(source.id, force=True)
    folder = volume_folder(stack.engine, source.name)
    (folder / "new").write_text("made after the backup")
    before = snapshot(folder)
    body = restore(stack, backup)
    assert "VOLUME_RENAMED" in codes(body)
    assert snapshot(folder) == before
    (mount,) = inspect(stack, body["newId"])["Mounts"]
    assert mount["Name"] == f"{source.name}_2"
    del before[b"new"]
    restored = snapshot(volume_folder(stack.engine, mount["Name"]))
    assert restored.keys() == before.keys()


@embedded
def test_volumes_without_a_name_are_filled_too(stack: Stack) -> None:
    source = stack.source(volumes=["/anonymous"], command=["sh", "-c", "echo content > /anonymous/file; sleep 99"])
    source.start()
    backup = back_up(stack, source, contents=["config", "volumes"])
    source.remove(force=True, v=True)
    body = restore(stack, backup)
    (mount,) = inspect(stack, body["newId"])["Mounts"]
    assert (volume_folder(stack.engine, mount["Name"]) / "file").read_text() == "content\n"
    assert [tree["equal"] for tree in body["proof"]["content"]] == [True]


@embedded
def test_values_that_the_backup_has_not_are_named_and_may_be_given(stack: Stack) -> None:
    source = stack.source(environment={"TOKEN": SECRET, "OTHER": "x"})
    backup = back_up(stack, source, contents=["config"], secrets=False)
    body = restore(stack, backup, name=word())
    (warning,) = [entry for entry in body["warnings"] if entry["code"] == "SECRETS_MISSING"]
    assert "TOKEN" in warning["message"]
    assert stack.ask("operation", body["operationId"])["state"] == "partial"
    given = {"env": {"set": {"TOKEN": SECRET, "OTHER": "y", "PATH": "/bin"}}}
    with overheard(stack) as heard:
        body = restore(stack, backup, name=word(), overrides=given)
    assert f"TOKEN={SECRET}" in inspect(stack, body["newId"])["Config"]["Env"]
    assert "SECRETS_MISSING" not in codes(body)
    assert SECRET not in stack.ask("everything") + logs_of(stack) + heard.decode(errors="replace")


@embedded
def test_power_over_the_host_needs_a_permission_and_a_word(stack: Stack) -> None:
    source = stack.source(privileged=True)
    backup = back_up(stack, source, contents=["config"])
    assert refusal(stack, backup, name=word())[:2] == (403, "PERMISSION_DENIED")
    assert refusal(stack, backup, name=word(), by="administrator")[:2] == (403, "PERMISSION_DENIED")
    body = restore(stack, backup, name=word(), by="administrator", confirmPrivileged=True)
    assert "HOST_POWER" in codes(body)


@embedded
def test_a_plan_binds_and_makes_nothing(stack: Stack) -> None:
    lost = Lost(stack)
    before = everything_on(stack)
    plan = restore(stack, lost.backup, dryRun=True)["plan"]
    assert everything_on(stack) == before
    assert [part["kind"] for part in plan["parts"]] == ["rootfs", "volume"]
    assert plan["volumes"][0]["target"] == lost.name
    assert refusal(stack, lost.backup, planHash="0" * 64)[:2] == (409, "PLAN_CHANGED")
    assert refusal(stack, lost.backup, planHash=plan["hash"], start=True)[:2] == (409, "PLAN_CHANGED")
    assert restore(stack, lost.backup, planHash=plan["hash"])["newName"] == lost.name


@embedded
def test_parts_that_are_not_chosen_are_not_restored(stack: Stack) -> None:
    lost = Lost(stack)
    body = restore(stack, lost.backup, parts=["rootfs"])
    assert "VOLUME_WITHOUT_CONTENT" in codes(body)
    assert list(volume_folder(stack.engine, lost.name).iterdir()) == []
    assert refusal(stack, lost.backup, parts=["another"], name=word())[:2] == (400, "INVALID_REQUEST")
    assert ask(stack, lost.backup, mode="other").status_code == 400


@embedded
def test_only_a_backup_with_its_configuration_makes_a_container(stack: Stack) -> None:
    backup = back_up(stack, stack.source(), contents=["rootfs"])
    status, code, words = refusal(stack, backup)
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "configuration" in words
    assert not named(stack, "nothing")


@embedded
def test_one_volume_comes_back_under_a_new_name_and_never_over_another(stack: Stack) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=EVERYTHING, consistency="pause")
    before = snapshot(volume_folder(stack.engine, source.name))
    name = word()
    body = restore(stack, backup, mode="volume", volume="/data", name=name)
    assert (body["newId"], body["newName"], body["mode"]) == (None, name, "volume")
    assert snapshot(volume_folder(stack.engine, name)) == before
    assert stack.docker.volumes.get(name).attrs["Labels"]["keep"] == "this"
    assert [tree["equal"] for tree in body["proof"]["content"]] == [True]
    assert refusal(stack, backup, mode="volume", volume=source.name)[:2] == (409, "NAME_TAKEN")
    plan = restore(stack, backup, mode="volume", volume=source.name, dryRun=True)["plan"]
    assert plan["collisions"][0]["resolution"] == {"name": f"{source.name}-2"}
    assert refusal(stack, backup, mode="volume", volume="another", name=word())[:2] == (400, "INVALID_REQUEST")
    assert refusal(stack, backup, mode="volume", name=word())[:2] == (400, "INVALID_REQUEST")


@embedded
def test_a_volume_comes_back_from_a_backup_without_configuration(stack: Stack) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=["volumes"], consistency="pause")
    name = word()
    body = restore(stack, backup, mode="volume", volume=source.name, name=name)
    assert [tree["equal"] for tree in body["proof"]["content"]] == [True]
    with flipped(Path(backup["backupPath"])):
        before = everything_on(stack)
        again = refusal(stack, backup, mode="volume", volume=source.name, name=word())
        assert again[:2] == (409, "BACKUP_UNUSABLE")
        assert everything_on(stack) == before


@embedded
def test_an_encrypted_backup_comes_back_with_its_passphrase_alone(stack: Stack) -> None:
    encoding = {"compression": "zstd", "encryption": {"passphrase": PASSPHRASE}}
    lost = Lost(stack, environment={"TOKEN": SECRET}, encoding=encoding)
    before = everything_on(stack)
    assert refusal(stack, lost.backup)[:2] == (409, "KEY_MISSING")
    assert refusal(stack, lost.backup, passphrase="another one altogether")[:2] == (409, "WRONG_KEY")
    with flipped(lost.part_file("config")):
        assert refusal(stack, lost.backup, passphrase=PASSPHRASE)[:2] == (409, "BACKUP_UNUSABLE")
    assert everything_on(stack) == before
    with overheard(stack) as heard:
        body = restore(stack, lost.backup, passphrase=PASSPHRASE)
    assert snapshot(volume_folder(stack.engine, lost.name)) == lost.volume
    assert [tree["equal"] for tree in body["proof"]["content"]] == [True, True]
    assert PASSPHRASE not in stack.ask("everything") + logs_of(stack) + heard.decode(errors="replace")
