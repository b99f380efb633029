"""The published endpoint refuses bad input: the field is named, nothing runs, and the ledger has one refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from containers_app.api.published import read_wish
from containers_app.audit import denials, ledger
from containers_app.errors import InvalidRequest
from containers_app.models import Operation
from tests import recipes
from tests.unit.api.asking import ASYNC, BACKUP, CLONE, PUBLISHED, act, act_later, assert_refused, refusals
from tests.unit.api.test_strict_json import BROKEN

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
MakeClient = Callable[..., Client]
Options = dict[str, Any]


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_is_not_a_plain_object_starts_nothing(operator: Client, body: bytes) -> None:
    assert_refused(act(operator, body), 400, "INVALID_REQUEST")


def test_a_body_over_the_limit_starts_nothing(operator: Client) -> None:
    assert_refused(act(operator, b"[" * 100_000), 413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_only_json_is_taken(operator: Client, content_type: str) -> None:
    response = operator.post(PUBLISHED, data=json.dumps(BACKUP).encode(), content_type=content_type)
    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("action", [None, "", "restore", "Clone", "clone ", "сlone", 5, True, ["clone"], {"clone": 1}])
def test_an_action_that_is_not_one_of_ours_is_named(operator: Client, action: object) -> None:
    assert_refused(act(operator, {**BACKUP, "action": action}), 400, "INVALID_REQUEST", words="'action'")


@pytest.mark.parametrize("missing", ["action", "containerId"])
def test_a_missing_field_is_named(operator: Client, missing: str) -> None:
    body = {name: value for name, value in BACKUP.items() if name != missing}
    assert_refused(act(operator, body), 400, "INVALID_REQUEST", words=f"'{missing}'")


UNKNOWN_FIELDS: list[tuple[Options, str]] = [
    ({"Action": "restore"}, "Action"),
    ({"hostConfig": {"Privileged": True}}, "hostConfig"),
    ({"bind\u017f": ["/:/h"]}, "bind\\u017f"),
    ({"__proto__": {}}, "__proto__"),
    ({"_connector": "OR"}, "_connector"),
    ({"state": "succeeded", "owner": 1}, "state"),
    ({"user_id": 1}, "user_id"),
    ({"": 1}, ""),
    ({"x\r\nSet-Cookie: a=b": 1}, "x\\r\\nSet-Cookie: a=..."),
    ({"options": {"Name": "a"}}, "options.Name"),
    ({"options": {"PATH": "a"}}, "options.PATH"),
    ({"options": {"hostConfig": {}}}, "options.hostConfig"),
    ({"options": {"name": "a", "sha256": "0"}}, "options.sha256"),
]


@pytest.mark.parametrize(("extra", "field"), UNKNOWN_FIELDS)
@pytest.mark.parametrize("body", [BACKUP, CLONE])
def test_an_unknown_field_is_named(operator: Client, body: Options, extra: Options, field: str) -> None:
    assert_refused(act(operator, {**body, **extra}), 400, "INVALID_REQUEST", words=f"unknown field '{field}'")


MISTYPED: list[tuple[Options, str]] = [
    ({"options": []}, "options"),
    ({"options": "name"}, "options"),
    ({"options": {"name": 5}}, "options.name"),
    ({"options": {"name": ["a"]}}, "options.name"),
    ({"reason": 5}, "reason"),
    ({"reason": "x" * 501}, "reason"),
    ({"reason": "a\r\n2026 CRITICAL admin logged in"}, "reason"),
    ({"reason": "\u202eevil"}, "reason"),
    ({"ticket": {"id": 1}}, "ticket"),
    ({"ticket": "x" * 65}, "ticket"),
    ({"ticket": "\u001b[2J"}, "ticket"),
]


@pytest.mark.parametrize(("extra", "field"), MISTYPED)
@pytest.mark.parametrize("body", [BACKUP, CLONE])
def test_a_field_of_another_type_is_named(operator: Client, body: Options, extra: Options, field: str) -> None:
    assert_refused(act(operator, {**body, **extra}), 400, "INVALID_REQUEST", words=f"'{field}'")


def test_a_confirmation_is_true_or_false_and_no_word_for_it(operator: Client) -> None:
    body = {**CLONE, "options": {"confirmPrivileged": "true"}}
    assert_refused(act(operator, body), 400, "INVALID_REQUEST", words="options.confirmPrivileged")


HOSTILE_IDS = [
    5,
    1.5,
    True,
    ["web"],
    {"id": "web"},
    "",
    " ",
    "  plain \n",
    "web ",
    "../volumes/victim",
    "x/../../images/y",
    "../../v1.41/info",
    "../images/relbox",
    ".",
    "..",
    "web/json",
    "web?all=1",
    "web#x",
    "web%2f..",
    "web\r\nX-Y: z",
    "a\nb",
    "web\n",
    "web\t",
    "web\u2028",
    "*",
    "a",
    "-web",
    "_web",
    "/web",
    "\u0440lain",
    "\uff50lain",
    "\u202eplain",
    "we\u200db",
    "wéb",
    "٣٣٣",
    "+AC4ALg-",
    "web;id",
    "$(id)",
    "x" * 129,
    "f" * 10_000,
]


@pytest.mark.parametrize("container", HOSTILE_IDS, ids=repr)
@pytest.mark.parametrize("action", ["backup", "clone"])
def test_a_hostile_container_id_is_named(operator: Client, action: str, container: object) -> None:
    body = {"action": action, "containerId": container}
    assert_refused(act(operator, body), 400, "INVALID_REQUEST", words="containerId")


HOSTILE_CLONE_NAMES = [
    "",
    " ",
    "a",
    "x" * 64,
    "x" * 128,
    "x" * 300,
    "-rf",
    "_x",
    "a b",
    "a/b",
    "../x",
    "a\n",
    "a\r\nb",
    "naïve",
    "\u202eab",
    "<script>alert(1)</script>",
    "{{constructor}}",
    "$(id)",
    "a;b",
]


@pytest.mark.parametrize("name", HOSTILE_CLONE_NAMES, ids=repr)
def test_a_hostile_name_of_a_clone_is_named(operator: Client, name: str) -> None:
    assert_refused(act(operator, {**CLONE, "options": {"name": name}}), 400, "INVALID_REQUEST", words="options.name")


HOSTILE_FILE_NAMES = [
    "",
    ".",
    "..",
    ".hidden.tar",
    "../../etc/cron.d/x",
    "a/b.tar",
    "a\\b.tar",
    "x.tar\n",
    "x.tar\r\n.png",
    "-rf",
    "--checkpoint-action=exec=sh",
    "~root",
    "$HOME",
    "x" * 300,
    "%2e%2e",
    "é.tar",
    "x.manifest.json",
    "a b.tar",
]
HOSTILE_PATHS = [
    "../../etc/cron.d",
    "a/../../b",
    "a/./b",
    "..\\..\\x",
    "%2e%2e/",
    "....//",
    "/etc",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/sda",
    "~root",
    "$HOME",
    "file:///etc",
    "C:\\x",
    "\\\\nas\\x",
    "//host/share",
    "a\n",
    "-rf",
    "a b",
    "a;id",
    "1/2/3/4/5/6/7/8/9",
    "/".join(["x" * 99] * 4),
    "x" * 5_000,
]


@pytest.mark.parametrize("name", HOSTILE_FILE_NAMES, ids=repr)
def test_a_hostile_file_name_is_named(operator: Client, name: str) -> None:
    assert_refused(act(operator, {**BACKUP, "options": {"name": name}}), 400, "INVALID_REQUEST", words="options.name")


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=repr)
def test_a_hostile_folder_is_named(operator: Client, path: str) -> None:
    assert_refused(act(operator, {**BACKUP, "options": {"path": path}}), 400, "INVALID_REQUEST", words="options.path")


def test_a_refusal_does_not_repeat_control_characters(operator: Client) -> None:
    response = act(operator, {**BACKUP, "x\x1b[2J\u202e" * 50: 1})
    assert response.json()["error"].isprintable()


def test_a_clone_takes_no_folder(operator: Client) -> None:
    assert_refused(act(operator, {**CLONE, "options": {"path": "a"}}), 400, "INVALID_REQUEST", words="options.path")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["action", "containerId", "options", "reason", "ticket"])
OPTIONS = st.dictionaries(st.sampled_from(["name", "path", "confirmPrivileged"]) | st.text(max_size=4), json_values)
ANY_BODY = st.dictionaries(FIELDS | st.text(max_size=8), json_values)
NEAR_BODY = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["clone", "backup"]) | json_values,
        "containerId": st.sampled_from(["web", "a" * 64]) | json_values,
        "options": OPTIONS | json_values,
    }
)


@given(ANY_BODY | NEAR_BODY)
def test_any_object_is_a_checked_wish_or_a_refusal_that_names_its_field(body: dict[str, Any]) -> None:
    wish, refusal = None, None
    try:
        wish = read_wish(body)
    except InvalidRequest as refused:
        refusal = refused
    if wish is not None:
        assert wish.kind.restore(wish.kind.record(wish.params), wish.kind.sealed(wish.params)) == wish.params
    else:
        assert refusal is not None
        assert refusal.field is not None
        assert refusal.message.isprintable()


def test_a_flood_of_bad_requests_writes_few_entries_that_count_all_of_them(operator: Client) -> None:
    for _ in range(40):
        act(operator, b"{")
    assert len(refusals()) < 40
    denials.control.settle_all()
    counted = [1 + json.loads(entry.payload).get("suppressed", 0) for entry in ledger.entries()]
    assert sum(counted) == 40


def test_a_refusal_is_recorded_with_who_what_and_where_from(operator: Client) -> None:
    act(operator, {**BACKUP, "containerId": "../x"}, User_Agent="Forger\r\n2026 CRITICAL", X_Request_ID="request-0815")
    (entry,) = ledger.entries()
    payload = json.loads(entry.payload)
    assert payload["actor"]["type"] == "key"
    assert payload["error"]["code"] == "INVALID_REQUEST"
    assert (entry.channel, entry.request_id) == ("api", "request-0815")
    (shown,) = ledger.disclosed_all([entry])
    assert "containerId" in shown["error"]["message"]
    assert "\n" not in shown["source"]["user_agent"]


def test_nobody_is_asked_to_authenticate(client: Client) -> None:
    response = act(client, BACKUP)
    assert_refused(response, 401, "NOT_AUTHENTICATED")
    assert response["WWW-Authenticate"].startswith("Bearer ")


def test_a_stranger_may_not_act(groups: None, with_key: MakeClient) -> None:
    assert_refused(act(with_key(recipes.stranger()), BACKUP), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_another_method_is_not_allowed(operator: Client, method: str) -> None:
    response = getattr(operator, method)(PUBLISHED, data=json.dumps(BACKUP), content_type="application/json")
    assert response.status_code == 405
    assert response.json()["code"] == "METHOD_NOT_ALLOWED"
    assert set(response.json()) == {"error", "code"}
    assert {"GET", "POST"} <= set(response["Allow"].split(", "))


def test_a_method_in_a_header_is_ignored(operator: Client, patient_broker: list[Operation]) -> None:
    response = act_later(operator, BACKUP, X_HTTP_Method_Override="DELETE", X_Method_Override="DELETE")
    assert response.status_code == 202
    assert Operation.objects.get().kind == "backup"


def test_an_action_in_the_query_is_ignored(operator: Client, patient_broker: list[Operation]) -> None:
    address = PUBLISHED + "?action=restore&containerId=db"
    response = operator.post(address, json.dumps(BACKUP), content_type="application/json", headers=ASYNC)
    assert response.status_code == 202
    assert (Operation.objects.get().kind, Operation.objects.get().target_name) == ("backup", "web")


@pytest.mark.parametrize("key", ["", "x" * 300, "x" * 256, "a\nb", "a b", "é", "\x7f", "a\x00"])
def test_an_idempotency_key_that_is_not_plain_is_named(operator: Client, key: str) -> None:
    response = act_later(operator, BACKUP, Idempotency_Key=key)
    assert_refused(response, 400, "INVALID_REQUEST", words="Idempotency-Key")


def test_a_bad_request_is_refused_even_when_the_ledger_does_not_answer(
    operator: Client, database_down: Callable[..., Any]
) -> None:
    with database_down("audit"):
        response = act(operator, b"{")
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
    assert denials.control.waiting == 1
