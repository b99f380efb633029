"""Anchors that are reached by HTTP: a signed webhook, and a witness (c2sp.org/tlog-witness)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests

from containers_app.audit.anchor_failure import AnchorFailed
from containers_app.audit.models import SignedCheckpoint
from containers_app.audit.notes import NoteRefused, open_note, parse_checkpoint, split_note
from containers_app.audit.proofs import consistency_proof
from containers_app.audit.tree import StoredNodes, TreeDamaged
from containers_app.engine.addresses import GuardedAdapter
from containers_app.errors import EngineUnavailable

_SECONDS: Final = (5.0, 10.0)
_MOST_BYTES: Final = 64 * 1024
_SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    kind: str
    text: str


def call_webhook(url: str, key: str, row: SignedCheckpoint) -> str:
    """POST the checkpoint as JSON, signed with `key` as Standard Webhooks has it. Raises AnchorFailed."""
    body = json.dumps(
        {
            "type": "ledger.checkpoint",
            "timestamp": row.signed_at.isoformat(),
            "data": {"origin": row.origin, "size": row.size, "root": row.root, "checkpoint": row.note},
        }
    ).encode()
    number, seconds = str(uuid.uuid4()), str(int(time.time()))
    headers = {"Content-Type": "application/json", "webhook-id": number, "webhook-timestamp": seconds}
    if key:
        digest = hmac.digest(key.encode(), f"{number}.{seconds}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    answer = _post(url, body, headers)
    if not 200 <= answer.status < 300:
        raise AnchorFailed(f"the webhook answers {answer.status}")
    return ""


def call_witness(url: str, vkey: str, row: SignedCheckpoint, *, old_size: int) -> str:
    """Show a witness that the tree only grew, and return its signature lines.

    A witness that remembers another size than `old_size` says so, and is asked once more. Raises AnchorFailed.
    """
    answer = _show(url, row, old_size)
    if answer.status == 409 and answer.kind.startswith(_SIZE_TYPE):
        answer = _show(url, row, _remembered_size(answer.text, row))
    if answer.status != 200:
        raise AnchorFailed(f"the witness answers {answer.status}: {answer.text.strip()[:100]}")
    return _cosignatures(vkey, row, answer.text)


def _show(url: str, row: SignedCheckpoint, old_size: int) -> _Answer:
    try:
        proof = consistency_proof(old_size, row.size, node=StoredNodes(row.shard))
    except (TreeDamaged, ValueError) as error:
        raise AnchorFailed(f"nothing can be shown to the witness: {error}") from error
    lines = [f"old {old_size}", *(base64.b64encode(one).decode() for one in proof), "", row.note]
    return _post(f"{url.rstrip('/')}/add-checkpoint", "\n".join(lines).encode(), {"Content-Type": "text/plain"})


def _remembered_size(text: str, row: SignedCheckpoint) -> int:
    size = text.strip()
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise AnchorFailed("the witness does not say which size it remembers")
    if int(size) > row.size:
        raise AnchorFailed(f"the witness has seen {size} entries, the ledger has {row.size} signed ones")
    return int(size)


def _cosignatures(vkey: str, row: SignedCheckpoint, text: str) -> str:
    signed = parse_checkpoint(split_note(row.note)[0])
    lines = text if text.endswith("\n") else f"{text}\n"
    try:
        if open_note(f"{signed.text()}\n{lines}", [vkey]) != signed:
            raise AnchorFailed("the witness signed something else")
    except (NoteRefused, ValueError) as error:
        raise AnchorFailed(f"the witness' answer is refused: {error}") from error
    name = vkey.partition("+")[0]
    return "".join(f"{line}\n" for line in lines.splitlines() if line.startswith(f"— {name} "))


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> _Answer:
    """One request, to addresses that are no cloud's own, without a redirect. Raises AnchorFailed."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", GuardedAdapter())
            session.mount("https://", GuardedAdapter())
            with session.post(
                url, data=body, headers=dict(headers), timeout=_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                text = next(answer.iter_content(_MOST_BYTES), b"").decode("utf-8", "replace")
                return _Answer(status=answer.status_code, kind=answer.headers.get("Content-Type", ""), text=text)
    except EngineUnavailable as error:
        raise AnchorFailed("the address behind the name is one that nothing is sent to") from error
    except (requests.RequestException, UnicodeError) as error:
        raise AnchorFailed(f"there is no answer: {type(error).__name__}") from error
