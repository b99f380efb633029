"""The ready-made hooks before the real programs of this machine, in containers with a hostile environment."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.elf import closure
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.ready_hooks import chosen_hooks
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.laboratory import RECEIPT
from tests.machine import find_program
from tests.throwaway import run_script, wait_until

pytestmark = pytest.mark.engine
HOSTILE = "p w'\";$(id)`id`\\ *"
Client = docker.DockerClient


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


class Machine:
    """A container with programs of this machine."""

    def __init__(self, gateway: EngineGateway, client: Client, image: str, folder: Path, *programs: Path) -> None:
        self.gateway = gateway
        self.client = client
        self.image = image
        self.container = ""
        self._archive = folder / "image.tar"
        run_script("sample-image", "--tar", self._archive)
        self._add({str(path): path for path in closure(tuple(path.resolve() for path in programs))})
        self._add({f"/bin/{path.name}": path for path in programs})

    def _add(self, files: Mapping[str, Path]) -> None:
        with tarfile.open(self._archive, "a", dereference=True) as tar:
            for place, path in files.items():
                tar.add(path, place.lstrip("/"))

    def add_tree(self, path: Path) -> None:
        self._add({str(path): path})

    def add_open_folder(self, place: str) -> None:
        with tarfile.open(self._archive, "a") as tar:
            entry = tarfile.TarInfo(place.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry, io.BytesIO())

    def start(self, command: list[str], **settings: Any) -> None:
        repository, _, tag = self.image.partition(":")
        changes = ["ENV PATH=/bin:/usr/bin"]
        api = self.client.api
        api.import_image_from_file(str(self._archive), repository=repository, tag=tag, changes=changes)
        self.container = str(api.create_container(self.image, command, **settings)["Id"])
        api.start(self.container)

    def run(self, text: str) -> str:
        words = ["/bin/sh", "-c", text]
        return self.gateway.run_exec(self.container, words, timeout_seconds=20, tick=lambda: None).output

    def hook(self) -> int | None:
        """The exit code of the hook that this container gets by itself."""
        hooks = chosen_hooks(self.gateway.inspect(self.container))
        assert hooks is not None
        assert hooks.before is not None
        words = hooks.before.command
        return self.gateway.run_exec(self.container, words, timeout_seconds=30, tick=lambda: None).exit_code


def first_of(*names: str) -> Path:
    return Path(find_program(*names) or names[0])


@pytest.mark.redis
@pytest.mark.parametrize("appends", ["no", "yes"])
def test_redis_has_saved_what_was_set_before_the_hook(
    gateway: EngineGateway, docker_client: Client, tmp_path: Path, appends: str
) -> None:
    server, client = first_of("redis-server", "valkey-server"), first_of("redis-cli", "valkey-cli")
    machine = Machine(gateway, docker_client, "site/redis:7-test", tmp_path, server, client)
    options = ["--save", "", "--dir", "/tmp", "--appendonly", appends, "--requirepass", HOSTILE]
    machine.start([server.name, *options], environment={"REDIS_PASSWORD": HOSTILE})
    ask = f'REDISCLI_AUTH="$REDIS_PASSWORD" {client.name}'
    wait_until(lambda: machine.run(f"{ask} set found-in-the-file 1") == "OK", what="the start of the server")
    assert machine.run("grep -c found-in-the-file /tmp/dump.rdb") != "1"
    assert machine.run(f"{ask} bgrewriteaof") != ""
    assert machine.hook() == 0
    assert machine.run("grep -c found-in-the-file /tmp/dump.rdb") == "1"
    assert "aof_rewrite_in_progress:0" in machine.run(f"{ask} info persistence")


@pytest.mark.redis
def test_redis_with_a_password_that_its_environment_does_not_have_fails(
    gateway: EngineGateway, docker_client: Client, tmp_path: Path
) -> None:
    server, client = first_of("redis-server", "valkey-server"), first_of("redis-cli", "valkey-cli")
    machine = Machine(gateway, docker_client, "site/redis:7-test", tmp_path, server, client)
    machine.start([server.name, "--requirepass", HOSTILE, "--dir", "/tmp"])
    wait_until(lambda: "NOAUTH" in machine.run(f"{client.name} ping"), what="the start of the server")
    assert machine.hook() == 1


@pytest.mark.postgres
@pytest.mark.slow
def test_postgres_has_written_all_to_its_files_when_the_hook_ends(
    gateway: EngineGateway, docker_client: Client, tmp_path: Path
) -> None:
    home = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parents[1]
    programs = [home / "bin" / name for name in ("initdb", "postgres", "psql", "pg_isready")]
    modules = [home / "lib" / name for name in ("plpgsql.so", "dict_snowball.so")]
    machine = Machine(gateway, docker_client, "site/postgres:test", tmp_path, *programs, *modules)
    machine.add_tree(Path("/usr/share/postgresql") / home.name)
    machine.add_open_folder("/var/run/postgresql")
    begin = (
        'printf %s "$POSTGRES_PASSWORD" >/tmp/word; cd /tmp; p=' + str(home / "bin") + "; "
        '$p/initdb -D data -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=word -N --locale=C >/dev/null; '
        "exec $p/postgres -D data -c listen_addresses= -c fsync=off"
    )
    environment = {"POSTGRES_USER": "-the owner; id", "POSTGRES_PASSWORD": HOSTILE}
    machine.start(["/bin/sh", "-c", begin], user="sample", environment=environment)
    assert machine.hook() not in (0, None)
    ask = 'PGPASSWORD="$POSTGRES_PASSWORD" psql -XAt -U "$POSTGRES_USER" -d postgres -c '
    wait_until(lambda: machine.run(f"{ask} 'select 1'") == "1", what="the start of the server")
    machine.run(f"{ask} 'create table t as select generate_series(1, 50000)'")
    behind = "select pg_current_wal_lsn() - redo_lsn > 1000000 from pg_control_checkpoint()"
    assert machine.run(f"{ask} '{behind}'") == "t"
    assert machine.hook() == 0
    assert machine.run(f"{ask} '{behind}'") == "f"


def test_a_database_in_a_file_has_all_of_its_log_when_the_hook_ends(
    gateway: EngineGateway, docker_client: Client, tmp_path: Path
) -> None:
    if find_program("sqlite3") is None:
        pytest.skip("not installed: sqlite3")
    machine = Machine(gateway, docker_client, "site/app:1", tmp_path, first_of("sqlite3"))
    path = "/tmp/a b'$(id).db"
    writes = "PRAGMA journal_mode=WAL; CREATE TABLE t (a); INSERT INTO t VALUES ('found in the file');"
    writer = f'(echo "{writes}"; sleep 3600) | sqlite3 "$DATABASE"'
    labels = {"org.mycodocker.hook": f"sqlite:{path}"}
    machine.start(["/bin/sh", "-c", writer], environment={"DATABASE": path}, labels=labels)
    in_log, in_file = '[ -s "$DATABASE-wal" ] && echo yes', 'grep -c "found in the file" "$DATABASE"'
    wait_until(lambda: machine.run(in_log) == "yes", what="the first write")
    assert machine.run(in_file) == "0"
    assert machine.hook() == 0
    assert machine.run(in_log) == ""
    assert machine.run(in_file) == "1"


def test_a_container_without_the_program_has_a_failing_hook(gateway: EngineGateway, docker_client: Client) -> None:
    labels = {"org.mycodocker.hook": "redis"}
    container = str(docker_client.api.create_container(SAMPLE_IMAGE, ["/bin/idle"], labels=labels)["Id"])
    docker_client.api.start(container)
    hooks = chosen_hooks(gateway.inspect(container))
    assert hooks is not None
    assert hooks.before is not None
    end = gateway.run_exec(container, hooks.before.command, timeout_seconds=20, tick=lambda: None)
    assert end.exit_code not in (0, None)
