"""Values that a worker needs and nobody may read: encrypted in the row, and gone from it when the operation is over."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from containers_app.errors import SealBroken


def derived_key(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose out of the installation's secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret.encode())


def seal(value: Mapping[str, Any], key: bytes) -> str:
    """A JSON object as Fernet text (AES-128-CBC with HMAC-SHA256)."""
    return _fernet(key).encrypt(json.dumps(value).encode()).decode("ascii")


def unseal(text: str, key: bytes) -> dict[str, Any]:
    """The object again. Raises SealBroken when the key is another one or the text was changed."""
    try:
        return dict(json.loads(_fernet(key).decrypt(text.encode("ascii"))))
    except (InvalidToken, UnicodeEncodeError) as error:
        raise SealBroken(
            "the values of the request cannot be read any more: was MYCO_SECRET_KEY changed? Ask again"
        ) from error


def keyed_digest(value: bytes, key: bytes) -> str:
    """HMAC-SHA256 in hex: equal for equal values, and of no use to who would try short ones."""
    return hmac.new(key, value, hashlib.sha256).hexdigest()


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
