"""What is brought to an anchor, why it did not arrive, and how long that may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from containers_app.audit.signer_folder import Signed
from containers_app.errors import MycoError

Result = TypeVar("Result")
_hanging: dict[str, threading.Thread] = {}


class AnchorFailed(MycoError):
    """A checkpoint did not reach its anchor; the message says why, without a secret, and it is tried again later."""

    retryable = True


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A checkpoint of a shard as the signer's folder has it: `root` in hex, `note` the signed text."""

    shard: int
    origin: str
    size: int
    root: str
    note: str
    signed_at: datetime

    @classmethod
    def of(cls, shard: int, signed: Signed) -> Brought:
        """From what the signer remembers."""
        checkpoint = signed.checkpoint
        return cls(
            shard=shard,
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            note=signed.note,
            signed_at=signed.moment,
        )

    @property
    def file_name(self) -> str:
        """A name that no other checkpoint has."""
        return f"{self.shard}-{self.size:012}-{self.signed_at:%Y%m%dT%H%M%SZ}.checkpoint"


def within(seconds: float, name: str, call: Callable[[], Result]) -> Result:
    """Call what may hang although each of its steps has a limit, and return what it does.

    After `seconds` it is left to itself, and until it ends none of that `name` is begun. Raises AnchorFailed: its own,
    and for everything else that `call` raises, which is logged.
    """
    last = _hanging.get(name)
    if last is not None and last.is_alive():
        raise AnchorFailed("the attempt before still hangs")
    results: list[Result] = []
    failures: list[AnchorFailed] = []

    def run() -> None:
        try:
            results.append(call())
        except AnchorFailed as failure:
            failures.append(failure)

    thread = _hanging[name] = threading.Thread(target=run, name=f"anchor {name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if thread.is_alive():
        raise AnchorFailed(f"it did not end within {seconds:g} s")
    raise failures[0] if failures else AnchorFailed("it ended by a fault of its own: see the log")
