"""Single files and folders of a backup, put into a container that is there; or everything is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.protection import PROTECTED_LABEL
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.clone_bench import Body, full_source, inspect, rest_of, volume_folder, word
from tests.integration.restore_bench import EVERYTHING, back_up, begin, left_of, refusal, restore
from tests.integration.stack import Stack, embedded
from tests.integration.test_clone_faults_stack import cancel, kill_child
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = embedded
REACHED_SECONDS = 30.0
PASSPHRASE = "correct horse battery staple"
CONFIGURE = (
    "mkdir -p /etc/app/conf.d; echo old > /etc/app/main.conf; echo one > /etc/app/conf.d/one; echo a > /data/state"
)
BREAK = "echo broken > /etc/app/main.conf; rm -r /etc/app/conf.d; echo own > /etc/app/own; echo b > /data/state"


class Broken:
    """A container whose files have changed since its backup."""

    def __init__(self, stack: Stack, *, encoding: Body | None = None, run: str = BREAK, **options: Any) -> None:
        self.stack, self.source = stack, full_source(stack, **options)
        self.name, self.id = str(self.source.name), str(self.source.id)
        self.run(CONFIGURE)
        self.backup = back_up(stack, self.source, contents=EVERYTHING, consistency="pause", **(encoding or {}))
        self.run(run)
        self.volume = volume_folder(stack.engine, self.name)
        self.before = rest_of(inspect(stack, self.id))

    def run(self, command: str) -> str:
        done = self.source.exec_run(["sh", "-c", command])
        assert done.exit_code == 0, done.output
        return str(done.output.decode())

    def wish(self, *paths: str, **more: Any) -> Body:
        return {"mode": "path", "paths": list(paths), **{"confirm": self.name, **more}}

    def files(self) -> list[str]:
        """All of its file system but for what the kernel and the Engine change."""
        listing = "find / -xdev -not -path '/proc*' -not -path '/sys*' -not -path '/dev*'"
        found = self.run(f"{listing} -exec ls -ldn --full-time {{}} + 2>/dev/null || {listing} -exec ls -ldn {{}} +")
        return sorted(found.splitlines())

    def state(self) -> tuple[Any, ...]:
        return self.files(), self.run("cat /etc/app/*"), snapshot(self.volume)


def assert_as_it_was(broken: Broken, operation: str, before: tuple[Any, ...]) -> None:
    stack = broken.stack
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert left_of(stack, operation) == []
    assert broken.state() == before
    assert rest_of(inspect(stack, broken.id)) == broken.before


def test_a_file_of_a_running_container_is_put_back_and_what_it_replaced_is_kept(stack: Stack) -> None:
    broken = Broken(stack)
    plan = restore(stack, broken.backup, **broken.wish("/etc/app/main.conf"), dryRun=True)["plan"]
    assert plan["changes"] == [{"path": "/etc/app/main.conf", "change": "overwritten"}]
    assert plan["entries"] == {"new": 0, "overwritten": 1, "unchanged": 0, "blocked": 0, "bytes": 4}
    assert broken.run("cat /etc/app/main.conf") == "broken\n"
    body = restore(stack, broken.backup, **broken.wish("/etc/app/main.conf"), planHash=plan["hash"])
    assert broken.run("cat /etc/app/main.conf /etc/app/own") == "old\nown\n"
    assert (body["containerId"], body["entries"]) == (broken.id, {"new": 0, "overwritten": 1, "unchanged": 0})
    stack.wait(lambda: stack.ask("operation", body["operationId"])["undo"] == [], what="the end of the clearing")
    (kept,) = body["keptIn"]
    assert broken.run(f"cat {kept}/etc/app/main.conf; ls {kept}/..") == "broken\nold\n"
    assert rest_of(inspect(stack, broken.id)) == broken.before
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded"
    again = restore(stack, broken.backup, **broken.wish("/etc/app/main.conf"))
    assert (again["entries"], again["keptIn"]) == ({"new": 0, "overwritten": 0, "unchanged": 1}, [])


def test_folders_and_volumes_come_together_and_what_the_backup_lacks_stays(stack: Stack) -> None:
    broken = Broken(stack)
    body = restore(stack, broken.backup, **broken.wish("/etc/app", "/data"))
    assert broken.run("cat /etc/app/main.conf /etc/app/conf.d/one /etc/app/own /data/state") == "old\none\nown\na\n"
    own = f".before-{body['operationId'][-8:]}/old"
    assert sorted(body["keptIn"]) == [f"/{own}", f"/data/{own}"]
    assert [proof["equal"] for proof in body["proof"]["content"]] == [True, True]


def test_what_the_engine_has_mounted_in_a_folder_stays_mounted(stack: Stack) -> None:
    broken = Broken(stack)
    mounted = broken.run("cat /etc/hosts /etc/resolv.conf /proc/self/mountinfo | sort")
    body = restore(stack, broken.backup, **broken.wish("/etc", "/data"))
    assert body["entries"]["overwritten"] >= 2
    assert broken.run("cat /etc/hosts /etc/resolv.conf /proc/self/mountinfo | sort") == mounted
    assert broken.run("cat /etc/app/main.conf") == "old\n"


def test_a_container_that_does_not_run_gets_its_files_too(stack: Stack) -> None:
    broken = Broken(stack)
    broken.source.stop(timeout=0)
    restore(stack, broken.backup, **broken.wish("/etc/app"))
    assert inspect(stack, broken.id)["State"]["Status"] == "exited"
    broken.source.start()
    assert broken.run("cat /etc/app/main.conf /etc/app/conf.d/one") == "old\none\n"


@pytest.mark.parametrize(
    ("encoding", "key"),
    [
        ({"compression": "zstd"}, {}),
        ({"encryption": {"passphrase": PASSPHRASE}}, {"passphrase": PASSPHRASE}),
    ],
    ids=["compressed", "encrypted"],
)
def test_a_compressed_or_encrypted_backup_gives_its_files(stack: Stack, encoding: Body, key: Body) -> None:
    broken = Broken(stack, encoding=encoding)
    restore(stack, broken.backup, **broken.wish("/etc/app/main.conf", "/data/state"), **key)
    assert broken.run("cat /etc/app/main.conf /data/state") == "old\na\n"


@pytest.mark.parametrize("folder", ["one", "two"])
def test_each_name_of_a_file_comes_back_though_the_other_one_is_elsewhere(stack: Stack, folder: str) -> None:
    broken = Broken(stack)
    broken.run("mkdir /data/one /data/two; echo linked > /data/one/name; ln /data/one/name /data/two/name")
    moment = (broken.volume / "one/name").stat().st_mtime_ns
    backup = back_up(stack, broken.source, contents=EVERYTHING, consistency="pause")
    broken.run("rm /data/one/name /data/two/name")
    restore(stack, backup, **broken.wish(f"/data/{folder}/name"))
    assert broken.run(f"cat /data/{folder}/name") == "linked\n"
    assert (broken.volume / folder / "name").stat().st_mtime_ns == moment


def test_a_backup_without_digests_gives_files_that_are_proved_all_the_same(stack: Stack) -> None:
    broken = Broken(stack)
    broken.run("echo old > /etc/app/main.conf; truncate -s 1000000 /etc/app/sparse; echo x >> /etc/app/sparse")
    before = broken.run("sha256sum /etc/app/*")
    backup = back_up(stack, broken.source, consistency="pause")
    broken.run("rm /etc/app/*")
    body = restore(stack, backup, **broken.wish("/etc/app"))
    assert broken.run("sha256sum /etc/app/*") == before
    (proof,) = body["proof"]["content"]
    assert (proof["equal"], proof["entries"]) == (True, 4)
    assert "SHA-256 of every entry" in proof["method"]


def test_a_volume_that_a_protected_container_uses_too_is_as_protected(stack: Stack) -> None:
    broken = Broken(stack)
    before = broken.state()
    volumes = {broken.name: {"bind": "/elsewhere", "mode": "ro"}}
    stack.docker.containers.create(SAMPLE_IMAGE, name=word(), labels={PROTECTED_LABEL: "true"}, volumes=volumes)
    status, code, words = refusal(stack, broken.backup, **broken.wish("/data/state"))
    assert (status, code) == (403, "PROTECTED")
    assert f"a container that uses the volume {broken.name} too is protected" in words
    assert broken.state() == before
    restore(stack, broken.backup, **broken.wish("/etc/app/main.conf"))


def test_another_container_and_another_folder_can_get_them(stack: Stack) -> None:
    broken = Broken(stack)
    other = full_source(stack)
    before = broken.state()
    wish = broken.wish("/etc/app", container=other.name, target="/srv/back", confirm=None)
    body = restore(stack, broken.backup, **wish)
    assert body["containerId"] == other.id
    assert other.exec_run(["cat", "/srv/back/app/main.conf"]).output == b"old\n"
    assert broken.state() == before


def test_a_path_that_is_not_in_the_backup_is_named(stack: Stack) -> None:
    broken = Broken(stack)
    before = broken.state()
    status, code, words = refusal(stack, broken.backup, **broken.wish("/etc/app", "/etc/nothing"))
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "/etc/nothing is not in this backup" in words
    assert broken.state() == before


@pytest.mark.parametrize("confirm", [None, "another"])
def test_without_the_typed_name_nothing_is_replaced(stack: Stack, confirm: str | None) -> None:
    broken = Broken(stack)
    before = broken.state()
    status, code, words = refusal(stack, broken.backup, **broken.wish("/etc/app/main.conf", confirm=confirm))
    assert (status, code) == (400, "INVALID_REQUEST")
    assert f"'confirm' must be the name of the container in which files are replaced: {broken.name}" in words
    assert broken.state() == before


def test_something_of_another_kind_and_a_link_on_the_way_stop_all_of_it(stack: Stack) -> None:
    for broken in (
        Broken(stack, run="rm /etc/app/main.conf; mkdir /etc/app/main.conf"),
        Broken(stack, run="mv /etc/app /etc/moved; ln -s /etc/moved /etc/app"),
    ):
        before = broken.files()
        status, code, words = refusal(stack, broken.backup, **broken.wish("/etc/app/main.conf", "/data/state"))
        assert (status, code) == (409, "COLLISION")
        assert "/etc/app" in words
        assert broken.files() == before


def test_read_only_places_are_refused_with_what_to_do(stack: Stack) -> None:
    broken = Broken(stack)
    before = broken.state()
    volumes = {broken.name: {"bind": "/data", "mode": "ro"}}
    sealed = word()
    stack.docker.containers.create(SAMPLE_IMAGE, name=sealed, read_only=True, volumes=volumes)
    for path, words in (("/etc/app", "read-only"), ("/data/state", "mounted read-only")):
        status, code, told = refusal(stack, broken.backup, **broken.wish(path, container=sealed))
        assert (status, code) == (409, "COLLISION")
        assert words in told
    assert broken.state() == before


def test_a_stranger_changes_nothing(stack: Stack) -> None:
    broken = Broken(stack)
    before = broken.state()
    assert refusal(stack, broken.backup, by="stranger", **broken.wish("/etc/app"))[:2] == (403, "PERMISSION_DENIED")
    assert broken.state() == before


@pytest.mark.slow
@pytest.mark.parametrize("skip", [2, 5, 6, 7, 8, 9], ids=lambda skip: f"helper {skip}")
def test_a_worker_that_is_killed_at_any_helper_puts_everything_back(stack: Stack, skip: int) -> None:
    broken = Broken(stack)
    before = broken.state()
    with stack.proxy.fault("/start", hold_bytes=0, skip=skip) as held:
        operation = begin(stack, broken.backup, **broken.wish("/etc/app", "/data/state"))
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        kill_child(stack, operation)
    assert stack.finished(operation)["state"] == "interrupted"
    assert_as_it_was(broken, operation, before)
    restore(stack, broken.backup, **broken.wish("/etc/app", "/data/state"))
    assert broken.run("cat /etc/app/main.conf /data/state") == "old\na\n"


def test_what_is_cancelled_while_it_is_put_in_place_is_put_back(stack: Stack) -> None:
    broken = Broken(stack)
    before = broken.state()
    with stack.proxy.fault("/start", hold_bytes=0, skip=8) as held:
        operation = begin(stack, broken.backup, **broken.wish("/etc/app", "/data/state"))
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        cancel(stack, operation)
    assert stack.finished(operation)["state"] == "cancelled"
    assert_as_it_was(broken, operation, before)
