"""One start in the foreground: set up, run the processes until told to stop, leave nothing behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import redis
from django.core.management import CommandError, call_command
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from containers_app.management.launch.programs import broker_socket, dying_with_parent, programs, supervisor_config
from containers_app.operations.hosts import local_host
from mycodocker import env

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_FOLDERS = ("run", "log", "secrets")


class Stopped(Exception):
    """Somebody asked for the end."""


def prepare() -> None:
    """Folders for their owner only, both databases migrated. Raises CommandError when it runs already."""
    os.umask(0o077)
    for name in _FOLDERS:
        (env.DATA_DIR / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_second_start()
    _refuse_taken_port()
    for database in ("default", "audit"):
        call_command("migrate", database=database, interactive=False, verbosity=0)


def serve(when_ready: Callable[[bool], None]) -> None:
    """Run everything until Ctrl-C or SIGTERM; `when_ready` is told whether a worker answers the whole way round.

    Raises CommandError when the web server does not come up or the process manager dies.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    local_host()
    _end_leftover_broker()
    manager = _start_manager()
    try:
        _wait_until_ready(manager)
        when_ready(_worker_answers(manager))
        code = manager.wait()
        raise CommandError(f"the process manager ended with {code}: see {env.DATA_DIR / 'log' / 'manager.log'}")
    except Stopped:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(manager)


def _stop(number: int, frame: object) -> None:
    raise Stopped


def _refuse_second_start() -> None:
    pid_file = env.DATA_DIR / "run" / "manager.pid"
    process = pid_file.read_text().strip() if pid_file.exists() else ""
    command = Path("/proc") / (process or "none") / "cmdline"
    if command.exists() and b"supervisord" in command.read_bytes():
        raise CommandError(f"it runs already (process {process}): stop that one first")


def _refuse_taken_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((env.BIND, env.PORT))
        except OSError as error:
            message = f"port {env.PORT} is taken: set MYCO_PORT to a free one, for example MYCO_PORT={env.PORT + 1}"
            raise CommandError(message) from error


def _end_leftover_broker() -> None:
    """A broker that outlived a killed manager would keep the socket."""
    if env.BROKER_URL or not broker_socket().exists():
        return
    try:
        with redis.Redis(
            unix_socket_path=str(broker_socket()), socket_timeout=2, retry=Retry(NoBackoff(), 0)
        ) as client:
            client.shutdown(nosave=True)
    except RedisError:
        pass  # nobody listens: what is left is the file
    broker_socket().unlink(missing_ok=True)


def _start_manager() -> subprocess.Popen[bytes]:
    config = env.DATA_DIR / "run" / "manager.conf"
    config.write_text(supervisor_config(programs(port=env.PORT)))
    supervisord = str(Path(sys.executable).parent / "supervisord")
    command = dying_with_parent((supervisord, "--nodaemon", "--configuration", str(config)))
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def _end(manager: subprocess.Popen[bytes]) -> None:
    manager.terminate()
    try:
        manager.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        manager.kill()
        manager.wait()


def _wait_until_ready(manager: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + _READY_SECONDS
    while not _web_answers():
        if manager.poll() is not None or time.monotonic() > ends_at:
            raise CommandError(f"the web server does not come up: see {env.DATA_DIR / 'log' / 'web.log'}")
        time.sleep(0.05)


def _web_answers() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", env.PORT, timeout=5)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _worker_answers(manager: subprocess.Popen[bytes]) -> bool:
    """The worker's log says when it takes messages; a start without one is said, not hidden."""
    log, ends_at = env.DATA_DIR / "log" / "worker.log", time.monotonic() + _READY_SECONDS
    started = time.time() - 30
    while time.monotonic() < ends_at and manager.poll() is None:
        if log.exists() and log.stat().st_mtime > started and "ready." in log.read_text(errors="replace")[-4000:]:
            return True
        time.sleep(0.05)
    return False
