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
from containers_app.workflows.evidence_pack.gathering import Goals
from containers_app.workflows.evidence_pack.pack import Request, check_rights, write_pack

BUNDLE: Final = "bundle"
EVIDENCE: Final = "evidence"
FORMATS: Final = (BUNDLE, *FORMS, EVIDENCE)
_ENDINGS: Final[Mapping[str, str]] = {
    BUNDLE: "zip",
    EVIDENCE: "evidence.zip",
    "jsonl": "jsonl",
    "csv": "csv",
    "ocsf": "ocsf.jsonl",
}


@dataclass(frozen=True, kw_only=True)
class LedgerExportParams:
    """`since` and `until` are ISO 8601 in UTC, or empty for no end; `filter` has the keys of `selection.COLUMNS`.

    The goals, in seconds, are for the evidence pack, which compares drills with them; None: there is none.
    """

    format: str
    since: str = ""
    until: str = ""
    filter: Mapping[str, str] = field(default_factory=dict)
    rto_goal_seconds: int | None = None
    rpo_goal_seconds: int | None = None

    @property
    def goals(self) -> Goals:
        """What drills are compared with."""
        return Goals(rto_seconds=self.rto_goal_seconds, rpo_seconds=self.rpo_goal_seconds)

    def selection(self) -> Selection:
        """The entries that are meant."""
        since, until = (datetime.fromisoformat(text) if text else None for text in (self.since, self.until))
        return Selection(since=since, until=until, equal=self.filter)


def folder_of(data_directory: str | Path) -> Path:
    """Where exports are, for the product's own user only."""
    return Path(data_directory) / "exports"


def name_of(operation_id: str, form: str) -> str:
    """The file's name; nothing of it is chosen by who asks."""
    return f"ledger-{operation_id}.{_ENDINGS.get(form, form)}"


def export_ledger(context: Context, params: LedgerExportParams) -> Done:
    """Write the file under its name only when it is complete and on the disk.

    Raises NothingSigned for a bundle or an evidence pack without a checkpoint, PermissionDenied for who may not see
    what a pack tells, StorageError, AuditUnavailable; then no file is left.
    """
    if params.format == EVIDENCE:
        check_rights(context.facts.may)
    context.stage("write the entries")
    folder = folder_of(context.scratch_folder)
    path = folder / name_of(context.facts.operation_id, params.format)
    with storage_faults("writing the export"):
        folder.mkdir(mode=0o700, exist_ok=True)
        written = write_file(path, params, operation_id=context.facts.operation_id, checkpoint=context.checkpoint)
        size_bytes, sha256 = measured(path)
    context.progress(size_bytes)
    if written.newer:
        context.warn("NOT_SIGNED_YET", f"{written.newer} entries are newer than the last checkpoint: not in the bundle")
    if written.missing:
        context.warn("NO_PDF", written.missing)
    return Done(
        partial=bool(written.missing),
        result=_result(params, path, written) | {"sizeBytes": size_bytes, "sha256": sha256},
    )


def write_file(path: Path, params: LedgerExportParams, *, operation_id: str, checkpoint: Callable[[], None]) -> Written:
    """Write the export to `path`, readable for its owner only; on any failure nothing is there.

    An evidence pack names the operation that asked for it. Raises OSError.
    """
    beside = path.with_name(f"{path.name}.part")
    try:
        with open(beside, "xb", opener=_private) as target:
            written = _write(target, params, operation_id=operation_id, folder=path.parent, checkpoint=checkpoint)
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


def _write(
    target: BinaryIO, params: LedgerExportParams, *, operation_id: str, folder: Path, checkpoint: Callable[[], None]
) -> Written:
    if params.format == EVIDENCE:
        request = Request(
            selection=params.selection(),
            goals=params.goals,
            operation_id=operation_id,
            folder=folder,
            checkpoint=checkpoint,
        )
        return write_pack(target, request)
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
