"""What the Engine says was done, put together by what it was done to: one `docker run` is many events and one act."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from containers_app.specs.engine import EngineEvent

QUIET_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 10.0
BEFORE_SECONDS: Final = 1e-3
MOST_DEEDS: Final = 1_000
# What somebody asked for. What follows from it, or comes by itself, is not here.
ASKED: Final[Mapping[str, frozenset[str]]] = {
    "container": frozenset(
        (
            *("create", "start", "stop", "kill", "restart", "pause", "unpause", "rename", "update", "destroy", "prune"),
            *("exec_create", "attach", "commit", "copy", "export", "archive-path", "extract-to-dir", "checkpoint"),
        )
    ),
    "volume": frozenset(("create", "destroy", "prune")),
    "network": frozenset(("create", "connect", "disconnect", "destroy", "remove", "update", "prune")),
    "image": frozenset(("pull", "push", "load", "import", "tag", "untag", "delete", "save", "prune")),
}
# By what a moment may differ that was noted in the database: microseconds, rounded up, from a float.
_ROUNDED_SECONDS: Final = 5e-6
_EXEC: Final = " exec"
_ANONYMOUS: Final = re.compile("[0-9a-f]{64}")


@dataclass(kw_only=True)
class Deed:
    """What was done to one object without a pause: times are the Engine's, in seconds since 1970.

    `asked` are the requests, each once, in their order; `seen` is everything, also what only follows.
    """

    type: str
    id: str
    first: float
    last: float
    arrived: float
    begun: float
    name: str = ""
    operation_id: str = ""
    asked: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    commands: set[str] = field(default_factory=set)
    count: int = 0

    def add(self, event: EngineEvent, now: float) -> None:
        """Take one more event of it."""
        self.last, self.arrived = max(self.last, event.at_epoch_seconds), now
        self.operation_id = self.operation_id or event.operation_id
        if event.object_id == self.id:
            self.name = event.name or (event.object_id if event.type == "volume" else "")
        self.seen.add(event.action)
        if event.command_sha256:
            self.commands.add(event.command_sha256)
        if event.action in ASKED[event.type]:
            self.count += 1
            if event.action not in self.asked:
                self.asked.append(event.action)

    def requests(self) -> list[str]:
        """What was asked for, without what the Engine does by itself when a process ends or a container starts."""
        own = set()
        if "start" in self.seen:
            own |= {"connect"}
        if "die" in self.seen:
            own |= {"disconnect"}
            own |= set() if "kill" in self.seen else {"destroy"}  # as `docker run --rm` wished
        return [action for action in self.asked if action not in own]


class Journal:
    """The deeds of one Engine that are not judged yet; `until` says up to which moment of the Engine all were before.

    Safe between threads: one adds, one judges.
    """

    def __init__(self, until: float | None) -> None:
        self._lock = threading.Lock()
        self._last = self._floor = until
        self._deeds: dict[tuple[str, str], Deed] = {}
        self._closed: list[Deed] = []
        self._joins = True
        self._gap: tuple[float, float] | None = None
        self._moved: deque[float] = deque(maxlen=MOST_DEEDS)

    def resume(self) -> float | None:
        """A stream begins anew: from when on events are needed. What came before already is left out."""
        with self._lock:
            self._floor = self._last
            self._joins = self._last is None
            return self._last

    def add(self, event: EngineEvent, now: float) -> None:
        """Take an event that came at `now` (monotonic)."""
        with self._lock:
            at = event.at_epoch_seconds
            self._join(at)
            if self._floor is not None and at <= self._floor:
                return
            self._last = max(self._last or at, at)
            if event.type == "container" and event.action in ("create", "destroy"):
                self._moved.append(at)
            self._deed_of(event, now).add(event, now)

    def due(self, now: float) -> list[Deed]:
        """Take out the deeds that go on no more."""
        with self._lock:
            over = [key for key, deed in self._deeds.items() if _is_over(deed, now)]
            found = [*self._closed, *(self._deeds.pop(key) for key in over)]
            self._closed = []
            return [deed for deed in found if deed.requests() and not self._only_follows(deed)]

    def gap(self) -> tuple[float, float] | None:
        """From when to when, by the Engine's clock, events may be lost: it no longer had the last one that came."""
        with self._lock:
            return self._gap

    def gap_is_told(self, gap: tuple[float, float]) -> None:
        """This one is recorded; one that has grown meanwhile is not."""
        with self._lock:
            self._gap = None if self._gap == gap else self._gap

    def put_back(self, deeds: list[Deed]) -> None:
        """Deeds that could not be judged or recorded are due again."""
        with self._lock:
            self._closed = [*deeds, *self._closed]

    def until(self) -> float | None:
        """Up to when everything is judged and told, by the Engine's clock."""
        with self._lock:
            waiting = [deed.first - BEFORE_SECONDS for deed in (*self._closed, *self._deeds.values())]
            waiting += self._gap[:1] if self._gap else ()
            return min(waiting, default=self._last)

    def _join(self, at: float) -> None:
        """The first event of a stream is the last one of the stream before, unless the Engine has forgotten that."""
        if not self._joins and self._floor is not None and at > self._floor + BEFORE_SECONDS + _ROUNDED_SECONDS:
            self._gap = (self._gap[0] if self._gap else self._floor, at)
        self._joins = True

    def _deed_of(self, event: EngineEvent, now: float) -> Deed:
        key = _key_of(event)
        deed = self._deeds.get(key)
        if deed is not None and event.at_epoch_seconds - deed.last > QUIET_SECONDS:
            self._closed.append(self._deeds.pop(key))
        if key not in self._deeds:
            at = event.at_epoch_seconds
            self._deeds[key] = Deed(
                type=key[0].removesuffix(_EXEC), id=key[1], first=at, last=at, arrived=now, begun=now
            )
        if len(self._deeds) > MOST_DEEDS:
            self._closed.append(self._deeds.pop(next(iter(self._deeds))))
        return self._deeds[key]

    def _only_follows(self, deed: Deed) -> bool:
        """A volume that an Engine names itself is made and removed with a container."""
        anonymous = deed.type == "volume" and _ANONYMOUS.fullmatch(deed.id)
        return bool(anonymous) and any(abs(at - deed.last) <= QUIET_SECONDS for at in self._moved)


def _key_of(event: EngineEvent) -> tuple[str, str]:
    """Health checks go on for ever: what else is done to their container must not wait for them."""
    if not event.container_id:
        return event.type, event.object_id or event.action
    by_itself = event.action.startswith(("exec_", "health_status"))
    return "container" + (_EXEC if by_itself else ""), event.container_id


def _is_over(deed: Deed, now: float) -> bool:
    return now - deed.arrived >= QUIET_SECONDS or now - deed.begun >= LONGEST_SECONDS
