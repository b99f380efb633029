"""A running operation as its workflow sees it: the lease's heartbeat, cancellation, time limit, stages and bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connections
from django.utils import timezone

from containers_app.archives.stores.local import LocalStore
from containers_app.conf import Conf
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import Cancelled, EngineError, InvalidRequest, LeaseLost, MycoError, TimedOut
from containers_app.models import Operation
from containers_app.operations import children, transitions
from containers_app.operations.evidence import receipt_of
from containers_app.operations.hosts import endpoint_of, host_named, limits, store_of
from containers_app.operations.kinds import KINDS, lasts
from containers_app.operations.secrets import plan_key
from containers_app.workflows.context import ChildTarget, Done, Facts
from containers_app.workflows.undo import replay

_POLL_SECONDS = 0.25
_STAGE_CHARACTERS = 64
_STUCK_FACTOR = 10
_CLEAN_UP_SECONDS = 5.0
_TAKE_BACK_ROUNDS = 3


class OperationContext:
    """Implements `workflows.context.Context` on an operation's row. Use as a context manager: it holds the lease."""

    def __init__(self, operation: Operation, *, conf: Conf, may: Callable[[str], bool]) -> None:
        self._operation = operation
        self._conf = conf
        self._store = store_of(conf)
        self._stop = threading.Event()
        self._why: MycoError | None = None
        self._abort: Callable[[], None] | None = None
        self._guard = threading.Lock()
        self.has_parts = False
        self._active_at = time.monotonic()
        self._facts = Facts(
            operation_id=str(operation.pk),
            lease_token=operation.lease_token,
            host_id=operation.host_id,
            host_name=operation.host.name,
            may=may,
            plan_key=plan_key(),
        )
        self._heartbeat = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> OperationContext:
        self._heartbeat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heartbeat.join()

    @property
    def facts(self) -> Facts:
        """What is fixed for this run."""
        return self._facts

    @property
    def store(self) -> LocalStore:
        """The backup storage."""
        return self._store

    @property
    def undo(self) -> list[Mapping[str, Any]]:
        """The steps recorded so far."""
        return list(self._operation.undo)

    def gateway(self, host_name: str | None = None) -> AbstractContextManager[EngineGateway]:
        """An Engine, with the operation's receipt; no call is longer than the time that is left."""
        self.checkpoint()
        if host_name is not None and not host_named(host_name).enabled:
            raise InvalidRequest(f"the host {host_name} is disabled", field="options.host")
        return self._open(host_name, limits(self._conf, self.remaining_seconds))

    def clean_up_gateway(self, host_name: str = "") -> AbstractContextManager[EngineGateway]:
        """An Engine for taking things back: outside the operation's own time limit, and brief."""
        return self._open(host_name, replace(limits(self._conf), call_seconds=_CLEAN_UP_SECONDS))

    def _open(self, host_name: str | None, engine_limits: EngineLimits) -> AbstractContextManager[EngineGateway]:
        host = host_named(host_name) if host_name else self._operation.host
        return open_gateway(endpoint_of(host), engine_limits, receipt_of(self._operation))

    @property
    def bind_roots(self) -> tuple[str, ...]:
        """The folders of Docker hosts that may be read."""
        return self._conf.bind_roots

    @property
    def scratch_folder(self) -> Path:
        """The data folder of this machine."""
        return Path(self._conf.data_directory)

    @property
    def helper_image(self) -> str | None:
        """The image of helper containers that the settings name; None for our own."""
        return self._conf.helper_image or None

    def remaining_seconds(self) -> float | None:
        """The time left before the operation's limit, at least 0; None without a limit."""
        if self._operation.deadline_at is None:
            return None
        return max(0.0, (self._operation.deadline_at - timezone.now()).total_seconds())

    def stage(self, name: str, *, undo: Mapping[str, Any] | None = None, plan: Mapping[str, Any] | None = None) -> None:
        """Begin a stage; the one before is done. With it, durably: how to take back what comes next, and the plan."""
        self.checkpoint()
        now = timezone.now().isoformat()
        self._operation.stages = [*_closed(self._operation.stages, now), _opened(name, now)]
        values: dict[str, Any] = {"stage": name[:_STAGE_CHARACTERS], "stages": self._operation.stages}
        if undo is not None:
            self._operation.undo = [*self._operation.undo, dict(undo)]
            values["undo"] = self._operation.undo
        if plan is not None:
            values["plan"] = dict(plan)
        self._write(**values)
        self._operation.plan = values.get("plan", self._operation.plan)

    def progress(self, bytes_done: int, *, bytes_total: int | None = None) -> None:
        """Say how far the bytes are, and how many there are where that is known now."""
        total = {} if bytes_total is None else {"bytes_total": bytes_total}
        self._operation.bytes_done = bytes_done
        self._write(bytes_done=bytes_done, **total)

    def checkpoint(self) -> None:
        """Raise Cancelled, TimedOut or LeaseLost when the work must stop."""
        self._active_at = time.monotonic()
        if self._why is None and self.remaining_seconds() == 0.0:
            self._why = self._timed_out()
        if self._why is not None:
            raise self._why

    def pin_target(self, container_id: str, name: str, *, lock: bool) -> None:
        """Record which container it is. With `lock`, raise Busy if another operation holds it."""
        values = {"target_id": container_id, "target_name": name}
        if lock:
            key = f"{self._operation.host_id}:{container_id}"
            transitions.lock_target(self._operation.pk, token=self._operation.lease_token, lock=key, **values)
        else:
            self._write(**values)
        self._operation.target_id, self._operation.target_name = container_id, name

    def remember_undo(self, step: Mapping[str, Any]) -> None:
        """Record durably how to take back what comes next."""
        self._operation.undo = [*self._operation.undo, dict(step)]
        self._write(undo=self._operation.undo)

    def begin_children(self, targets: Sequence[ChildTarget]) -> tuple[str, ...]:
        """Record an operation of its own for each part of the work, intents first; returns their ids."""
        self.checkpoint()
        self.has_parts = True
        return children.begin(self._operation, targets)

    def describe_child(self, child_id: str, part: Done) -> None:
        """What came of a part so far."""
        children.describe(self._operation, child_id, part)

    def forget_undo(self, step: Mapping[str, Any]) -> None:
        """The effect of this step is taken back already."""
        self._operation.undo = [kept for kept in self._operation.undo if kept != dict(step)]
        self._write(undo=self._operation.undo)

    def take_back(self) -> None:
        """Take back all that is recorded, now. Raises EngineError where something is left."""
        for _ in range(_TAKE_BACK_ROUNDS):
            self.checkpoint()
            self._operation.undo = replay(self.undo, open_gateway=self.clean_up_gateway, store=self._store)
            self._write(undo=self._operation.undo)
            if not self._operation.undo:
                return
        raise EngineError("what was made could not all be removed yet: that is tried again until it is gone")

    def warn(self, code: str, message: str) -> None:
        """Add a warning that answers and pages show."""
        warnings = [*self._operation.warnings, {"code": code, "message": message}]
        self._write(warnings=warnings)
        self._operation.warnings = warnings

    @property
    def warnings(self) -> Sequence[Mapping[str, str]]:
        """Those so far, each with `code` and `message`."""
        return tuple(self._operation.warnings)

    @contextmanager
    def interruptible(self, abort: Callable[[], None]) -> Iterator[None]:
        """While inside, a cancellation calls `abort` from another thread; what that breaks is raised as its cause."""
        with self._guard:
            self._abort = abort
        try:
            self.checkpoint()
            yield
        except MycoError as error:
            if self._why is not None and error is not self._why:
                raise self._why from error
            raise
        finally:
            with self._guard:
                self._abort = None

    def _write(self, **values: Any) -> None:
        transitions.write(self._operation.pk, token=self._operation.lease_token, **values)

    def _beat(self) -> None:
        """Renew the lease, watch for reasons to stop; a stuck operation is let go, so that the reconciler ends it."""
        renew_at = 0.0
        try:
            while not self._stop.wait(_POLL_SECONDS):
                if time.monotonic() - self._active_at > self._conf.stall_seconds * _STUCK_FACTOR:
                    return
                try:
                    renew_at = self._renew_when_due(renew_at)
                    self._look_for_a_reason_to_stop()
                except DatabaseError:
                    continue
        finally:
            connections.close_all()

    def _renew_when_due(self, renew_at: float) -> float:
        if time.monotonic() < renew_at:
            return renew_at
        lease_seconds = self._conf.lease_seconds
        if not transitions.renew(self._operation.pk, token=self._operation.lease_token, lease_seconds=lease_seconds):
            self._stop_work(LeaseLost("another worker or the reconciler took the operation over"))
        return time.monotonic() + lease_seconds / 3

    def _look_for_a_reason_to_stop(self) -> None:
        row = (
            Operation.objects.filter(pk=self._operation.pk).values_list("cancel_requested_at", "cancel_reason").first()
        )
        if row and row[0]:
            self._stop_work(Cancelled(row[1] or "cancelled"))
        elif self.remaining_seconds() == 0.0:
            self._stop_work(self._timed_out())

    def _stop_work(self, why: MycoError) -> None:
        with self._guard:
            self._why = self._why or why
            if self._abort:
                self._abort()

    def _timed_out(self) -> TimedOut:
        operation = self._operation
        allowed_seconds = (operation.deadline_at - operation.created_at).total_seconds() if operation.deadline_at else 0
        look = f"given up; look at the {KINDS[operation.kind].subject_type}'s state"
        ended = look if lasts(operation.kind) else "cancelled and cleaned up"
        return TimedOut(
            f"not finished within {allowed_seconds:g} s, so it was {ended}; "
            "send 'Prefer: respond-async' to run it without this limit"
        )


def _opened(name: str, now: str) -> dict[str, Any]:
    return {"name": name, "state": "running", "startedAt": now, "finishedAt": None}


def _closed(stages: list[dict[str, Any]], now: str, state: str = "done") -> list[dict[str, Any]]:
    return [stage if stage["finishedAt"] else {**stage, "state": state, "finishedAt": now} for stage in stages]


def closed_stages(stages: list[dict[str, Any]], *, state: str) -> list[dict[str, Any]]:
    """The stages of an operation that ended: the last one `done` or `failed`."""
    return _closed(stages, timezone.now().isoformat(), state)
