"""Coverage: which containers have no backup, an old one, or one that lacks some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.generic import View

from containers_app.admin.base import asker_of, refused
from containers_app.admin.stacks import check_may_see
from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.operations.coverage import Coverage, coverage_of, page_of
from containers_app.operations.visibility import visible_to
from containers_app.specs import fields
from containers_app.specs.coverage import STATES
from containers_app.templatetags.console import STATES as WORDS
from containers_app.templatetags.console import visible

PAGE = 50
_FILTERS = ("state", "host", "stack")
_LARGEST_NUMBER = 10**18


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A share of the containers; `state` is empty for what is no state and leads nowhere."""

    words: str
    tone: str
    icon: str
    number: int
    percent: int | None
    query: str


class CoverageView(View):
    """What is not protected."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The totals of the chosen host and stack, and the containers of the chosen state, page by page."""
        check_may_see(request)
        if not request.user.has_perm("containers_app.view_backup"):
            raise refused(request, "you may not see backups")
        chosen = {name: request.GET[name] for name in _FILTERS if request.GET.get(name)}
        coverage = coverage_of(asker_of(request), host=chosen.get("host"), stack=chosen.get("stack"))
        page = _page(request, coverage, chosen)
        context = {
            "title": "Coverage",
            "coverage": page,
            "tiles": _tiles(page, chosen),
            "filters": _filters(request, chosen),
            "chosen": chosen,
            "stale_days": load().stale_days,
            "older": _query(chosen, after=page.more_after) if page.more_after else "",
            "first": _query(chosen) if request.GET.get("after") else "",
        }
        return TemplateResponse(request, "myco/coverage.html", {**admin.site.each_context(request), **context})


def _page(request: HttpRequest, coverage: Coverage, chosen: Mapping[str, str]) -> Coverage:
    """What the address asks for; nothing, and a message, where it asks for what there is not."""
    try:
        after = fields.number(request.GET, "after", default=0, highest=_LARGEST_NUMBER) or None
        return page_of(coverage, state=chosen.get("state"), after=after, limit=PAGE)
    except InvalidRequest as error:
        messages.error(request, f"{error.message}; nothing is shown.")
        return Coverage(rows=(), totals=coverage.totals)


def _tiles(coverage: Coverage, chosen: Mapping[str, str]) -> list[Tile]:
    """One for each state, and one for each evidence. What is excluded is of no share."""
    totals = coverage.totals

    def percent(number: int) -> int | None:
        return number * 100 // totals.counted if totals.counted else None

    tiles = []
    for state in STATES:
        tone, icon, words = WORDS[state]
        number = totals.states[state]
        of = None if state == "excluded" else percent(number)
        query = _query({**chosen, "state": state})
        tiles.append(Tile(words=words, tone=tone if number else "", icon=icon, number=number, percent=of, query=query))
    evidence = (
        ("Verified", "ok", totals.verified),
        ("Proven", "seal", totals.proven),
        ("Encrypted", "lock", totals.encrypted),
    )
    for words, icon, number in evidence:
        tiles.append(Tile(words=words, tone="", icon=icon, number=number, percent=percent(number), query=""))
    return tiles


def _filters(request: HttpRequest, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
    """The three drop-downs, each with the way to every choice of it."""
    rows = visible_to(asker_of(request), "container").filter(removed_at=None).order_by()
    hosts = sorted(set(rows.values_list("host__name", flat=True)))
    stacks = sorted(set(rows.exclude(stack="").values_list("stack", flat=True)))
    return [
        _filter("state", ((state, WORDS[state][2]) for state in STATES), chosen),
        _filter("host", ((host, host) for host in hosts), chosen),
        _filter("stack", ((stack, visible(stack)) for stack in stacks), chosen),
    ]


def _filter(name: str, values: Iterable[tuple[str, str]], chosen: Mapping[str, str]) -> dict[str, Any]:
    without = {key: value for key, value in chosen.items() if key != name}
    choices = [{"display": "All", "query_string": _query(without), "selected": name not in chosen}]
    for value, words in values:
        query = _query({**without, name: value})
        choices.append({"display": words, "query_string": query, "selected": chosen.get(name) == value})
    return {"title": name, "choices": choices}


def _query(chosen: Mapping[str, str], **more: Any) -> str:
    return "?" + urlencode({**chosen, **more})
