"""The inventory of every enabled host, each kept by threads of its own: a dead host delays nobody but itself."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

from django.db import DatabaseError, close_old_connections, connections

from containers_app.audit import denials
from containers_app.conf import load
from containers_app.engine.connection import open_reader
from containers_app.engine.streams import EventStream
from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.operations.attribution import Attribution, counted_as, record_gap
from containers_app.operations.engine_watch import Deed, Journal
from containers_app.operations.hosts import endpoint_of, limits, local_host, values_of
from containers_app.specs.host import HostValues
from containers_app.workflows import inventory

logger = logging.getLogger(__name__)
_RETRY_SECONDS = 2.0
_IGNORED = ("exec_", "top", "attach", "resize", "export", "archive-path", "extract-to-dir")


class Followers:
    """One follower for each enabled host, as its row was when it was looked at last."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, HostValues], Follower] = {}

    def tend(self) -> None:
        """Start what is missing or has died, stop what is disabled, removed or changed. Call it again and again."""
        local_host()
        wanted = {(host.pk, values_of(host)): host for host in DockerHost.objects.filter(enabled=True)}
        for key, follower in list(self._running.items()):
            if key not in wanted or not follower.is_alive():
                self._running.pop(key).stop()
        for key in wanted.keys() - self._running.keys():
            self._running[key] = Follower(wanted[key])

    def stop(self) -> None:
        """Let every thread end soon; safe in a signal handler."""
        for follower in list(self._running.values()):
            follower.stop()

    def join(self, seconds: float) -> None:
        """Stop, and wait for the threads."""
        self.stop()
        until = time.monotonic() + seconds
        for follower in list(self._running.values()):
            follower.join(max(0.0, until - time.monotonic()))


class Follower:
    """Threads for one host: one reads the whole list now and then, one follows the events in between.

    A third one compares what the events say was done with the operations; what is not theirs goes into the ledger.
    """

    def __init__(self, host: DockerHost) -> None:
        self._host = host
        self._stop = threading.Event()
        self._events: EventStream | None = None
        self._journal = Journal(host.events_until.timestamp() if host.events_until else None)
        self._ahead_seconds = 0.0
        self._noted: float | None = None
        self._threads = (
            self._thread("inventory", load().inventory_seconds, self._list),
            self._thread("events", _RETRY_SECONDS, self._follow),
            self._thread("attribution", _RETRY_SECONDS, self._attribute),
        )

    def is_alive(self) -> bool:
        """Whether all threads run."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Let the threads end soon."""
        self._stop.set()
        self._abort_events()

    def join(self, seconds: float) -> None:
        """Wait for the threads, at most so long for all together."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _thread(self, what: str, period_seconds: float, act: Callable[[], object]) -> threading.Thread:
        name = f"{what} of {self._host.name}"
        thread = threading.Thread(target=self._repeat, args=(name, period_seconds, act), name=name, daemon=True)
        thread.start()
        return thread

    def _repeat(self, name: str, period_seconds: float, act: Callable[[], object]) -> None:
        pause_seconds, longest_seconds = period_seconds, max(period_seconds, load().inventory_seconds)
        try:
            while not self._stop.is_set():
                # A host that is down for days is asked for its events as seldom as for its list.
                done = guarded(name, act)
                pause_seconds = period_seconds if done else min(2 * pause_seconds, longest_seconds)
                self._stop.wait(pause_seconds)
        finally:
            connections.close_all()

    def _list(self) -> None:
        try:
            list_containers(self._host)
        except MycoError as error:
            # A peer that vanished says no good-bye: what waits for its events begins anew.
            self._abort_events()
            inventory.note_unreachable(self._host, error)

    def _follow(self) -> None:
        since = self._journal.resume() or time.time()
        with open_reader(endpoint_of(self._host), limits(load())) as reader:
            self._ahead_seconds = reader.clock_ahead_seconds()
            inventory.reconcile(self._host, reader)
            with reader.events(since) as events:
                self._events = events
                if self._stop.is_set():  # `stop` may have come before there was a stream to abort
                    return
                for event in events:
                    self._journal.add(event, time.monotonic())
                    if event.type == "container" and not event.action.startswith(_IGNORED):
                        self._refresh(event.container_id)

    def _attribute(self) -> None:
        deeds = self._journal.due(time.monotonic())
        try:
            if deeds:
                self._judge(deeds)
        finally:
            self._journal.put_back(deeds)
        gap = self._journal.gap()
        if gap is not None:
            record_gap(self._host, gap)
            self._journal.gap_is_told(gap)
        # What is only counted is gone with the process: then the next one has to ask the Engine for it again.
        if denials.control.settle(counted_as(self._host)):
            self._note_until()

    def _judge(self, deeds: list[Deed]) -> None:
        """Takes each out of the list once it is settled, so that a failure leaves the others."""
        with open_reader(endpoint_of(self._host), limits(load())) as reader:
            attribution = Attribution(self._host, reader, ahead_seconds=self._ahead_seconds)
            while deeds:
                if not attribution.is_ours(deeds[0]):
                    attribution.record(deeds[0])
                del deeds[0]

    def _note_until(self) -> None:
        """Where a scheduler that starts later goes on; rounded up, for nothing is to be told twice."""
        until = self._journal.until()
        if until is not None and until != self._noted:
            moment = datetime.fromtimestamp(math.ceil(until * 1e6) / 1e6, UTC)
            DockerHost.objects.filter(pk=self._host.pk).update(events_until=moment)
            self._noted = until

    def _refresh(self, container_id: str) -> None:
        with open_reader(endpoint_of(self._host), limits(load())) as reader:
            inventory.refresh(self._host, reader, container_id)

    def _abort_events(self) -> None:
        events = self._events
        if events is not None:
            events.abort()


def list_containers(host: DockerHost) -> None:
    """Make the inventory of a host equal to what its Engine lists. Raises the Engine's errors."""
    endpoint = endpoint_of(host)
    with open_reader(endpoint, limits(load())) as reader:
        DockerHost.objects.filter(pk=host.pk).update(address=endpoint.url)
        inventory.reconcile(host, reader)


def guarded(name: str, act: Callable[[], object]) -> bool:
    """Do it; False, and a line in the log, for a failure: the next turn tries again.

    A row or an answer that makes no sense is no reason to end a timer for good.
    """
    close_old_connections()
    try:
        act()
    except (MycoError, DatabaseError) as error:
        logger.warning("%s will be tried again: %s", name, getattr(error, "message", type(error).__name__))
        return False
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("%s met a %s in %s, and will be tried again", name, type(error).__name__, frame.name)
        return False
    return True
