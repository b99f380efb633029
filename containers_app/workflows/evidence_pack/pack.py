"""The evidence pack: one zip file with the report for people and for programs, and the signed entries behind it."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from containers_app.audit.bundle import Written, write_bundle
from containers_app.audit.evidence import Snapshot, pruned, snapshot, told
from containers_app.audit.selection import Selection
from containers_app.conf import load
from containers_app.errors import PermissionDenied
from containers_app.workflows.evidence_pack.cover import Cover, anchored, asked_in, pages_of, signatures_of
from containers_app.workflows.evidence_pack.document import NoPdf, html_of, pdf_of
from containers_app.workflows.evidence_pack.gathering import Gathered, Goals, actions_of, summary_of
from containers_app.workflows.evidence_pack.present import Present
from containers_app.workflows.evidence_pack.tables import SOURCES, Spool, Table

FORMAT: Final = "mycodocker-evidence/1"
# What the report tells of, besides what the ledger's export itself needs.
PERMISSIONS: Final = (
    "audit.view_entry",
    *(f"containers_app.view_{noun}" for noun in ("dockerhost", "container", "operation", "backup", "apikey")),
)
README: Final = """\
The evidence of a period: what was backed up, tried, restored and deleted, who could do it, and what proves that.

evidence.pdf, evidence.html  for people: the first rows of each table
evidence.json                the same facts for programs: all rows
tables/*.csv                 the same rows for a spreadsheet; text that would run as a formula has a ' before it
bundle.zip                   the signed entries of the period, with verify.py: see its README.txt

A row that names an entry (shard/number) is proved by bundle.zip: line NUMBER + 1 of SHARD/entries.jsonl there is the
entry itself. An entry before the period (an intent that was asked for earlier) is there as its hash. The format is
documented in docs/reference/ledger-format.md of the product.
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the report is about, and the operation that asks for it. `folder`: where pieces may be meanwhile."""

    selection: Selection
    goals: Goals
    operation_id: str
    folder: Path
    checkpoint: Callable[[], None]


def check_rights(may: Callable[[str], bool]) -> None:
    """Raise PermissionDenied for who may not see what the report tells of."""
    missing = [permission for permission in PERMISSIONS if not may(permission)]
    if missing:
        raise PermissionDenied(f"you may not make an evidence pack: it needs the permission '{missing[0]}'")


def write_pack(target: BinaryIO, request: Request) -> Written:
    """Write the pack to `target`. Its `missing` says what this machine could not make.

    Raises NothingSigned without a checkpoint, LedgerDamaged, AuditUnavailable, OSError.
    """
    with ExitStack() as cleaning:

        def spool(mode: str = "w+", **text: Any) -> Any:
            # It has no name, so it is gone whatever kills the process.
            return cleaning.enter_context(tempfile.TemporaryFile(mode, dir=request.folder, **text))

        bundle = spool("w+b")
        signed = snapshot()
        written = write_bundle(bundle, request.selection, newest=signed.newest, checkpoint=request.checkpoint)
        gathered = _gathered(request, signed, partial(spool, encoding="utf-8"))
        tables = _tables(request, gathered)
        cover = _cover(request, gathered, bundle, gone=pruned(request.selection, signed))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            missing = _write_members(archive, cover, tables, bundle)
    return replace(written, entries=gathered.entries, first=gathered.first, last=gathered.last, missing=missing)


def _gathered(request: Request, signed: Snapshot, spool: Spool) -> Gathered:
    gathered = Gathered(spool=spool, goals=request.goals)
    for one in told(request.selection, signed, checkpoint=request.checkpoint):
        gathered.take(one)
    return gathered


def _tables(request: Request, gathered: Gathered) -> list[Table]:
    present = Present(spool=gathered.spool, conf=load(), selection=request.selection, checkpoint=request.checkpoint)
    return [
        summary_of(gathered),
        *present.tables(),
        *gathered.tables.values(),
        gathered.clock,
        actions_of(gathered),
    ]


def _cover(request: Request, gathered: Gathered, bundle: IO[bytes], *, gone: Mapping[int, int]) -> Cover:
    signatures, newer = signatures_of(bundle, checkpoint=request.checkpoint)
    bundle.seek(0)
    return Cover(
        conf=load(),
        selection=request.selection,
        made_at=datetime.now(UTC),
        asked=asked_in(request.operation_id),
        outside=anchored(),
        signatures=signatures,
        newer=newer,
        pruned=gone,
        gathered=gathered,
        bundle_sha256=file_digest(bundle, "sha256").hexdigest(),  # type: ignore[arg-type]
    )


def _write_members(archive: zipfile.ZipFile, cover: Cover, tables: list[Table], bundle: IO[bytes]) -> str:
    """Returns what could not be made, in words."""
    archive.writestr("README.txt", README)
    facts = cover.document()
    digest = _write(archive, "evidence.json", _json(facts, tables))
    for table in tables:
        _write(archive, f"tables/{table.name}.csv", table.csv())
    bundle.seek(0)
    with archive.open(zipfile.ZipInfo("bundle.zip"), "w", force_zip64=True) as member:  # it is compressed already
        shutil.copyfileobj(bundle, member)
    html = html_of({"cover": pages_of({**facts, "jsonSha256": digest}), "tables": tables})
    archive.writestr("evidence.html", html)
    try:
        archive.writestr("evidence.pdf", pdf_of(html))
    except NoPdf as lack:
        return str(lack)
    return ""


def _write(archive: zipfile.ZipFile, path: str, pieces: Iterable[bytes]) -> str:
    """Returns the SHA-256 of what was written."""
    digest = sha256()
    with archive.open(path, "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _json(facts: Mapping[str, Any], tables: Iterable[Table]) -> Iterator[bytes]:
    """One object, written piece by piece, because a table may have any number of rows."""
    yield f'{{"format": "{FORMAT}",\n"cover": {json.dumps(facts)},\n"tables": ['.encode()
    for number, table in enumerate(tables):
        about = {"name": table.name, "title": table.title, "source": SOURCES[table.source], "note": table.note}
        head = json.dumps({**about, "columns": dict(table.columns), "count": table.count})
        yield f'{"," if number else ""}\n{head[:-1]}, "rows": ['.encode()
        for place, line in enumerate(table.lines()):
            yield f"{',' if place else ''}\n{line}".encode()
        yield b"]}"
    yield b"]}\n"
