"""An id for something that is planned and not made yet."""

from __future__ import annotations

import hashlib


def placeholder_id(name: str) -> str:
    """64 hex digits that no Engine gave: the same for the same name, so that a plan is the same each time."""
    return hashlib.sha256(f"planned {name}".encode()).hexdigest()
