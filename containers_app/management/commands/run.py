"""`manage.py run`: web, worker, scheduler and broker in the foreground, for the Engine that the environment names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from containers_app.management.launch import environment_file
from containers_app.management.launch.banner import banner
from containers_app.management.launch.engines import EngineFound, find_engine, stop_private_engine, trouble_with_engine
from containers_app.management.launch.foreground import Stopped, prepare, serve
from containers_app.management.launch.people import Credentials, ensure_people
from containers_app.operations.hosts import local_endpoint
from mycodocker import env


class Command(BaseCommand):
    """Everything on one machine."""

    help = "Start everything in the foreground; Ctrl-C stops it."
    brings_engine = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, start, say where it is, wait for the end."""
        self._begun = time.monotonic()
        self._known = environment_file.read(self._kept)
        engine = EngineFound(url="", sample="")
        try:
            prepare()
            self._file.unlink(missing_ok=True)
            engine = self._engine()
            people = ensure_people(self._known)
            environment_file.write(self._kept, self._values(people, engine))
            serve(lambda worker: self._ready(people, engine, worker=worker))
        except (KeyboardInterrupt, Stopped):
            pass
        finally:
            if engine.private:
                stop_private_engine()
        self.stdout.write("stopped")

    @property
    def _file(self) -> Path:
        """For scripts: there only while everything runs."""
        return env.DATA_DIR / "demo.env"

    @property
    def _kept(self) -> Path:
        """The same values between two starts."""
        return env.DATA_DIR / "secrets" / "start.env"

    def _engine(self) -> EngineFound:
        if self.brings_engine:
            return find_engine(lambda line: self.stdout.write(f"… {line}"))
        trouble = trouble_with_engine()
        return EngineFound(url=local_endpoint().url, sample="", problem=trouble or "")

    def _ready(self, people: Credentials, engine: EngineFound, *, worker: bool) -> None:
        if engine.problem:
            self.stderr.write(self.style.WARNING(f"The Docker host is unreachable.\n{engine.problem}"))
        if not worker:
            self.stderr.write(self.style.WARNING(f"No worker answers: see {env.DATA_DIR / 'log' / 'worker.log'}"))
        environment_file.write(self._file, self._values(people, engine))
        self.stdout.write(banner(people, sample=engine.sample, seconds=time.monotonic() - self._begun))
        self.stdout.flush()

    def _values(self, people: Credentials, engine: EngineFound) -> dict[str, str]:
        return {
            "MYCO_URL": env.public_url(),
            "MYCO_API_KEY": people.api_key,
            "MYCO_AUDITOR_KEY": people.auditor_key,
            "MYCO_ADMIN_USER": people.user,
            "MYCO_ADMIN_PASSWORD": people.password,
            "DOCKER_HOST": engine.url,
            "MYCO_SAMPLE": engine.sample,
            "MYCO_DATABASE_URL": env.DATABASE_URL or f"sqlite:///{env.DATA_DIR / 'db.sqlite3'}",
            "MYCO_AUDIT_DATABASE_URL": env.AUDIT_DATABASE_URL or f"sqlite:///{env.DATA_DIR / 'audit.sqlite3'}",
        }
