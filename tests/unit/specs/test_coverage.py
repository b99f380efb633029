"""How far a container is protected: what its newest usable backup has of what it uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from containers_app.specs.coverage import NO_BACKUP_LABEL, Judgement, NewestSet, Place, judge, places, stale_before

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
WHOLE = frozenset({("rootfs", "web"), ("config", "config"), ("secrets", "secrets"), ("volume", "data")})
DATA = {
    "type": "volume",
    "name": "data",
    "source": "/var/lib/docker/volumes/data",
    "target": "/data",
    "readOnly": False,
}


def bind(source: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"type": "bind", "name": None, "source": source, "target": "/in", "readOnly": read_only}


def newest(*, days: float = 1, **fields: Any) -> NewestSet:
    values = {
        "whole": True,
        "parts": WHOLE,
        "encrypted": False,
        "chosen": False,
        "verified_at": None,
        "proven_at": None,
    }
    return NewestSet(backup="b", created_at=NOW - timedelta(days=days), **{**values, **fields})


def judged(found: NewestSet | None, *mounts: dict[str, Any], had: bool = True, **labels: str) -> Judgement:
    named = {NO_BACKUP_LABEL: labels["label"]} if labels else {}
    return judge(mounts, named, found, had_backups=had, stale_before=stale_before(NOW, days=7))


def test_a_recent_backup_with_everything_protects() -> None:
    assert judged(newest(), DATA) == Judgement(state="protected")


def test_a_volume_that_is_not_in_the_backup_is_named() -> None:
    cache = {**DATA, "name": "cache", "target": "/cache"}
    found = judged(newest(), DATA, cache)
    assert found.state == "partly"
    assert found.missing == (Place(kind="volume", name="cache", target="/cache", counts=True),)


def test_a_volume_of_the_name_of_a_bind_is_not_it() -> None:
    found = judged(newest(parts=WHOLE - {("volume", "data")} | {("bind", "data")}), DATA)
    assert [place.name for place in found.missing] == ["data"]


@pytest.mark.parametrize(
    ("mount", "state"),
    [
        (bind("/srv/shop"), "partly"),
        (bind("/etc/localtime", read_only=True), "protected"),
        (bind("/var/run/docker.sock"), "protected"),
        ({"type": "tmpfs", "name": None, "source": None, "target": "/tmp", "readOnly": False}, None),
        ({"type": "volume", "name": None, "source": None, "target": "/x", "readOnly": False}, None),
        ({}, None),
    ],
)
def test_what_holds_nothing_of_the_container_does_not_count(mount: dict[str, Any], state: str | None) -> None:
    found = judged(newest(), mount)
    assert found.state == (state or "protected")
    assert len(found.missing) == (0 if state is None else 1)


def test_a_folder_in_the_backup_is_not_missing() -> None:
    assert judged(newest(parts=WHOLE | {("bind", "/srv/shop")}), bind("/srv/shop")).missing == ()


def test_what_two_mounts_share_is_told_once_and_counts_if_one_of_them_writes() -> None:
    assert places([bind("/srv", read_only=True), bind("/srv")]) == [
        Place(kind="bind", name="/srv", target="/in", counts=True)
    ]


@pytest.mark.parametrize(
    ("without", "lacks"),
    [
        ({("rootfs", "web")}, ("rootfs",)),
        ({("config", "config"), ("secrets", "secrets")}, ("config",)),
        ({("secrets", "secrets")}, ("secrets",)),
        ({("rootfs", "web"), ("secrets", "secrets")}, ("rootfs", "secrets")),
    ],
)
def test_a_part_that_every_container_needs_is_named(without: set[tuple[str, str]], lacks: tuple[str, ...]) -> None:
    found = judged(newest(parts=WHOLE - without), DATA)
    assert (found.state, found.lacks, found.missing) == ("partly", lacks, ())


def test_a_backup_whose_making_told_of_something_missing_is_not_whole() -> None:
    assert judged(newest(whole=False)).state == "partly"


@pytest.mark.parametrize(("days", "state"), [(6.99, "protected"), (7, "protected"), (7.01, "stale")])
def test_what_is_older_than_allowed_is_stale(days: float, state: str) -> None:
    assert judged(newest(days=days), DATA).state == state


def test_old_wins_over_partly_and_still_names_what_is_missing() -> None:
    found = judged(newest(days=8, parts=frozenset()), DATA)
    assert (found.state, found.lacks, len(found.missing)) == ("stale", ("rootfs", "config"), 1)


def test_none_and_none_any_more_are_apart() -> None:
    assert judged(None, DATA, had=False) == Judgement(state="never")
    assert judged(None, DATA, had=True) == Judgement(state="unusable")


@pytest.mark.parametrize(
    ("label", "state"), [("true", "excluded"), ("True", "excluded"), ("false", "never"), ("", "never")]
)
def test_a_label_excludes(label: str, state: str) -> None:
    assert judged(None, had=False, label=label).state == state
