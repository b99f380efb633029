"""The newest checkpoint of a shard as a bundle holds it."""

from __future__ import annotations

from containers_app.audit import published
from containers_app.audit.bundle import Signed
from containers_app.errors import NotFound


def newest_checkpoint(shard: int) -> Signed | None:
    """Return it with the signatures of witnesses, or None when the shard has none. Raises `AuditUnavailable`."""
    try:
        found = published.checkpoint(shard)
    except NotFound:
        return None
    return Signed(origin=found.origin, size=found.size, note=found.note, vkey=found.vkey)
