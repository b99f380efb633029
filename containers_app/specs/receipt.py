"""The proof that an intent is in the ledger: without one the Engine gateway does not open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Where the intent of one operation stands in the ledger.

    `leaf_hash` is 64 lower-case hex digits: SHA-256(0x00 || payload), RFC 6962 section 2.1.
    """

    operation_id: str
    shard: int
    leaf_index: int
    leaf_hash: str
