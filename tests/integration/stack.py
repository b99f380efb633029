"""The whole product as real processes on a real broker and real databases, before a real Engine that can be hurt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from containers_app.specs.engine import LABEL_PREFIX, OPERATION_LABEL
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.fakes.fault_proxy import FaultProxy
from tests.integration.forks import Forks
from tests.machine import PROJECT
from tests.throwaway import wait_until

PATIENCE_SECONDS = 30.0
COMMANDS = "tests.integration.stack_commands"
HELPER_LABEL = LABEL_PREFIX + "helper"
ENGINE_CALL_SECONDS = 4.0
LARGE_FILES = 8
USABLE = ("complete", "partial")
EMBEDDED = pytest.param("sqlite and the embedded broker", marks=pytest.mark.engine, id="embedded")
# What does not depend on the databases and the broker is tested with one pair of them.
embedded = pytest.mark.parametrize("running", [EMBEDDED], indirect=True)
_LIMITS = {
    "MYCO_LEASE_SECONDS": "3",
    "MYCO_RECONCILE_SECONDS": "1",
    "MYCO_INVENTORY_SECONDS": "2",
    "MYCO_CLONE_TIMEOUT_SECONDS": "20",
    "MYCO_BACKUP_TIMEOUT_SECONDS": "60",
    "MYCO_ENGINE_CONNECT_SECONDS": "2",
    "MYCO_ENGINE_CALL_SECONDS": str(ENGINE_CALL_SECONDS),
    "MYCO_STALL_SECONDS": "6",
    "MYCO_BACKUP_RESERVE_BYTES": "0",
    "MYCO_MAX_WAITING_REQUESTS": "16",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a deployment chooses: where rows are, and the program that carries the messages."""

    name: str
    broker_program: Path
    databases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Operations up to `last` held every invariant; `good` succeeded, and `made` are the containers that they made."""

    last: str = ""
    good: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()

    def with_more(self, operations: list[dict[str, Any]]) -> Settled:
        """The same with these."""
        results = [row["result"] or {} for row in operations if row["kind"] in ("clone", "restore")]
        return Settled(
            last=max([self.last, *(row["id"] for row in operations)]),
            good=self.good | {row["id"] for row in operations if row["state"] in ("succeeded", "partial")},
            made=self.made | {result["newId"] for result in results if "newId" in result},
        )


class Stack:
    """Web, worker, scheduler, broker and databases; `kill`, `start` and the proxy hurt it."""

    def __init__(self, pair: Pair, engine: PrivateEngine) -> None:
        self.name = pair.name
        self.engine = engine
        self.directory = Path(tempfile.mkdtemp(prefix="myco-stack-", dir="/tmp"))
        self.root = self.directory / "backups"
        self.small = self.directory / "small"
        self.docker = engine.client()
        self.proxy = FaultProxy(self.directory / "engine.sock", engine.url.removeprefix("unix://"))
        self._pair = pair
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._environment = self._make_environment()
        self.keys: dict[str, str] = {}
        self.settled = Settled()
        self._read: dict[str, tuple[Any, ...]] = {}
        self._commands: Forks | None = None

    def _make_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MYCO_", "DOCKER_"))}
        return {
            **inherited,
            **_LIMITS,
            **self._pair.databases,
            "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "MYCO_DATA_DIR": str(self.directory / "data"),
            "MYCO_BACKUP_ROOTS": f"{self.root},{self.small}",
            "MYCO_BROKER_URL": f"unix://{self.directory}/broker.sock",
            "MYCO_SECRET_KEY": "a key for this stack alone, gone with its folder",
            "DOCKER_API_URL": self.proxy.url,
        }

    # Processes.

    def start(self, name: str) -> None:
        """Start one part and return when it is ready."""
        console = name == "console"
        with (self.directory / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command(name)],
                env=self._environment,
                cwd=PROJECT,
                stdin=subprocess.PIPE if console else subprocess.DEVNULL,
                stdout=subprocess.PIPE if console else log,
                stderr=log,
                pass_fds=[self._listener.fileno()],
                start_new_session=True,
            )
        ready = {"broker": self._broker_answers, "worker": self._worker_is_ready, "web": self._web_answers}
        if name in ready:
            self.wait(ready[name], what=f"the start of {name} ({self.log_end(name)})")

    def _command(self, name: str) -> list[str | Path]:
        broker: list[str | Path] = [
            "--port",
            "0",
            "--unixsocket",
            f"{self.directory}/broker.sock",
            "--save",
            "",
            "--dir",
            self.directory,
        ]
        commands: dict[str, list[str | Path]] = {
            "broker": [self._pair.broker_program, *broker],
            "console": [sys.executable, "-m", "tests.integration.stack_console"],
            "web": [
                *(sys.executable, "-m", "gunicorn", "mycodocker.wsgi", "--workers", "1", "--worker-class", "gthread"),
                *("--threads", "16", "--bind", f"fd://{self._listener.fileno()}", "--no-control-socket"),
            ],
            "worker": [
                *(sys.executable, "-m", "celery", "-A", "mycodocker", "worker", "-P", "prefork", "-c", "2"),
                *("-Q", "local", "--loglevel", "INFO"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
            "scheduler": [sys.executable, "manage.py", "scheduler"],
        }
        return commands[name]

    def log_end(self, name: str) -> str:
        """The end of a part's log."""
        log = self.directory / f"{name}.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def _broker_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.connect(f"{self.directory}/broker.sock")
            client.sendall(b"PING\r\n")
            return client.recv(5) == b"+PONG"
        return False

    def _worker_is_ready(self) -> bool:
        return " ready." in self.log_end("worker")

    def _web_answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/livez", timeout=5).ok
        return False

    def kill(self, name: str) -> None:
        """End a part and all its children by kill -9."""
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """The scheduler runs inside only: it is what never rests, and other tests share the machine."""
        self._signal_scheduler(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal_scheduler(signal.SIGSTOP)

    def _signal_scheduler(self, number: signal.Signals) -> None:
        process = self._running.get("scheduler")
        if process is not None and process.poll() is None:
            os.killpg(process.pid, number)

    def process_id(self, name: str) -> int:
        """The process id of a part."""
        return self._running[name].pid

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Kill a part; start it again at the end."""
        self.kill(name)
        try:
            yield
        finally:
            self.start(name)

    def begin(self) -> None:
        """Start everything."""
        self.small.mkdir()
        for name in ("broker", "console"):
            self.start(name)
        self.keys = self.ask("prepare")
        for name in ("worker", "web", "scheduler"):
            self.start(name)

    def end(self) -> None:
        """End everything and remove every trace."""
        if self._commands is not None:
            self._commands.end()
        for name in reversed(list(self._running)):
            self.kill(name)
        self._listener.close()
        self._empty_engine()
        with self.proxy:
            self.docker.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _empty_engine(self) -> None:
        """Remove what was made: the next stack's databases know none of it."""
        for container in self.docker.containers.list(all=True):
            container.remove(force=True, v=True)
        for volume in self.docker.volumes.list():
            volume.remove(force=True)
        for image in self.docker.images.list(filters={"label": OPERATION_LABEL}):
            self.docker.images.remove(str(image.id), force=True)

    def ask(self, call: str, *arguments: str) -> Any:
        """Call a function of the console process."""
        console = self._running["console"]
        assert console.stdin is not None
        assert console.stdout is not None
        console.stdin.write(json.dumps([call, *arguments]).encode() + b"\n")
        console.stdin.flush()
        answer = console.stdout.readline()
        assert answer, self.log_end("console")
        return json.loads(answer)

    def command(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """`manage.py` with these arguments, on the product's machine, and `given` on its standard input."""
        self._commands = self._commands or Forks("-m", COMMANDS, environment=self._environment)
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
            files[0].write(given)
            for file in files:
                file.seek(0)
            process = self._commands.begin([file.fileno() for file in files], json.dumps(arguments))
            code = self._commands.exit_status(process)
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(arguments, code, files[1].read(), files[2].read())

    def begin_command(self, *arguments: str) -> subprocess.Popen[str]:
        """The same by the real file, not waited for. It hears Ctrl-C, unlike what a script runs in the background."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "manage.py", *arguments],
            env=self._environment,
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # HTTP, as a client of the published endpoint.

    def post(self, path: str, body: Mapping[str, Any], *, by: str = "operator", **headers: str) -> requests.Response:
        """POST as the owner of a key; header names are written with underscores."""
        sent = {"Authorization": f"Bearer {self.keys[by]}", **_as_headers(headers)}
        return requests.post(self.url + path, json=body, headers=sent, timeout=90)

    def get(self, path: str, *, by: str = "operator") -> requests.Response:
        """GET as the owner of a key."""
        return requests.get(self.url + path, headers={"Authorization": f"Bearer {self.keys[by]}"}, timeout=90)

    def delete(self, path: str, body: Mapping[str, Any], *, by: str = "operator", **headers: str) -> requests.Response:
        """DELETE with a body."""
        sent = {"Authorization": f"Bearer {self.keys[by]}", **_as_headers(headers)}
        return requests.delete(self.url + path, json=body, headers=sent, timeout=90)

    def act(self, action: str, container: str, *, by: str = "operator", **options: Any) -> requests.Response:
        """The published endpoint, waiting for the end."""
        body = {"action": action, "containerId": container, "options": options}
        return self.post("/api/docker/containers", body, by=by)

    def begin_operation(self, action: str, container: str, **options: Any) -> str:
        """The published endpoint, not waiting; returns the operation's id."""
        body = {"action": action, "containerId": container, "options": options}
        answer = self.post("/api/docker/containers", body, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    # Looking and waiting.

    def wait(self, condition: Callable[[], bool], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Poll until the condition is true."""
        wait_until(condition, seconds=seconds, what=what)

    def finished(self, operation: str) -> dict[str, Any]:
        """The operation, as soon as it is over and the ledger has its outcome."""
        self.wait(lambda: bool(self.ask("operation", operation)["finished"]), what=f"the end of {operation}")
        return dict(self.ask("operation", operation))

    def worker_process(self, operation: str) -> int:
        """The process id of the pool's child that runs the operation."""
        return int(self.ask("operation", operation)["worker"].rpartition("/")[2])

    # Sources.

    def source(self, *, large: bool = False, **options: Any) -> Any:
        """A container to act on; a large one runs and holds LARGE_FILES files of 2 MiB."""
        name = f"source-{uuid.uuid4().hex[:8]}"
        container = self.docker.containers.create(SAMPLE_IMAGE, name=name, **options)
        if large:
            container.start()
            write = f"mkdir /data; for i in $(seq {LARGE_FILES}); do dd if=/dev/urandom of=/data/$i bs=1M count=2; done"
            assert container.exec_run(["sh", "-c", write]).exit_code == 0
        return container

    def files(self) -> list[Path]:
        """Every file below the backup roots."""
        return [path for root in (self.root, self.small) for path in sorted(root.rglob("*")) if path.is_file()]

    def read(self, path: str) -> list[Any]:
        """The size and SHA-256 of a file below the backup roots; read again when it was changed or replaced."""
        facts = Path(path).stat()
        version = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if self._read.get(path, (None,))[0] != version:
            content = Path(path).read_bytes()
            self._read[path] = (version, [len(content), hashlib.sha256(content).hexdigest()])
        return list(self._read[path][1])

    def labelled(self) -> dict[str, str]:
        """Containers that carry the label of an operation: their ids and its id."""
        found = self.docker.api.containers(all=True, filters={"label": OPERATION_LABEL})
        return {str(entry["Id"]): str(entry["Labels"][OPERATION_LABEL]) for entry in found}

    def made(self, docker: Any = None) -> dict[str, str]:
        """Volumes, networks, images and helpers that carry the label of an operation, and its id; on an Engine."""
        api, labelled = (docker or self.docker).api, {"label": OPERATION_LABEL}
        found = [
            *(("volume", entry["Name"], entry) for entry in api.volumes(filters=labelled)["Volumes"] or ()),
            *(("network", entry["Name"], entry) for entry in api.networks(filters=labelled)),
            *(("image", entry["Id"], entry) for entry in api.images(filters=labelled)),
            *(("helper", entry["Id"], entry) for entry in api.containers(all=True, filters={"label": HELPER_LABEL})),
        ]
        return {f"{kind} {name}": str(entry["Labels"][OPERATION_LABEL]) for kind, name, entry in found}


def _as_headers(names: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in names.items()}


def children_of(process: int) -> list[int]:
    """The ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def assert_invariants(stack: Stack) -> None:
    """What must hold after every fault, within the time that the product promises for putting things right."""
    found: list[str] = []

    def hold() -> bool:
        found[:] = list(violations(stack))
        return not found

    with contextlib.suppress(TimeoutError):
        wait_until(hold, seconds=PATIENCE_SECONDS)
    assert not found


def violations(stack: Stack) -> Iterator[str]:
    """Each invariant that does not hold now, in words; operations that were found settled are not asked again."""
    facts = stack.ask("changed", stack.settled.last)
    settled = stack.settled.with_more(facts["operations"])
    found = [
        *_operation_violations(facts),
        *_storage_violations(stack, facts["backups"]),
        *(f"container {found} is left of {by}" for found, by in stack.labelled().items() if found not in settled.made),
        *(f"{what} is left of {by}" for what, by in stack.made().items() if by not in settled.good or "helper" in what),
    ]
    if not found:
        stack.settled = settled
    yield from found


def _operation_violations(facts: dict[str, Any]) -> Iterator[str]:
    phases: dict[str, list[str]] = defaultdict(list)
    for entry in facts["entries"]:
        phases[entry["operation_id"]].append(entry["phase"])
    for row in facts["operations"]:
        mine = phases[row["id"]]
        if row["state"] in ("queued", "running"):
            yield f"{row['kind']} {row['id']} is {row['state']}"
        elif mine.count("intent") != 1 or mine.count("outcome") != 1:
            yield f"{row['kind']} {row['id']} has {mine} in the ledger"
        if row["undo"] and row["state"] not in ("succeeded", "queued", "running"):
            yield f"{row['id']} still has to take back {row['undo']}"
        if row["sealed"] and row["state"] not in ("queued", "running"):
            yield f"{row['id']} still has sealed values"
        if row["state"] == "errored":
            yield f"{row['id']} met a bug: {row['trace']}"


def _storage_violations(stack: Stack, backups: list[dict[str, Any]]) -> Iterator[str]:
    files: dict[str, list[Any]] = {path: facts for row in backups for path, facts in row["files"].items()}
    expected = {*files, *(row["manifest"] for row in backups)}
    present = {str(path) for path in stack.files()}
    yield from (f"{path} has no row" for path in present - expected)
    yield from (f"{path} is missing" for path in expected - present)
    yield from (f"{path} is not what its row says" for path in present & set(files) if stack.read(path) != files[path])
    yield from (f"the row of {row['path']} is {row['state']}" for row in backups if row["state"] not in USABLE)


@contextlib.contextmanager
def running_stack(pair: Pair, engine: PrivateEngine) -> Iterator[Stack]:
    """A stack that has begun, ended at the end."""
    stack = Stack(pair, engine)
    try:
        stack.begin()
        yield stack
    finally:
        stack.end()
