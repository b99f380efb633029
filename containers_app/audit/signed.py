"""The newest checkpoint of a shard as a bundle holds it."""

from __future__ import annotations

from containers_app.audit import published
from containers_app.audit.bundle import Signed


def newest_checkpoint(shard: int) -> Signed | None:
    """Return it with the signatures of witnesses, or None when the shard has none. Raises django.db.Error."""
    row = published.newest_checkpoint(shard)
    if row is None:
        return None
    return Signed(origin=row.origin, size=row.size, note=published.with_witnesses(row), vkey=row.vkey)
