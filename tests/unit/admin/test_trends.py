"""The charts of a container's backups: drawn without scripts and styles, and told in words to who cannot see them."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from containers_app.models import Container
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
BACKUPS = "admin:containers_app_backup_changelist"
NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(recipes.auditor())
    return made


@pytest.fixture
def web() -> Container:
    return recipes.container()


def stored(web: Container, *mebibytes: int, **fields: Any) -> None:
    for day, size in enumerate(mebibytes):
        moment = NOW + day * timedelta(days=1)
        values = {"container": web, "created_at": moment, "size_bytes": size * 2**20, "duration_seconds": 2.0}
        recipes.backup(**{**values, **fields})


def page(client: Client, web: Container) -> str:
    answer = client.get(reverse("admin:containers_app_container_change", args=[web.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def labels(page: str) -> list[str]:
    found = re.findall(r'<svg class="spark"[^>]* role="img" aria-label="([^"]*)"', page)
    return [html.unescape(label) for label in found]


def test_a_container_has_three_charts_whose_figures_are_told(client: Client, web: Container) -> None:
    stored(web, 100, 400, 200)
    shown = page(client, web)
    assert labels(shown) == [
        "Stored size of the last 3 backups: 100.00 MiB at first, 200.00 MiB at last, lowest 100.00 MiB, "
        "highest 400.00 MiB.",
        "Rate of the last 3 backups: 50.00 MiB/s at first, 100.00 MiB/s at last, lowest 50.00 MiB/s, "
        "highest 200.00 MiB/s.",
        "Change to the set before of the last 3 backups: +300.00 MiB at first, -200.00 MiB at last, "
        "lowest -200.00 MiB, highest +300.00 MiB.",
    ]
    assert "style=" not in shown
    assert '<polyline points="0.0,32.0 100.0,5.0 200.0,23.0"/>' in shown
    assert "2026-11-20, 100.00 MiB" in shown
    assert "2026-11-22, 200.00 MiB" in shown
    assert "The figures as a table" in shown


def test_one_backup_is_a_dot_and_none_is_no_chart(client: Client, web: Container) -> None:
    assert labels(page(client, web)) == []
    stored(web, 100)
    shown = page(client, web)
    assert labels(shown)[0].startswith("Stored size of 1 backup: 100.00 MiB at first")
    assert labels(shown)[2] == "Change to the set before of 1 backup: not known."
    assert 'class="dot"' in shown


def test_what_cannot_be_used_any_more_is_crossed_out_and_told(client: Client, web: Container) -> None:
    stored(web, 100)
    stored(web, 200, state="corrupt", created_at=NOW + timedelta(days=5))
    shown = page(client, web)
    assert all(label.endswith(" 1 of them cannot be used any more.") for label in labels(shown))
    assert shown.count('class="mark is-bad"') == 3
    assert ">Corrupt<" in shown


def test_the_list_of_one_container_has_its_charts_and_its_rows_alone(client: Client, web: Container) -> None:
    stored(web, 100, 200)
    recipes.backup(container=recipes.container(engine_id="b" * 64, name="other"), container_name="other")
    address = f"{reverse(BACKUPS)}?container={web.pk}"
    assert f'href="{address}"' in page(client, web)
    answer = client.get(address)
    assert len(answer.context["cl"].result_list) == 2
    assert len(labels(answer.content.decode())) == 3
    everything = client.get(reverse(BACKUPS))
    assert len(everything.context["cl"].result_list) == 3
    assert labels(everything.content.decode()) == []


@pytest.mark.parametrize("given", ["999999", "x", "9" * 40, "-1"])
def test_a_container_that_is_none_has_no_rows(client: Client, web: Container, given: str) -> None:
    stored(web, 100)
    answer = client.get(f"{reverse(BACKUPS)}?container={given}")
    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) == 0


def test_a_hostile_name_stays_text(client: Client) -> None:
    web = recipes.container(name=recipes.HOSTILE)
    stored(web, 100)
    shown = client.get(f"{reverse(BACKUPS)}?container={web.pk}").content.decode()
    assert "<img" not in shown
    assert "\u202e" not in shown


def test_a_stranger_sees_neither(web: Container) -> None:
    stored(web, 100)
    stranger = Client()
    stranger.force_login(recipes.stranger())
    assert stranger.get(reverse("admin:containers_app_container_change", args=[web.pk])).status_code == 403
    assert stranger.get(f"{reverse(BACKUPS)}?container={web.pk}").status_code == 403
