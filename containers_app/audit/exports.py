"""Entries as files for people and for other systems: canonical JSONL, CSV, and OCSF. None of them is ever cut."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

from containers_app.audit.appending import answering
from containers_app.audit.bundle import Written, withheld
from containers_app.audit.inspection import disclosed_all, heads_now
from containers_app.audit.models import Entry
from containers_app.audit.ocsf import activity
from containers_app.audit.selection import Selection, in_pieces

# A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection).
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# A column of the table, and where the disclosed payload has its value.
CSV_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time",),
    "phase": ("phase",),
    "action": ("action",),
    "category": ("category",),
    "outcome": ("outcome",),
    "actor_type": ("actor", "type"),
    "actor_id": ("actor", "id"),
    "actor": ("actor", "label"),
    "object_type": ("object", "type"),
    "object_id": ("object", "id"),
    "object": ("object", "name"),
    "host": ("object", "host"),
    "channel": ("source", "channel"),
    "address": ("source", "ip"),
    "operation_id": ("operation_id",),
    "request_id": ("source", "request_id"),
    "ticket": ("ticket",),
    "reason": ("reason",),
    "error_code": ("error", "code"),
    "error": ("error", "message"),
    "duration_ms": ("duration_ms",),
    "size_bytes": ("size_bytes",),
    "suppressed": ("suppressed",),
}
_PLACE: Final = ("shard", "leaf_index", "leaf_hash")


def write_entries(
    target: BinaryIO, selection: Selection, *, form: str, checkpoint: Callable[[], None] = lambda: None
) -> Written:
    """Write the selected entries to `target`, oldest first, as `form`: one of FORMS.

    What is recorded after the start is not in it. `checkpoint` is called often, and may raise to stop. Raises
    KeyError for another form, AuditUnavailable.
    """
    encode, count, places = FORMS[form], 0, [""]
    target.write(HEADERS.get(form, b""))
    with answering():
        for piece in _pieces(selection):
            checkpoint()
            target.write(b"".join(encode(piece)))
            count += len(piece)
            places = [places[0] or piece[0].place, piece[-1].place]
    return Written(entries=count, first=places[0], last=places[-1])


def _pieces(selection: Selection) -> Iterator[list[Entry]]:
    for head in heads_now().values():
        yield from in_pieces(selection.rows(), shard=head.shard, size=head.size)


def _jsonl(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield withheld(entry.leaf_hash) if entry.is_pruned else entry.payload.encode() + b"\n"


def _csv(entries: Sequence[Entry]) -> Iterator[bytes]:
    for entry, shown in zip(entries, disclosed_all(entries), strict=True):
        place = (entry.shard, entry.leaf_index, entry.leaf_hash)
        yield csv_row([*place, *(value_at(shown, path) for path in CSV_COLUMNS.values())])


def _ocsf(entries: Sequence[Entry]) -> Iterator[bytes]:
    for entry, shown in zip(entries, disclosed_all(entries), strict=True):
        yield json.dumps(activity(entry, shown), ensure_ascii=False).encode() + b"\n"


def csv_row(cells: Sequence[object]) -> bytes:
    """One line of a CSV file; no cell is a formula to a spreadsheet."""
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(cell) for cell in cells])
    return line.getvalue().encode()


def _harmless(cell: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def value_at(shown: Mapping[str, Any], path: Sequence[str]) -> object:
    """What stands at this path of a payload; empty where nothing does."""
    holder: Any = shown
    for name in path:
        holder = holder.get(name, "") if isinstance(holder, dict) else ""
    return holder


FORMS: Final[Mapping[str, Callable[[Sequence[Entry]], Iterator[bytes]]]] = {"jsonl": _jsonl, "csv": _csv, "ocsf": _ocsf}
HEADERS: Final[Mapping[str, bytes]] = {"csv": csv_row([*_PLACE, *CSV_COLUMNS])}
