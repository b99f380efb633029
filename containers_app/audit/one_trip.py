"""One append as one question to PostgreSQL: while the lock is held, nobody waits for the network or for a turn.

It does what `appending.append` does, for the case that is by far the most frequent. Where anything is unusual (a shard
is to be opened, the ledger is halted, the head is damaged, the operation has such an entry already) it writes nothing.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any, Final

from django.db import Error, connections

from containers_app.audit.canonical import timestamp
from containers_app.audit.flushing import FLUSH, LATER
from containers_app.audit.models import Entry
from containers_app.audit.record import Fact, compose, projection
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import SQL_RANK
from containers_app.specs.receipt import Receipt

# The time is set within the lock, so that times are in the order of the leaves: it is composed as this, and replaced.
_UNSET: Final = datetime(1, 1, 1, tzinfo=UTC)
_TIME: Final = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_SET_INSIDE: Final = {"shard", "leaf_index", "payload", "leaf_hash", "time"}
_COPIED: Final = [
    field.attname for field in Entry._meta.concrete_fields if not field.primary_key and field.attname not in _SET_INSIDE
]
_STATEMENT: Final = f"""
PREPARE myco_append (text, text, text[], text[], text[], {", ".join(["text"] * len(_COPIED))}) AS
WITH RECURSIVE
head AS (
  SELECT * FROM (SELECT shard, size, frontier, {SQL_RANK} AS rank FROM audit_head) every ORDER BY rank DESC LIMIT 1
),
said AS (SELECT at, $1 || {_TIME} || $2 AS payload FROM (SELECT clock_timestamp() AS at) clock),
leaf AS (
  SELECT head.*, said.*, encode(sha256('\\x00'::bytea || convert_to(payload, 'UTF8')), 'hex') AS digest
  FROM head, said
  WHERE size > 0 AND rank / 100 >= extract(year FROM at AT TIME ZONE 'UTC')
    AND length(frontier) = 65 * length(replace(size::bit(64)::text, '0', '')) - 1
    AND frontier ~ '^[0-9a-f ]*$'
    AND coalesce((SELECT state FROM audit_standing ORDER BY id DESC LIMIT 1), '') <> 'halted'
    AND NOT EXISTS (
      SELECT FROM audit_entry
      WHERE operation_id = ${6 + _COPIED.index("operation_id")} AND operation_id <> ''
        AND phase = ${6 + _COPIED.index("phase")} AND phase <> 'event'
    )
),
completed (level, root, before) AS (
  SELECT 0, digest, frontier FROM leaf
  UNION ALL
  SELECT
    level + 1,
    encode(sha256('\\x01'::bytea || decode(right(before, 64), 'hex') || decode(root, 'hex')), 'hex'),
    rtrim(left(before, -64))
  FROM completed, leaf WHERE size >> level & 1 = 1
),
grown AS (
  UPDATE audit_head SET size = leaf.size + 1, frontier = ltrim(before || ' ' || root)
  FROM leaf, (SELECT * FROM completed ORDER BY level DESC LIMIT 1) widest
  WHERE audit_head.shard = leaf.shard AND audit_head.size = leaf.size
),
disclosed AS (
  INSERT INTO audit_disclosure (commitment, kind, text)
  SELECT one.* FROM leaf, unnest($3, $4, $5) one
),
kept AS (
  INSERT INTO audit_subtree (shard, level, number, root)
  SELECT shard, level, size >> level, root FROM leaf, completed WHERE level > 0 AND level % 8 = 0
  ON CONFLICT DO NOTHING
)
INSERT INTO audit_entry (shard, leaf_index, payload, leaf_hash, time, {", ".join(_COPIED)})
SELECT shard, size, payload, digest, at, {", ".join(f"${number}" for number in range(6, 6 + len(_COPIED)))} FROM leaf
RETURNING shard, leaf_index, leaf_hash
"""  # noqa: S608 - made of our own names, with places for values
_here = threading.local()


def append(fact: Fact, *, lock: str) -> Receipt | None:
    """Write `fact` as the next leaf, durably; None when it has to be looked at first, and nothing was written.

    `lock` is the SQL that takes the ledger's lock. Raises `Unrecordable`; django.db.Error, and then it may have been
    written all the same.
    """
    values = _values(fact)
    connection = connections[ALIAS]
    places = ", ".join(["%s"] * len(values))
    try:
        with connection.cursor() as cursor:
            if getattr(_here, "connection", None) is not connection.connection:
                cursor.execute(_STATEMENT)
                _here.connection = connection.connection
            cursor.execute(
                f"BEGIN; {LATER}; {lock}; EXECUTE myco_append ({places}); COMMIT; {FLUSH}",
                values,
            )
            for _ in range(4):
                cursor.nextset()
            row = cursor.fetchone()
    except Error:
        # What it was in the middle of is rolled back with it.
        connection.close()
        raise
    return None if row is None else Receipt(operation_id=fact.operation_id, **_place(row))


def _place(row: tuple[int, int, str]) -> dict[str, Any]:
    return {"shard": row[0], "leaf_index": row[1], "leaf_hash": row[2]}


def _values(fact: Fact) -> list[Any]:
    recorded, unset = compose(fact, _UNSET), timestamp(_UNSET)
    before, _, after = recorded.payload.rpartition(unset)
    columns = projection(json.loads(recorded.payload))
    disclosed = [[getattr(one, name) for one in recorded.disclosures] for name in ("digest", "name", "text")]
    return [before, after, *disclosed, *(columns[column] for column in _COPIED)]
