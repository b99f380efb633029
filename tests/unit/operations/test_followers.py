"""Each enabled host has threads of its own; what is added, changed or disabled is noticed at the next look."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from containers_app.audit import denials, ledger
from containers_app.models import Container, DockerHost
from containers_app.operations.followers import Followers, guarded
from containers_app.specs.endpoint import Endpoint
from tests import recipes
from tests.throwaway import wait_until
from tests.unit.engine.scripted_engine import ScriptedEngine, chunk, chunked_head, json_answer, scripted

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)
WEB = "a" * 64
INSPECT = (
    f'{{"Id": "{WEB}", "Name": "/web", "State": {{"Status": "running"}}, "Config": {{"Image": "nginx"}}, "Image": "x"}}'
)
LISTED = f'[{{"Id": "{WEB}", "Names": ["/web"], "State": "running", "Image": "nginx"}}]'
VERSION = '{"Version": "20.10.24", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}'


class Site:
    """A scripted Engine with no container or one, whose events a test sends."""

    def __init__(self) -> None:
        self.listed = "[]"
        self.streams: list[socket.socket] = []

    def answer(self, connection: socket.socket, line: str) -> None:
        if "/events" in line:
            connection.sendall(chunked_head())
            self.streams.append(connection)
        elif "/info" in line:
            connection.sendall(json_answer("{}"))
        elif "/version" in line:
            connection.sendall(json_answer(VERSION))
        elif f"/containers/{WEB}/json" in line:
            connection.sendall(json_answer(INSPECT))
        else:
            connection.sendall(json_answer(self.listed))

    def tell(self, action: str, *, nanoseconds: int = 1) -> None:
        actor = f'{{"ID": "{WEB}"}}'
        event = f'{{"Type": "container", "Action": "{action}", "Actor": {actor}, "timeNano": {nanoseconds}}}\n'
        self.streams[-1].sendall(chunk(event.encode()))


@contextlib.contextmanager
def site(name: str, *, listed: str = "[]") -> Iterator[tuple[Site, ScriptedEngine, DockerHost]]:
    """A host of this name with a scripted Engine behind it."""
    script = Site()
    script.listed = listed
    with scripted(script.answer) as (engine, endpoint):
        yield script, engine, registered(name, endpoint)


def registered(name: str, endpoint: Endpoint) -> DockerHost:
    return DockerHost.objects.update_or_create(name=name, defaults={"url": endpoint.url})[0]


@pytest.fixture
def quick_deeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deed is over at once."""
    monkeypatch.setattr("containers_app.operations.engine_watch._is_over", lambda deed, now: True)


@pytest.fixture
def followers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Followers]:
    """Followers with a short period, and a local Engine that does not exist."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "inventory_seconds": 0.2, "engine_connect_seconds": 1.0}
    monkeypatch.setattr("containers_app.operations.followers._RETRY_SECONDS", 0.2)
    monkeypatch.setenv("DOCKER_API_URL", "unix:///nonexistent/engine.sock")
    made = Followers()
    yield made
    made.join(seconds=10)
    wait_until(lambda: not threads(""), what="the end of the threads")


def threads(host: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.endswith(f" of {host}" if host else "_site")]


def present(host: DockerHost) -> bool:
    return Container.objects.present().filter(host=host, engine_id=WEB).exists()


def state(host: DockerHost) -> bool | None:
    return DockerHost.objects.get(pk=host.pk).reachable


def test_each_host_has_its_own_inventory_and_a_dead_one_disturbs_none(followers: Followers) -> None:
    dead = registered("dead_site", Endpoint("unix", "/nonexistent/other.sock"))
    with site("b_site", listed=LISTED) as (_, _, one), site("c_site") as (script, _, other):
        followers.tend()
        wait_until(lambda: present(one) and state(other) is True and state(dead) is False, what="the first look")
        assert not present(other)
        script.listed = LISTED
        wait_until(lambda: present(other), what="the next list")
        local = DockerHost.objects.get(name="local")
        wait_until(lambda: state(local) is False, what="the look at the local host")
        assert DockerHost.objects.get(pk=one.pk).address == one.url
        assert "does not exist" in DockerHost.objects.get(pk=dead.pk).last_error
        followers.join(seconds=10)


def test_an_event_is_followed_between_two_lists(followers: Followers, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "inventory_seconds": 3600.0}
    with site("b_site") as (script, _, host):
        followers.tend()
        wait_until(lambda: bool(script.streams), what="the stream of events")
        script.tell("exec_start: true")
        script.tell("start")
        wait_until(lambda: present(host), what="the look at the container")
        followers.join(seconds=10)


def noted(host: DockerHost) -> datetime | None:
    return DockerHost.objects.get(pk=host.pk).events_until


def actions() -> list[str]:
    return list(ledger.entries().order_by("id").values_list("action", flat=True))


@pytest.mark.usefixtures("quick_deeds")
def test_nothing_is_noted_as_seen_while_a_deed_is_only_counted(
    followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = denials.control.settle
    monkeypatch.setattr(denials.control, "settle", lambda key: bool(key) and False)
    monkeypatch.setattr(denials, "BURST", 0)
    with site("b_site") as (script, _, host):
        followers.tend()
        wait_until(lambda: bool(script.streams), what="the stream of events")
        script.tell("stop", nanoseconds=10**18)
        wait_until(lambda: denials.control.waiting == 1, what="the deed that is counted")
        assert (noted(host), actions()) == (None, [])
        monkeypatch.setattr(denials.control, "settle", real)
        wait_until(lambda: noted(host) is not None, what="the note")
        assert actions() == ["engine.unattributed"]
        followers.join(seconds=10)


@pytest.mark.usefixtures("quick_deeds")
def test_nothing_is_noted_as_seen_while_the_ledger_takes_no_entry(
    followers: Followers, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    mend = break_ledger()
    with site("b_site") as (script, engine, host):
        followers.tend()
        wait_until(lambda: bool(script.streams), what="the stream of events")
        script.tell("stop", nanoseconds=10**18)
        asked = len(engine.requests)
        wait_until(lambda: len(engine.requests) > asked + 8, what="some tries")
        assert noted(host) is None
        mend()
        wait_until(lambda: noted(host) is not None, what="the note")
        followers.join(seconds=10)
    (payload,) = [json.loads(row.payload) for row in ledger.entries()]
    assert payload["action"] == "engine.unattributed"
    assert "suppressed" not in payload
    assert denials.control.waiting == 0


@pytest.mark.usefixtures("quick_deeds")
def test_an_engine_that_has_forgotten_what_was_seen_leaves_a_gap_in_the_ledger(followers: Followers) -> None:
    seen = datetime.fromtimestamp(10**9, UTC)
    with site("b_site") as (script, _, host):
        DockerHost.objects.filter(pk=host.pk).update(events_until=seen)
        followers.tend()
        wait_until(lambda: bool(script.streams), what="the stream of events")
        script.tell("start", nanoseconds=(10**9 + 60) * 10**9)
        wait_until(lambda: noted(host) == seen + timedelta(seconds=60), what="the note")
        followers.join(seconds=10)
    assert sorted(actions()) == ["engine.events_lost", "engine.unattributed"]
    told = json.loads(ledger.entries().get(action="engine.events_lost").payload)
    assert told["details"] == {"first": seen.isoformat(), "last": (seen + timedelta(seconds=60)).isoformat()}


@pytest.mark.usefixtures("quick_deeds")
def test_an_engine_that_still_has_what_was_seen_leaves_no_gap(followers: Followers) -> None:
    seen = datetime.fromtimestamp(10**9, UTC)
    with site("b_site") as (script, _, host):
        DockerHost.objects.filter(pk=host.pk).update(events_until=seen)
        followers.tend()
        wait_until(lambda: bool(script.streams), what="the stream of events")
        script.tell("start", nanoseconds=10**18)
        script.tell("stop", nanoseconds=(10**9 + 60) * 10**9)
        wait_until(lambda: noted(host) == seen + timedelta(seconds=60), what="the note")
        followers.join(seconds=10)
    assert actions() == ["engine.unattributed"]


@pytest.mark.parametrize("failure", [ValueError(), KeyError("x"), TypeError(), AttributeError(), UnicodeError()])
def test_what_makes_no_sense_ends_no_timer(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise failure

    assert not guarded("a timer", fail)
    assert f"a timer met a {type(failure).__name__} in fail" in caplog.text


def test_a_host_is_noticed_when_it_is_added_disabled_and_changed(followers: Followers) -> None:
    followers.tend()
    with site("b_site", listed=LISTED) as (_, _, host), site("c_site") as (_, second, other):
        followers.tend()
        wait_until(lambda: present(host), what="the first look")
        before = set(threads("b_site"))
        followers.tend()
        assert set(threads("b_site")) == before == {"inventory of b_site", "events of b_site", "attribution of b_site"}
        DockerHost.objects.filter(pk=other.pk).delete()
        DockerHost.objects.filter(pk=host.pk).update(url=other.url)
        followers.tend()
        asked = len(second.requests)
        wait_until(lambda: not present(host) and len(second.requests) > asked, what="the look at the new address")
        DockerHost.objects.filter(pk=host.pk).update(enabled=False)
        followers.tend()
        wait_until(lambda: not threads("b_site") and not threads("c_site"), what="the end of their threads")


def test_a_follower_that_died_of_a_bug_is_started_again(followers: Followers, monkeypatch: pytest.MonkeyPatch) -> None:
    from containers_app.workflows import inventory

    real: Callable[..., Any] = inventory.reconcile

    def fail(*_arguments: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    with site("b_site", listed=LISTED) as (_, _, host):
        monkeypatch.setattr(inventory, "reconcile", fail)
        followers.tend()
        wait_until(lambda: threads("b_site") == ["attribution of b_site"], what="the death of the threads")
        monkeypatch.setattr(inventory, "reconcile", real)
        followers.tend()
        wait_until(lambda: present(host), what="the look of the new ones")
        followers.join(seconds=10)


def test_a_peer_that_vanished_without_a_word_is_followed_anew(followers: Followers) -> None:
    with site("b_site") as (script, engine, host):
        followers.tend()
        wait_until(lambda: bool(script.streams) and state(host) is True, what="the stream of events")
        DockerHost.objects.filter(pk=host.pk).update(reachable=None)
        engine._ping = (
            b"HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n"  # it holds the stream, and answers nothing else
        )
        wait_until(lambda: state(host) is False, what="the look that fails")
        engine._ping = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"
        wait_until(lambda: len(script.streams) > 1, what="another stream")
        script.tell("start")
        wait_until(lambda: present(host), what="the look at the container")
        followers.join(seconds=10)


def test_the_local_host_is_made_at_the_first_look(followers: Followers) -> None:
    followers.tend()
    assert recipes.host().is_local
    followers.stop()
