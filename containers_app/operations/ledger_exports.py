"""Exports of the ledger: what may be asked for, the finished file, and its end."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from containers_app.audit import ledger
from containers_app.audit.ledger import Subject
from containers_app.audit.selection import FLAGS, NAMES
from containers_app.conf import Conf, load
from containers_app.errors import InvalidRequest, NotFound
from containers_app.models import Operation
from containers_app.operations.backup_contents import Extract, Pieces, Reader
from containers_app.operations.ledger_search import FILTERS, check_filter
from containers_app.operations.visibility import find
from containers_app.specs import fields
from containers_app.specs.period import period
from containers_app.workflows.ledger_export import EVIDENCE, FORMATS, LedgerExportParams, folder_of, remove_old

FIELDS = frozenset({"format", "since", "until", "period", "filter", "rtoGoalSeconds", "rpoGoalSeconds"})
_BLOCK_BYTES = 1 << 18
_BESIDE = "it stands beside the filter, not in it"
_NOT_HERE: Mapping[str, str] = {
    "mark": "what auditors marked is told by later entries, so no file can prove it",
    **dict.fromkeys(("since", "until", "period"), _BESIDE),
}
_LONGEST_GOAL = 10 * 365 * 86_400


def read_export(body: Mapping[str, Any]) -> LedgerExportParams:
    """The checked wish. Raises InvalidRequest that names the field."""
    since, until = period(body)
    chosen = _filter(fields.mapping(body, "filter"))
    form = fields.choice(body, "format", FORMATS, default="bundle")
    if form == EVIDENCE and chosen:
        raise InvalidRequest("'filter' is not for an evidence pack, which tells of the whole period", field="filter")
    return LedgerExportParams(
        format=form,
        since=since.isoformat() if since else "",
        until=until.isoformat() if until else "",
        filter=chosen,
        rto_goal_seconds=_goal(body, "rtoGoalSeconds", form),
        rpo_goal_seconds=_goal(body, "rpoGoalSeconds", form),
    )


def _goal(body: Mapping[str, Any], name: str, form: str) -> int | None:
    if body.get(name) is None:
        return None
    if form != EVIDENCE:
        raise InvalidRequest(f"'{name}' is for the format '{EVIDENCE}' only", field=name)
    return fields.whole(body, name, lowest=1, highest=_LONGEST_GOAL)


def _filter(given: Mapping[str, Any]) -> dict[str, str]:
    """The filters of the list that a file can have; those that are off are left out."""
    for name in sorted(FILTERS - NAMES):
        if name in given:
            raise InvalidRequest(f"'filter.{name}' is not for an export: {_NOT_HERE[name]}", field=f"filter.{name}")
    fields.only(given, NAMES, inside="filter.")
    chosen = {name: fields.required_text(given, name, inside="filter.", longest=256) for name in given}
    for name, value in chosen.items():
        check_filter(name, value, inside="filter.")
    return {name: value for name, value in chosen.items() if not (name in FLAGS and value == "false")}


def download_export(reader: Reader, operation_id: UUID) -> Extract:
    """The file of a finished export; the ledger has it before the first byte. Its pieces are read or closed.

    Raises what `find` does, NotFound for one that is not finished, failed, or was removed, and AuditUnavailable.
    """
    row: Operation = find(reader.asker, "ledgerExport", "download", pk=operation_id)
    path = _path_of(row)
    pieces = Pieces(_blocks(path))
    try:
        size_bytes = path.stat().st_size
        _record(reader, row)
    except BaseException:
        pieces.close()
        raise
    return Extract(file_name=path.name, size_bytes=size_bytes, pieces=pieces)


def is_there(row: Operation) -> bool:
    """Whether the file of an export can be downloaded now."""
    try:
        _path_of(row)
    except NotFound:
        return False
    return True


def sweep_exports(conf: Conf) -> int:
    """Remove the files that are older than the setting says; the ledger has it. Returns how many. Raises OSError."""
    removed = remove_old(folder_of(conf.data_directory), keep=timedelta(days=conf.export_days))
    if removed:
        ledger.event(
            action="system.retention",
            actor=ledger.Actor(type="system", label="reconciler"),
            source=ledger.Source(channel="scheduler"),
            subject=Subject(type="ledger", name="exports"),
            details={"removed": removed, "keep_seconds": int(conf.export_days * 24 * 3600)},
        )
    return removed


def _path_of(row: Operation) -> Path:
    name = (row.result or {}).get("fileName") if row.is_finished else None
    if name is None:
        raise NotFound("this export has no file: it is not finished, or it failed")
    path = folder_of(load().data_directory) / Path(name).name
    if not path.is_file():
        raise NotFound("the file of this export was removed, as the setting MYCO_EXPORT_DAYS says: export anew")
    return path


def _blocks(path: Path) -> Generator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _record(reader: Reader, row: Operation) -> None:
    ledger.event(
        action="audit.download",
        actor=reader.asker.as_actor(),
        source=reader.source,
        subject=Subject(type="ledger", id=str(row.pk), name=row.target_name, host=row.host.name),
        details={"sha256": (row.result or {}).get("sha256", ""), "entries": (row.result or {}).get("entries", 0)},
    )
