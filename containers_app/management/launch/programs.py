"""The processes of the console on one machine, and how the process manager is told about them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from containers_app.management.launch.death_signal import dying_with_parent
from containers_app.management.launch.places import PROJECT, Places

STOP_SECONDS, BROKER_STOP_SECONDS = 15, 5
LOG_BYTES = "10MB"
OLD_LOGS = 3
# Shorter than STOP_SECONDS, so that the web server is still there to end its own processes.
_WEB_PROCESSES, _WEB_THREADS, _WEB_STOP_SECONDS = 2, 16, 10


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process.

    `command` is a list of words. A low `priority` starts first and stops last. `stop_children`: whether the request to
    stop goes to its children too; a worker ends its own, after their work. After `stop_seconds` it is killed.
    """

    name: str
    command: tuple[str, ...]
    priority: int
    stop_children: bool = True
    stop_seconds: int = STOP_SECONDS


def broker(binary: str, places: Places) -> Program:
    """The embedded broker, on a socket that only its owner may use."""
    options = {
        "port": "0",
        "unixsocket": str(places.broker_socket),
        "unixsocketperm": "600",
        "dir": str(places.broker_data),
        "save": "",
        "appendonly": "yes",
        "maxmemory": "64mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "daemonize": "no",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = (*dying_with_parent("TERM"), binary, *words)
    return Program(name="broker", command=command, priority=1, stop_seconds=BROKER_STOP_SECONDS)


def console(*, address: str, port: int, worker_processes: int) -> tuple[Program, ...]:
    """The web server, the worker, the scheduler and the signer. Whoever starts them has run the system checks."""
    lead = (*dying_with_parent("KILL"), sys.executable)
    return (
        Program(name="web", command=(*lead, *_web(address, port)), priority=10),
        Program(name="worker", command=(*lead, *_worker(worker_processes)), priority=10, stop_children=False),
        Program(name="scheduler", command=(*lead, "manage.py", "scheduler", "--skip-checks"), priority=10),
        Program(name="signer", command=(*lead, "manage.py", "signer", "--skip-checks"), priority=10),
    )


def _web(address: str, port: int) -> tuple[str, ...]:
    options = {
        "worker-class": "gthread",
        "workers": str(_WEB_PROCESSES),
        "threads": str(_WEB_THREADS),
        "bind": f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        "graceful-timeout": str(_WEB_STOP_SECONDS),
        "log-level": "warning",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return ("-m", "gunicorn", "mycodocker.wsgi:application", "--no-control-socket", "--preload", *words)


def _worker(processes: int) -> tuple[str, ...]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=info")
    return ("-m", "celery", "-A", "mycodocker", "worker", "-P", "prefork", "-c", str(processes), "-Q", "local", *quiet)


def render(programs: Iterable[Program], places: Places) -> str:
    """The process manager's configuration: no control port, logs in files with rotation, what dies comes back."""
    ordered = sorted(programs, key=lambda program: program.priority)
    # A group stops all of its processes at once, and groups one after the other.
    console_names = ",".join(program.name for program in ordered if program.priority > 1)
    head = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        "umask=077",
        f"logfile={places.log / 'supervisor.log'}",
        f"logfile_maxbytes={LOG_BYTES}",
        f"logfile_backups={OLD_LOGS}",
        f"pidfile={places.run / 'supervisord.pid'}",
        f"childlogdir={places.log}",
        *(["user=root"] if os.geteuid() == 0 else []),
        "",
        "[group:console]",
        f"programs={console_names}",
        "priority=10",
    ]
    return "\n".join([*head, *(line for program in ordered for line in _section(program, places)), ""])


def _section(program: Program, places: Places) -> list[str]:
    return [
        "",
        f"[program:{program.name}]",
        f"command={shlex.join(program.command)}",
        f"directory={PROJECT}",
        f"priority={program.priority}",
        "autostart=true",
        "autorestart=true",
        "startsecs=1",
        # A process that ends at once is tried again, each time a second later.
        "startretries=100",
        f"stopwaitsecs={program.stop_seconds}",
        f"stopasgroup={str(program.stop_children).lower()}",
        "killasgroup=true",
        "umask=077",
        "redirect_stderr=true",
        f"stdout_logfile={places.log / program.name}.log",
        f"stdout_logfile_maxbytes={LOG_BYTES}",
        f"stdout_logfile_backups={OLD_LOGS}",
    ]
