"""Keeps a second start of the same data folder, or of the same port, from half-beginning."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from containers_app.management.launch.failures import CannotStart


@contextmanager
def only_start(lock: Path) -> Iterator[None]:
    """Hold the lock file while inside; the system gives it back however this process ends. Raises CannotStart."""
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotStart(
                f"It is running already, as process {file.read().strip()}: stop that one first (Ctrl-C in its "
                "terminal), or set MYCO_DATA_DIR and MYCO_PORT for a second one."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def check_port(address: str, port: int) -> None:
    """Raises CannotStart when nothing can listen on this port of this address."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        # As the web server does: an old connection in its last minutes is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            # Another server may have bound without listening yet, or with the same option.
            probe.listen(1)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStart(
                f"Port {port} of {address} cannot be used ({reason}): end what uses it, "
                "or name another one, as in MYCO_PORT=8001."
            ) from error
