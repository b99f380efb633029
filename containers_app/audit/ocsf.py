"""Entries as API Activity of OCSF 1.3.0, for collectors of security events. One way: it carries no proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from containers_app.audit.canonical import Unrecordable, moment_of
from containers_app.audit.models import Entry

# Pinned: later versions gave members of the same name another meaning.
VERSION: Final = "1.3.0"
_CATEGORY, _CLASS = 6, 6003
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
# By the word behind the last dot of the action; what is not here is Other, with the word in `activity_name`.
_ACTIVITIES: Final = {
    **dict.fromkeys(("clone", "backup", "create", "add", "register", "adopt", "issue"), _CREATE),
    **dict.fromkeys(("download", "browse", "read", "view", "list", "compare", "export", "verify"), _READ),
    **dict.fromkeys(("change", "update", "pin", "hold", "release", "start", "stop", "restart", "restore"), _UPDATE),
    **dict.fromkeys(("delete", "remove", "revoke"), _DELETE),
}
_NAMES: Final = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}
_SUCCESS, _FAILURE, _UNKNOWN = (1, "Success"), (2, "Failure"), (0, "Unknown")
_STATUSES: Final = {"success": _SUCCESS, "failure": _FAILURE, "denied": _FAILURE, "error": _FAILURE}
_INFORMATIONAL, _LOW, _MEDIUM = (1, "Informational"), (2, "Low"), (3, "Medium")
_SEVERITIES: Final = {"failure": _LOW, "denied": _MEDIUM, "error": _MEDIUM, "unknown": _MEDIUM}
# OCSF's User.type_id: 1 is a user, 3 the system; the others are services without a type of their own.
_USER_TYPES: Final = {"user": 1, "key": 1, "system": 3, "schedule": 3, "anonymous": 0}
_MAPPED: Final = frozenset({"id", "time", "action", "actor", "source", "object", "outcome", "error", "operation_id"})


def activity(entry: Entry, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return one event for `entry`; `shown` is its payload with the disclosed values (`inspection.disclosed_all`).

    What OCSF has no member for stands under `unmapped`, with the leaf hash.
    """
    verb = str(shown.get("action", "")).rpartition(".")[2]
    number = _ACTIVITIES.get(verb, _OTHER)
    severity_id, severity = _SEVERITIES.get(str(shown.get("outcome")), _INFORMATIONAL)
    return {
        "category_uid": _CATEGORY,
        "category_name": "Application Activity",
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "activity_id": number,
        "activity_name": _NAMES.get(number, verb),
        "type_uid": _CLASS * 100 + number,
        "time": _milliseconds(entry, shown),
        "severity_id": severity_id,
        "severity": severity,
        **_status(shown),
        "metadata": _metadata(entry, shown),
        "actor": {"user": _user(_of(shown, "actor"))},
        "api": _api(shown),
        "src_endpoint": _endpoint(_of(shown, "source")),
        **_resources(_of(shown, "object")),
        "unmapped": _unmapped(entry, shown),
    }


def _of(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = shown.get(name)
    return found if isinstance(found, dict) else {}


def _milliseconds(entry: Entry, shown: Mapping[str, Any]) -> int:
    try:
        moment = moment_of(str(shown.get("time")))
    except Unrecordable:
        moment = entry.time
    return int(moment.timestamp() * 1000)


def _status(shown: Mapping[str, Any]) -> dict[str, Any]:
    """An intent has no end yet, so nothing is said of one."""
    number, name = _STATUSES.get(str(shown.get("outcome")), _UNKNOWN)
    error = _of(shown, "error")
    detail = {"status_code": error.get("code"), "status_detail": error.get("message")}
    return {"status_id": number, "status": name} | {name: text for name, text in detail.items() if text}


def _metadata(entry: Entry, shown: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "version": VERSION,
        "product": {"name": "MycoDocker", "vendor_name": "MycoDocker"},
        "log_name": "audit ledger",
        "uid": shown.get("id"),
        "sequence": entry.leaf_index,
        "correlation_uid": shown.get("operation_id"),
        "event_code": shown.get("action"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _user(actor: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(actor.get("type", ""))
    found = {
        "type_id": _USER_TYPES.get(kind, 99),
        "type": kind,
        "uid": actor.get("id"),
        "name": actor.get("label") or kind,
        "groups": [{"name": role} for role in actor.get("roles", ())] or None,
        "credential_uid": actor.get("key_prefix"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _api(shown: Mapping[str, Any]) -> dict[str, Any]:
    request_id = _of(shown, "source").get("request_id")
    request = {"request": {"uid": request_id}} if request_id else {}
    return {"operation": str(shown.get("action", "")), "service": {"name": "MycoDocker"}, **request}


def _endpoint(source: Mapping[str, Any]) -> dict[str, Any]:
    """The channel names where it came from; the address is there unless it is unknown or erased."""
    address = source.get("ip", "")
    known = {"ip": address} if address not in ("", "erased", "altered") else {}
    return {"name": str(source.get("channel", "")), **known}


def _resources(subject: Mapping[str, Any]) -> dict[str, Any]:
    if not subject:
        return {}
    found = {"type": subject.get("type"), "name": subject.get("name"), "uid": subject.get("id")}
    host = {"namespace": subject["host"]} if subject.get("host") else {}
    return {"resources": [{name: value for name, value in found.items() if value} | host]}


def _unmapped(entry: Entry, shown: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in shown.items() if name not in _MAPPED}
    agent = _of(shown, "source").get("user_agent")
    return {"shard": entry.shard, "leaf_hash": entry.leaf_hash, **({"user_agent": agent} if agent else {}), **rest}
