"""Download links: signed addresses that need no session, open one thing once, and die by themselves."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.utils import timezone

from containers_app.audit.ledger import Source
from containers_app.errors import Hidden, NotFound, PermissionDenied
from containers_app.models import DownloadLink
from containers_app.operations.authority import Asker
from containers_app.operations.backup_contents import (
    Extract,
    Reader,
    WholePart,
    Wish,
    find_part,
    opened_content,
    record,
)
from containers_app.operations.stored_parts import opened_index
from containers_app.specs.raw_path import raw, shown

SHORTEST_SECONDS, DEFAULT_SECONDS, LONGEST_SECONDS = 60, 3600, 7 * 24 * 3600
# A part that broke off is asked for again from where it broke off: by the same address, and not much later.
RESUME_SECONDS = 15 * 60
_KEPT = timedelta(days=30)
_GONE = "there is no such link, or it was used, or its time is over: ask for a new one"


@dataclass(frozen=True, kw_only=True)
class MadeLink:
    """A new link. Its token is in this answer and nowhere else."""

    row: DownloadLink
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Use:
    """One request with a link. `resumes`: it asks for what comes after bytes that were sent before."""

    token: str = field(repr=False)
    source: Source
    asked_range: str = ""
    resumes: bool = False


def make_link(reader: Reader, wish: Wish, *, expires_in_seconds: int = DEFAULT_SECONDS) -> MadeLink:
    """A link to what is wished for. Raises as `download` does; the ledger has it first."""
    part = find_part(reader, wish, "download")
    if wish.path is not None:
        with opened_index(part) as index:
            index.entry(wish.path)
    now, secret = timezone.now(), secrets.token_urlsafe(32)
    with transaction.atomic():
        DownloadLink.objects.filter(expires_at__lt=now - _KEPT).delete()
        row = DownloadLink.objects.create(
            digest=_digest(secret),
            part=part,
            path=None if wish.path is None else shown(wish.path),
            user_id=reader.asker.user.pk or 0,
            api_key=reader.asker.api_key,
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_seconds),
        )
        record(reader, "backup.link", part, path=wish.path, link=str(row.pk), expires=row.expires_at.isoformat())
    return MadeLink(row=row, token=_signer().sign(secret))


def use_link(use: Use) -> WholePart | Extract:
    """What the link opens, in the name of who made it, who must still be allowed to.

    It is used up by that; a part may be resumed for RESUME_SECONDS from the same address. Raises Hidden for every link
    that opens nothing, BackupUnusable, StorageError, and AuditUnavailable, which leaves the link unused.
    """
    row = _usable(use)
    path = None if row.path is None else raw(row.path, field="path")
    reader = Reader(asker=Asker(user=row.user, api_key=row.api_key), source=use.source)
    with _nothing_told():
        part = find_part(reader, Wish(backup_id=row.part.backup_id, part=row.part.file_name), "download")
    with opened_content(part, path) as found, transaction.atomic():
        if not _take(row, use):
            raise Hidden(_GONE)
        record(reader, "backup.link_used", part, path=path, link=str(row.pk), asked_range=use.asked_range)
    return found


def check_link(use: Use) -> DownloadLink:
    """The link, unused as before. Raises Hidden for one that opens nothing."""
    return _usable(use)


def _usable(use: Use) -> DownloadLink:
    """The row, if a look says that it may be used; `_take` decides."""
    try:
        secret = _signer().unsign(use.token)
    except BadSignature as error:
        raise Hidden(_GONE) from error
    rows = DownloadLink.objects.select_related("part", "user", "api_key__user")
    row = rows.filter(digest=_digest(secret)).first()
    if row is None or not (_is_fresh(row) or _may_resume(row, use)):
        raise Hidden(_GONE)
    if row.api_key is not None and not row.api_key.is_alive:
        raise Hidden(_GONE)
    return row


def _take(row: DownloadLink, use: Use) -> bool:
    """Use it up, or find that it may be resumed; of two requests at once, one gets it."""
    now = timezone.now()
    fresh = DownloadLink.objects.filter(pk=row.pk, used_at=None, expires_at__gt=now)
    if fresh.update(used_at=now, used_from=_mark(use)):
        return True
    return _may_resume(DownloadLink.objects.get(pk=row.pk), use)


def _is_fresh(row: DownloadLink) -> bool:
    return row.used_at is None and row.expires_at > timezone.now()


def _may_resume(row: DownloadLink, use: Use) -> bool:
    if row.path is not None or not use.resumes or row.used_at is None or row.used_from != _mark(use):
        return False
    return _until(row.used_at) > timezone.now()


def _until(used_at: datetime) -> datetime:
    return used_at + timedelta(seconds=RESUME_SECONDS)


@contextmanager
def _nothing_told() -> Iterator[None]:
    """What its maker may not see any more, a link does not show; whoever has it need not know why."""
    try:
        yield
    except (NotFound, PermissionDenied) as error:
        raise Hidden(_GONE) from error


def _signer() -> Signer:
    return Signer(sep=".", salt="containers_app.download_link")


def _digest(secret: str) -> str:
    """Of 256 random bits: it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _mark(use: Use) -> str:
    """Who used it, without the address itself."""
    return _digest(f"{use.token} {use.source.ip}")
