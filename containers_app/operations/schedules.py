"""The scheduler process: reconcile by a timer, and let each host be followed. It holds no work of its own."""

from __future__ import annotations

import threading
import time

from containers_app.conf import load
from containers_app.operations.followers import Followers, guarded
from containers_app.operations.recovery import reconcile


class Scheduler:
    """Runs until `stop`. Each timer goes on when another one fails."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._followers = Followers()

    def run(self) -> None:
        """Reconcile, and keep the inventories, until `stop`."""
        conf = load()
        timers = {
            "reconcile": (conf.reconcile_seconds, reconcile),
            "hosts": (conf.inventory_seconds, self._followers.tend),
        }
        due = dict.fromkeys(timers, 0.0)
        while not self._stop.is_set():
            for name, (period_seconds, act) in timers.items():
                if time.monotonic() >= due[name]:
                    due[name] = time.monotonic() + period_seconds
                    guarded(name, act)
            self._stop.wait(0.5)
        self._followers.join(seconds=5)

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stop.set()
        self._followers.stop()
