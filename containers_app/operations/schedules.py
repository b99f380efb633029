"""The scheduler process: each timer in a thread of its own, and each host followed. It holds no work of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import connections

from containers_app.conf import load
from containers_app.operations.backup_checks import check_backups
from containers_app.operations.followers import Followers, guarded
from containers_app.operations.ledger_verifications import schedule_ledger_verification
from containers_app.operations.presence import Presence
from containers_app.operations.recovery import reconcile
from containers_app.operations.verifications import schedule_verifications

JOIN_SECONDS = 5.0


class Scheduler:
    """Runs from `start` to `stop`. Each timer goes on when another one fails, or hangs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._followers = Followers()
        self._presence = Presence()
        conf = load()
        self._threads = (
            self._thread("presence", conf.reconcile_seconds, self._presence.look),
            self._thread("reconcile", conf.reconcile_seconds, reconcile),
            # Apart from the sweep, which a storage that hangs must not delay either.
            self._thread("backups", conf.reconcile_seconds, check_backups),
            self._thread("verifications", conf.reconcile_seconds, schedule_verifications),
            self._thread("ledger verification", conf.reconcile_seconds, schedule_ledger_verification),
            self._thread("hosts", conf.inventory_seconds, self._followers.tend),
        )

    def start(self) -> None:
        """Reconcile, and keep the inventories, until `stop`."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads. One that still waits for an Engine after JOIN_SECONDS is left to end with the process.

        Not for a signal's handler: that may interrupt this process where it holds the event's own lock.
        """
        self._stop.set()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._followers.join(max(0.0, deadline - time.monotonic()))
        self._presence.leave()

    def _thread(self, name: str, period_seconds: float, act: Callable[[], object]) -> threading.Thread:
        return threading.Thread(target=self._repeat, args=(name, period_seconds, act), name=name, daemon=True)

    def _repeat(self, name: str, period_seconds: float, act: Callable[[], object]) -> None:
        """At once, and then again and again; what takes longer than its period is repeated after it."""
        try:
            while not self._stop.is_set():
                begun = time.monotonic()
                guarded(name, act)
                self._stop.wait(max(0.0, begun + period_seconds - time.monotonic()))
        finally:
            connections.close_all()
