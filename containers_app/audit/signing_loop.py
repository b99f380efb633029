"""Keeps the signer looking until it is told to stop, with the anchors beside it: a slow one delays no signature."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from django.db import connections

from containers_app.audit.anchoring import Carrier
from containers_app.audit.losses import Loss
from containers_app.audit.router import ALIAS
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerBusy, SignerFolder
from containers_app.conf import Conf
from containers_app.errors import MycoError

POLL_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
# Anchors that hang end by their own limits; the process does not wait for them longer than this.
_END_SECONDS: Final = 5.0
logger = logging.getLogger(__name__)


class SignerEnded(MycoError):
    """A part of the signer died of a bug: the process has to end, and to be started again."""


def sign_until(signals: Iterable[signal.Signals], *, conf: Conf) -> None:
    """Hold the folder, and look every second until one of `signals`, which the caller has blocked.

    What can pass by itself (no database, a full disk, a folder that cannot be used now) is logged, and tried again
    after pauses that grow to a minute. Raises SignerUnfit when the folder cannot be used at the start, `SignerEnded`.
    """
    folder = SignerFolder(Path(conf.signer_directory))
    with folder.held():
        looking = _Looking(Signer(folder, name=conf.ledger_name, heartbeat_seconds=conf.checkpoint_seconds))
        over = threading.Event()
        carrier = Carrier(folder, conf)
        anchors = threading.Thread(target=_carry_until, args=(over, carrier, conf), name="anchors", daemon=True)
        anchors.start()
        try:
            while signal.sigtimedwait(signals, looking.pause) is None:
                if not anchors.is_alive():
                    raise SignerEnded("The signer's anchors ended by a fault: it has to be started again.")
                looking.look()
        finally:
            over.set()
            anchors.join(_END_SECONDS)


def look_once(conf: Conf) -> list[Loss]:
    """Compare before anything else starts, and return what is lost; a signer that runs already does it itself.

    Raises SignerUnfit when the folder cannot be used, `AuditUnavailable`.
    """
    folder = SignerFolder(Path(conf.signer_directory))
    try:
        with folder.held():
            return Signer(folder, name=conf.ledger_name, heartbeat_seconds=conf.checkpoint_seconds).look()
    except SignerBusy:
        return []


class _Looking:
    """One look after the other; `pause` is how long to wait before the next."""

    def __init__(self, signer: Signer) -> None:
        self.pause = POLL_SECONDS
        self._signer = signer
        self._told: list[Loss] = []

    def look(self) -> None:
        """Look once; losses are logged when they are new, not every second."""
        # A connection of its own age reads the file that was there, after another was put into its place.
        connections[ALIAS].close_if_unusable_or_obsolete()
        try:
            found = self._signer.look()
        except (MycoError, OSError) as error:
            self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)
            why = error.message if isinstance(error, MycoError) else error.strerror
            logger.error("nothing was signed, the next try is in %g s: %s", self.pause, why)
            return
        self.pause = POLL_SECONDS
        if found != self._told:
            for loss in found:
                logger.error("the ledger is halted: shard %s: %s", loss.shard, loss.why)
        self._told = found


def _carry_until(over: threading.Event, carrier: Carrier, conf: Conf) -> None:
    try:
        while True:
            try:
                carrier.carry()
            except (MycoError, OSError) as error:
                # The folder: the signer meets the same, and says more.
                logger.warning("no checkpoint was anchored: %s", type(error).__name__)
            if over.wait(conf.anchor_seconds):
                return
    finally:
        connections[ALIAS].close()
