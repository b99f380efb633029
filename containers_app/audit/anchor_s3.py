"""An anchor in a bucket whose objects nobody may delete before their time, the owner of the account included.

One kind of request, signed by hand (AWS Signature Version 4): a client library would be larger than all of the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

from containers_app.audit.anchor_http import Answer, send
from containers_app.audit.anchored import AnchorFailed, Brought

_MODE: Final = "x-amz-object-lock-mode"
_UNTIL: Final = "x-amz-object-lock-retain-until-date"
_COMPLIANCE: Final = "COMPLIANCE"


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket with object lock, and who writes to it. `endpoint` is `https://` and a host."""

    endpoint: str
    region: str
    name: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)
    days: float


def lock_away(bucket: Bucket, brought: Brought) -> str:
    """Put the note, locked for so many days, see that it is locked, and return its key and version.

    Raises AnchorFailed.
    """
    path = f"/{bucket.name}/{bucket.prefix}{brought.file_name}"
    body = brought.note.encode()
    until = datetime.now(UTC) + timedelta(days=bucket.days)
    wanted = {
        # What the protocol asks for with a lock; it protects nothing.
        "content-md5": b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
        "content-type": "text/plain; charset=utf-8",
        _MODE: _COMPLIANCE,
        _UNTIL: until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    put = _ask(bucket, "PUT", path, wanted, body=body)
    if put.status != 200:
        raise AnchorFailed(f"the bucket answers {put.status}: {_code_in(put.text)}")
    version = put.headers.get("x-amz-version-id", "")
    _check_lock(bucket, path, version, until)
    return f"{path.removeprefix(f'/{bucket.name}/')} {version}".strip()


def signed_headers(
    bucket: Bucket, method: str, url: str, headers: Mapping[str, str], *, body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers with date, digest and `Authorization` added; `url` has an encoded path and sorted query."""
    parsed = urlsplit(url)
    digest = hashlib.sha256(body).hexdigest()
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    all_headers = {**headers, "host": parsed.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = sorted(all_headers)
    lines = "".join(f"{name}:{' '.join(all_headers[name].split())}\n" for name in names)
    request = "\n".join([method, parsed.path, parsed.query, lines, ";".join(names), digest])
    scope = f"{stamp[:8]}/{bucket.region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{bucket.secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), hashlib.sha256)
    signature = hmac.digest(key, text.encode(), hashlib.sha256).hex()
    who = f"Credential={bucket.access_key}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 {who},SignedHeaders={';'.join(names)},Signature={signature}"
    return {**all_headers, "Authorization": authorization}


def _check_lock(bucket: Bucket, path: str, version: str, until: datetime) -> None:
    """A server that ignores what it does not know takes the object, and anybody may delete it."""
    query = f"?versionId={quote(version, safe='')}" if version else ""
    found = _ask(bucket, "HEAD", path, {}, query=query)
    if found.status != 200 or found.headers.get(_MODE) != _COMPLIANCE:
        raise AnchorFailed(
            "the bucket does not say that the object is locked: it needs object lock, and the key the rights"
            " s3:PutObject, s3:PutObjectRetention, s3:GetObject and s3:GetObjectRetention"
        )
    kept = found.headers.get(_UNTIL, "")
    try:
        is_short = datetime.fromisoformat(kept) < until - timedelta(minutes=1)
    except (ValueError, TypeError):
        is_short = True
    if is_short:
        raise AnchorFailed(f"the bucket keeps the object only until '{kept[:40]}'")


def _ask(
    bucket: Bucket, method: str, path: str, headers: Mapping[str, str], *, body: bytes = b"", query: str = ""
) -> Answer:
    url = f"{bucket.endpoint}{quote(path, safe='/-_.~')}{query}"
    signed = signed_headers(bucket, method, url, headers, body=body, now=datetime.now(UTC))
    return send(method, url, body, signed, name="s3")


def _code_in(text: str) -> str:
    """The code of S3's error document, a word."""
    return text.partition("<Code>")[2].partition("</Code>")[0][:80] or "no reason"
