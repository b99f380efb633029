"""The scheduler process: reconcile by a timer, keep the inventory by timer and events. It holds no work of its own."""

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
from containers_app.operations.hosts import endpoint_of, limits, local_host
from containers_app.operations.recovery import reconcile
from containers_app.workflows import inventory

logger = logging.getLogger(__name__)
_RETRY_SECONDS = 2.0
_IGNORED = ("exec_", "top", "attach", "resize", "export", "archive-path", "extract-to-dir")


class Scheduler:
    """Runs until `stop`. Each timer goes on when another one fails."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._events: EventStream | None = None

    def run(self) -> None:
        """Reconcile, and keep the inventory, until `stop`."""
        conf = load()
        follower = threading.Thread(target=self._follow_events, name="engine events", daemon=True)
        follower.start()
        timers = {
            "reconcile": (conf.reconcile_seconds, reconcile),
            "inventory": (conf.inventory_seconds, sync_inventory),
        }
        due = dict.fromkeys(timers, 0.0)
        while not self._stop.is_set():
            for name, (period_seconds, act) in timers.items():
                if time.monotonic() >= due[name]:
                    due[name] = time.monotonic() + period_seconds
                    _guarded(name, act)
            self._stop.wait(0.5)
        follower.join(timeout=5)

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stop.set()
        if self._events:
            self._events.abort()

    def _follow_events(self) -> None:
        try:
            while not self._stop.is_set():
                _guarded("events", self._follow_until_it_breaks)
                self._stop.wait(_RETRY_SECONDS)
        finally:
            connections.close_all()

    def _follow_until_it_breaks(self) -> None:
        host = local_host()
        since = time.time()
        with open_reader(endpoint_of(host), limits(load())) as reader:
            inventory.reconcile(host, reader)
            with reader.events(since) as events:
                self._events = events
                for event in events:
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
