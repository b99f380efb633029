"""`manage.py run`: web, worker, scheduler and broker in the foreground, for the Engine that the environment names."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from containers_app.audit.signing_loop import look_once
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.management.launch import banner, broker, databases, engines, environment_file, manager, programs
from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.once import check_port, only_start
from containers_app.management.launch.people import Administrator, first_administrator
from containers_app.management.launch.places import Places
from containers_app.management.launch.progress import Progress
from containers_app.operations.hosts import local_host
from mycodocker import env


class Command(BaseCommand):
    """Everything on one machine, until Ctrl-C."""

    verbs: ClassVar[tuple[str, ...]] = (
        "access.user_created",
        "access.key_issued",
        "access.key_revoked",
    )

    help = "Start the web server, the worker, the scheduler and the broker; Ctrl-C stops all of it."

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, start, say where it is, wait for the end."""
        self.begun = time.monotonic()
        self.places = Places(env.DATA_DIR)
        self.progress = Progress(self.stdout)
        os.umask(0o077)
        try:
            self.places.prepare()
            with only_start(self.places.lock), manager.ended_by_signals():
                check_port(env.BIND, env.PORT)
                self.known = environment_file.set_aside(self.places.demo_env, self.places.previous_demo_env)
                self._serve()
        except MycoError as error:
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            self.progress.say("Stopped: nothing is left running.")

    def _serve(self) -> None:
        with self.progress.step("Bringing the databases up to date"):
            databases.migrate()
            losses = look_once(load())
            administrator = first_administrator(self.known)
            local_host()
        for loss in losses:
            told = f"The ledger is halted: of shard {loss.shard}, {loss.why}. See 'manage.py ledger accept-rollback'."
            self.progress.say(self.style.WARNING(told))
        self.set_up()
        with self.engine() as chosen, self._processes(self.environment(chosen)) as process:
            # The processes need their first seconds anyway: the Engine comes up meanwhile.
            found = self.bring_up(chosen)
            with self.progress.step("Waiting for the web server and the worker"):
                manager.wait_until_ready(process, self.places, address=env.BIND, port=env.PORT)
            self.ready(administrator, found)
            raise CannotStart(f"The process manager ended by itself ({process.wait()}): see {self.places.log}/")

    @contextmanager
    def _processes(self, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        wanted = list(programs.console(address=env.BIND, port=env.PORT, worker_processes=env.WORKER_PROCESSES))
        if not env.BROKER_URL:
            broker.end_leftover(self.places.broker_socket)
            wanted.append(programs.broker(broker.program(), self.places))
        connections.close_all()
        names = ", ".join(program.name for program in wanted)
        try:
            with manager.running(programs.render(wanted, self.places), self.places, environment) as process:
                self.progress.say(f"Starting {names}")
                try:
                    yield process
                finally:
                    self.progress.say(f"Stopping {names} (at most {manager.END_SECONDS:g} s)")
        finally:
            environment_file.set_aside(self.places.demo_env, self.places.previous_demo_env)

    def set_up(self) -> None:
        """What a start needs beyond the databases and the first account."""

    @contextmanager
    def engine(self) -> Iterator[engines.EngineFound]:
        """The Engine to use; nothing is started or stopped here."""
        advice = (
            ""
            if engines.reachable(os.environ)
            else "The Docker Engine does not answer yet: the console shows when it does."
        )
        yield engines.EngineFound(advice=advice)

    def bring_up(self, found: engines.EngineFound) -> engines.EngineFound:
        """The Engine is somebody else's: nothing to do."""
        return found

    def environment(self, found: engines.EngineFound) -> dict[str, str]:
        """The environment of the processes."""
        fixed = {"PYTHONUNBUFFERED": "1", "CELERY_SKIP_CHECKS": "1", "MYCO_DATA_DIR": str(self.places.data)}
        return {**os.environ, **fixed}

    def ready(self, administrator: Administrator, found: engines.EngineFound) -> None:
        """Say that everything runs, and where."""
        self.say(banner.ready(url=env.public_url(), administrator=administrator, seconds=self.seconds))
        self.say(["  API key    made in the console, under API keys", "", *banner.farewell(self.places)])
        self.warn(found)

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self.begun

    def say(self, lines: list[str]) -> None:
        """Lines for the terminal."""
        self.progress.say("\n".join(lines))

    def warn(self, found: engines.EngineFound) -> None:
        """What the person at the terminal has to do about the Engine."""
        if found.advice:
            self.progress.say(self.style.WARNING(found.advice))
