"""The list of the ledger and its timelines: filters in the address, pages by place, the banner above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.generic import View

from containers_app.admin.base import asker_of, reader_of, refused
from containers_app.audit.banner import health
from containers_app.audit.inspection import disclosed_all
from containers_app.audit.published import status
from containers_app.audit.selection import FLAGS
from containers_app.audit.verbs import ALL as VERBS
from containers_app.errors import InvalidRequest
from containers_app.operations.kinds import LEDGER_EXPORT, LEDGER_VERIFY
from containers_app.operations.ledger_filters import CHOICES
from containers_app.operations.ledger_keeping import ERASE
from containers_app.operations.ledger_reads import LIST, record_look
from containers_app.operations.ledger_reviews import REVIEW
from containers_app.operations.ledger_search import FILTERS, LedgerPage, find_entries, read_search
from containers_app.operations.visibility import LEDGER_READERS, SYSTEM, sees_system
from containers_app.specs.presets import PRESETS, stretch
from containers_app.templatetags.console import visible

PER_PAGE: Final = 50
ON_TIMELINE: Final = 100
CURSOR: Final = "cursor"
# What has a timeline: the filter, and what the page calls it.
TIMELINES: Final[Mapping[str, str]] = {
    "object": "Object",
    "operation": "Operation",
    "request": "Request",
    "actor": "Actor",
}
_SELECTED: Final = format_html("{}", " selected")
_NOTHING: Final = LedgerPage(entries=(), older="", newer="", is_whole=True)


def _choices(name: str) -> list[tuple[str, str]]:
    return [("", "any"), *((value, VERBS[value].title if name == "verb" else value) for value in CHOICES[name])]


class _Select(forms.Select):
    """As Django's, but not one template for each of its options: there are a hundred."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The element with its options."""
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((one, _SELECTED if one == (value or "") else "", words) for one, words in self.choices),
        )
        identity = (attrs or {}).get("id", "")
        opening = format_html('<select name="{}" id="{}">', name, identity)
        return format_html("{}{}</select>", opening, options)


def _choice(name: str, words: str = "") -> forms.ChoiceField:
    return forms.ChoiceField(required=False, label=words or None, choices=_choices(name), widget=_Select)


class FilterForm(forms.Form):
    """The filters as fields. `read_search` judges them, as it does for the interface."""

    q = forms.CharField(required=False, label="Find", help_text="An id, a name, a ticket or a verb, in full.")
    actor = forms.CharField(required=False, help_text="The id of an account.")
    verb = _choice("verb")
    category = _choice("category")
    object = forms.CharField(required=False, help_text="Its id or its name.")
    host = forms.CharField(required=False)
    outcome = _choice("outcome")
    phase = _choice("phase")
    channel = _choice("channel")
    actorType = _choice("actorType", "Kind of actor")  # noqa: N815 - as in addresses
    operation = forms.CharField(required=False)
    request = forms.CharField(required=False)
    ticket = forms.CharField(required=False)
    mark = _choice("mark")
    since = forms.CharField(required=False, label="From", help_text="A day or a moment, in UTC.")
    until = forms.CharField(required=False, label="To", help_text="A day, which is still inside, or a moment.")
    shard = forms.CharField(required=False, help_text="A year.")


class LedgerListView(View):
    """All entries that the user may see, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """One page."""
        check(request)
        given = filters_of(request)
        asker = asker_of(request)
        found = _found(request, given)
        context = {
            **admin.site.each_context(request),
            "title": "Audit ledger",
            "page": found,
            "rows": shown(found.entries),
            "form": FilterForm(given),
            "filters": given,
            "address": urlencode(given),
            "presets": _presets(given),
            "flags": [_flag(name, given) for name in FLAGS],
            "standing": status(),
            "health": health(),
            "is_first": CURSOR not in request.GET,
            "export_address": _export_address(given),
            "may_export": request.user.has_perm(LEDGER_EXPORT.permission),
            "may_verify": request.user.has_perm(LEDGER_VERIFY.permission),
            "may_save": sees_system(asker, "ledger"),
            "may_see_holds": request.user.has_perm(SYSTEM),
            "may_erase": request.user.has_perm(ERASE),
            "may_review": request.user.has_perm(REVIEW),
        }
        record_look(reader_of(request), LIST, chosen=given, is_refused=found is _NOTHING)
        return TemplateResponse(request, "myco/ledger.html", context)


class TimelineView(View):
    """What happened to one object, in one operation, by one request or one actor: the newest page, oldest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page; without one of the filters of TIMELINES there is none."""
        check(request)
        given = filters_of(request)
        about = next((name for name in TIMELINES if name in given), None)
        found = _found(request, given, limit=ON_TIMELINE) if about else _NOTHING
        words = f"{TIMELINES[about]} {visible(given[about])}" if about else "Nothing is chosen"
        context = {
            **admin.site.each_context(request),
            "title": f"Timeline: {words}",
            "page": found,
            "rows": shown(found.entries)[::-1],
            "address": urlencode(given),
        }
        record_look(reader_of(request), LIST, chosen=given, is_refused=found is _NOTHING)
        return TemplateResponse(request, "myco/ledger_timeline.html", context)


def check(request: HttpRequest) -> None:
    """Refuse who reads no entries at all."""
    if not any(request.user.has_perm(one) for one in LEDGER_READERS):
        raise refused(request, "you may not read the ledger")


def filters_of(request: HttpRequest) -> dict[str, str]:
    """The filters of the address that have a value."""
    return {name: str(value) for name, value in request.GET.dict().items() if name in FILTERS and value}


def shown(entries: Iterable[Any]) -> list[dict[str, Any]]:
    """Each entry with its payload as people read it: what a page says of it comes from there, not from the columns."""
    rows = list(entries)
    told = disclosed_all(rows)
    return [{"entry": row, "told": one, **_words(one)} for row, one in zip(rows, told, strict=True)]


def _words(told: Mapping[str, Any]) -> dict[str, str]:
    """What a row calls its verb, its actor and its object."""
    if "pruned" in told:
        return {"title": "Retention took its content", "who": "", "what": "", "end": "pruned"}
    verb = VERBS.get(str(told.get("action", "")))
    actor, subject = _object(told, "actor"), _object(told, "object")
    return {
        "title": verb.title if verb else str(told.get("action", "damaged")),
        "who": str(actor.get("label") or actor.get("type") or ""),
        "what": str(subject.get("name") or subject.get("id") or ""),
        "end": visible(str(told.get("outcome") or "intent")),
    }


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _found(request: HttpRequest, given: Mapping[str, str], *, limit: int | None = None) -> LedgerPage:
    """The page; none, and a message, when a filter is wrong: a wrong one must not look like a right one."""
    unknown = sorted(set(request.GET) - FILTERS - {CURSOR})
    try:
        if unknown:
            raise InvalidRequest(f"unknown filter: known are {', '.join(sorted(FILTERS))}", field=unknown[0][:64])
        wanted = read_search(given, now=timezone.now())
        cursor = request.GET.get(CURSOR, "")
        return find_entries(asker_of(request), wanted, cursor=cursor, limit=limit or PER_PAGE)
    except InvalidRequest as error:
        messages.error(request, f"{visible(error.message)}; nothing is shown.")
        return _NOTHING


def _presets(given: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    others = {name: value for name, value in given.items() if name not in ("since", "until", "period")}
    return [
        (words, urlencode({**others, "period": word}), given.get("period") == word) for word, words in PRESETS.items()
    ]


def _export_address(given: Mapping[str, str]) -> str:
    """The same filters for the form of exports: a stretch back from now is written out, so that it stays the same."""
    others = {name: value for name, value in given.items() if name != "period"}
    if given.get("period") not in PRESETS:
        return urlencode(others)
    ends = zip(("since", "until"), stretch(given["period"], timezone.now()), strict=True)
    return urlencode({**others, **{name: moment.isoformat() for name, moment in ends if moment}})


def _flag(name: str, given: Mapping[str, str]) -> tuple[str, str, bool]:
    """A filter that is on or off: its words, the address that turns it, and whether it is on."""
    is_on = given.get(name) == "true"
    others = {other: value for other, value in given.items() if other != name}
    return f"{name.capitalize()} only", urlencode(others if is_on else {**others, name: "true"}), is_on
