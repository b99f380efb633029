"""The wait for a healthcheck: every way it can end, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from containers_app.errors import Cancelled, ContainerNotFound
from containers_app.workflows import health
from containers_app.workflows.health import SETTLE_SECONDS, Verdict, wait_until_ended, wait_until_healthy
from tests.unit.workflows.lifecycle_engine import SECRET, WEB, Context, inspected

Look = Callable[[float], Any]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class Film:
    """An Engine that shows a container as the function of the seconds since the beginning says."""

    def __init__(self, clock: Clock, look: Look) -> None:
        self._clock, self._begun, self._look = clock, clock.now, look
        self.looks = 0

    def inspect(self, identifier: str) -> Any:
        self.looks += 1
        shown = self._look(self._clock.now - self._begun)
        if shown is None:
            raise ContainerNotFound("gone")
        return shown


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    own = Clock()
    monkeypatch.setattr(health, "time", own)
    return own  # type: ignore[return-value]


def watch(
    clock: Clock, look: Look, *, limit_seconds: float = 60, wait: Callable[..., Verdict] = wait_until_healthy
) -> tuple[Verdict, float]:
    """The verdict, and the seconds that it took."""
    begun, film = clock.now, Film(clock, look)
    verdict = wait(Context(film), film, WEB, limit_seconds=limit_seconds)
    assert SECRET not in repr(verdict)
    return verdict, clock.now - begun


def turning(at_seconds: float, before: Any, after: Any) -> Look:
    return lambda seconds: before if seconds < at_seconds else after


STARTING = inspected(health="starting")
HEALTHY = inspected(health="healthy", checks=[0])
UNHEALTHY = inspected(health="unhealthy", checks=[0, 3])


def test_a_container_that_becomes_healthy_is_up_soon_after(clock: Clock) -> None:
    verdict, seconds = watch(clock, turning(20, STARTING, HEALTHY))
    assert verdict == Verdict(up=True, sign="healthy")
    assert 20 <= seconds <= 21


def test_an_unhealthy_one_is_named_with_the_exit_code_of_its_last_check(clock: Clock) -> None:
    verdict, seconds = watch(clock, turning(5, STARTING, UNHEALTHY))
    message = "web is unhealthy: its last healthcheck had the exit code 3"
    assert verdict == Verdict(up=False, code="UNHEALTHY", message=message)
    assert seconds <= 6


@pytest.mark.parametrize(
    ("checks", "words"),
    [([], "no healthcheck has ended yet"), ([0, 1], "its last healthcheck had the exit code 1")],
)
def test_one_that_never_answers_is_left_at_the_limit(clock: Clock, checks: list[int], words: str) -> None:
    starting = inspected(health="starting", checks=checks)
    verdict, seconds = watch(clock, lambda _: starting, limit_seconds=30)
    assert verdict == Verdict(
        up=False, code="NOT_HEALTHY_IN_TIME", message=f"web is still starting after 30 s: {words}"
    )
    assert seconds == pytest.approx(30)


@pytest.mark.parametrize("health_of_it", ["", "none"])
def test_one_without_a_healthcheck_is_up_when_it_has_run_for_a_while(clock: Clock, health_of_it: str) -> None:
    verdict, seconds = watch(clock, lambda _: inspected(health=health_of_it))
    assert verdict.up
    assert SETTLE_SECONDS <= seconds <= SETTLE_SECONDS + 1


def test_one_that_its_restart_policy_starts_again_and_again_is_never_up(clock: Clock) -> None:
    def crashing(seconds: float) -> Any:
        state = "running" if seconds % 2 < 1.5 else "restarting"
        return inspected(state, State={"StartedAt": f"start {seconds // 2}"})

    verdict, seconds = watch(clock, crashing, limit_seconds=20)
    assert (verdict.up, verdict.code) == (False, "NOT_HEALTHY_IN_TIME")
    assert seconds == pytest.approx(20)


@pytest.mark.parametrize("state", ["exited", "dead"])
def test_one_that_has_ended_is_not_waited_for(clock: Clock, state: str) -> None:
    verdict, seconds = watch(clock, turning(1, STARTING, inspected(state, State={"ExitCode": 137})))
    assert verdict == Verdict(up=False, code="ENDED", message="web ended with exit code 137: read its logs")
    assert seconds < 2


def test_one_that_removed_itself_has_ended(clock: Clock) -> None:
    verdict, _ = watch(clock, turning(1, STARTING, None))
    assert (verdict.up, verdict.code) == (False, "ENDED")


@pytest.mark.parametrize("limit_seconds", [0, 1])
def test_a_limit_below_the_settle_time_settles_for_less(clock: Clock, limit_seconds: float) -> None:
    verdict, seconds = watch(clock, lambda _: inspected(), limit_seconds=limit_seconds)
    assert verdict.up
    assert seconds == pytest.approx(limit_seconds)


def test_a_long_wait_asks_the_engine_once_a_second_at_most(clock: Clock) -> None:
    film = Film(clock, lambda _: STARTING)
    wait_until_healthy(Context(film), film, WEB, limit_seconds=3600)  # type: ignore[arg-type]
    assert film.looks < 3700


def test_the_wait_can_be_cancelled(clock: Clock) -> None:
    film = Film(clock, lambda _: STARTING)
    context = Context(film, reason=Cancelled("enough"), after=3)
    with pytest.raises(Cancelled):
        wait_until_healthy(context, film, WEB, limit_seconds=3600)  # type: ignore[arg-type]
    assert film.looks == 3


def over(code: int) -> Any:
    return {"Name": "/web", "State": {"Status": "exited", "ExitCode": code}}


RUNNING = {"Name": "/web", "State": {"Status": "running", "StartedAt": "1"}}


@pytest.mark.parametrize(("code", "up"), [(0, True), (3, False)])
def test_a_container_whose_end_others_wait_for_is_up_when_it_ended_well(clock: Clock, code: int, up: bool) -> None:
    verdict, seconds = watch(clock, turning(20, RUNNING, over(code)), wait=wait_until_ended)
    assert (verdict.up, verdict.code) == (up, "ENDED")
    assert f"exit code {code}" in verdict.message
    assert 20 <= seconds <= 21


def test_an_end_that_does_not_come_is_waited_for_to_the_limit_and_no_longer(clock: Clock) -> None:
    verdict, seconds = watch(clock, lambda _: RUNNING, limit_seconds=30, wait=wait_until_ended)
    assert (verdict.up, verdict.code) == (False, "NOT_ENDED_IN_TIME")
    assert seconds == pytest.approx(30)


def test_one_that_vanished_while_its_end_was_waited_for_is_not_up(clock: Clock) -> None:
    verdict, _ = watch(clock, turning(5, RUNNING, None), wait=wait_until_ended)
    assert (verdict.up, verdict.code) == (False, "ENDED")


def test_a_first_look_that_comes_late_does_not_make_it_wait_longer(clock: Clock) -> None:
    def look(_: float) -> Any:
        clock.now += 1.0
        return inspected(State={"StartedAt": "2026-02-12T03:20:00Z"})

    verdict, seconds = watch(clock, look, limit_seconds=SETTLE_SECONDS)
    assert (verdict.up, verdict.sign) == (True, "running")
    assert seconds <= SETTLE_SECONDS + 1
