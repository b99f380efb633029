"""Marks of auditors on entries of the ledger: made by who may, never changed by anybody."""

from __future__ import annotations

from typing import Any, Final

from containers_app.audit import reviews
from containers_app.errors import InvalidRequest, PermissionDenied
from containers_app.operations.registering import Author
from containers_app.specs import fields

REVIEW: Final = "containers_app.review_entry"
SCOPE: Final = "ledger"


def review_entry(entry: Any, kind: str, by: Author) -> int:
    """Mark an entry that the author may read; the author's reason is the comment. Returns the leaf index of the mark.

    Raises PermissionDenied, InvalidRequest for a kind that is none and for a comment or a flag without words,
    AuditUnavailable.
    """
    if not by.asker.may(REVIEW, SCOPE):
        raise PermissionDenied(f"you may not review entries: it needs the permission '{REVIEW}'")
    known: Any = fields.choice({"mark": kind}, "mark", reviews.KINDS, default="")
    comment = fields.line({"comment": by.reason}, "comment", longest=fields.LONGEST_REASON)
    if known != "reviewed" and not comment:
        raise InvalidRequest(f"'comment' is required: a {known} says why", field="comment")
    return reviews.review(entry, known, actor=by.asker.as_actor(), source=by.source, comment=comment)
