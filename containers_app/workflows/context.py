"""What a workflow is given: its operation's facts, and the few verbs that keep the record ahead of the effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from containers_app.archives.stores.local import LocalStore
from containers_app.engine.gateway import EngineGateway


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is fixed for one run. `plan_key` keys the hashes of plans."""

    operation_id: str
    lease_token: int
    host_id: int
    host_name: str
    may: Callable[[str], bool] = field(repr=False)
    plan_key: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A workflow's result.

    `result` is the body that answers show, `proof` what was compared to say so. `record` writes the rows that belong
    to it, in the transaction of the final state. `partial` says that something is missing, which a warning names.
    `settling` are steps like those of an undo that go on instead of back: they are done after the end.
    """

    result: Mapping[str, Any]
    record: Callable[[], None] | None = None
    proof: Mapping[str, Any] | None = None
    partial: bool = False
    settling: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChildTarget:
    """What a part of the work is about: a verb's name with its params, and the container by full id and name.

    With `lock`, nothing else may work on it meanwhile.
    """

    kind: str
    container_id: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    lock: bool = False


class Context(Protocol):
    """The operation as its workflow sees it."""

    @property
    def facts(self) -> Facts:
        """What is fixed for this run."""

    @property
    def store(self) -> LocalStore:
        """The backup storage."""

    def gateway(self, host_name: str | None = None) -> AbstractContextManager[EngineGateway]:
        """An Engine, opened with the operation's receipt: of its own host, or of the host of this name.

        Raises InvalidRequest (field `options.host`) for a host that is not registered.
        """

    @property
    def bind_roots(self) -> tuple[str, ...]:
        """The folders of Docker hosts that may be read; each has all below it."""

    @property
    def scratch_folder(self) -> Path:
        """Where temporary files may be, on this machine. They must be gone whatever kills the process."""

    @property
    def helper_image(self) -> str | None:
        """The image of helper containers that the settings name; None for our own."""

    def stage(self, name: str, *, undo: Mapping[str, Any] | None = None, plan: Mapping[str, Any] | None = None) -> None:
        """Begin a stage; the one before is done. With it, durably: how to take back what comes next, and the plan."""

    def progress(self, bytes_done: int, *, bytes_total: int | None = None) -> None:
        """Say how far the bytes are, and how many there are where that is known now."""

    def checkpoint(self) -> None:
        """Raise Cancelled, TimedOut or LeaseLost when the work must stop; call it often."""

    def pin_target(self, container_id: str, name: str, *, lock: bool) -> None:
        """Record which container it is, by its 64-hex id. With `lock`, raise Busy if another operation holds it."""

    def remember_undo(self, step: Mapping[str, Any]) -> None:
        """Record durably how to take back what comes next."""

    def begin_children(self, targets: Sequence[ChildTarget]) -> tuple[str, ...]:
        """Record an operation of its own for each part of the work, intents first; returns their ids.

        They end with their parent: done if the parent is, taken back if not. Raises Busy when another operation holds
        a target that is to be locked; then none is recorded.
        """

    def describe_child(self, child_id: str, part: Done) -> None:
        """What came of a part so far: its result, proof, and whether something is missing."""

    def forget_undo(self, step: Mapping[str, Any]) -> None:
        """The effect of this step is taken back already."""

    def take_back(self) -> None:
        """Take back all that is recorded, now: for work of which nothing stays.

        Raises EngineError where something is left; then it is tried again after the operation's end.
        """

    def warn(self, code: str, message: str) -> None:
        """Add a warning that answers and pages show."""

    @property
    def warnings(self) -> Sequence[Mapping[str, str]]:
        """Those so far, each with `code` and `message`."""

    def interruptible(self, abort: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, a cancellation calls `abort` from another thread."""
