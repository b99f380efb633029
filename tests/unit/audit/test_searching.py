"""Searches walk indexes a bounded number of steps; together the pages show every entry once, and miss none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.test.utils import CaptureQueriesContext

from containers_app.audit import ledger, searching
from containers_app.audit.record import Actor, Source, Subject
from containers_app.audit.reviews import review
from containers_app.audit.searching import Criterion, Place, Search, search

pytestmark = pytest.mark.django_db(databases=["audit"])
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def one_of(*pairs: tuple[str, str | int]) -> Criterion:
    return Criterion(pairs=pairs)


def record(number: int) -> None:
    """Every second one by actor 1, every third denied, at the minute of its number."""
    with time_machine.travel(NOON + timedelta(minutes=number), tick=False):
        ledger.event(
            action="authz.denied" if number % 3 == 0 else "auth.login",
            outcome="denied" if number % 3 == 0 else "success",
            actor=Actor(type="user", id=str(number % 2)),
            source=Source(channel="ui", request_id=f"r-{number}"),
            subject=Subject(type="user", id=f"u-{number % 5}", name=f"name-{number % 5}"),
        )


@pytest.fixture
def thirty() -> None:
    for number in range(30):
        record(number)


def numbers(entries: tuple[ledger.Entry, ...]) -> list[int]:
    return [int(entry.request_id.removeprefix("r-")) for entry in entries]


def walked(wanted: Search, *, limit: int = 4) -> list[int]:
    """All pages, one after the other."""
    seen: list[int] = []
    place: Place | None = None
    for _ in range(200):
        found = search(wanted, limit=limit, beyond=place)
        assert len(found.entries) <= limit
        seen += numbers(found.entries)
        place = found.further
        if place is None:
            assert found.is_whole
            return seen
    raise AssertionError("the pages never end")


WANTED = [
    (Search(), lambda n: True),
    (Search(criteria=(one_of(("actor_id", "1")),)), lambda n: n % 2 == 1),
    (Search(criteria=(one_of(("actor_id", "1")), one_of(("outcome", "denied")))), lambda n: n % 6 == 3),
    (Search(criteria=(one_of(("object_id", "u-1"), ("object_name", "name-2")),)), lambda n: n % 5 in (1, 2)),
    (Search(criteria=(one_of(("actor_id", "9")),)), lambda n: False),
    (Search(plain={"actor_type": ("key",)}), lambda n: False),
    (Search(plain={"phase": ("event",)}, criteria=(one_of(("actor_id", "0")),)), lambda n: n % 2 == 0),
    (Search(since=NOON + timedelta(minutes=5), until=NOON + timedelta(minutes=9)), lambda n: 5 <= n < 9),
    (
        Search(until=NOON + timedelta(minutes=9), criteria=(one_of(("outcome", "denied")),)),
        lambda n: n < 9 and n % 3 == 0,
    ),
]


@pytest.mark.usefixtures("thirty")
@pytest.mark.parametrize(("listed", "walked_at_once"), [(2_000, 10_000), (3, 5), (1, 2)])
@pytest.mark.parametrize(("wanted", "fits"), WANTED)
def test_all_pages_together_have_what_fits_once_newest_first(
    wanted: Search, fits: object, listed: int, walked_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(fits)
    monkeypatch.setattr(searching, "LISTED", listed)
    monkeypatch.setattr(searching, "WALKED", walked_at_once)
    assert walked(wanted) == [number for number in reversed(range(30)) if fits(number)]


@pytest.mark.usefixtures("thirty")
def test_a_page_that_looked_as_far_as_it_may_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LISTED", 5)
    found = search(Search(criteria=(one_of(("actor_id", "1")), one_of(("outcome", "denied")))), limit=4)
    assert (found.is_whole, len(found.entries) < 4, found.further is not None) == (False, True, True)


@pytest.mark.usefixtures("thirty")
def test_the_way_back_meets_the_same_entries() -> None:
    wanted = Search(criteria=(one_of(("actor_id", "1")),))
    first = search(wanted, limit=4)
    second = search(wanted, limit=4, beyond=first.further)
    back = search(wanted, limit=4, beyond=searching.place_of(second.entries[0]), newer=True)
    assert numbers(back.entries) == numbers(first.entries)
    assert back.further is None


def test_a_clock_that_went_back_hides_nothing() -> None:
    for number in (1, 2, 40, 3, 4):
        record(number)
    assert walked(Search(since=NOON + timedelta(minutes=2))) == [40, 4, 3, 2]
    assert walked(Search(until=NOON + timedelta(minutes=4))) == [3, 2, 1]


def test_entries_of_one_moment_are_all_shown() -> None:
    with time_machine.travel(NOON, tick=False):
        for number in range(7):
            source = Source(channel="ui", request_id=f"r-{number}")
            ledger.event(action="auth.login", actor=Actor(type="system"), source=source)
    assert walked(Search(), limit=2) == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.usefixtures("thirty")
def test_marks_narrow_the_list_and_a_later_review_ends_a_flag() -> None:
    about: Any = {"actor": Actor(type="user", id="7"), "source": Source(channel="ui", request_id="r-99")}
    flagged, reviewed, both = ledger.entries().filter(request_id__in=("r-3", "r-4", "r-5")).order_by("id")
    for _ in range(2):
        review(flagged, "flag", **about, comment="why?")
    review(reviewed, "reviewed", **about)
    review(both, "flag", **about, comment="why?")
    review(both, "reviewed", **about)
    review(both, "comment", **about, comment="done")
    assert walked(Search(mark="flagged")) == [3]
    assert walked(Search(mark="reviewed")) == [5, 4]
    assert walked(Search(mark="unreviewed", since=NOON, until=NOON + timedelta(minutes=7))) == [6, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "wanted", [wanted for wanted, _ in WANTED] + [Search(mark="flagged"), Search(mark="unreviewed")]
)
@pytest.mark.usefixtures("thirty")
def test_a_search_is_one_query_that_counts_nothing(wanted: Search) -> None:
    with CaptureQueriesContext(connections["audit"]) as asked:
        search(wanted, limit=4)
    assert len(asked) == 1
    assert "COUNT(" not in asked[0]["sql"].upper()


SCANS = [wanted for wanted, _ in WANTED if wanted.criteria]


@pytest.mark.usefixtures("thirty")
@pytest.mark.parametrize("wanted", [*SCANS, Search(mark="flagged")])
def test_sqlite_scans_no_table_of_the_ledger(wanted: Search) -> None:
    sql, values = searching._Asked(wanted, beyond=None, newer=False, limit=4).statement()
    with connections["audit"].cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        plan = [row[-1] for row in cursor.fetchall()]
    assert [step for step in plan if step.startswith("SCAN") and "audit_" in step] == []
    assert [step for step in plan if step in ("SCAN e", "SCAN audit_entry")] == []
    assert any("SEARCH e USING INTEGER PRIMARY KEY" in step for step in plan)


@pytest.mark.parametrize("column", ["payload", "id; DROP TABLE audit_entry", "phase"])
def test_a_column_without_an_index_is_no_criterion(column: str) -> None:
    with pytest.raises(ValueError, match="are not of"):
        one_of((column, "x"))
    with pytest.raises(ValueError, match="are not of"):
        Search(plain={"payload": ("x",)})


def test_values_are_never_sql() -> None:
    record(1)
    hostile = "x' OR 1=1 --%s"
    assert walked(Search(criteria=(one_of(("actor_id", hostile)),), plain={"phase": (hostile,)})) == []
