"""The product as `make run` starts it, before a private Engine, in one folder that is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests

PROJECT = Path(__file__).resolve().parent.parent
IMAGE = "mycodocker/sample:1"
START_SECONDS = 90.0
# As many backups as are measured at once.
WORKER_PROCESSES = 8
_MAKE_KEY = """
import django
django.setup()
from django.contrib.auth.models import Group, User
from containers_app.models import ApiKey
user = User.objects.create_user("bench")
user.groups.set(Group.objects.filter(name__in=("operators", "administrators")))
scopes = ["read", "backup", "clone", "hosts", "restore"]
print(ApiKey.objects.issue(user=user, name="bench", scopes=scopes, expires_in_days=1).text)
"""


@dataclass(frozen=True, kw_only=True)
class Product:
    """What runs: its address, its Engine's DOCKER_HOST, its folder, and a session that is signed in."""

    url: str
    engine_url: str
    directory: Path
    session: requests.Session

    def docker(self, *arguments: str) -> str:
        """Run the public `docker` command on the same Engine; what it printed."""
        done = subprocess.run(["docker", "-H", self.engine_url, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def volume_folder(self, name: str) -> Path:
        """Where the Engine keeps a volume."""
        return Path(self.docker("volume", "inspect", "--format", "{{.Mountpoint}}", name))

    def worker_processes(self) -> list[int]:
        """The process ids of the worker: the parent and its pool."""
        root = int((self.directory / "data" / "run" / "supervisord.pid").read_text())
        return [process for process in _descendants(root) if b"celery" in _command_line(process)]


@contextmanager
def running(*, redis: bool = False) -> Iterator[Product]:
    """Start an Engine and the product, with the embedded broker or a Redis; end all and remove every trace."""
    directory = Path(tempfile.mkdtemp(prefix="myco-bench-", dir="/tmp"))  # short: a socket is in it
    engine = directory / "engine"
    try:
        _script("engine", "start", str(engine))
        engine_url = _script("engine", "sock", str(engine))
        _script("sample-image", engine_url, IMAGE)
        broker = _redis(directory) if redis else {}
        with _console(directory, engine_url, broker) as (url, environment), requests.Session() as session:
            key = _output([sys.executable, "-c", _MAKE_KEY], environment)
            session.headers["Authorization"] = f"Bearer {key}"
            yield Product(url=url, engine_url=engine_url, directory=directory, session=session)
    finally:
        if redis:
            _script("redis", "destroy", str(directory / "redis"))
        _script("engine", "destroy", str(engine))
        shutil.rmtree(directory, ignore_errors=True)


def _redis(directory: Path) -> dict[str, str]:
    _script("redis", "start", str(directory / "redis"))
    return {"MYCO_BROKER_URL": _script("redis", "url", str(directory / "redis"))}


@contextmanager
def _console(directory: Path, engine_url: str, broker: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    port = _free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MYCO_", "DOCKER_"))}
    environment = {
        **inherited,
        **broker,
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_DATA_DIR": str(directory / "data"),
        "MYCO_BACKUP_ROOTS": str(directory / "backups"),
        "MYCO_PORT": str(port),
        "MYCO_WORKER_PROCESSES": str(WORKER_PROCESSES),
        "MYCO_BACKUP_TIMEOUT_SECONDS": "600",
        "DOCKER_HOST": engine_url,
    }
    with (directory / "run.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run"], cwd=PROJECT, env=environment, stdout=log, stderr=log
        )
    try:
        _wait(lambda: _is_ready(process, directory / "run.log"), what="the start")
        yield f"http://127.0.0.1:{port}", environment
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_ready(process: subprocess.Popen[bytes], log: Path) -> bool:
    text = log.read_text(errors="replace")
    if process.poll() is not None:
        raise RuntimeError(f"the product ended at once: {text[-2000:]}")
    return "Ready after" in text


def _wait(condition: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {START_SECONDS:g} s")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _script(name: str, *arguments: str) -> str:
    return _output([str(PROJECT / "bin" / name), *arguments], dict(os.environ))


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _descendants(process: int) -> Iterator[int]:
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        yield int(child)
        yield from _descendants(int(child))


def _command_line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def stage_seconds(product: Product, operation_id: str) -> dict[str, float]:
    """How long each stage of an operation took."""
    stages = checked(product.session.get(f"{product.url}/api/operations/{operation_id}"))["stages"]
    assert isinstance(stages, list)
    moments = [[datetime.fromisoformat(stage[key]) for key in ("startedAt", "finishedAt")] for stage in stages]
    return {
        stage["name"]: (ended - begun).total_seconds() for stage, (begun, ended) in zip(stages, moments, strict=True)
    }


def checked(answer: requests.Response) -> dict[str, object]:
    """The body of a 200. Raises RuntimeError with what came instead."""
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
    return dict(json.loads(answer.text))
