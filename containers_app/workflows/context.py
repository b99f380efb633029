"""What a workflow is given: its operation's facts, and the few verbs that keep the record ahead of the effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from containers_app.archives.stores.local import LocalStore
from containers_app.engine.gateway import EngineGateway


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is fixed for one run."""

    operation_id: str
    lease_token: int
    host_id: int
    host_name: str
    may: Callable[[str], bool] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A workflow's result.

    `result` is the body that answers show. `record` writes the rows that belong to it, in the transaction of the
    final state. `partial` says that something is missing, which a warning names.
    """

    result: Mapping[str, Any]
    record: Callable[[], None] | None = None
    partial: bool = False


class Context(Protocol):
    """The operation as its workflow sees it."""

    @property
    def facts(self) -> Facts:
        """What is fixed for this run."""

    @property
    def store(self) -> LocalStore:
        """The backup storage."""

    def gateway(self) -> AbstractContextManager[EngineGateway]:
        """The Engine, opened with the operation's receipt."""

    def stage(self, name: str) -> None:
        """Begin a stage; the one before is done."""

    def progress(self, bytes_done: int) -> None:
        """Say how far the bytes are."""

    def checkpoint(self) -> None:
        """Raise Cancelled, TimedOut or LeaseLost when the work must stop; call it often."""

    def pin_target(self, container_id: str, name: str, *, lock: bool) -> None:
        """Record which container it is, by its 64-hex id. With `lock`, raise Busy if another operation holds it."""

    def remember_undo(self, step: Mapping[str, Any]) -> None:
        """Record durably how to take back what comes next."""

    def warn(self, code: str, message: str) -> None:
        """Add a warning that answers and pages show."""

    def interruptible(self, abort: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, a cancellation calls `abort` from another thread."""
