"""What an operation explains is ours; everything else that was done on an Engine gets one entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from containers_app.audit import denials, ledger
from containers_app.engine.helper_image import HELPER_LABEL
from containers_app.errors import AuditUnavailable, ContainerNotFound, EngineError, EngineUnavailable
from containers_app.models import Operation, State
from containers_app.operations.attribution import ACTION, SLACK_SECONDS, Attribution, record_gap
from containers_app.operations.engine_watch import Deed
from containers_app.specs.engine import OPERATION_LABEL
from tests import recipes

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
WEB, OTHER = "a" * 64, "b" * 64
NOW = timezone.now()


class Reader:
    """What an Engine says of the objects that it still has."""

    def __init__(self, **known: Any) -> None:
        self._known = known

    def _find(self, kind: str) -> Any:
        found = self._known.get(kind, EngineError("no such thing"))
        if isinstance(found, Exception):
            raise found
        return found

    def inspect(self, _identifier: str) -> Any:
        """A container."""
        return self._find("container")

    def volume(self, _name: str) -> Any:
        """A volume."""
        return self._find("volume")

    def network(self, _name: str) -> Any:
        """A network."""
        return self._find("network")

    def image(self, _name: str) -> Any:
        """An image."""
        return self._find("image")


def deed(*actions: str, at: float = 0.0, **fields: Any) -> Deed:
    moment = NOW.timestamp() + at
    values = {"type": "container", "id": WEB, "name": "web", "first": moment, "last": moment, **fields}
    return Deed(arrived=0.0, begun=0.0, asked=list(actions), seen=set(actions), count=len(actions), **values)


def is_ours(one: Deed, reader: Reader | None = None, *, ahead_seconds: float = 0.0) -> bool:
    found: Any = reader or Reader(container=ContainerNotFound("gone"))
    return Attribution(recipes.host(), found, ahead_seconds=ahead_seconds).is_ours(one)


def worked(**fields: Any) -> Operation:
    values = {"state": State.SUCCEEDED, "created_at": NOW - timedelta(seconds=10), "finished_at": NOW, **fields}
    return recipes.operation(**values)


@pytest.mark.parametrize(
    "fields",
    [
        {"target_id": WEB},
        {"target_name": "web"},
        {"params": {"container": WEB}},
        {"result": {"newId": WEB}},
        {"result": {"members": [{"id": WEB}]}},
        {"undo": [{"step": "restore_state", "container": WEB}]},
    ],
)
def test_an_operation_explains_what_its_row_names(fields: dict[str, Any]) -> None:
    worked(**{"target_name": "another", "params": {}, **fields})
    assert is_ours(deed("stop"))
    assert not is_ours(deed("stop", id=OTHER, name="db"))


@pytest.mark.parametrize(
    ("kind", "does", "does_not"),
    [
        ("backup", ("exec_create", "pause", "unpause"), ("exec_create", "destroy")),
        ("clone", ("stop", "kill", "start"), ("rename",)),
        ("restore", ("stop", "rename", "destroy"), ("prune",)),
        ("start", ("start",), ("stop",)),
        ("stop", ("stop", "kill"), ("exec_create",)),
        ("restart", ("restart",), ("destroy",)),
        ("remove", ("kill", "destroy"), ("update",)),
        ("verify", (), ("stop",)),
    ],
)
def test_an_operation_explains_only_what_its_kind_does(
    kind: str, does: tuple[str, ...], does_not: tuple[str, ...]
) -> None:
    worked(kind=kind, target_id=WEB)
    assert not is_ours(deed(*does_not))
    assert not does or is_ours(deed(*does))


def test_what_was_over_long_ago_and_is_still_to_be_taken_back_explains_no_other_deed() -> None:
    worked(kind="backup", state=State.FAILED, target_id=WEB, undo=[{"step": "restore_state", "container": WEB}])
    assert is_ours(deed("unpause", at=3600.0))
    assert not is_ours(deed("exec_create", at=3600.0))


def test_the_names_of_members_explain_volumes_only() -> None:
    worked(kind="clone", target_name="another", params={"volumes": {"data": "copy"}})
    assert not is_ours(deed("start", id=OTHER, name="volumes"))
    assert not is_ours(deed("start", id=OTHER, name="data"))
    assert is_ours(deed("copy", type="volume", id="data", name="data"))


def test_a_label_of_our_helpers_alone_explains_no_volume() -> None:
    worked(kind="clone", target_name="another", params={})
    assert not is_ours(deed("create", type="volume", id="data"), Reader(volume={"Labels": {HELPER_LABEL: "x"}}))


def test_an_operation_explains_what_carries_its_label_while_it_runs() -> None:
    operation = worked(target_name="another", params={})
    assert is_ours(deed("create", operation_id=str(operation.pk)))
    assert not is_ours(deed("destroy", at=60.0, operation_id=str(operation.pk)))


@pytest.mark.parametrize(("at", "ours"), [(-11 - SLACK_SECONDS, False), (-5.0, True), (SLACK_SECONDS + 1, False)])
def test_an_operation_explains_nothing_before_and_after_itself(at: float, *, ours: bool) -> None:
    worked(target_id=WEB)
    assert is_ours(deed("stop", at=at)) is ours


def test_the_clock_of_the_engine_may_be_another_one() -> None:
    worked(target_id=WEB)
    assert is_ours(deed("stop", at=3600.0), ahead_seconds=3600.0)
    assert not is_ours(deed("stop", at=3600.0))


def test_what_a_failed_operation_takes_back_late_is_ours() -> None:
    operation = worked(state=State.INTERRUPTED, target_name="another", params={})
    assert is_ours(deed("kill", "destroy", at=3600.0, operation_id=str(operation.pk)))
    assert not is_ours(deed("exec_create", at=3600.0, operation_id=str(operation.pk)))
    assert not is_ours(deed("destroy", at=3600.0, operation_id="no id at all"))


def test_an_operation_on_another_host_explains_nothing_here() -> None:
    worked(target_id=WEB, host=recipes.host("site-b"))
    assert not is_ours(deed("stop"))
    worked(target_id=WEB, host=recipes.host("site-b"), params={"host": "local"})
    assert is_ours(deed("stop"))


@pytest.mark.parametrize(
    ("test", "command"),
    [(["CMD", "curl", "-f", "x"], "curl -f x"), (["CMD-SHELL", "curl -f x"], "/bin/sh -c curl -f x"), (["NONE"], None)],
)
def test_a_health_check_is_nobodys_act(test: list[str], command: str | None) -> None:
    reader = Reader(container={"Config": {"Healthcheck": {"Test": test}}})
    commands = {hashlib.sha256((command or "anything").encode()).hexdigest()}
    assert is_ours(deed("exec_create", commands=commands), reader) is (command is not None)
    assert not is_ours(deed("exec_create", commands={*commands, "ab" * 32}), reader)


@pytest.mark.parametrize(("policy", "count", "ours"), [("always", 1, True), ("always", 0, False), ("no", 1, False)])
def test_a_restart_by_policy_is_nobodys_act(policy: str, count: int, *, ours: bool) -> None:
    reader = Reader(container={"RestartCount": count, "HostConfig": {"RestartPolicy": {"Name": policy}}})
    assert is_ours(deed("start"), reader) is ours
    assert not is_ours(deed("start", "stop"), reader)


@pytest.mark.parametrize("kind", ["volume", "network"])
def test_a_volume_and_a_network_are_ours_by_their_label(kind: str) -> None:
    operation = worked(kind="clone", target_name="another", params={})
    labelled = Reader(**{kind: {"Labels": {OPERATION_LABEL: str(operation.pk)}}})
    assert is_ours(deed("create", type=kind, id="data"), labelled)
    assert not is_ours(deed("create", type=kind, id="data"), Reader(**{kind: {"Labels": None}}))


def test_what_is_gone_is_ours_only_while_something_works_that_removes() -> None:
    assert not is_ours(deed("destroy", type="volume", id="data"), Reader())
    worked(kind="stop", target_name="another", params={})
    assert not is_ours(deed("destroy", type="volume", id="data"), Reader())
    worked(kind="clone", target_name="another", params={})
    assert is_ours(deed("destroy", type="volume", id="data"), Reader())


def test_the_image_of_our_helpers_is_ours() -> None:
    reader = Reader(image={"Config": {"Labels": {HELPER_LABEL: "x"}}})
    assert not is_ours(deed("load", type="image", id="sha256:ab"), reader)
    worked(kind="clone", target_name="another", params={})
    assert is_ours(deed("load", type="image", id="sha256:ab"), reader)
    assert not is_ours(deed("load", type="image", id="sha256:ab"), Reader(image={"Config": {}}))


def test_an_engine_that_is_away_decides_nothing() -> None:
    with pytest.raises(EngineUnavailable):
        is_ours(deed("create", type="volume", id="data"), Reader(volume=EngineUnavailable("away")))


def test_the_entry_says_what_was_done_where_and_when_and_nobodys_name() -> None:
    reader: Any = Reader()
    Attribution(recipes.host(), reader, ahead_seconds=0.0).record(deed("kill", "destroy"))
    payload = json.loads(ledger.entries().get(action=ACTION).payload)
    assert payload["actor"] == {"type": "anonymous", "auth": "none"}
    assert payload["object"] == {"type": "container", "id": WEB, "name": "web", "host": "local"}
    assert payload["source"]["channel"] == "engine"
    moment = NOW.isoformat()
    assert payload["details"] == {"actions": ["kill", "destroy"], "events": 2, "first": moment, "last": moment}


def test_a_deed_that_comes_again_is_told_once() -> None:
    reader: Any = Reader()
    judge = Attribution(recipes.host(), reader, ahead_seconds=0.0)
    whole = deed("kill", "destroy")
    whole.last += 1.5
    for one in (whole, whole, deed("destroy", at=0.5)):
        judge.record(one)
    assert ledger.entries().filter(action=ACTION).count() == 1
    judge.record(deed("create", at=2.0))
    assert ledger.entries().filter(action=ACTION).count() == 2


def told() -> list[dict[str, Any]]:
    """Every deed that the ledger names, by its own entry or in another's."""
    payloads = [json.loads(row.payload) for row in ledger.entries().filter(action=ACTION).order_by("id")]
    return [one for payload in payloads for one in ({**payload["object"], **payload["details"]}, *also(payload))]


def also(payload: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = payload["details"].get("also", [])
    return found


def judge() -> Attribution:
    reader: Any = Reader()
    return Attribution(recipes.host(), reader, ahead_seconds=0.0)


def test_the_one_deed_that_matters_is_named_among_many_cheap_ones() -> None:
    for number in range(denials.BURST):
        judge().record(deed("exec_create", at=number / 100, id=OTHER, name="db"))
    judge().record(deed("exec_create", "destroy", id=WEB))
    judge().record(deed("exec_create", id=OTHER, name="db", at=0.5))
    denials.control.settle_all()
    (one,) = [one for one in told() if one["id"] == WEB]
    assert (one["name"], one["actions"], one["first"]) == ("web", ["exec_create", "destroy"], NOW.isoformat())


def test_a_deed_that_was_named_beside_another_is_told_once() -> None:
    for _again in range(2):
        for number in range(denials.BURST + 5):
            judge().record(deed("destroy", id=f"{number:064d}", name=""))
        denials.control.settle_all()
        denials.control.forget()  # as if the process had been killed
    assert len(told()) == denials.BURST + 5


@pytest.mark.parametrize(
    "payload", ["{WEB}", '["{WEB}"]', '{"object": "{WEB}", "details": []}', '{"a": {"id": "{WEB}"}}']
)
def test_a_damaged_entry_keeps_no_deed_from_being_told(payload: str) -> None:
    judge().record(deed("stop"))
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET payload = %s", [payload.replace("{WEB}", WEB)])
    judge().record(deed("stop"))
    assert ledger.entries().filter(action=ACTION).count() == 2


def test_a_deed_that_the_ledger_does_not_take_is_left_to_the_caller(
    break_ledger: Callable[[], Callable[[], None]],
) -> None:
    mend = break_ledger()
    for _try in range(30):
        with pytest.raises(AuditUnavailable):
            judge().record(deed("stop"))
    mend()
    judge().record(deed("stop"))
    denials.control.settle_all()
    (payload,) = [json.loads(row.payload) for row in ledger.entries().filter(action=ACTION)]
    assert "suppressed" not in payload


def test_a_gap_says_where_and_from_when_to_when() -> None:
    record_gap(recipes.host(), (NOW.timestamp(), NOW.timestamp() + 60.0))
    payload = json.loads(ledger.entries().get(action="engine.events_lost").payload)
    assert (payload["object"]["type"], payload["object"]["host"], payload["outcome"]) == ("host", "local", "unknown")
    assert payload["details"] == {"first": NOW.isoformat(), "last": (NOW + timedelta(seconds=60)).isoformat()}


def test_a_flood_on_one_host_is_counted_and_another_host_has_its_own_count() -> None:
    reader: Any = Reader()
    for name in ("local", "site-b"):
        host = recipes.host(name)
        for number in range(denials.BURST + 15):
            Attribution(host, reader, ahead_seconds=0.0).record(deed("stop", at=number))
    denials.control.settle_all()
    for name in ("local", "site-b"):
        entries = [json.loads(row.payload) for row in ledger.entries().filter(action=ACTION, host=name)]
        assert len(entries) < denials.BURST + 10
        assert sum(1 + entry.get("suppressed", 0) for entry in entries) == denials.BURST + 15
