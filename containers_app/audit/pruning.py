"""Retention: the payloads of old closed shards go by policy, their leaf hashes stay, and the ledger tells it first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import QuerySet

from containers_app.audit import ledger, shards
from containers_app.audit.appending import answering
from containers_app.audit.holds import PLACED, RELEASED, check_not_held
from containers_app.audit.inspection import committed_in, heads_now
from containers_app.audit.ledger import Subject
from containers_app.audit.models import Entry, Head
from containers_app.audit.pruned import BEGUN, ENDED, columns_of_pruned
from containers_app.audit.recomputing import self_check
from containers_app.audit.record import Actor, Source
from containers_app.audit.removing import ROWS_AT_ONCE, delete_disclosures, removing
from containers_app.audit.router import ALIAS
from containers_app.errors import InvalidRequest, MycoError

# What holds the ledger itself together is kept: shards, keys, losses, holds, and what was removed.
KEPT: Final = (
    *("audit.open_shard", "audit.accept_rollback", "audit.end_halt", "audit.rotate_key"),
    *(PLACED, RELEASED, BEGUN, ENDED, "privacy.erase"),
)


@dataclass(frozen=True, kw_only=True)
class OldShard:
    """A closed shard that is older than the policy keeps.

    `left` are the entries that would go; `exported` is the place of the export that covers it, or empty.
    """

    shard: int
    size: int
    left: int
    exported: str


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """How many payloads and values went in this run, and how many entries are kept."""

    shard: int
    entries: int
    values: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class By:
    """Who prunes, from where and why."""

    actor: Actor
    source: Source
    reason: str
    ticket: str = ""


def old_shards(keep_years: int) -> list[OldShard]:
    """The closed shards begun before the last `keep_years` whole years that have something left, the oldest first.

    Raises InvalidRequest for a policy that keeps everything, `AuditUnavailable`.
    """
    if keep_years < 1:
        raise InvalidRequest("no policy is set, so everything is kept: set MYCO_LEDGER_KEEP_YEARS")
    oldest_kept = datetime.now(UTC).year - keep_years
    with answering():
        heads = list(heads_now().values())
        found = [_old(head) for head in heads[:-1] if shards.year_of(head.shard) < oldest_kept]
    return [one for one in found if one.left]


def prune(old: OldShard, by: By, *, keep_years: int, without_export: bool = False) -> Pruned:
    """Take the payloads of one shard away, and the values that they are bound to, in batches of 900.

    Killed in between, it is run again and ends the same. Raises InvalidRequest without a reason, for a shard that no
    bundle covers (unless `without_export`) or that does not verify; LedgerHeld, PermissionDenied for a database role
    that may not, `AuditUnavailable`.
    """
    if not by.reason:
        raise InvalidRequest("'reason' is required: it says why", field="reason")
    if old.shard not in {one.shard for one in old_shards(keep_years)}:
        raise InvalidRequest(f"shard {old.shard} is written to, younger than {keep_years} years, or pruned already")
    if not old.exported and not without_export:
        raise InvalidRequest(f"no bundle was exported that holds all of shard {old.shard}: make one first")
    with answering():
        check_not_held()
    check = self_check(old.shard)
    if not check.is_clean:
        raise InvalidRequest(f"shard {old.shard} does not verify, so nothing of it is taken away: {check.problems[0]}")
    policy = {"keep_years": keep_years, "export": old.exported or "none"}
    scope = {"shard": old.shard, "start": 0, "end": old.size, "root": check.root}
    _tell(BEGUN, by, old, details={**scope, "policy": policy}, reason=by.reason)
    return _prune(old, by)


def _prune(old: OldShard, by: By) -> Pruned:
    entries = values = 0
    try:
        while taken := _take_some(old.shard):
            entries, values = entries + taken[0], values + taken[1]
    except MycoError as error:
        so_far = {"pruned": entries, "values": values}
        _tell(ENDED, by, old, outcome="failure", error_code=error.code, error_message=error.message, details=so_far)
        raise
    with answering():
        kept = _payloads(old.shard).count()
    done = Pruned(shard=old.shard, entries=entries, values=values, kept=kept)
    _tell(ENDED, by, old, details={"pruned": entries, "values": values, "kept": kept})
    return done


def _take_some(shard: int) -> tuple[int, int] | None:
    """One batch in one transaction: what an entry is bound to goes with its payload, or both stay."""
    with removing("prune") as using:
        rows = list(_prunable(shard, using).order_by("leaf_index")[:ROWS_AT_ONCE])
        named = committed_in(rows)
        pieces = [named[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(named), ROWS_AT_ONCE)]
        values = sum(delete_disclosures(piece, using) for piece in pieces)
        QuerySet(Entry, using=using).filter(pk__in=[row.pk for row in rows]).update(**columns_of_pruned(shard))
    return (len(rows), values) if rows else None


def _payloads(shard: int, using: str = ALIAS) -> QuerySet[Entry]:
    found: QuerySet[Entry] = Entry.objects.using(using).filter(shard=shard).exclude(payload="")
    return found


def _prunable(shard: int, using: str = ALIAS) -> QuerySet[Entry]:
    return _payloads(shard, using).exclude(action__in=KEPT)


def _old(head: Head) -> OldShard:
    left = _prunable(head.shard).count()
    return OldShard(shard=head.shard, size=head.size, left=left, exported=_export_of(head) if left else "")


def _export_of(head: Head) -> str:
    """The last bundle without a filter that shows the shard from its first to its last entry."""
    told = Entry.objects.using(ALIAS).filter(action="audit.export", outcome="success").order_by("-id")
    for entry in told.iterator(ROWS_AT_ONCE):
        first, last = _ends_of(json.loads(entry.payload).get("details", {}))
        if first <= (shards.rank(head.shard), 0) and last >= (shards.rank(head.shard), head.size - 1):
            begun = Entry.objects.using(ALIAS).filter(operation_id=entry.operation_id, phase="intent").first()
            params = {} if begun is None else json.loads(begun.payload).get("params", {})
            if params.get("format") == "bundle" and not params.get("filter"):
                return entry.place
    return ""


def _ends_of(details: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and the last place that an export shows; both by rank and index."""
    result = details.get("result", {})
    first, last = details.get("first") or result.get("firstEntry"), details.get("last") or result.get("lastEntry")
    nothing = (1 << 62, 0), (0, 0)
    return (_place(first), _place(last)) if first and last else nothing


def _place(text: str) -> tuple[int, int]:
    shard, _, index = text.partition("/")
    return shards.rank(int(shard)), int(index)


def _tell(action: str, by: By, old: OldShard, **more: Any) -> None:
    subject = Subject(type="shard", id=str(old.shard))
    ledger.event(action=action, actor=by.actor, source=by.source, subject=subject, ticket=by.ticket, **more)
