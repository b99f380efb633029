"""`manage.py demo`: as `run`, with a Docker Engine of its own when none answers, and two sample containers."""

from __future__ import annotations

import os
from typing import Any

from containers_app.management.commands import run
from mycodocker import env


class Command(run.Command):
    """The demonstration."""

    help = "Start everything, with a private Docker Engine and samples where none answers; Ctrl-C stops it."
    brings_engine = True

    def handle(self, *args: Any, **options: Any) -> None:
        """Backups go below var/ unless the environment says otherwise."""
        os.environ.setdefault("MYCO_BACKUP_ROOTS", str(env.DATA_DIR / "backups" / "containers"))
        super().handle(*args, **options)
