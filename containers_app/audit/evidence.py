"""The entries of a period as facts for a report: each with its place, its names, and the intent that it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from containers_app.audit.appending import answering
from containers_app.audit.bundle import Signed
from containers_app.audit.inspection import DIGESTS_AT_ONCE, disclosed_all, payload_of
from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Anchoring, Entry, SignedCheckpoint
from containers_app.audit.published import newest_checkpoints
from containers_app.audit.router import ALIAS
from containers_app.audit.selection import ROWS_AT_ONCE, Selection, in_pieces
from containers_app.audit.shards import rank, year_of

_PAIRED: Final = ("intent", "outcome")


@dataclass(frozen=True, kw_only=True)
class Told:
    """One entry: its place (`shard/leaf index`), the hash of its leaf, and its payload with the names joined in.

    `intent` is the one that an outcome ended; `ended` the place of the outcome of an intent, empty without one, and
    `is_cited` says whether that outcome is of the period too.
    """

    place: str
    leaf_hash: str
    payload: Mapping[str, Any]
    intent: Told | None = None
    ended: str = ""
    is_cited: bool = False


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The newest checkpoint of each shard at one moment, so that all parts of a report are about the same entries."""

    signed: Mapping[int, Signed]

    def newest(self, shard: int) -> Signed | None:
        """The checkpoint of a shard; None where it has none."""
        return self.signed.get(shard)

    def covers(self, entry: Entry) -> bool:
        """Whether the entry is below the checkpoint of its shard."""
        return entry.shard in self.signed and entry.leaf_index < self.signed[entry.shard].size


def snapshot() -> Snapshot:
    """What is signed now. Raises AuditUnavailable."""
    with answering():
        rows = newest_checkpoints()
    signed = {row.shard: Signed(origin=row.origin, size=row.size, note=row.note, vkey=row.vkey) for row in rows}
    return Snapshot(signed=signed)


def told(selection: Selection, snapshot: Snapshot, *, checkpoint: Callable[[], None]) -> Iterator[Told]:
    """The signed entries of the selection in the ledger's order, read in bounded pieces; pruned ones tell nothing.

    `checkpoint` is called often, and may raise to stop. Raises AuditUnavailable.
    """
    for shard in sorted(snapshot.signed, key=rank):
        pieces = in_pieces(selection.rows(), shard=shard, size=snapshot.signed[shard].size)
        while piece := _next(pieces):
            checkpoint()
            yield from _joined([one for one in piece if one.payload], selection, snapshot)


def pruned(selection: Selection, snapshot: Snapshot) -> dict[int, int]:
    """How many payloads are gone of the shards that the period can be in, whatever their time. Raises AuditUnavailable.

    Nothing of a pruned entry is left but its hash, so nobody knows whether it was of the period.
    """
    years = [moment.year if moment else None for moment in (selection.since, selection.until)]
    near = [one for one in sorted(snapshot.signed, key=rank) if _is_near(year_of(one), *years)]
    with answering():
        counts = {one: Entry.objects.using(ALIAS).filter(shard=one, payload="").count() for one in near}
    return {shard: count for shard, count in counts.items() if count}


def _is_near(year: int, since: int | None, until: int | None) -> bool:
    return (since is None or year >= since) and (until is None or year <= until)


def asked(operation_id: str) -> Told | None:
    """The intent of an operation; None without one. Raises AuditUnavailable."""
    with answering():
        found = Entry.objects.using(ALIAS).filter(operation_id=operation_id, phase="intent").first()
    return None if found is None else _told(found, disclosed_all([found])[0])


def checkpoints_of(selection: Selection) -> Iterator[tuple[SignedCheckpoint, timedelta]]:
    """The checkpoints that were signed in the period, with the time since the one before, read in bounded pieces.

    They are rows; each carries its signed note. Raises AuditUnavailable.
    """
    rows: QuerySet[Any] = SignedCheckpoint.objects.using(ALIAS).all()
    earlier = _read(rows.filter(signed_at__lt=selection.since).order_by("-pk")[:1]) if selection.since else []
    before: datetime | None = earlier[0].signed_at if earlier else None
    for row in _by_id(rows, column="signed_at", since=selection.since, until=selection.until):
        yield row, row.signed_at - before if before else timedelta()
        before = row.signed_at


def anchorings_of(selection: Selection) -> Iterator[Anchoring]:
    """The attempts of the period to bring a checkpoint elsewhere. Raises AuditUnavailable."""
    yield from _by_id(Anchoring.objects.using(ALIAS).all(), column="at", since=selection.since, until=selection.until)


def _by_id(rows: QuerySet[Any], *, column: str, since: datetime | None, until: datetime | None) -> Iterator[Any]:
    limits = {f"{column}__gte": since, f"{column}__lt": until}
    rows = rows.filter(**{name: value for name, value in limits.items() if value}).order_by("pk")
    reached = 0
    while piece := _read(rows.filter(pk__gt=reached)[:ROWS_AT_ONCE]):
        yield from piece
        reached = piece[-1].pk


def _read(rows: QuerySet[Any]) -> list[Any]:
    with answering():
        return list(rows)


def _next(pieces: Iterator[list[Entry]]) -> list[Entry]:
    with answering():
        return next(pieces, [])


def _joined(piece: Sequence[Entry], selection: Selection, snapshot: Snapshot) -> Iterator[Told]:
    partners = _partners_of(piece, snapshot)
    intents = [one for one in partners if one.phase == "intent"]
    ends = {one.operation_id: one for one in partners if one.phase == "outcome"}
    begun = {one.operation_id: _told(one, shown) for one, shown in zip(intents, disclosed_all(intents), strict=True)}
    for entry, shown in zip(piece, disclosed_all(piece), strict=True):
        one = _told(entry, shown)
        if entry.phase == "intent":
            yield _with_end(one, ends.get(entry.operation_id), selection)
        else:
            intent = begun.get(entry.operation_id) if entry.phase == "outcome" else None
            fits = intent is not None and _intent_in(shown) == intent.leaf_hash
            yield replace(one, intent=intent if fits else None)


def _with_end(intent: Told, end: Entry | None, selection: Selection) -> Told:
    if end is None or _intent_in(payload_of(end)) != intent.leaf_hash:
        return intent
    return replace(intent, ended=end.place, is_cited=selection.includes(end.time))


def _partners_of(piece: Sequence[Entry], snapshot: Snapshot) -> list[Entry]:
    """The intents and outcomes of the same operations that are signed."""
    ids = sorted({entry.operation_id for entry in piece if entry.phase in _PAIRED})
    found = [one for begin in range(0, len(ids), DIGESTS_AT_ONCE) for one in _pairs(ids[begin:][:DIGESTS_AT_ONCE])]
    return [one for one in found if snapshot.covers(one)]


def _pairs(ids: Sequence[str]) -> list[Entry]:
    return _read(Entry.objects.using(ALIAS).filter(operation_id__in=ids, phase__in=_PAIRED))


def _told(entry: Entry, shown: Mapping[str, Any]) -> Told:
    """The hash is computed, not copied."""
    return Told(place=entry.place, leaf_hash=leaf_hash(entry.payload.encode()).hex(), payload=shown)


def _intent_in(payload: Mapping[str, Any]) -> object:
    """The leaf hash of the intent that an outcome names."""
    named = payload.get("intent")
    return named.get("leaf_hash") if isinstance(named, dict) else None
