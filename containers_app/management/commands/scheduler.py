"""`manage.py scheduler`: the process that reconciles and keeps the inventory."""

from __future__ import annotations

import signal
from typing import Any, ClassVar

from django.core.management.base import BaseCommand

from containers_app.operations.schedules import Scheduler

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C."""

    verbs: ClassVar[tuple[str, ...]] = (
        "system.start",
        "system.stop",
        "system.version_changed",
        "system.migrated",
        "system.clock_back",
        "system.retention",
        "config.settings_changed",
        "engine.unattributed",
        "engine.events_lost",
    )

    help = "Reconcile operations and keep the inventory, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the scheduler. Its threads inherit the mask, so that this one gets the signals."""
        scheduler = Scheduler()
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        scheduler.start()
        signal.sigwait(_ENDING_SIGNALS)
        scheduler.stop()
