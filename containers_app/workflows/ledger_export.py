"""Export the audit ledger into a file below the data folder: all that was asked for, or nothing. No Engine is asked."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from containers_app.archives.stores.faults import storage_faults
from containers_app.audit.bundle import Written, write_bundle
from containers_app.audit.exports import FORMS, write_entries
from containers_app.audit.selection import Selection
from containers_app.audit.signed import newest_checkpoint
from containers_app.workflows.context import Context, Done

BUNDLE: Final = "bundle"
FORMATS: Final = (BUNDLE, *FORMS)
_ENDINGS: Final[Mapping[str, str]] = {BUNDLE: "zip", "jsonl": "jsonl", "csv": "csv", "ocsf": "ocsf.jsonl"}


@dataclass(frozen=True, kw_only=True)
class LedgerExportParams:
    """`since` and `until` are ISO 8601 in UTC, or empty for no end; `filter` has the keys of `selection.COLUMNS`."""

    format: str
    since: str = ""
    until: str = ""
    filter: Mapping[str, str] = field(default_factory=dict)

    def selection(self) -> Selection:
        """The entries that are meant."""
        since, until = (datetime.fromisoformat(text) if text else None for text in (self.since, self.until))
        return Selection(since=since, until=until, equal=self.filter)


def folder_of(data_directory: str | Path) -> Path:
    """Where exports are, for the product's own user only."""
    return Path(data_directory) / "exports"


def name_of(operation_id: str, form: str) -> str:
    """The file's name; nothing of it is chosen by who asks."""
    return f"ledger-{operation_id}.{_ENDINGS[form]}"


def export_ledger(context: Context, params: LedgerExportParams) -> Done:
    """Write the file under its name only when it is complete and on the disk.

    Raises NothingSigned for a bundle without a checkpoint, StorageError, AuditUnavailable; then no file is left.
    """
    context.stage("write the entries")
    folder = folder_of(context.scratch_folder)
    path = folder / name_of(context.facts.operation_id, params.format)
    with storage_faults("writing the export"):
        folder.mkdir(mode=0o700, exist_ok=True)
        written = write_file(path, params, checkpoint=context.checkpoint)
        size_bytes, sha256 = measured(path)
    context.progress(size_bytes)
    if written.newer:
        context.warn("NOT_SIGNED_YET", f"{written.newer} entries are newer than the last checkpoint: not in the bundle")
    return Done(result=_result(params, path, written) | {"sizeBytes": size_bytes, "sha256": sha256})


def write_file(path: Path, params: LedgerExportParams, *, checkpoint: Callable[[], None]) -> Written:
    """Write the export to `path`, readable for its owner only; on any failure nothing is there. Raises OSError."""
    beside = path.with_name(f"{path.name}.part")
    try:
        with open(beside, "xb", opener=_private) as target:
            written = _write(target, params, checkpoint)
            target.flush()
            os.fsync(target.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    return written


def measured(path: Path) -> tuple[int, str]:
    """The size in bytes and the SHA-256 in hex. Raises OSError."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def remove_old(folder: Path, *, keep: timedelta) -> int:
    """Remove the exports that are older, unfinished ones too. Returns how many. Raises OSError."""
    before = time.time() - keep.total_seconds()
    old = [path for path in folder.glob("ledger-*") if path.stat().st_mtime < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _write(target: BinaryIO, params: LedgerExportParams, checkpoint: Callable[[], None]) -> Written:
    if params.format == BUNDLE:
        return write_bundle(target, params.selection(), newest=newest_checkpoint, checkpoint=checkpoint)
    return write_entries(target, params.selection(), form=params.format, checkpoint=checkpoint)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _result(params: LedgerExportParams, path: Path, written: Written) -> dict[str, Any]:
    return {
        "success": True,
        "message": "The ledger is exported",
        "action": "ledgerExport",
        "format": params.format,
        "fileName": path.name,
        "entries": written.entries,
        "firstEntry": written.first,
        "lastEntry": written.last,
        "notSigned": written.newer,
    }
