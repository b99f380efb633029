"""Reads the ledger back: for people, with the names joined in; for its own check, with nothing taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.db.models import Q, QuerySet

from containers_app.audit.appending import answering
from containers_app.audit.commitments import opened
from containers_app.audit.models import Disclosure, Entry, Head
from containers_app.audit.record import COMMITTED
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import rank

MOST_PROBLEMS: Final = 100
ROWS_AT_ONCE: Final = 2_000
# SQLite takes so many parameters in every build; PostgreSQL more.
DIGESTS_AT_ONCE: Final = 900


def entries() -> QuerySet[Entry]:
    """All entries, for reading: lists filter and page it, newest first."""
    return Entry.objects.using(ALIAS).order_by("-id")


def at_leaf(index: int) -> Q:
    """What the entries with this leaf index fulfil, one in each shard: no index has leaves alone."""
    return Q(shard__in=Head.objects.using(ALIAS).values("shard"), leaf_index=index)


def heads_now() -> dict[int, Head]:
    """The head of each shard, oldest first. Raises django.db.Error."""
    heads = sorted(Head.objects.using(ALIAS).all(), key=lambda head: rank(head.shard))
    return {head.shard: head for head in heads}


def known_shards() -> list[int]:
    """The shards that there are, oldest first. Raises `AuditUnavailable`."""
    with answering():
        return list(heads_now())


def disclosed(entry: Entry) -> dict[str, Any]:
    """Return the payload of `entry` for display, see `disclosed_all`."""
    return disclosed_all([entry])[0]


def disclosed_all(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the payloads of `entries` with each commitment (`label_c`) replaced by its value (`label`).

    A value whose disclosure was deleted reads "erased", one whose disclosure was tampered with "altered". Of a pruned
    entry there is `pruned` alone. A payload that was tampered with until it is no JSON object stands under `damaged`.
    One query for all. Raises `AuditUnavailable`.
    """
    payloads = [payload_of(entry) for entry in entries]
    texts = _texts(payloads)
    for payload in payloads:
        for holder, name in list(_commitments(payload)):
            digest = holder.pop(name)
            holder[name.removesuffix("_c")] = opened(digest, texts.get(digest))
    return payloads


def disclosures_of(entries: Iterable[Entry]) -> list[tuple[Entry, list[str]]]:
    """Return each of `entries` with the disclosure texts that are still there. One query for all."""
    held = [(entry, payload_of(entry)) for entry in entries]
    texts = _texts([payload for _, payload in held])
    return [
        (entry, [texts[holder[name]] for holder, name in _commitments(payload) if holder[name] in texts])
        for entry, payload in held
    ]


def committed_in(entries: Iterable[Entry]) -> list[str]:
    """Return every commitment that stands in `entries`, each once."""
    return _digests([payload_of(entry) for entry in entries])


def _texts(payloads: Iterable[dict[str, Any]]) -> dict[str, str]:
    digests = _digests(payloads)
    texts: dict[str, str] = {}
    with answering():
        for begin in range(0, len(digests), DIGESTS_AT_ONCE):
            piece = digests[begin : begin + DIGESTS_AT_ONCE]
            rows = Disclosure.objects.using(ALIAS).filter(commitment__in=piece)
            texts.update(rows.values_list("commitment", "text"))
    return texts


def _digests(payloads: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({holder[name] for payload in payloads for holder, name in _commitments(payload)})


def payload_of(entry: Entry) -> dict[str, Any]:
    """Return the payload of `entry`, with its commitments; what there is of none as in `disclosed_all`."""
    if entry.is_pruned:
        return {"pruned": True}
    try:
        payload = json.loads(entry.payload)
    except ValueError:
        payload = None
    return payload if isinstance(payload, dict) else {"damaged": entry.payload}


def _commitments(payload: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for *parents, name in COMMITTED:
        holder: Any = payload
        for parent in parents:
            holder = holder.get(parent, {}) if isinstance(holder, dict) else {}
        if isinstance(holder, dict) and isinstance(holder.get(f"{name}_c"), str):
            yield holder, f"{name}_c"
