"""The two ways to an Engine: a reader for anybody, and a gateway for who holds the ledger's receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.engine.transport import EngineLimits, connect
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt

__all__ = ["EngineLimits", "open_gateway", "open_reader"]


@contextmanager
def open_reader(endpoint: Endpoint, limits: EngineLimits) -> Iterator[EngineReader]:
    """Connect to an Engine for reading. Raises EngineUnavailable or TimedOut."""
    with connect(endpoint, limits) as connection:
        yield EngineReader(connection)


@contextmanager
def open_gateway(endpoint: Endpoint, limits: EngineLimits, receipt: Receipt) -> Iterator[EngineGateway]:
    """Connect to an Engine for changing it; only what is in the ledger already may be done.

    Raises TypeError without a receipt, before anything is sent; EngineUnavailable or TimedOut.
    """
    if not isinstance(receipt, Receipt):
        raise TypeError("an Engine is changed only with the ledger's receipt")
    with connect(endpoint, limits) as connection:
        yield EngineGateway(connection, receipt)
