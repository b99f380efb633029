"""Holds and erasure in the console: a page says what will go before anything does, and strangers are recorded."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from containers_app.audit import holds, ledger
from containers_app.audit.appending import writable
from containers_app.audit.models import Entry
from containers_app.audit.pruned import columns_of_pruned
from containers_app.audit.record import Actor, Source
from containers_app.errors import AuditUnavailable
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ALICE = Actor(type="user", id="4711", label="alice@example.org")
LEDGER, HOLDS, ERASE = "/admin/audit/entry/", "/admin/audit/entry/holds/", "/admin/audit/entry/erase/"
WISH = {"by": "actor", "value": "4711", "reason": "a request", "ticket": "C-1"}


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def adam() -> Client:
    client = signed_in(recipes.administrator())
    ledger.event(action="access.user_changed", actor=ALICE, source=Source(channel="ui", ip="192.0.2.7"))
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def label() -> str:
    entry = Entry.objects.get(action="access.user_changed")
    return str(ledger.disclosed(entry)["actor"]["label"])


def test_the_page_says_what_will_go_and_only_the_confirmed_wish_erases(adam: Client) -> None:
    page = text_of(adam.post(ERASE, WISH))
    assert "2 values go: 1 of <code>actor_label</code>, 1 of <code>source_ip</code>." in page
    assert label() == "alice@example.org"
    assert "Show what will go" in text_of(adam.post(ERASE, {**WISH, "back": "1"}))
    done = adam.post(ERASE, {**WISH, "confirmed": "1"}, follow=True)
    assert "2 values are erased" in text_of(done)
    assert label() == "erased"
    assert list(
        Entry.objects.filter(action="privacy.erase").values_list("phase", "channel", "ticket").order_by("id")
    ) == [
        ("intent", "ui", "C-1"),
        ("outcome", "ui", ""),
    ]


def test_where_there_is_nothing_there_is_no_button(adam: Client) -> None:
    page = text_of(adam.post(ERASE, {**WISH, "value": "99"}))
    assert ("0 values go." in page, 'name="confirmed"' in page) == (True, False)


@pytest.mark.parametrize("missing", ["by", "value", "reason"])
def test_a_field_that_is_missing_is_named(adam: Client, missing: str) -> None:
    assert "This field is required" in text_of(adam.post(ERASE, {**WISH, missing: "", "confirmed": "1"}))
    assert label() == "alice@example.org"


def test_a_failure_is_shown_and_nothing_is_gone(adam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: Any) -> None:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(ledger, "intent", away)
    assert "the ledger does not answer" in text_of(adam.post(ERASE, {**WISH, "confirmed": "1"}))
    assert label() == "alice@example.org"


def test_a_hold_is_placed_stops_an_erasure_and_is_released(adam: Client) -> None:
    assert "is on hold" in text_of(adam.post(HOLDS, {"reason": "a lawsuit", "ticket": "CASE-1"}, follow=True))
    (hold,) = holds.holds()
    assert "1 legal hold is on the ledger" in text_of(adam.post(ERASE, {**WISH, "confirmed": "1"}))
    assert label() == "alice@example.org"
    release = reverse("admin:audit_entry_hold_release", args=[hold.id])
    assert release in text_of(adam.get(HOLDS))
    assert "Release the hold" in text_of(adam.get(release))
    assert "This field is required" in text_of(adam.post(release, {"reason": ""}))
    assert "The hold is released" in text_of(adam.post(release, {"reason": "settled"}, follow=True))
    assert "released already" in text_of(adam.post(release, {"reason": "again"}, follow=True))
    assert "settled" in text_of(adam.get(HOLDS))


def test_auditors_see_holds_and_place_none(adam: Client) -> None:
    adam.post(HOLDS, {"reason": "a lawsuit"})
    aude = signed_in(recipes.auditor())
    page = text_of(aude.get(HOLDS))
    assert ("a lawsuit" in page, '<form method="post"' in page.split("Legal holds", 2)[-1]) == (True, False)
    assert "permission" in text_of(aude.post(HOLDS, {"reason": "mine"}))
    assert len(holds.holds()) == 1
    assert Entry.objects.latest("id").outcome == "denied"
    assert aude.get(ERASE).status_code == 403


@pytest.mark.parametrize("page", [HOLDS, ERASE, f"{HOLDS}0190a000-0000-7000-8000-00000000dead/release/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_operators_are_refused_and_that_is_recorded(adam: Client, page: str, method: str) -> None:
    olga = signed_in(recipes.operator())
    assert getattr(olga, method)(page, WISH).status_code == 403
    assert Entry.objects.latest("id").outcome == "denied"


def test_the_ledgers_page_leads_there_for_who_may(adam: Client) -> None:
    page = text_of(adam.get(LEDGER))
    assert (HOLDS in page, ERASE in page) == (True, True)
    page = text_of(signed_in(recipes.auditor()).get(LEDGER))
    assert (HOLDS in page, ERASE in page) == (True, False)
    page = text_of(signed_in(recipes.operator()).get(LEDGER))
    assert (HOLDS in page, ERASE in page) == (False, False)


def test_lists_and_pages_say_pruned(adam: Client) -> None:
    entry = Entry.objects.get(action="access.user_changed")
    writable(Entry).filter(pk=entry.pk).update(**columns_of_pruned(entry.shard))
    assert "Pruned" in text_of(adam.get(LEDGER))
    page = text_of(adam.get(reverse("admin:audit_entry_change", args=[entry.pk])))
    assert ("Retention took the content" in page, entry.leaf_hash in page) == (True, True)
