"""`GET /api/coverage`: the same as the console shows, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
DATA = {"type": "volume", "name": "data", "source": "/v", "target": "/data", "readOnly": False}


def asked(client: Client, query: str = "") -> Any:
    answer = client.get(f"/api/coverage{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_container_whose_backup_lacks_a_volume_is_partly_protected_by_name(operator: Client) -> None:
    web = recipes.container(mounts=[DATA], stack="shop")
    backup = recipes.backup(container=web, verified_at=timezone.now())
    body = asked(operator)
    (row,) = body["results"]
    assert (row["container"], row["host"], row["stack"]) == ({"id": "a" * 64, "name": "web"}, "local", "shop")
    assert (row["state"], row["backup"], row["lacks"]) == ("partly", str(backup.pk), ["config"])
    assert row["missing"] == [{"kind": "volume", "name": "data", "target": "/data", "counts": True}]
    assert (row["encrypted"], row["chosen"], row["provenAt"], row["damaged"]) == (False, False, None, 0)
    assert row["verifiedAt"].endswith("Z")
    assert body["totals"]["states"]["partly"] == {"containers": 1, "share": 1.0}
    assert body["totals"]["verified"] == {"containers": 1, "share": 1.0}
    assert (body["staleAfterDays"], body["next"]) == (7.0, None)


def test_a_container_without_a_backup_has_null_for_what_is_not_known(operator: Client) -> None:
    recipes.container()
    (row,) = asked(operator)["results"]
    absent = ("stack", "backup", "lastBackupAt", "verifiedAt", "provenAt", "encrypted", "chosen")
    assert row["state"] == "never"
    assert {row[name] for name in absent} == {None}


def test_no_container_has_no_share(operator: Client) -> None:
    body = asked(operator)
    assert (body["results"], body["totals"]["counted"]) == ([], 0)
    assert body["totals"]["states"]["protected"] == {"containers": 0, "share": None}


def test_pages_keep_their_filters(operator: Client) -> None:
    for number in range(5):
        recipes.container(engine_id=f"{number}" * 64, name=f"c{number}", stack="shop" if number else "")
    names, address = [], "/api/coverage?stack=shop&state=never&limit=3"
    while address:
        body = operator.get(address).json()
        names += [row["container"]["name"] for row in body["results"]]
        assert body["totals"]["containers"] == 4
        address = body["next"]
    assert names == ["c1", "c2", "c3", "c4"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?state=good", "state"),
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?after=x", "after"),
        ("?after=77", "after"),
        ("?name=web", "name"),
    ],
)
def test_a_wrong_query_is_refused_by_its_field(operator: Client, query: str, field: str) -> None:
    answer = operator.get(f"/api/coverage{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
