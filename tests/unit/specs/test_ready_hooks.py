"""Which ready-made hooks a container gets, and that their texts read its environment as values, never as code."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.hooks import AUTO, Hook, Hooks, shell
from containers_app.specs.ready_hooks import chosen_hooks, hooks_for
from tests.machine import find_program

HOSTILE = """x y'"; $(touch "$MARKER") `touch "$MARKER"` \\ -h *"""
SHELLS = [("dash",), ("bash", "--posix"), ("busybox", "sh")]
LABEL = "org.mycodocker.hook"


def container(image: str = "", **labels: str) -> dict[str, Any]:
    named = {LABEL if name == "hook" else f"{LABEL}.{name.replace('_', '-')}": value for name, value in labels.items()}
    return {"Config": {"Image": image, "Labels": named or None}}


POSTGRES, MYSQL, REDIS = (chosen_hooks(container(hook=name)) for name in ("postgres", "mysql", "redis"))


@pytest.mark.parametrize(
    ("image", "hooks"),
    [
        ("postgres", POSTGRES),
        ("postgres:15", POSTGRES),
        ("docker.io/library/postgres:15-alpine", POSTGRES),
        ("registry.example:5000/team/postgres", POSTGRES),
        ("registry.example:5000/postgres:15@sha256:" + "0" * 64, POSTGRES),
        ("timescale/timescaledb:latest-pg15", POSTGRES),
        ("postgis/postgis:15-3.4", POSTGRES),
        ("bitnami/postgresql:15", POSTGRES),
        ("postgresql-15", POSTGRES),
        ("mysql:8", MYSQL),
        ("mariadb:11.4", MYSQL),
        ("percona/percona-server:8.0", MYSQL),
        ("debian/mariadb-server-10.11", MYSQL),
        ("redis:7-alpine", REDIS),
        ("valkey/valkey:8", REDIS),
        ("team/redis-server", REDIS),
    ],
)
def test_an_image_is_known_by_the_last_part_of_its_name(image: str, hooks: Hooks) -> None:
    assert chosen_hooks(container(image)) == hooks


@pytest.mark.parametrize(
    "image",
    [
        *("", "sha256:" + "a" * 64, "a@sha256:postgres", "web:postgres", "postgres/web", "postgres.example:5000/web"),
        *("redis-exporter", "redis-commander:1", "postgres_exporter", "pgbouncer", "mysql-router", "phpmyadmin"),
        "Postgres",
    ],
)
def test_a_name_that_only_contains_one_is_not_known(image: str) -> None:
    assert chosen_hooks(container(image)) is None


def test_the_ready_made_hooks_are_three_and_have_nothing_to_put_back() -> None:
    assert len({POSTGRES, MYSQL, REDIS}) == 3
    assert all(hooks is not None and hooks.before and hooks.after is None for hooks in (POSTGRES, MYSQL, REDIS))


def test_commands_of_labels_come_before_a_ready_made_hook() -> None:
    labelled = container("postgres:15", before="./freeze", after="./thaw", timeout_seconds="7", hook="redis")
    assert chosen_hooks(labelled) == Hooks(before=shell("./freeze"), after=shell("./thaw"), timeout_seconds=7)
    assert chosen_hooks(container("postgres:15", after="./thaw")) == Hooks(after=shell("./thaw"))


def test_a_label_names_a_ready_made_hook_switches_it_off_or_gives_its_time() -> None:
    assert chosen_hooks(container("team/database", hook="postgres")) == POSTGRES
    assert chosen_hooks(container("postgres", hook="none")) is None
    slow = chosen_hooks(container("postgres", timeout_seconds="600"))
    assert slow is not None
    assert (slow.timeout_seconds, slow.before) == (600, POSTGRES and POSTGRES.before)


def test_a_database_in_a_file_is_known_by_label_only_and_its_path_is_an_argument() -> None:
    hooks = chosen_hooks(container(hook="sqlite:/data/a b'; rm -rf $HOME.db"))
    assert hooks is not None
    assert isinstance(hooks.before, Hook)
    assert hooks.before.command[-2:] == ("sh", "/data/a b'; rm -rf $HOME.db")
    assert "/data" not in hooks.before.command[2]


@pytest.mark.parametrize(
    "labels",
    [
        {"hook": "oracle"},
        {"hook": ""},
        {"hook": "sqlite:"},
        {"hook": "sqlite:data.db"},
        {"hook": "sqlite:-cmd"},
        {"hook": "sqlite:/a\nb"},
        {"hook": "sqlite:/" + "a" * 4096},
        {"before": ""},
        {"before": "a\0"},
        {"after": "x" * 9000},
        {"before": "true", "timeout_seconds": "0"},
        {"hook": "postgres", "timeout_seconds": "3601"},
        {"hook": "postgres", "timeout_seconds": "١"},
        {"hook": "postgres", "timeout_seconds": "-1"},
        {"hook": "postgres", "timeout_seconds": "9" * 5000},
    ],
)
def test_a_label_that_cannot_be_is_refused_and_not_passed_over(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=LABEL) as refused:
        chosen_hooks(container("postgres", **labels))
    assert refused.value.field == "options.hooks"


def test_labels_count_for_auto_only() -> None:
    labelled, custom = container(before="true"), Hooks(before=shell("false"))
    assert hooks_for(AUTO, labelled) == Hooks(before=shell("true"))
    assert hooks_for(None, labelled) is None
    assert hooks_for(custom, labelled) == custom


class Shell:
    """Runs a hook on this machine, with programs of the test's own instead of a database's."""

    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self.words = words
        self.programs = folder / "bin"
        self.marker = folder / "marker"
        self.record = folder / "record"
        self.programs.mkdir()
        for name in ("cat", "sleep"):
            (self.programs / name).symlink_to(find_program(name) or name)

    def program(self, name: str, *lines: str) -> None:
        """A program that writes its environment and arguments down, and then does these lines."""
        path = self.programs / name
        head = ["#!/bin/sh", 'printf "%s\\n" "$PGPASSWORD$MYSQL_PWD$REDISCLI_AUTH" "${0##*/}" "$@" >>"$RECORD"']
        path.write_text("\n".join([*head, *lines]) + "\n")
        path.chmod(0o755)

    def run(self, hooks: Hooks | None, **environment: str) -> int:
        assert hooks is not None
        assert hooks.before is not None
        own = {"PATH": str(self.programs), "MARKER": str(self.marker), "RECORD": str(self.record)}
        words = [find_program(self.words[0]) or self.words[0], *self.words[1:], *hooks.before.command[1:]]
        done = subprocess.run(words, env={**own, **environment}, check=False, capture_output=True, timeout=30)
        assert not self.marker.exists()
        return done.returncode

    @property
    def recorded(self) -> list[str]:
        return self.record.read_text().splitlines()


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def own_shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    if find_program(request.param[0]) is None:
        pytest.skip(f"this machine has no {request.param[0]}")
    return Shell(request.param, tmp_path)


def test_postgres_takes_a_hostile_user_as_one_word_and_the_secret_from_the_environment(own_shell: Shell) -> None:
    own_shell.program("pg_isready")
    own_shell.program("psql")
    assert own_shell.run(POSTGRES, POSTGRES_USER=HOSTILE, POSTGRES_PASSWORD=HOSTILE) == 0
    ready, psql = ["-q", "-U", HOSTILE, "-d", "postgres"], ["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-U", HOSTILE]
    expected = [HOSTILE, "pg_isready", *ready, HOSTILE, "psql", *psql, "-d", "postgres", "-c", "CHECKPOINT"]
    assert own_shell.recorded == expected


def test_postgres_that_is_not_ready_is_not_asked_for_a_checkpoint(own_shell: Shell) -> None:
    own_shell.program("pg_isready", "exit 2")
    own_shell.program("psql")
    assert own_shell.run(POSTGRES) == 2
    assert own_shell.recorded == ["", "pg_isready", "-q", "-U", "postgres", "-d", "postgres"]


def test_a_secret_may_be_in_a_file_and_a_file_that_cannot_be_read_fails(own_shell: Shell, tmp_path: Path) -> None:
    own_shell.program("mariadb")
    (tmp_path / "a file").write_text(HOSTILE + "\n")
    assert own_shell.run(MYSQL, MYSQL_ROOT_PASSWORD_FILE=str(tmp_path / "a file")) == 0
    assert own_shell.recorded[0] == HOSTILE
    assert own_shell.run(MYSQL, MYSQL_ROOT_PASSWORD_FILE=str(tmp_path / "none")) != 0


@pytest.mark.parametrize("client", ["mariadb", "mysql"])
def test_a_flush_goes_through_the_client_that_is_there_with_no_secret_on_its_line(
    own_shell: Shell, client: str
) -> None:
    own_shell.program(client, "exit 3")
    assert own_shell.run(MYSQL, MYSQL_ROOT_PASSWORD=HOSTILE) == 3
    flush = "--execute=SET SESSION lock_wait_timeout=30; FLUSH TABLES"
    assert own_shell.recorded == [HOSTILE, client, "--user=root", "--batch", flush]


IDLE = "rdb_bgsave_in_progress:0\\r\\nrdb_last_bgsave_status:{}\\r\\naof_rewrite_in_progress:0\\r\\n"
STARTED = 'echo "Background saving started"'


def redis(own_shell: Shell, *, save: str = STARTED, status: str = "ok", client: str = "redis-cli") -> None:
    """A client that says what a server without work says."""
    idle = IDLE.format(status)
    own_shell.program(client, 'case "$1" in', f'INFO) printf "{idle}" ;;', f"BGSAVE) {save} ;;", "esac")


@pytest.mark.parametrize("client", ["redis-cli", "valkey-cli"])
def test_a_save_is_asked_for_and_its_end_looked_at(own_shell: Shell, client: str) -> None:
    redis(own_shell, client=client)
    assert own_shell.run(REDIS, REDIS_PASSWORD=HOSTILE) == 0
    info = [HOSTILE, client, "INFO", "persistence"]
    assert own_shell.recorded == [*info, HOSTILE, client, "BGSAVE", *info]


def test_a_save_that_failed_or_is_refused_fails_the_hook(own_shell: Shell) -> None:
    redis(own_shell, status="err")
    assert own_shell.run(REDIS) == 1
    redis(own_shell, save='echo "NOAUTH Authentication required."')
    assert own_shell.run(REDIS) == 1
    own_shell.program("redis-cli", 'echo "NOAUTH Authentication required."')
    assert own_shell.run(REDIS) == 1


def test_a_save_or_rewrite_under_way_is_waited_for_before_its_own_is_asked_for(own_shell: Shell) -> None:
    refused = '{ : >"$RECORD.save"; echo "ERR Background save already in progress"; exit; }'
    once = f'[ -e "$RECORD.save" ] || {refused}; {STARTED}'
    redis(own_shell, save=once)
    busy = own_shell.programs / "redis-cli"
    text = busy.read_text().replace(
        "INFO) ", 'INFO) [ -e "$RECORD.busy" ] || { : >"$RECORD.busy"; echo aof_rewrite_in_progress:1; exit; }; '
    )
    busy.write_text(text)
    assert own_shell.run(REDIS) == 0
    asked = [line for line in own_shell.recorded if line in ("INFO", "BGSAVE")]
    assert asked == ["INFO", "INFO", "BGSAVE", "INFO", "BGSAVE", "INFO"]


@pytest.mark.parametrize(("answer", "code"), [("0|3|3", 0), ("1|3|0", 75), ("", 75)])
def test_a_checkpoint_that_somebody_kept_from_its_work_fails(
    own_shell: Shell, tmp_path: Path, answer: str, code: int
) -> None:
    own_shell.program("sqlite3", f"echo '{answer}'")
    path = tmp_path / "a b'; $x.db"
    path.touch()
    assert own_shell.run(chosen_hooks(container(hook=f"sqlite:{path}"))) == code
    assert str(path) in own_shell.recorded


def test_a_database_file_that_is_missing_is_not_made(own_shell: Shell, tmp_path: Path) -> None:
    own_shell.program("sqlite3")
    assert own_shell.run(chosen_hooks(container(hook=f"sqlite:{tmp_path / 'none.db'}"))) == 66
    assert not (tmp_path / "record").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
