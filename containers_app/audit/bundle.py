"""The auditor's bundle: entries under a signed checkpoint, with a verifier that needs nothing of ours."""

from __future__ import annotations

import hashlib
import json
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.db.models import Max, Min, Q, QuerySet

from containers_app.audit.appending import answering
from containers_app.audit.canonical import timestamp
from containers_app.audit.closing import OPENINGS
from containers_app.audit.inspection import disclosures_of, heads_now
from containers_app.audit.models import Entry, Head
from containers_app.audit.pruned import pruning_of
from containers_app.audit.router import ALIAS
from containers_app.audit.selection import ROWS_AT_ONCE, Selection, in_pieces
from containers_app.errors import InvalidRequest, MycoError

FORMAT: Final = "mycodocker-ledger-bundle/1"
VERIFIER: Final = Path(__file__).parent / "verifier" / "verify.py"
README: Final = """\
A part of the audit ledger, which can be checked without trusting whoever made this file.

1. Get the log's key (one line, it begins with the log's name) from somebody else than the sender of this file, and
   verify.py from a place that you trust; the copy here is for convenience.
2. Run:  python3 verify.py BUNDLE.zip --vkey KEY --state my-state.json
   It needs Python 3.9 or newer, no network and no other software. Exit code: 0 verified, 1 tampered, 2 cannot verify.
3. Keep my-state.json, and use it with the next bundle: only so it is found when older history was replaced as a whole.

Each folder is a shard (a year). entries.jsonl has one line for each entry, in order. A line that begins with # is an
entry that is withheld: only its leaf hash is here.
{claim}

Period: {since} to {until} (UTC; the beginning belongs to it, the end does not). Filter: {filter}.
The format is documented in docs/reference/ledger-format.md of the product.
"""
_WHOLE: Final = """\
Nothing of the period is withheld. One entry before it and one after it are shown too, to prove where it ends."""
_FILTERED: Final = """\
This bundle is filtered. It proves that the shown entries are in the log, and that none was inserted or removed.
It cannot prove that a withheld entry does not fit the filter: for that, ask for the period without a filter."""


class NothingSigned(InvalidRequest):
    """No checkpoint covers what the bundle should hold."""


class LedgerDamaged(MycoError):
    """Entries that a checkpoint has signed are not in the database."""

    code = "INTERNAL"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The newest checkpoint of a shard: its signed `note`, the `size` it is about, its `origin` and verifier key."""

    origin: str
    size: int
    note: str
    vkey: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an export holds: how many entries, and the places (`shard/leaf index`) of the first and the last.

    `missing` says in words what could not be made of it; empty: nothing.
    """

    entries: int
    first: str = ""
    last: str = ""
    newer: int = 0
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """One shard of the bundle.

    `shown` are the entries that are not withheld; `newer` are not signed yet; below `pruned` retention took some away.
    `is_asked`: the period reaches into it; it does not into the shard that only tells how the one before it ended.
    """

    shard: int
    signed: Signed
    newer: int
    pruned: int
    shown: QuerySet[Entry]
    is_asked: bool = True


@dataclass
class _Zip:
    archive: zipfile.ZipFile
    files: list[dict[str, Any]] = field(default_factory=list)

    def write(self, path: str, pieces: Iterator[bytes] | Sequence[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        with self.archive.open(path, "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece)
                digest.update(piece)
                size += len(piece)
        self.files.append({"path": path, "size": size, "sha256": digest.hexdigest()})


def write_bundle(
    target: BinaryIO,
    selection: Selection,
    *,
    newest: Callable[[int], Signed | None],
    checkpoint: Callable[[], None] = lambda: None,
) -> Written:
    """Write the bundle as a zip file to `target`; `newest` gives a shard's newest checkpoint.

    `checkpoint` is called often, and may raise to stop. Raises NothingSigned before the first byte, LedgerDamaged,
    and AuditUnavailable.
    """
    with answering(), zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        shards = _shards(selection, newest)
        out = _Zip(archive)
        for one in shards:
            out.write(f"{one.shard}/checkpoint", [one.signed.note.encode()])
            out.write(f"{one.shard}/vkey", [one.signed.vkey.encode() + b"\n"])
            out.write(f"{one.shard}/entries.jsonl", _lines(one, checkpoint))
            out.write(f"{one.shard}/disclosures.jsonl", _disclosures(one, checkpoint))
        out.write("README.txt", [_readme(selection).encode()])
        out.write("verify.py", [VERIFIER.read_bytes()])
        archive.writestr("manifest.json", json.dumps(_manifest(selection, shards, out.files), indent=1) + "\n")
        return _written([one for one in shards if one.is_asked])


def _shards(selection: Selection, newest: Callable[[int], Signed | None]) -> list[_Shard]:
    found = []
    for head in heads_now().values():
        signed = newest(head.shard)
        if signed is not None and signed.size:
            one = _shard(selection, head, signed)
            found.append(one)
    if not found:
        raise NothingSigned("the ledger has no signed checkpoint yet: see that the signer runs, and try again")
    needed = [place for place in range(len(found)) if _is_needed(selection, found, place)]
    begin, end = (min(needed), max(needed) + 1) if needed else (0, 1)
    # Of the one after these only its first entry is shown: without it nobody sees what was added to a closed shard.
    return found[begin:end] + [replace(one, is_asked=False) for one in found[end : end + 1]]


def _is_needed(selection: Selection, found: list[_Shard], place: int) -> bool:
    """Whether the period reaches into a shard, by its calendar, or by what it holds when a clock was wrong."""
    begun = [_begun(one.shard) for one in found[place : place + 2]]
    is_over = selection.since is not None and len(begun) == 2 and begun[1] < selection.since
    is_ahead = selection.until is not None and begun[0] >= selection.until
    return not (is_over or is_ahead) or _touches(selection, found[place])


def _begun(shard: int) -> datetime:
    times = Entry.objects.using(ALIAS).filter(shard=shard).order_by("leaf_index").values_list("time", flat=True)
    return times[0]


def _shard(selection: Selection, head: Head, signed: Signed) -> _Shard:
    below = Entry.objects.using(ALIAS).filter(shard=head.shard, leaf_index__lt=signed.size)
    gone = pruning_of(head.shard)
    pruned = min(gone.end, signed.size) if gone else 0
    if selection.equal:
        chosen = Q(pk__in=selection.rows().values("pk"))
    else:
        begin, end = _whole_period(selection, below, signed.size)
        # Where retention took entries away, what it kept is always shown: any other withheld entry is a pruned one.
        chosen = Q(leaf_index__gte=begin, leaf_index__lte=end) | Q(leaf_index__lt=pruned)
    # How a shard was begun is always shown: else a loss that was accepted could be kept from the auditor.
    shown = below.filter(chosen | Q(leaf_index=0, action__in=OPENINGS))
    newer, shown = head.size - signed.size, shown.exclude(payload="")
    return _Shard(shard=head.shard, signed=signed, newer=newer, pruned=pruned, shown=shown)


def _whole_period(selection: Selection, below: QuerySet[Entry], size: int) -> tuple[int, int]:
    """The first and the last leaf index to show: the period, its neighbours, and all between."""
    begin, end = 0, size - 1
    if selection.since:
        first = below.filter(time__gte=selection.since).aggregate(found=Min("leaf_index"))["found"]
        begin = size - 1 if first is None else max(0, first - 1)
    if selection.until:
        last = below.filter(time__lt=selection.until).aggregate(found=Max("leaf_index"))["found"]
        end = 0 if last is None else min(size - 1, last + 1)
    return min(begin, end), max(begin, end)


def _touches(selection: Selection, one: _Shard) -> bool:
    period = Selection(since=selection.since, until=selection.until).rows()
    return period.filter(shard=one.shard, leaf_index__lt=one.signed.size).exists()


def _lines(one: _Shard, checkpoint: Callable[[], None]) -> Iterator[bytes]:
    every = Entry.objects.using(ALIAS).filter(shard=one.shard).order_by("leaf_index")
    for begin in range(0, one.signed.size, ROWS_AT_ONCE):
        checkpoint()
        end = min(begin + ROWS_AT_ONCE, one.signed.size)
        here = {"leaf_index__gte": begin, "leaf_index__lt": end}
        payloads = dict(one.shown.filter(**here).values_list("leaf_index", "payload"))
        hashes = list(every.filter(**here).values_list("leaf_index", "leaf_hash"))
        if [index for index, _ in hashes] != list(range(begin, end)):
            raise LedgerDamaged(f"entries of shard {one.shard} that are signed are missing: run 'ledger verify'")
        yield b"".join(
            payloads[index].encode() + b"\n" if index in payloads else withheld(leaf) for index, leaf in hashes
        )


def withheld(leaf_hash: str) -> bytes:
    """The line of an entry whose payload is not shown."""
    return b"#" + b64encode(bytes.fromhex(leaf_hash)) + b"\n"


def _disclosures(one: _Shard, checkpoint: Callable[[], None]) -> Iterator[bytes]:
    for piece in in_pieces(one.shown, shard=one.shard, size=one.signed.size):
        checkpoint()
        for entry, texts in disclosures_of(piece):
            if texts:
                yield json.dumps({"index": entry.leaf_index, "texts": texts}).encode() + b"\n"


def _readme(selection: Selection) -> str:
    words = selection.words()
    chosen = ", ".join(f"{name} = {value}" for name, value in words["filter"].items())
    return README.format(
        claim=_FILTERED if selection.equal else _WHOLE,
        since=words["since"] or "the beginning",
        until=words["until"] or "the newest checkpoint",
        filter=chosen or "none",
    )


def _manifest(selection: Selection, shards: Sequence[_Shard], files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": timestamp(datetime.now(UTC)),
        **selection.words(),
        "shards": [
            {
                "shard": one.shard,
                "origin": one.signed.origin,
                "size": one.signed.size,
                "shown": one.shown.count(),
                "newer": one.newer,
                "pruned": one.pruned,
            }
            for one in shards
        ],
        "files": list(files),
    }


def _written(shards: Sequence[_Shard]) -> Written:
    total = sum(one.shown.count() for one in shards)
    places = [f"{one.shard}/{index}" for one in shards if one.shown.exists() for index in _ends(one)]
    newer = sum(one.newer for one in shards)
    return Written(entries=total, first=places[0] if places else "", last=places[-1] if places else "", newer=newer)


def _ends(one: _Shard) -> tuple[int, int]:
    found = one.shown.aggregate(first=Min("leaf_index"), last=Max("leaf_index"))
    return found["first"], found["last"]
