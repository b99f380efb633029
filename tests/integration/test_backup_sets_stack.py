"""Backup sets through the whole product: what is in them, what they say of themselves, and what a failure leaves."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.integration.clone_bench import (
    Body,
    codes,
    full_source,
    inspect,
    logs_of,
    overheard,
    rest_of,
    volume_folder,
    word,
)
from tests.integration.stack import Stack, embedded
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
EVERYTHING = ["rootfs", "config", "volumes"]
SECRET = "the-secret-of-this-test"


def back_up(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> Body:
    """A backup that succeeds; the answer's body."""
    answer = stack.act("backup", source.id, by=by, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refusal(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> tuple[int, str, str]:
    answer = stack.act("backup", source.id, by=by, **options)
    return answer.status_code, answer.json()["code"], answer.json()["error"]


def record(stack: Stack, body: Body) -> Body:
    """The set as the API shows it."""
    return dict(stack.get(f"/api/backups/{body['backupId']}").json())


def manifest(body: Body) -> Body:
    """The one manifest in the set's folder."""
    (path,) = [found for found in Path(body["backupPath"]).parent.glob("*.manifest.json") if named_by(found, body)]
    return dict(json.loads(path.read_text()))


def named_by(path: Path, body: Body) -> bool:
    return bool(json.loads(path.read_text())["operationId"] == body["operationId"])


def part_file(body: Body, kind: str) -> Path:
    (part,) = [part for part in manifest(body)["parts"] if part["kind"] == kind]
    return Path(body["backupPath"]).with_name(part["path"])


def volumes_in(body: Body) -> list[str]:
    return [part["name"] for part in manifest(body)["parts"] if part["kind"] == "volume"]


def names_in(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return set(archive.getnames())


def test_a_whole_set_has_the_files_the_volumes_and_the_configuration(stack: Stack, tmp_path: Path) -> None:
    source = full_source(stack, environment={"TOKEN": SECRET})
    before = rest_of(inspect(stack, source.id))
    body = back_up(stack, source, contents=EVERYTHING, consistency="pause", note="before the update", pin=True)
    assert rest_of(inspect(stack, source.id)) == before
    row = record(stack, body)
    assert [part["kind"] for part in row["parts"]] == ["rootfs", "index", "volume", "index", "config", "secrets"]
    assert (row["state"], row["consistencyGrade"], row["note"], row["pinned"]) == (
        "complete",
        "paused",
        "before the update",
        True,
    )
    assert row["quietSeconds"] > 0
    assert row["storedBytes"] == sum(part["storedBytes"] for part in row["parts"])
    assert codes(body) == ["SECRETS_UNENCRYPTED"]
    assert "etc/motd" in names_in(Path(body["backupPath"]))
    subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=*", "--acls", "-xpf", part_file(body, "volume"), "-C", tmp_path],
        check=True,
    )
    assert snapshot(tmp_path) == snapshot(volume_folder(stack.engine, source.name))


@embedded
def test_the_environment_stands_in_a_part_of_its_own_and_nowhere_else(stack: Stack) -> None:
    source = stack.source(environment={"TOKEN": SECRET})
    with overheard(stack) as heard:
        body = back_up(stack, source, contents=["config"])
    assert SECRET in part_file(body, "secrets").read_text()
    assert SECRET not in part_file(body, "config").read_text()
    assert '"TOKEN"' in part_file(body, "config").read_text()
    assert SECRET not in stack.ask("everything") + logs_of(stack) + heard.decode(errors="replace")
    assert body["backupFile"] == part_file(body, "config").name


@embedded
def test_values_that_are_left_out_are_left_out_and_that_is_said(stack: Stack) -> None:
    source = stack.source(environment={"TOKEN": SECRET})
    body = back_up(stack, source, contents=["config"], secrets=False)
    assert codes(body) == ["SECRETS_LEFT_OUT"]
    assert [part["kind"] for part in manifest(body)["parts"]] == ["config"]
    assert all(SECRET.encode() not in path.read_bytes() for path in stack.files() if body["backupFile"] in path.name)


@embedded
def test_the_volumes_to_save_are_chosen_by_name_or_mount_point(stack: Stack) -> None:
    names = [word() for _ in range(3)]
    source = stack.source(volumes={name: {"bind": f"/data/{number}"} for number, name in enumerate(names)})
    body = back_up(stack, source, contents=["volumes"], volumes=[names[0], "/data/2"])
    assert volumes_in(body) == [names[0], names[2]]
    status, code, words = refusal(stack, source, contents=["volumes"], volumes=["another"])
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "another" in words


@embedded
def test_a_volume_that_two_mounts_share_is_saved_once(stack: Stack) -> None:
    name = word()
    mounts = [f"{name}:/one", f"{name}:/two:ro"]
    body = back_up(stack, stack.source(volumes=mounts), contents=["volumes"])
    assert volumes_in(body) == [name]


@embedded
def test_an_image_is_saved_once_for_all_sets_of_a_folder(stack: Stack) -> None:
    first = back_up(stack, stack.source(), contents=["image"], path="shared")
    second = back_up(stack, stack.source(), contents=["rootfs", "image"], path="shared")
    assert part_file(first, "image") == part_file(second, "image")
    with tarfile.open(part_file(first, "image")) as archive:
        described = archive.extractfile("manifest.json")
        assert described is not None
        assert json.load(io.TextIOWrapper(described))[0]["Layers"]


@embedded
def test_an_image_of_another_folder_or_with_other_bytes_is_not_referred_to(stack: Stack) -> None:
    source = stack.source()
    first = back_up(stack, source, contents=["image"], path="images-a")
    other = back_up(stack, source, contents=["image"], path="images-b")
    assert part_file(other, "image").parent.name == "images-b"
    with part_file(first, "image").open("r+b") as file:
        file.seek(700)
        original = file.read(1)
        file.seek(700)
        file.write(bytes([original[0] ^ 1]))
    again = back_up(stack, source, contents=["image"], path="images-a")
    assert part_file(again, "image") != part_file(first, "image")
    with part_file(first, "image").open("r+b") as file:
        file.seek(700)
        file.write(original)


@embedded
def test_a_volume_that_is_a_folder_of_the_host_needs_what_a_bind_needs(stack: Stack) -> None:
    name, folder = word(), stack.directory / "behind-a-volume"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    options = {"type": "none", "o": "bind", "device": str(folder)}
    stack.docker.volumes.create(name, driver_opts=options)
    body = back_up(stack, stack.source(volumes={name: {"bind": "/data"}}), contents=["config", "volumes"])
    assert "BIND_LEFT_OUT" in codes(body)
    assert "volume" not in {part["kind"] for part in manifest(body)["parts"]}


@embedded
def test_folders_of_the_host_need_a_permission_and_an_allowed_root(stack: Stack) -> None:
    (stack.directory / "bound").mkdir(exist_ok=True)
    source = stack.source(volumes={str(stack.directory / "bound"): {"bind": "/bound"}})
    assert refusal(stack, source, contents=["binds"])[:2] == (403, "PERMISSION_DENIED")
    body = back_up(stack, source, by="administrator", contents=["config", "binds"])
    assert "BIND_LEFT_OUT" in codes(body)
    assert stack.ask("operation", body["operationId"])["state"] == "partial"


@embedded
def test_a_volume_that_has_become_empty_is_a_partial_backup(stack: Stack) -> None:
    source = full_source(stack)
    back_up(stack, source, contents=["volumes"])
    subprocess.run(["find", volume_folder(stack.engine, source.name), "-mindepth", "1", "-delete"], check=True)
    body = back_up(stack, source, contents=["volumes"])
    assert codes(body) == ["CONTENT_EMPTY"]
    assert record(stack, body)["state"] == "partial"


@embedded
@pytest.mark.parametrize("consistency", ["pause", "stop"])
def test_a_source_that_is_kept_quiet_runs_again_afterwards(stack: Stack, consistency: str) -> None:
    source = full_source(stack)
    body = back_up(stack, source, contents=EVERYTHING, consistency=consistency)
    state = inspect(stack, source.id)["State"]
    assert (state["Running"], state["Paused"]) == (True, False)
    assert body["consistencyGrade"] == {"pause": "paused", "stop": "stopped"}[consistency]


@embedded
def test_a_name_in_use_is_refused_before_the_source_is_touched(stack: Stack) -> None:
    source = stack.source()
    source.start()
    back_up(stack, source, name="taken.tar", path="names")
    started = inspect(stack, source.id)["State"]["StartedAt"]
    for contents in (["rootfs"], ["config"]):
        status, code, _ = refusal(stack, source, name="taken.tar", path="names", contents=contents, consistency="stop")
        assert (status, code) == (409, "NAME_TAKEN")
    assert inspect(stack, source.id)["State"]["StartedAt"] == started


@embedded
def test_a_stranger_gets_no_set(stack: Stack) -> None:
    source = stack.source()
    assert refusal(stack, source, by="stranger", contents=EVERYTHING)[:2] == (403, "PERMISSION_DENIED")


@embedded
def test_hooks_run_around_the_reading_and_a_failing_one_before_ends_it(stack: Stack) -> None:
    source = stack.source()
    source.start()
    hooks = {"before": f"echo {SECRET} > /before", "after": ["cp", "/before", "/after"]}
    assert refusal(stack, source, hooks=hooks)[:2] == (403, "PERMISSION_DENIED")
    body = back_up(stack, source, by="administrator", hooks=hooks, consistency="pause")
    names = names_in(Path(body["backupPath"]))
    assert "before" in names
    assert "after" not in names
    assert source.exec_run(["cat", "/after"]).output.decode().strip() == SECRET
    files = stack.files()
    status, code, words = refusal(stack, source, by="administrator", hooks={"before": "exit 3", "after": "rm /after"})
    assert (status, code) == (500, "BACKUP_FAILED")
    assert "exit code 3" in words
    assert source.exec_run(["cat", "/after"]).exit_code != 0
    assert stack.files() == files
    assert SECRET not in stack.ask("everything") + logs_of(stack)


@embedded
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_every_form_is_read_back_by_public_means(stack: Stack, tmp_path: Path, codec: str, encrypted: bool) -> None:
    source = full_source(stack)
    identity = pyrage.x25519.Identity.generate()
    encryption = {"recipients": [str(identity.to_public())]} if encrypted else None
    body = back_up(stack, source, contents=EVERYTHING, consistency="pause", compression=codec, encryption=encryption)
    ending = {"none": "", "gzip": ".gz", "zstd": ".zst"}[codec] + (".age" if encrypted else "")
    assert body["backupFile"].endswith(f".tar{ending}")
    assert part_file(body, "volume").name.endswith(f".tar{ending}")
    (tmp_path / "key").write_text(str(identity))
    (tmp_path / "tree").mkdir()
    steps = [["age", "-d", "-i", str(tmp_path / "key")]] if encrypted else []
    steps += {"none": [], "gzip": [["gzip", "-d"]], "zstd": [["zstd", "-d"]]}[codec]
    unpack = ["tar", "--xattrs", "--xattrs-include=*", "--acls", "-xpf", "-", "-C", str(tmp_path / "tree")]
    pipe = " | ".join(shlex.join(step) for step in (*steps, unpack))
    subprocess.run(["sh", "-ec", pipe], check=True, stdin=part_file(body, "volume").open("rb"))
    assert snapshot(tmp_path / "tree") == snapshot(volume_folder(stack.engine, source.name))
    assert codes(body) == ([] if encrypted else ["SECRETS_UNENCRYPTED"])
