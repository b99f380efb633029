"""The private servers of bin/: real, clean again after each test, and gone without a trace."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import docker
import psycopg
import pytest
import redis

from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.machine import PROJECT, require
from tests.throwaway import run_script, wait_until

OWNER = """
import subprocess, sys, time
subprocess.Popen([sys.argv[1], "fg", sys.argv[2]], stdin=subprocess.DEVNULL)
time.sleep(600)
"""


def control_groups(directory: Path) -> list[Path]:
    name = hashlib.sha256(bytes(directory)).hexdigest()[:10]
    return [*Path("/sys/fs/cgroup").glob(f"myco-{name}"), *Path("/sys/fs/cgroup").glob(f"*/myco-{name}")]


def mentions(directory: Path) -> list[str]:
    """The command lines of the processes that name `directory`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line and int(entry.name) != os.getpid():
                found.append(line)
    return found


def test_the_sample_container_runs_and_stops_at_once(docker_client: docker.DockerClient) -> None:
    container = docker_client.containers.run(SAMPLE_IMAGE, detach=True)
    output = container.exec_run(["cat", "/var/www/index.html"]).output
    assert isinstance(output, bytes)
    assert b"A sample container" in output
    container.stop(timeout=60)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


def test_the_sample_image_is_the_same_bytes_each_time(engine: PrivateEngine, tmp_path: Path) -> None:
    for name in ("first.tar", "second.tar"):
        run_script("sample-image", "--tar", tmp_path / name)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_an_image_of_ones_own_carries_its_changes(engine: PrivateEngine, docker_client: docker.DockerClient) -> None:
    engine.make_image("mycodocker/changed:1", "VOLUME /data", 'LABEL note="50% & more"')
    configuration = docker_client.images.get("mycodocker/changed:1").attrs["Config"]
    assert (configuration["Volumes"], configuration["Labels"]) == ({"/data": {}}, {"note": "50% & more"})


@pytest.mark.parametrize("_round", ["first", "second"])
def test_what_a_test_leaves_on_the_engine_is_gone_for_the_next(docker_client: docker.DockerClient, _round: str) -> None:
    assert docker_client.containers.list(all=True) == []
    assert [volume.name for volume in docker_client.volumes.list()] == []
    tags = [tag for image in docker_client.images.list() for tag in image.tags]
    # The helpers' image stays: to make it anew for each test takes long.
    assert [tag for tag in tags if not tag.startswith("mycodocker/helper:")] == [SAMPLE_IMAGE]
    docker_client.networks.create("left")
    docker_client.volumes.create("left")
    container = docker_client.containers.run(
        SAMPLE_IMAGE, detach=True, network="left", volumes={"left": {"bind": "/data"}}
    )
    container.pause()
    docker_client.images.get(SAMPLE_IMAGE).tag("mycodocker/left", "1")


def test_an_engine_keeps_its_containers_over_a_power_cut(disposable_engine: PrivateEngine) -> None:
    with contextlib.closing(disposable_engine.client()) as client:
        container = str(client.api.create_container(SAMPLE_IMAGE)["Id"])
        client.api.start(container)
    disposable_engine.power_cut()
    assert not disposable_engine.answers()
    disposable_engine.begin()
    with contextlib.closing(disposable_engine.client()) as client:
        assert client.api.inspect_container(container)["State"]["Running"] is False


def test_a_frozen_engine_answers_again_when_it_thaws(disposable_engine: PrivateEngine) -> None:
    with disposable_engine.frozen():
        assert not disposable_engine.answers()
    assert disposable_engine.answers()


def test_a_destroyed_engine_leaves_no_trace(disposable_engine: PrivateEngine) -> None:
    with contextlib.closing(disposable_engine.client()) as client:
        client.containers.run(SAMPLE_IMAGE, detach=True)
    assert control_groups(disposable_engine.directory)
    disposable_engine.destroy()
    assert not disposable_engine.directory.exists()
    assert control_groups(disposable_engine.directory) == []
    assert mentions(disposable_engine.directory) == []


@pytest.mark.parametrize("script", ["engine", "postgres", "redis"])
def test_a_server_ends_with_its_owner_even_when_that_is_killed(script: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue({"engine": "engine", "postgres": "postgres_server", "redis": "redis_server"}[script])
    directory = Path(f"/tmp/myco-orphan-{script}-{os.getpid()}")
    owner = subprocess.Popen([sys.executable, "-c", OWNER, PROJECT / "bin" / script, directory])
    ready = {"engine": "docker.sock", "postgres": "data/postmaster.pid", "redis": "redis.sock"}[script]
    try:
        wait_until((directory / ready).exists, what=f"the start of {script}")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        wait_until(lambda: mentions(directory) == [], what=f"the end of {script}")
    finally:
        owner.kill()
        run_script(script, "destroy", directory)
    assert not directory.exists()


@pytest.mark.parametrize("script", ["engine", "postgres", "redis"])
def test_destroy_refuses_a_folder_that_is_not_a_servers(script: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    with pytest.raises(RuntimeError, match=r"not removed|not installed"):
        run_script(script, "destroy", tmp_path)
    assert (tmp_path / "precious").read_text() == "kept"


def test_each_postgres_database_is_empty_and_separate(make_postgres_database: Callable[[], str]) -> None:
    first, second = make_postgres_database(), make_postgres_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE only_here (number integer)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


@pytest.mark.parametrize("_round", ["first", "second"])
def test_redis_is_empty_for_each_test(redis_url: str, _round: str) -> None:
    with contextlib.closing(redis.Redis(unix_socket_path=redis_url.removeprefix("redis+socket://"))) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_an_engine_that_was_interrupted_before_it_wrote_anything_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    run_script("engine", "destroy", folder)
    assert not folder.exists()


@pytest.mark.engine
@pytest.mark.parametrize("moment", ["daemon.json", "pid", "log"])
def test_a_start_that_is_killed_leaves_nothing_after_destroy(moment: str) -> None:
    require("engine")
    folder = Path(tempfile.mkdtemp(prefix="myco-cut-", dir="/tmp")) / "engine"
    start = subprocess.Popen([PROJECT / "bin" / "engine", "start", folder], stdin=subprocess.DEVNULL)
    wait_until((folder / moment).exists, what=moment)
    start.kill()
    start.wait()
    run_script("engine", "destroy", folder)
    folder.parent.rmdir()
    wait_until(lambda: not processes_of(folder), what="the end of every process")


def processes_of(folder: Path) -> list[str]:
    """The processes whose command line names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found
