"""Export the audit ledger into a file below the data folder: all that was asked for, or nothing. No Engine is asked."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.stores.space import SpaceGuard
from containers_app.audit.bundle import Written, write_bundle
from containers_app.audit.exports import FORMS, write_entries
from containers_app.audit.selection import Selection
from containers_app.audit.signed import newest_checkpoint
from containers_app.conf import load
from containers_app.workflows.context import Context, Done
from containers_app.workflows.evidence_pack.gathering import Goals
from containers_app.workflows.evidence_pack.pack import Request, check_rights, write_pack

BUNDLE: Final = "bundle"
EVIDENCE: Final = "evidence"
FORMATS: Final = (BUNDLE, *FORMS, EVIDENCE)
_UNFINISHED: Final = ".part"
# Nobody writes for so long without a byte.
_ABANDONED: Final = timedelta(hours=1)
_ENDINGS: Final[Mapping[str, str]] = {
    BUNDLE: "zip",
    EVIDENCE: "evidence.zip",
    "jsonl": "jsonl",
    "csv": "csv",
    "ocsf": "ocsf.jsonl",
}


@dataclass(frozen=True, kw_only=True)
class LedgerExportParams:
    """`since` and `until` are ISO 8601 in UTC, or empty for no end; `filter` has the keys of `selection.NAMES`.

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
        made = write_file(
            path,
            params,
            operation_id=context.facts.operation_id,
            reserve_bytes=load().backup_reserve_bytes,
            checkpoint=context.checkpoint,
        )
    context.progress(made.size_bytes)
    written = made.written
    if written.newer:
        context.warn("NOT_SIGNED_YET", f"{written.newer} entries are newer than the last checkpoint: not in the bundle")
    if written.missing:
        context.warn("NO_PDF", written.missing)
    return Done(partial=bool(written.missing), result=_result(params, path, made))


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file that was written: what is in it, its size and the SHA-256 of all of it, in hex."""

    written: Written
    size_bytes: int
    sha256: str


def write_file(
    path: Path,
    params: LedgerExportParams,
    *,
    operation_id: str,
    reserve_bytes: int,
    checkpoint: Callable[[], None],
) -> Made:
    """Write the export to `path`, readable for its owner only; on any failure nothing is there.

    An evidence pack names the operation that asked for it. Raises StorageFull before less than `reserve_bytes` would
    be free there, and OSError.
    """
    beside = path.with_name(f"{path.name}{_UNFINISHED}")
    try:
        with io.BufferedWriter(_Watched(beside, reserve_bytes)) as target:
            written = _write(target, params, operation_id=operation_id, folder=path.parent, checkpoint=checkpoint)
            target.flush()
            os.fsync(target.fileno())
        made = _measured(beside, written)
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    return made


class _Watched(io.FileIO):
    """A new file for its owner only, which leaves a reserve of the disk free."""

    def __init__(self, path: Path, reserve_bytes: int) -> None:
        super().__init__(path, "xb", opener=_private)
        self._space = SpaceGuard(self.fileno(), reserve_bytes, called="The folder of the export")

    def write(self, chunk: Any) -> int:
        """Write some of it. Raises StorageFull and OSError."""
        self._space.before_writing(memoryview(chunk).nbytes)
        return super().write(chunk)


def _measured(path: Path, written: Written) -> Made:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Made(written=written, size_bytes=path.stat().st_size, sha256=digest)


def remove_old(folder: Path, *, keep: timedelta) -> int:
    """Remove the exports that are older, and what a process that was killed left. Returns how many. Raises OSError."""
    now = time.time()
    limits = {path: _ABANDONED if path.suffix == _UNFINISHED else keep for path in folder.glob("ledger-*")}
    old = [path for path, limit in limits.items() if path.stat().st_mtime < now - limit.total_seconds()]
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


def _result(params: LedgerExportParams, path: Path, made: Made) -> dict[str, Any]:
    written = made.written
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
        "sizeBytes": made.size_bytes,
        "sha256": made.sha256,
    }
