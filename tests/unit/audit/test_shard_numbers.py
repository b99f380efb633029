"""A shard's number says its year, and which one of that year it is."""

from __future__ import annotations

import pytest

from containers_app.audit.shards import newest, rank, successor, year_of


def test_numbers_grow_within_a_year_and_over_new_year() -> None:
    in_order = [2026, 202601, 202602, 2027, 202701]
    assert sorted(set(in_order), key=rank) == in_order
    assert [year_of(shard) for shard in in_order] == [2026, 2026, 2026, 2027, 2027]
    assert newest(in_order[:3]) == 202602
    assert newest([]) is None


@pytest.mark.parametrize(
    ("shard", "year", "following"),
    [(2026, 2026, 202601), (202601, 2026, 202602), (202601, 2027, 2027), (2027, 2026, 202701), (2026, 2025, 202601)],
)
def test_a_shard_is_followed_by_a_year_or_by_a_number_in_it(shard: int, year: int, following: int) -> None:
    assert successor(shard, year=year) == following


def test_a_year_has_an_end() -> None:
    with pytest.raises(ValueError, match="already"):
        successor(202699, year=2026)
