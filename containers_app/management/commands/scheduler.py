"""`manage.py scheduler`: the process that reconciles and keeps the inventory."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand

from containers_app.operations.schedules import Scheduler


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C."""

    help = "Reconcile operations and keep the inventory, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the scheduler."""
        scheduler = Scheduler()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: scheduler.stop())
        scheduler.run()
