"""Three endings: done, failed, and nobody can tell."""

from __future__ import annotations

from containers_app.management.smoke.report import Report


def test_all_passed_is_done() -> None:
    report = Report()
    report.add("one", [])
    assert report.exit_code == 0


def test_one_failure_outweighs_what_nobody_can_tell() -> None:
    report = Report()
    report.add("one", ["wrong"])
    report.unknown("two", "away")
    assert report.exit_code == 1


def test_one_unknown_is_not_done() -> None:
    report = Report()
    report.add("one", [])
    report.unknown("two", "away")
    assert report.exit_code == 2


def test_nothing_looked_at_is_nothing_known() -> None:
    assert Report().exit_code == 2


def test_programs_read_the_same() -> None:
    report = Report()
    report.add("one", ["wrong", "more"])
    assert report.as_json() == {
        "exitCode": 1,
        "checks": [{"name": "one", "verdict": "failed", "detail": "wrong; more"}],
    }
