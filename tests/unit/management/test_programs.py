"""The process manager reads the configuration as it was meant, and it opens no door."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from containers_app.management.launch.places import Places
from containers_app.management.launch.programs import Program, broker, console, render


def read_back(text: str, folder: Path) -> ServerOptions:
    """The configuration as supervisor itself reads it."""
    file = folder / "supervisord.conf"
    file.write_text(text)
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return options


def by_name(options: ServerOptions) -> dict[str, Any]:
    return {config.name: config for group in options.process_group_configs for config in group.process_configs}


@pytest.fixture
def places() -> Iterator[Places]:
    """In a short folder: the broker's socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Places(Path(folder) / "var with a space; and more")
        made.prepare()
        yield made


def everything(places: Places) -> tuple[Program, ...]:
    return (*console(address="127.0.0.1", port=8123, worker_processes=3), broker("/opt/valkey-server", places))


def test_there_is_no_control_port(places: Places, tmp_path: Path) -> None:
    options = read_back(render(everything(places), places), tmp_path)
    assert options.server_configs == []
    assert options.nodaemon


def test_a_path_with_a_space_stays_what_it_is(places: Places, tmp_path: Path) -> None:
    made = by_name(read_back(render(everything(places), places), tmp_path))
    assert str(places.broker_socket) in "".join(made["broker"].command.replace("'", ""))
    assert made["web"].stdout_logfile == str(places.log / "web.log")


def test_every_process_comes_back_and_ends_with_its_children(places: Places, tmp_path: Path) -> None:
    made = by_name(read_back(render(everything(places), places), tmp_path))
    assert set(made) == {"broker", "web", "worker", "scheduler", "signer"}
    assert all(
        config.autorestart is True or config.autorestart.__name__ == "RestartUnconditionally"
        for config in made.values()
    )
    assert all(config.killasgroup for config in made.values())
    limits = {name: config.stopwaitsecs for name, config in made.items()}
    assert limits == {"broker": 5, "web": 15, "worker": 15, "scheduler": 15, "signer": 15}
    assert all(config.redirect_stderr and config.stdout_logfile_maxbytes > 0 for config in made.values())


def test_the_worker_ends_its_own_children_after_their_work(places: Places, tmp_path: Path) -> None:
    made = by_name(read_back(render(everything(places), places), tmp_path))
    assert not made["worker"].stopasgroup
    assert made["web"].stopasgroup


def test_the_broker_starts_first_and_stops_last(places: Places, tmp_path: Path) -> None:
    groups = sorted(read_back(render(everything(places), places), tmp_path).process_group_configs)
    assert [group.name for group in groups] == ["broker", "console"]


def test_the_broker_listens_on_its_owners_socket_alone(places: Places) -> None:
    words = broker("/opt/valkey-server", places).command
    options = dict(
        zip(
            words[words.index("/opt/valkey-server") + 1 :: 2],
            words[words.index("/opt/valkey-server") + 2 :: 2],
            strict=True,
        )
    )
    assert options["--port"] == "0"
    assert options["--unixsocketperm"] == "600"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"


def test_a_configuration_without_the_embedded_broker_is_whole(places: Places, tmp_path: Path) -> None:
    programs = console(address="127.0.0.1", port=8123, worker_processes=1)
    assert set(by_name(read_back(render(programs, places), tmp_path))) == {"web", "worker", "scheduler", "signer"}


@pytest.mark.parametrize(("address", "bind"), [("127.0.0.1", "127.0.0.1:8123"), ("::1", "[::1]:8123")])
def test_the_web_server_listens_where_it_is_told(address: str, bind: str) -> None:
    web = console(address=address, port=8123, worker_processes=1)[0]
    assert f"--bind={bind}" in web.command
    assert "--no-control-socket" in web.command


def test_the_worker_has_as_many_processes_as_asked_for() -> None:
    worker = console(address="127.0.0.1", port=8123, worker_processes=3)[1]
    assert worker.command[worker.command.index("-c") + 1] == "3"
