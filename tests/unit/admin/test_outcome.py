"""The page of a finished operation: result, plan, proofs, parts; what nobody asked for stands out."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from containers_app.models import Operation, State
from tests import recipes
from tests.unit.admin.cloning import collision, plan

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
FIGURES = {"entries": 3, "bytes": 2048, "sha256": "1f" * 32}


def difference(field: str, reason: str | None) -> dict[str, Any]:
    return {"field": field, "source": "1", "clone": "2", "reason": reason}


def proof(*differences: dict[str, Any], equal: bool = True) -> dict[str, Any]:
    tree = {"kind": "volume", "name": "pages", "target": "web-2_pages", "equal": equal}
    configuration = {"equal": not differences, "comparedFields": 204, "differences": list(differences)}
    other = FIGURES if equal else {**FIGURES, "sha256": "2e" * 32}
    return {
        "configuration": {**configuration, "leftOut": ["Id", "Name"]},
        "content": [{**tree, "source": FIGURES, "copy": other}],
    }


def clone(**fields: Any) -> Operation:
    values = {"kind": "clone", "params": {"container": "a" * 64}, "state": State.SUCCEEDED, "outcome_index": 1}
    return recipes.operation(**{**values, **fields})


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(recipes.auditor())
    return made


def page_of(client: Client, row: Operation) -> str:
    answer = client.get(reverse("admin:containers_app_operation_change", args=[row.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition('id="content-main"')[2])).split())


def test_a_clone_shows_its_result_its_plan_and_both_proofs(client: Client) -> None:
    made = recipes.container(engine_id="f" * 64, name="web-2")
    result = {"success": True, "action": "clone", "newId": "f" * 64, "newName": "web-2"}
    document = plan(collisions=[collision("port", blocks="start")])
    page = page_of(client, clone(result=result, plan=document, proof=proof()))
    words = text_of(page)
    for shown in ("newName web-2", "HostConfig.Memory", "The port is taken.", "204 fields compared", "1f" * 32):
        assert shown in words
    assert "No field differs from the source." in words
    assert "2.00 KiB" in words
    assert reverse("admin:containers_app_container_change", args=[made.pk]) in page
    assert "Use this proposal" not in page
    assert "is-bad" not in page.partition('id="content-main"')[2]


def test_a_difference_that_nobody_asked_for_is_red_and_comes_first(client: Client) -> None:
    asked, unasked = difference("HostConfig.Memory", "Asked for by an override."), difference("Config.User", None)
    page = page_of(client, clone(state=State.PARTIAL, result={"newName": "x"}, proof=proof(asked, unasked)))
    assert "1 field differs that nobody asked for." in text_of(page)
    assert page.index("Config.User") < page.index("HostConfig.Memory")
    assert re.search(r'<span class="inline-note is-bad">.{0,120}none</span>', page)
    assert "It was made, but not all of it is as it should be." in text_of(page)


def test_a_difference_with_a_reason_is_no_alarm(client: Client) -> None:
    page = page_of(client, clone(proof=proof(difference("Config.Env", "Asked for by an override."))))
    assert "Every difference has a reason." in text_of(page)
    assert "that nobody asked for" not in page


def test_content_that_is_not_equal_is_said_with_both_hashes(client: Client) -> None:
    words = text_of(page_of(client, clone(state=State.PARTIAL, proof=proof(equal=False))))
    assert words.count("not equal") == 2
    assert "1f" * 32 in words
    assert "2e" * 32 in words


def test_a_whole_and_its_parts_lead_to_each_other(client: Client) -> None:
    whole = clone(target_name="shop")
    part = clone(target_name="shop-web-1", parent=whole, intent_index=1)
    assert reverse("admin:containers_app_operation_change", args=[part.pk]) in page_of(client, whole)
    page = page_of(client, part)
    assert "Part of" in page
    assert reverse("admin:containers_app_operation_change", args=[whole.pk]) in page


@pytest.mark.parametrize(("done", "percent"), [(0, "0 %"), (512, "50 %"), (4096, "100 %")])
def test_the_bar_goes_by_the_total_and_never_beyond(client: Client, done: int, percent: str) -> None:
    running = recipes.running(kind="clone", params={"container": "web"}, bytes_done=done, bytes_total=1024)
    assert percent in text_of(page_of(client, running))


def test_a_plan_is_called_a_plan(client: Client) -> None:
    row = clone(params={"container": "a" * 64, "dry_run": True}, plan=plan(), result={"dryRun": True})
    assert "<h1>Plan: Clone" in page_of(client, row)
    assert "Plan: Clone" in client.get(reverse("admin:containers_app_operation_changelist")).content.decode()


def test_hostile_words_of_a_proof_stay_words(client: Client) -> None:
    evil = recipes.HOSTILE
    tree = {"kind": evil, "name": evil, "target": evil, "equal": False, "source": {"sha256": evil}, "copy": {}}
    configuration = {"comparedFields": 1, "differences": [difference(evil, evil), difference(evil, None)]}
    proofs = {"configuration": {**configuration, "leftOut": [evil]}, "content": [tree]}
    page = page_of(client, clone(result={evil: [evil]}, proof=proofs, plan=plan(diff=[])))
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "&amp;quot;" not in page


def test_a_proof_that_another_version_wrote_breaks_no_page(client: Client) -> None:
    assert page_of(client, clone(proof={"configuration": None}, plan={"hash": "1"}, result={"newId": None}))


def test_who_may_see_no_containers_is_led_to_none() -> None:
    person = recipes.person("otto")
    person.user_permissions.add(Permission.objects.get(codename="view_operation"))
    reader = Client()
    reader.force_login(person)
    container = recipes.container(engine_id="f" * 64)
    page = page_of(reader, clone(result={"newId": "f" * 64, "newName": "web-2"}))
    assert "newName" in page
    assert reverse("admin:containers_app_container_change", args=[container.pk]) not in page


def test_a_stranger_sees_no_proof() -> None:
    stranger = Client()
    stranger.force_login(recipes.stranger())
    address = reverse("admin:containers_app_operation_change", args=[clone(proof=proof()).pk])
    assert stranger.get(address).status_code == 403
    assert stranger.post(address).status_code == 403
