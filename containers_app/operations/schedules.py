"""The scheduler process: each timer in a thread of its own, and the Engine's events. It holds no work of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, close_old_connections, connections

from containers_app.conf import load
from containers_app.engine.connection import open_reader
from containers_app.engine.streams import EventStream
from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.operations.backup_checks import check_backups
from containers_app.operations.hosts import endpoint_of, limits, local_host
from containers_app.operations.recovery import reconcile
from containers_app.workflows import inventory

logger = logging.getLogger(__name__)
_RETRY_SECONDS = 2.0
JOIN_SECONDS = 5.0
_IGNORED = ("exec_", "top", "attach", "resize", "export", "archive-path", "extract-to-dir")


class Scheduler:
    """Works from `start` to `stop`. Each timer has its own thread: one that waits for the Engine delays no other."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._events: EventStream | None = None
        conf = load()
        self._threads = (
            self._thread("reconcile", conf.reconcile_seconds, reconcile),
            # Apart from the sweep, which a storage that hangs must not delay either.
            self._thread("backups", conf.reconcile_seconds, check_backups),
            self._thread("inventory", conf.inventory_seconds, sync_inventory),
            self._thread("events", _RETRY_SECONDS, self._follow_events),
        )

    def start(self) -> None:
        """Reconcile, and keep the inventory, until `stop`."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads. One that still waits for an Engine after JOIN_SECONDS is left to end with the process.

        Not for a signal's handler: that may interrupt this process where it holds the event's own lock.
        """
        self._stop.set()
        if self._events:
            self._events.abort()
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _thread(self, name: str, period_seconds: float, act: Callable[[], object]) -> threading.Thread:
        return threading.Thread(target=self._repeat, args=(name, period_seconds, act), name=name, daemon=True)

    def _repeat(self, name: str, period_seconds: float, act: Callable[[], object]) -> None:
        """At once, and then again and again; what takes longer than its period is repeated after it."""
        try:
            while not self._stop.is_set():
                begun = time.monotonic()
                _guarded(name, act)
                self._stop.wait(max(0.0, begun + period_seconds - time.monotonic()))
        finally:
            connections.close_all()

    def _follow_events(self) -> None:
        host = local_host()
        since = time.time()
        with open_reader(endpoint_of(host), limits(load())) as reader:
            inventory.reconcile(host, reader)
            with reader.events(since) as events:
                self._events = events
                # `stop` may have come before there was a stream to abort.
                for event in () if self._stop.is_set() else events:
                    if not event.action.startswith(_IGNORED):
                        _refresh(host, event.container_id)


def sync_inventory() -> None:
    """Make the inventory equal to what the Engine lists, and note whether it answers."""
    host = local_host()
    try:
        with open_reader(endpoint_of(host), limits(load())) as reader:
            DockerHost.objects.filter(pk=host.pk).update(address=endpoint_of(host).url)
            inventory.reconcile(host, reader)
    except MycoError as error:
        inventory.note_unreachable(host, error)


def _refresh(host: DockerHost, container_id: str) -> None:
    with open_reader(endpoint_of(host), limits(load())) as reader:
        inventory.refresh(host, reader, container_id)


def _guarded(name: str, act: Callable[[], object]) -> None:
    close_old_connections()
    try:
        act()
    except (MycoError, DatabaseError) as error:
        logger.warning("%s will be tried again: %s", name, getattr(error, "message", type(error).__name__))
