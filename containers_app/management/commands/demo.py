"""`manage.py demo`: as `run`, with a Docker Engine of its own when none answers, two samples, and keys to try them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from containers_app.management.commands import run
from containers_app.management.launch import banner, engines, environment_file
from containers_app.management.launch.people import Administrator, demonstration_keys
from mycodocker import env

_BACKUP_ROOTS = ("MYCO_BACKUP_ROOTS", "MYCO_BACKUP_ROOTS_FILE")


class Command(run.Command):
    """The demonstration."""

    help = "As `run`, with a private Docker Engine where none answers, sample containers and keys; Ctrl-C stops it."

    def set_up(self) -> None:
        """Keys to try it with."""
        self.keys = demonstration_keys(self.known)

    @contextmanager
    def engine(self) -> Iterator[engines.EngineFound]:
        """The Engine that answers, or a private one for as long as this command runs."""
        with engines.engine(self.places, self.progress, os.environ) as found:
            yield found

    def bring_up(self, found: engines.EngineFound) -> engines.EngineFound:
        """The private Engine and the samples."""
        return engines.bring_up(found, self.places, self.progress)

    def environment(self, found: engines.EngineFound) -> dict[str, str]:
        """The processes use the private Engine, and keep backups below the data folder."""
        values = {**super().environment(found), **found.as_environment()}
        if not any(name in values for name in _BACKUP_ROOTS):
            values["MYCO_BACKUP_ROOTS"] = str(self.places.backups)
        return values

    def ready(self, administrator: Administrator, found: engines.EngineFound) -> None:
        """Say what can be tried, and write it down for scripts."""
        environment_file.write(self.places.demo_env, self._values(administrator, found))
        url = env.public_url()
        self.say(banner.ready(url=url, administrator=administrator, seconds=self.seconds))
        self.say(banner.demonstration(url=url, api_key=self.keys.operator, sample=found.sample, places=self.places))
        self.say(banner.farewell(self.places))
        self.warn(found)

    def _values(self, administrator: Administrator, found: engines.EngineFound) -> dict[str, str]:
        return {
            "MYCO_URL": env.public_url(),
            "MYCO_API_KEY": self.keys.operator,
            "MYCO_AUDITOR_KEY": self.keys.auditor,
            "MYCO_ADMIN_USER": administrator.name,
            "MYCO_ADMIN_PASSWORD": administrator.password,
            "DOCKER_HOST": found.url,
            "MYCO_SAMPLE": found.sample,
            "MYCO_DATABASE_URL": env.DATABASE_URL or f"sqlite:///{self.places.data / 'db.sqlite3'}",
            "MYCO_AUDIT_DATABASE_URL": env.AUDIT_DATABASE_URL or f"sqlite:///{self.places.data / 'audit.sqlite3'}",
        }
