"""Saved views of the ledger: each change is in the ledger, or is not made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Subject
from containers_app.errors import Hidden, InvalidRequest, NameTaken, PermissionDenied
from containers_app.models import LedgerView
from containers_app.operations.authority import Asker
from containers_app.operations.ledger_filters import told_filters
from containers_app.operations.ledger_search import FILTERS, read_search
from containers_app.operations.registering import Author
from containers_app.operations.secrets import hashed
from containers_app.operations.visibility import sees_system
from containers_app.specs import fields

SHARE: Final = "containers_app.share_ledgerview"
SCOPE: Final = "ledger"
_LONGEST_NAME: Final = 100


def views_for(asker: Asker) -> QuerySet[LedgerView]:
    """The asker's own views and the shared ones; none for who may not read the whole ledger."""
    rows = LedgerView.objects.select_related("owner")
    if not sees_system(asker, SCOPE):
        return rows.none()
    return rows.filter(Q(owner_id=asker.user.pk) | Q(is_shared=True))


def may_change(view: LedgerView, asker: Asker) -> bool:
    """Whether the asker may rename, share or delete a view that he sees."""
    return asker.may(SHARE, SCOPE) if view.is_shared else view.owner_id == asker.user.pk


def save_view(name: str, filters: Mapping[str, str], by: Author, *, is_shared: bool = False) -> LedgerView:
    """Keep a set of filters under a name.

    Raises PermissionDenied, InvalidRequest for a name or a filter that is none, NameTaken, AuditUnavailable.
    """
    _permit(by, is_shared=is_shared)
    view = LedgerView(name=_name(name), filters=_filters(filters), is_shared=is_shared, owner_id=by.asker.user.pk or 0)
    return _written(view, by, "audit.view_saved", {"after": _told(view)})


def find_view(pk: int, asker: Asker) -> LedgerView:
    """A view that the asker sees. Raises Hidden."""
    view = views_for(asker).filter(pk=pk).first()
    if view is None:
        raise Hidden("there is no such view, or you may not see it")
    return view


def change_view(
    pk: int, name: str, by: Author, *, is_shared: bool, filters: Mapping[str, str] | None = None
) -> LedgerView:
    """Rename a view, share it or not; `filters`, if given, replace its own. Raises as `save_view`, and Hidden."""
    view = _changeable(pk, by)
    _permit(by, is_shared=is_shared)
    before = _told(view)
    view.name, view.is_shared = _name(name), is_shared
    view.filters = view.filters if filters is None else _filters(filters)
    if _told(view) == before:
        return view
    return _written(view, by, "audit.view_changed", {"before": before, "after": _told(view)})


def delete_view(pk: int, by: Author) -> None:
    """Delete a view. Raises Hidden, PermissionDenied, AuditUnavailable."""
    view = _changeable(pk, by)
    with transaction.atomic():
        _record("audit.view_deleted", view, by, {"before": _told(view)}, identity=str(pk))
        view.delete()


def _written(view: LedgerView, by: Author, action: str, details: Mapping[str, Any]) -> LedgerView:
    try:
        with transaction.atomic():
            view.save()
            _record(action, view, by, details, identity=str(view.pk))
    except IntegrityError as error:
        raise NameTaken(f"there is a view '{view.name}' already: choose another name", field="name") from error
    return view


def _record(action: str, view: LedgerView, by: Author, details: Mapping[str, Any], *, identity: str) -> None:
    """Within the transaction of the row, so that there is no change without an entry."""
    ledger.event(
        action=action,
        subject=Subject(type="ledger_view", id=identity),
        details=details,
        **by.told(),
    )


def _changeable(pk: int, by: Author) -> LedgerView:
    view = find_view(pk, by.asker)
    if not may_change(view, by.asker):
        raise PermissionDenied(f"you may not change a shared view: it needs the permission '{SHARE}'")
    return view


def _permit(by: Author, *, is_shared: bool) -> None:
    if not sees_system(by.asker, SCOPE):
        raise PermissionDenied("you may not save views: it needs the permission 'audit.view_entry'")
    if is_shared and not by.asker.may(SHARE, SCOPE):
        raise PermissionDenied(f"you may not share views: it needs the permission '{SHARE}'")


def _name(name: str) -> str:
    checked = fields.line({"name": name.strip()}, "name", longest=_LONGEST_NAME)
    if not checked:
        raise InvalidRequest("'name' is required", field="name")
    return checked


def _filters(given: Mapping[str, str]) -> str:
    """As they stand in an address, in one order. Raises InvalidRequest for what no list would take."""
    kept = {name: value for name, value in sorted(given.items()) if name in FILTERS and value}
    read_search(kept, now=timezone.now())
    return urlencode(kept)


def _told(view: LedgerView) -> dict[str, Any]:
    filters = told_filters(dict(parse_qsl(view.filters)))
    return {"name": hashed(view.name, of="views"), "filters": filters, "shared": view.is_shared}
