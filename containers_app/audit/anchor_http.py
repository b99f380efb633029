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

from containers_app.audit.anchored import AnchorFailed, Brought, within
from containers_app.audit.appending import answering
from containers_app.audit.notes import (
    NoteRefused,
    open_note,
    parse_checkpoint,
    read_verifier_key,
    signer_of,
    split_note,
)
from containers_app.audit.proofs import consistency_proof
from containers_app.audit.tree import StoredNodes, TreeDamaged
from containers_app.engine.addresses import GuardedAdapter
from containers_app.errors import AuditUnavailable, EngineUnavailable

_SECONDS: Final = (5.0, 10.0)
# For all of a request: a server that sends a byte now and then keeps within the limits of each step.
_WHOLE_SECONDS: Final = 30.0
_MOST_BYTES: Final = 64 * 1024
_SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `text` is cut after 64 KiB, the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str


def call_webhook(url: str, key: str, brought: Brought) -> str:
    """POST the checkpoint as JSON, signed with `key` as Standard Webhooks has it. Raises AnchorFailed."""
    body = json.dumps(
        {
            "type": "ledger.checkpoint",
            "timestamp": brought.signed_at.isoformat(),
            "data": {"origin": brought.origin, "size": brought.size, "root": brought.root, "checkpoint": brought.note},
        }
    ).encode()
    number, seconds = str(uuid.uuid4()), str(int(time.time()))
    headers = {"Content-Type": "application/json", "webhook-id": number, "webhook-timestamp": seconds}
    if key:
        digest = hmac.digest(key.encode(), f"{number}.{seconds}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    answer = send("POST", url, body, headers, name="webhook")
    if not 200 <= answer.status < 300:
        raise AnchorFailed(f"the webhook answers {answer.status}")
    return ""


def call_witness(url: str, vkey: str, brought: Brought, *, old_size: int) -> str:
    """Show a witness that the tree only grew, and return its signature lines.

    A witness that remembers another size than `old_size` says so, and is asked once more. Raises AnchorFailed.
    """
    answer = _show(url, brought, old_size)
    if answer.status == 409 and answer.headers.get("content-type", "").startswith(_SIZE_TYPE):
        answer = _show(url, brought, _remembered_size(answer.text, brought))
    if answer.status != 200:
        raise AnchorFailed(f"the witness answers {answer.status}: {answer.text.strip()[:100]}")
    return _cosignatures(vkey, brought, answer.text)


def _show(url: str, brought: Brought, old_size: int) -> Answer:
    try:
        with answering():
            proof = consistency_proof(old_size, brought.size, node=StoredNodes(brought.shard))
    except (TreeDamaged, ValueError, AuditUnavailable) as error:
        raise AnchorFailed(f"nothing can be shown to the witness: {error}") from error
    lines = [f"old {old_size}", *(base64.b64encode(one).decode() for one in proof), "", brought.note]
    address = f"{url.rstrip('/')}/add-checkpoint"
    return send("POST", address, "\n".join(lines).encode(), {"Content-Type": "text/plain"}, name="witness")


def _remembered_size(text: str, brought: Brought) -> int:
    size = text.strip()
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise AnchorFailed("the witness does not say which size it remembers")
    if int(size) > brought.size:
        raise AnchorFailed(f"the witness has seen {size} entries, the ledger has {brought.size} signed ones")
    return int(size)


def _cosignatures(vkey: str, brought: Brought, text: str) -> str:
    signed = parse_checkpoint(split_note(brought.note)[0])
    lines = text if text.endswith("\n") else f"{text}\n"
    try:
        if open_note(f"{signed.text()}\n{lines}", [vkey]) != signed:
            raise AnchorFailed("the witness signed something else")
    except (NoteRefused, ValueError) as error:
        raise AnchorFailed(f"the witness' answer is refused: {error}") from error
    key = read_verifier_key(vkey)
    own = [line for line in lines.splitlines() if signer_of(line) == (key.name, key.id)]
    return f"{own[-1]}\n"


def send(method: str, url: str, body: bytes, headers: Mapping[str, str], *, name: str) -> Answer:
    """One request, to addresses that are no cloud's own, without a redirect, of 30 s at most. Raises AnchorFailed."""
    return within(_WHOLE_SECONDS, name, lambda: _send(method, url, body, headers))


def _send(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", GuardedAdapter())
            session.mount("https://", GuardedAdapter())
            with session.request(
                method, url, data=body, headers=dict(headers), timeout=_SECONDS, allow_redirects=False, stream=True
            ) as answer:
                text = next(answer.iter_content(_MOST_BYTES), b"").decode("utf-8", "replace")
                names = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(status=answer.status_code, headers=names, text=text)
    except EngineUnavailable as error:
        raise AnchorFailed("the address behind the name is one that nothing is sent to") from error
    except (requests.RequestException, UnicodeError) as error:
        raise AnchorFailed(f"there is no answer: {type(error).__name__}") from error
