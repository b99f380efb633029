"""Values that are not to be read: sealed into the row of a request, or as keyed hashes in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from containers_app.crypto.sealing import derived_key, keyed_digest, seal, unseal
from containers_app.models import Operation


def plan_key() -> bytes:
    """The key of the hashes of plans."""
    return derived_key(settings.SECRET_KEY, "mycodocker plans")


def sealed(values: Mapping[str, Any]) -> str:
    """The values as a row may keep them; empty for none."""
    return seal(values, _sealing_key()) if values else ""


def unsealed(operation: Operation) -> dict[str, Any]:
    """The values again. Raises SealBroken."""
    return unseal(operation.sealed, _sealing_key()) if operation.sealed else {}


def request_digest(body: bytes) -> str:
    """What an idempotency key is bound to: a digest that tells nothing of a short value in the body."""
    return keyed_digest(body, derived_key(settings.SECRET_KEY, "mycodocker requests"))


def hashed(value: str, *, of: str) -> str:
    """A value as the ledger may keep it for good, `hmac:<of>:<hex>`: equal for equal ones, and found by no guessing."""
    key = derived_key(settings.SECRET_KEY, f"mycodocker {of} in the ledger")
    return f"hmac:{of}:{keyed_digest(value.encode(), key)}"


def _sealing_key() -> bytes:
    return derived_key(settings.SECRET_KEY, "mycodocker sealed values")
