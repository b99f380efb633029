"""A backup set beside the one before it: what has become empty, or much smaller, is worth a warning."""

from __future__ import annotations

from collections.abc import Iterable

from containers_app.archives.manifest import Part
from containers_app.models import BackupPart
from containers_app.models.backups import USABLE_STATES
from containers_app.workflows.context import Context

_COMPARED = ("rootfs", "volume", "bind")
# A tar of nothing has the folder itself.
_EMPTY_MEMBERS = 1
_SHRUNKEN_SHARE = 0.5
_SMALL_BYTES = 1024 * 1024


def compared_with_last(context: Context, container_name: str, parts: Iterable[Part]) -> bool:
    """Whether no part is empty or has shrunk to less than half since this container's last usable set.

    Each that has is a warning. What was under 1 MiB may shrink.
    """
    held = True
    for part in parts:
        last = _last(context, container_name, part) if part.kind in _COMPARED else None
        if last is None:
            continue
        if (last.members or 0) > _EMPTY_MEMBERS and (part.members or 0) <= _EMPTY_MEMBERS:
            words = f"is empty, and had {last.members} entries in the backup before"
            context.warn("CONTENT_EMPTY", f"The {part.kind} {part.name} {words}: look whether that is right.")
            held = False
        elif last.size_bytes >= _SMALL_BYTES and part.size_bytes < last.size_bytes * _SHRUNKEN_SHARE:
            words = f"has {part.size_bytes} bytes, and had {last.size_bytes} in the backup before"
            context.warn("CONTENT_SHRUNKEN", f"The {part.kind} {part.name} {words}: look whether that is right.")
            held = False
    return held


def _last(context: Context, container_name: str, part: Part) -> BackupPart | None:
    rows = BackupPart.objects.filter(
        backup__host_id=context.facts.host_id,
        backup__container_name=container_name,
        backup__state__in=USABLE_STATES,
        kind=part.kind,
        name=part.name,
    )
    return rows.order_by("-backup__created_at").first()
