"""Keeps the signer looking until it is told to stop, with the anchors beside it: a slow one delays no signature."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from django.db import connections

from containers_app.audit.anchoring import anchor_newest
from containers_app.audit.losses import Loss
from containers_app.audit.router import ALIAS
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerBusy, SignerFolder
from containers_app.conf import Conf
from containers_app.errors import AuditUnavailable, MycoError

POLL_SECONDS: Final = 1.0
# Anchors that hang end by their own limits; the process does not wait for them longer than this.
_END_SECONDS: Final = 5.0
logger = logging.getLogger(__name__)


def sign_until(signals: Iterable[signal.Signals], *, conf: Conf) -> None:
    """Hold the folder, and look every second until one of `signals`, which the caller has blocked.

    Raises SignerUnfit and OSError when the folder cannot be used: whoever supervises the process starts it again.
    """
    folder = SignerFolder(Path(conf.signer_directory))
    with folder.held():
        signer = Signer(folder, name=conf.ledger_name, heartbeat_seconds=conf.checkpoint_seconds)
        over = threading.Event()
        anchors = threading.Thread(target=_anchor_until, args=(over, conf), name="anchors", daemon=True)
        anchors.start()
        told: list[Loss] = []
        try:
            while anchors.is_alive() and signal.sigtimedwait(signals, POLL_SECONDS) is None:
                told = _look(signer, told)
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


def _look(signer: Signer, told: list[Loss]) -> list[Loss]:
    """Look once; losses are logged when they are new, not every second."""
    try:
        found = signer.look()
    except AuditUnavailable:
        logger.warning("the ledger does not answer; nothing was signed")
        return told
    if found != told:
        for loss in found:
            logger.error("the ledger is halted: shard %s: %s", loss.shard, loss.why)
    return found


def _anchor_until(over: threading.Event, conf: Conf) -> None:
    try:
        while True:
            _anchor(conf)
            if over.wait(conf.anchor_seconds):
                return
    finally:
        connections[ALIAS].close()


def _anchor(conf: Conf) -> None:
    try:
        anchor_newest(conf)
    except MycoError as error:
        logger.warning("no checkpoint was anchored: %s", error.message)
