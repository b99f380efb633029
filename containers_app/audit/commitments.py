"""Personal data stays out of the ledger: an entry holds a salted hash, the value stands where it can be erased."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final

from containers_app.audit.canonical import canonical

SALT_BYTES: Final = 16
ERASED: Final = "erased"
ALTERED: Final = "altered"


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """A value that an entry is bound to without holding it.

    `digest` is base64url(SHA-256(`text`)) without padding, 43 characters; `text` is the disclosure
    `["<salt>","<name>","<value>"]`, the construction of SD-JWT (RFC 9901 section 4.2.1) with the array itself hashed.
    """

    name: str
    digest: str
    text: str = field(repr=False)


def commit(name: str, value: str) -> Commitment:
    """Return a commitment to `value`, with a fresh salt of 128 bits, so that guessing values does not find it."""
    text = canonical([secrets.token_urlsafe(SALT_BYTES), name, value]).decode()
    return Commitment(name=name, digest=digest_of(text), text=text)


def digest_of(text: str) -> str:
    """Return base64url(SHA-256(text)) without padding."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def opened(digest: str, text: str | None) -> str:
    """Return the value behind `digest`: from the disclosure `text`, or "erased" without, or "altered" if they part."""
    if text is None:
        return ERASED
    if digest_of(text) != digest:
        return ALTERED
    return str(json.loads(text)[2])
