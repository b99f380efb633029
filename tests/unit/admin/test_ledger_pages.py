"""The auditor's pages: drawn from the payload, few queries, views and marks that are in the ledger or not made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from containers_app.admin import ledger_list
from containers_app.audit import denials, ledger, published
from containers_app.audit.models import Disclosure, Review
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.errors import AuditUnavailable
from containers_app.models import LedgerView
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
LIST = "/admin/audit/entry/"
VIEWS, TIMELINE = f"{LIST}views/", f"{LIST}timeline/"
MOST_QUERIES = 12


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def aude() -> Client:
    return signed_in(recipes.auditor())


def record(**more: Any) -> Any:
    facts = {"action": "config.host_changed", "actor": ledger.Actor(type="user", id="1", label="olga")}
    subject = ledger.Subject(type="host", id="h-1", name="site-b")
    ledger.event(**{**facts, "source": ledger.Source(channel="ui", request_id="r-1"), "subject": subject, **more})
    return ledger.entries()[0]


def page_of(entry: Any, *parts: str) -> str:
    return reverse("admin:audit_entry_change" if not parts else f"admin:audit_entry_{parts[0]}", args=[entry.pk])


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def sign(folder: Any) -> None:
    Signer(SignerFolder(folder / "signer"), name="a.example", heartbeat_seconds=3600).look()


@pytest.mark.parametrize(
    "address",
    [
        LIST,
        f"{LIST}?period=year&denied=true&actor=1&object=site-b&host=x&channel=ui&category=config",
        f"{LIST}?reads=true",
        f"{LIST}?mark=unreviewed",
        f"{LIST}?object=nothing",
        f"{TIMELINE}?object=h-1",
        VIEWS,
        "{entry}",
        "{proof}",
    ],
)
def test_a_page_asks_at_most_twelve_times_and_counts_nothing(
    aude: Client, address: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the entry that says who looked, which is one question to PostgreSQL."""
    entry = record(details={"before": {"a": 1}, "after": {"a": 2}})
    for _ in range(60):
        record()
    sign(tmp_path)
    monkeypatch.setattr(denials, "record", lambda _look, **_how: None)
    filled = address.format(entry=page_of(entry), proof=page_of(entry, "proof"))
    with CaptureQueriesContext(connections["default"]) as one, CaptureQueriesContext(connections["audit"]) as other:
        text(aude, filled)
    asked = [query["sql"] for queries in (one, other) for query in queries.captured_queries]
    assert len(asked) <= MOST_QUERIES, "\n".join(asked)
    assert [sql for sql in asked if "COUNT(" in sql.upper()] == []


def test_the_list_is_drawn_from_the_payload_and_not_from_the_columns(aude: Client) -> None:
    entry = record()
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET object_name = 'forged', outcome = 'denied' WHERE id = %s", [entry.pk])
    html = text(aude, f"{LIST}?denied=true")
    assert ("site-b" in html, "forged" in html) == (True, False)
    assert ("site-b" in text(aude, page_of(entry)), "forged" in text(aude, page_of(entry))) == (True, False)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("outcome=bad", "'outcome' must be one of"),
        ("verb=nothing.known", "'verb' must be a verb of the ledger"),
        ("since=soon", "'since' must be a day"),
        ("period=7d&since=2026-01-01", "'period' stands alone"),
        ("since=2026-02-01&until=2026-01-01", "'until' must be later"),
        ("denied=perhaps", "'denied' must be true or false"),
        ("shard=x", "'shard' must be a year"),
        ("nope=1", "Unknown filter"),
        ("cursor=x", "'cursor' must come from"),
    ],
)
def test_a_wrong_filter_is_said_and_shows_nothing(aude: Client, query: str, words: str) -> None:
    record()
    html = text(aude, f"{LIST}?{query}").replace("&#x27;", "'")
    assert words in html
    assert "olga" not in html


def test_an_operator_finds_only_what_was_his_own_and_no_marks() -> None:
    user = recipes.operator()
    other = record(actor=ledger.Actor(type="user", id="999999", label="other"))
    mine = record(actor=ledger.Actor(type="user", id=str(user.pk), label="mine"))
    client = signed_in(user)
    html = text(client, LIST)
    assert (f'href="{page_of(mine)}"' in html, f'href="{page_of(other)}"' in html) == (True, False)
    assert "whole ledger" in text(client, f"{LIST}?mark=flagged")
    assert client.get(page_of(mine)).status_code == 200
    assert client.get(VIEWS).status_code == 403


def test_a_stranger_reads_nothing() -> None:
    entry = record()
    client = signed_in(recipes.stranger())
    for address in (LIST, TIMELINE, VIEWS, page_of(entry), page_of(entry, "proof"), page_of(entry, "proof_file")):
        assert client.get(address).status_code in (302, 403, 404), address


def test_an_entry_shows_what_changed_and_which_values_are_erased(aude: Client) -> None:
    entry = record(details={"before": {"url": "tcp://a", "queue": "q"}, "after": {"url": "tcp://b", "queue": "q"}})
    html = text(aude, page_of(entry))
    assert "<del><bdi>tcp://a</bdi></del>" in html
    assert "<ins><bdi>tcp://b</bdi></ins>" in html
    assert "<del><bdi>q</bdi></del>" not in html
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_disclosure WHERE kind = 'actor_label'")
    assert not Disclosure.objects.filter(kind="actor_label").exists()
    assert "</svg>erased" in text(aude, page_of(entry))


def test_an_entry_leads_to_its_neighbours(aude: Client) -> None:
    first, second, third = record(), record(), record()
    html = text(aude, page_of(second))
    assert f'href="{page_of(first)}">Previous' in html
    assert f'href="{page_of(third)}">Next' in html


def test_a_damaged_payload_is_said_and_breaks_no_page(aude: Client) -> None:
    entry = record()
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET payload = '[1' WHERE id = %s", [entry.pk])
    assert "altered until it is no record" in text(aude, page_of(entry))
    assert text(aude, LIST)


def test_the_proof_leads_to_the_signed_root_and_its_file_is_that_of_the_interface(aude: Client, tmp_path: Any) -> None:
    entry = record()
    for _ in range(5):
        record()
    assert "No checkpoint covers" in text(aude, page_of(entry, "proof"))
    sign(tmp_path)
    assert "equals the signed checkpoint" in text(aude, page_of(entry, "proof"))
    file = aude.get(page_of(entry, "proof_file"))
    assert file["Content-Disposition"].endswith('.tlog-proof"')
    assert file.content == aude.get(f"/api/ledger/entries/{entry.leaf_index}/proof").content


def test_a_proof_of_a_changed_entry_does_not_hold(aude: Client, tmp_path: Any) -> None:
    entry = record()
    record()
    sign(tmp_path)
    with connections["audit"].cursor() as cursor:
        cursor.execute(
            "UPDATE audit_entry SET payload = replace(payload, 'site-b', 'site-c') WHERE id = %s", [entry.pk]
        )
    html = text(aude, page_of(entry, "proof"))
    assert "is not the one of the signed checkpoint" in html
    assert "does not give the stored leaf hash" in html
    assert "part from the stored text" in html


def test_the_timeline_of_an_operation_goes_from_its_intent_to_its_outcome(aude: Client) -> None:
    about: dict[str, Any] = {"actor": ledger.Actor(type="system"), "source": ledger.Source(channel="api")}
    about |= {
        "action": "container.clone",
        "subject": ledger.Subject(type="container", name="web"),
        "operation_id": "op-1",
    }
    ledger.intent(**about)
    ledger.outcome(**about, outcome="success")
    record()
    html = text(aude, f"{TIMELINE}?operation=op-1")
    assert "2 entries" in html
    assert html.index("<bdi>intent</bdi>") < html.index("<bdi>outcome</bdi>")


def test_the_banner_tells_open_intents_and_what_was_done_without_the_product(aude: Client) -> None:
    about: dict[str, Any] = {"actor": ledger.Actor(type="system"), "source": ledger.Source(channel="api")}
    ledger.intent(**about, action="container.clone", subject=ledger.Subject(), operation_id="op-1")
    record(action="engine.unattributed")
    record(action="audit.verify", details={"verdict": "verified", "quick": False, "shard": None})
    html = text(aude, LIST)
    assert "<dd>1<span" in html
    assert '?verb=engine.unattributed&amp;period=7d">1</a>' in html
    assert "none is recorded" not in html


def views() -> list[tuple[str, str, bool]]:
    return list(LedgerView.objects.order_by("id").values_list("name", "filters", "is_shared"))


def told(prefix: str) -> list[str]:
    return list(ledger.entries().filter(action__startswith=prefix).order_by("id").values_list("action", flat=True))


def test_a_view_is_saved_changed_and_deleted_and_the_ledger_has_each(aude: Client) -> None:
    assert aude.post(VIEWS, {"name": "Denied", "filters": "denied=true&period=7d"}).status_code == 302
    assert views() == [("Denied", "denied=true&period=7d", False)]
    change = reverse("admin:audit_entry_view", args=[LedgerView.objects.get().pk])
    aude.post(change, {"name": "Refused", "is_shared": "on"})
    assert views() == [("Refused", "denied=true&period=7d", True)]
    aude.post(change, {"delete": "1"})
    assert views() == []
    assert told("audit.view_") == ["audit.view_saved", "audit.view_changed", "audit.view_deleted"]


def test_the_name_of_a_view_and_what_is_looked_for_are_told_as_keyed_hashes(aude: Client) -> None:
    aude.post(VIEWS, {"name": "What Alice did", "filters": "object=alice&outcome=denied"})
    aude.post(reverse("admin:audit_entry_view", args=[LedgerView.objects.get().pk]), {"name": "Alice again"})
    rows = ledger.entries().filter(action__startswith="audit.view_").order_by("id")
    saved, changed = (json.loads(row.payload) for row in rows)
    after = saved["details"]["after"]
    assert after["filters"].pop("outcome") == "denied"
    assert after["filters"]["object"].startswith("hmac:filters:")
    assert after["name"] != changed["details"]["after"]["name"]
    assert after["name"].startswith("hmac:views:")
    assert not ledger.entries().filter(payload__icontains="alice").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "", "filters": ""}, "This field is required"),
        ({"name": "x", "filters": "outcome=bad"}, "must be one of"),
        ({"name": "Taken", "filters": ""}, "already"),
    ],
)
def test_a_wrong_view_says_why_and_is_not_saved(aude: Client, fields: dict[str, str], words: str) -> None:
    aude.post(VIEWS, {"name": "Taken", "filters": ""})
    assert words in aude.post(VIEWS, fields).content.decode()
    assert len(views()) == 1
    assert told("audit.view_") == ["audit.view_saved"]


def test_nobody_sees_or_changes_a_view_of_another_that_is_not_shared(aude: Client) -> None:
    aude.post(VIEWS, {"name": "Mine", "filters": ""})
    other = signed_in(recipes.auditor("second"))
    assert "Mine" not in text(other, VIEWS)
    change = reverse("admin:audit_entry_view", args=[LedgerView.objects.get().pk])
    assert other.post(change, {"delete": "1"}).status_code == 404
    assert signed_in(recipes.operator()).post(change, {"delete": "1"}).status_code == 403
    assert [name for name, _, _ in views()] == ["Mine"]


def test_only_who_may_share_shares(aude: Client) -> None:
    reader = recipes.person("reader")
    reader.user_permissions.add(Permission.objects.get(codename="view_entry", content_type__app_label="audit"))
    client = signed_in(reader)
    assert client.post(VIEWS, {"name": "x", "filters": "", "is_shared": "on"}).status_code == 403
    assert client.post(VIEWS, {"name": "x", "filters": ""}).status_code == 302
    aude.post(VIEWS, {"name": "Shared", "filters": "", "is_shared": "on"})
    change = reverse("admin:audit_entry_view", args=[LedgerView.objects.get(name="Shared").pk])
    assert client.post(change, {"delete": "1"}).status_code == 403
    assert ("x", "", False) in views()


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AuditUnavailable("the ledger does not answer")


def test_without_the_ledger_no_view_and_no_mark_is_made(aude: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = record()
    monkeypatch.setattr(ledger, "event", refuse)
    monkeypatch.setattr("containers_app.audit.reviews.append", refuse)
    assert "the ledger does not answer" in aude.post(VIEWS, {"name": "x", "filters": ""}).content.decode()
    aude.post(page_of(entry, "review"), {"mark": "reviewed"})
    assert views() == []
    assert not Review.objects.exists()


def test_marks_are_entries_whose_words_can_be_erased(aude: Client) -> None:
    entry = record()
    for mark, comment in (("flag", "who was this?"), ("reviewed", "")):
        assert aude.post(page_of(entry, "review"), {"mark": mark, "comment": comment}).status_code == 302
    said = ledger.entries().filter(action="audit.review").order_by("id")
    assert [one.object_id for one in said] == [f"{entry.shard}/{entry.leaf_index}"] * 2
    assert "who was this?" not in said[0].payload
    html = text(aude, page_of(entry))
    assert html.index("who was this?") < html.index(">reviewed<")
    assert list(Review.objects.order_by("id").values_list("kind", flat=True)) == ["flag", "reviewed"]
    assert f'href="{page_of(entry)}"' not in text(aude, f"{LIST}?mark=flagged")
    assert f'href="{page_of(entry)}"' in text(aude, f"{LIST}?mark=reviewed")


@pytest.mark.parametrize("fields", [{"mark": "perfect"}, {"mark": "flag"}, {"mark": "comment", "comment": "x" * 501}])
def test_a_wrong_mark_is_not_made(aude: Client, fields: dict[str, str]) -> None:
    entry = record()
    assert aude.post(page_of(entry, "review"), fields).status_code == 302
    assert not Review.objects.exists()


@pytest.mark.parametrize("make", [recipes.operator, recipes.administrator, recipes.stranger])
def test_only_auditors_mark(make: Callable[[], User]) -> None:
    entry = record()
    assert signed_in(make()).post(page_of(entry, "review"), {"mark": "reviewed"}).status_code in (302, 403)
    assert not Review.objects.exists()
    assert told("audit.review") == []


def test_an_entry_in_full_is_written_line_by_line(aude: Client) -> None:
    page = text(aude, page_of(record()))
    assert "<bdi>{</bdi>\n<bdi>  &quot;action&quot;: &quot;config.host_changed&quot;,</bdi>\n" in page


def test_the_banner_says_why_a_checkpoint_is_late_and_that_nothing_reached_another_system(
    aude: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    record()
    late = replace(published.status(), state="late", why="its key is gone", outside_state="late")
    monkeypatch.setattr(ledger_list, "status", lambda: late)
    page = text(aude, LIST)
    assert "its key is gone" in page
    assert "Signature is late" in page
    assert "Too long ago" in page
