"""The body of a drill, read into typed params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.operations.clone_options import LONGEST_WAIT_SECONDS
from containers_app.operations.restore_options import read_keys
from containers_app.specs import fields
from containers_app.specs.hooks import read_hook
from containers_app.specs.isolation import LOWEST_MEMORY_BYTES
from containers_app.workflows.drill import DEFAULT_WAIT_SECONDS, DrillParams

_KNOWN = frozenset(
    {"command", "waitHealthySeconds", "memoryBytes", "nanoCpus", "stack", "host", "passphrase", "identity"}
    | {"reason", "ticket"}
)
# A hundredth of a processor is the least that an Engine takes.
_LOWEST_NANO_PROCESSORS = 10**7


def read_drill(backup_id: str, body: Mapping[str, Any]) -> DrillParams:
    """Check the body; `host` is the caller's to look up. Raises InvalidRequest that names the field."""
    fields.only(body, _KNOWN)
    seconds = fields.whole(body, "waitHealthySeconds", lowest=1, highest=LONGEST_WAIT_SECONDS)
    return DrillParams(
        backup=backup_id,
        stack=fields.flag(body, "stack"),
        command=read_hook(body, "command", inside=""),
        wait_healthy_seconds=DEFAULT_WAIT_SECONDS if seconds is None else seconds,
        memory_bytes=fields.whole(body, "memoryBytes", lowest=LOWEST_MEMORY_BYTES),
        nano_processors=fields.whole(body, "nanoCpus", lowest=_LOWEST_NANO_PROCESSORS),
        keys=read_keys(body),
    )
