"""Identifiers of our own records: unique without a database, and in the order of time."""

from __future__ import annotations

import secrets
import time
import uuid

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


def uuid7() -> uuid.UUID:
    """A version 7 UUID: 48 bits of Unix milliseconds, then random bits (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random_high, random_low = secrets.randbits(12), secrets.randbits(62)
    return uuid.UUID(int=(milliseconds & (1 << 48) - 1) << 80 | _VERSION_7 | random_high << 64 | _VARIANT | random_low)
