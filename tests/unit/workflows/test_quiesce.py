"""A source that is kept quiet: how to wake it is written first, and it is put back as it was, or left alone."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest

from containers_app.errors import Cancelled, ContainerNotFound, EngineError, EngineUnavailable, InvalidRequest
from containers_app.workflows import quiesce
from containers_app.workflows.quiesce import check_quiet, grade_of, quiet, stop_seconds
from containers_app.workflows.undo import restore_state, wake
from tests.unit.workflows.lifecycle_engine import WEB, inspected


class Quieted:
    """An Engine and an operation's context in one: all that happens is noted in its order."""

    def __init__(self, state: Any, *, ended_by_itself: bool = False) -> None:
        self.state = state
        self.happened: list[str] = []
        self.undo: list[Any] = []
        self._ended_by_itself = ended_by_itself
        # What is begun in the container at each look, by how many more looks its start takes.
        self.begun: list[dict[str, int]] = []
        self.silent = False
        self.refusals: list[str] = []

    def execs(self, identifier: str) -> tuple[str, ...]:
        assert identifier == WEB
        self._execs = self.begun.pop(0) if self.begun else {}
        return tuple(self._execs)

    def is_starting(self, exec_id: str) -> bool:
        self.happened.append(f"look at {exec_id}")
        return self._execs[exec_id] > 0

    def inspect(self, identifier: str) -> Any:
        assert identifier == WEB
        return self.state

    def pause(self, identifier: str) -> None:
        self.happened.append("pause")
        if self.refusals:
            raise EngineError(self.refusals.pop(0))
        self.state = inspected("paused", State={"Running": True, "Paused": True})

    def unpause(self, identifier: str) -> None:
        if self.silent:
            raise EngineUnavailable("did not answer in time")
        if not self.state["State"].get("Paused"):
            raise EngineError(f"The Engine refused (409): Container {identifier} is not paused")
        self.happened.append("unpause")
        self.state = inspected(State={"Running": True})

    def stop(self, identifier: str, *, timeout_seconds: int) -> bool:
        self.happened.append(f"stop {timeout_seconds}")
        self.state = inspected("exited", State={"Running": False})
        return not self._ended_by_itself

    def start(self, identifier: str) -> None:
        self.happened.append("start")
        self.state = inspected(State={"Running": True, "StartedAt": "later"})

    def stage(self, name: str, *, undo: Any) -> None:
        self.happened.append(name)
        self.undo.append(undo)

    def forget_undo(self, step: Any) -> None:
        self.undo.remove(step)

    def checkpoint(self) -> None:
        """Nobody wishes it to stop."""


def quieted(engine: Quieted, consistency: str) -> list[str]:
    """What had happened when the source was quiet."""
    both: Any = engine
    with quiet(both, both, engine.state, consistency):
        return list(engine.happened)


RUNNING = inspected(State={"Running": True}, Config={"StopTimeout": 3})


def test_a_pause_is_recorded_done_and_undone() -> None:
    engine = Quieted(RUNNING)
    assert quieted(engine, "pause") == ["pause the source", "pause"]
    assert engine.happened[2:] == ["unpause"]
    assert engine.undo == []


def test_nothing_is_frozen_in_its_start_and_what_runs_already_is_looked_at_once() -> None:
    engine = Quieted(RUNNING)
    engine.begun = [{"shell": 0, "probe": 1}, {"shell": 0, "probe": 0}, {"shell": 0}]
    assert quieted(engine, "pause") == [
        "pause the source",
        *("look at shell", "look at probe", "look at probe"),
        "pause",
    ]


def test_a_source_in_which_something_starts_always_is_not_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiesce, "_START_SECONDS", 0.0)
    engine: Any = Quieted(RUNNING)
    engine.begun = [{"probe": 1}, {"probe": 1}]
    with pytest.raises(EngineError, match="no moment to pause the source"):
        quieted(engine, "pause")
    assert "pause" not in engine.happened
    (step,) = engine.undo
    wake(engine, step)
    assert "unpause" not in engine.happened


def test_a_source_that_was_too_busy_to_be_frozen_is_paused_at_another_moment() -> None:
    engine = Quieted(RUNNING)
    engine.refusals = ["OCI runtime pause failed: unable to freeze: unknown"]
    assert quieted(engine, "pause") == ["pause the source", "pause", "pause"]


@pytest.mark.parametrize(("words", "seconds"), [("unable to freeze", 0.0), ("is not running", 10.0)])
def test_a_pause_is_not_asked_for_for_ever_and_another_refusal_is_told(
    monkeypatch: pytest.MonkeyPatch, words: str, seconds: float
) -> None:
    monkeypatch.setattr(quiesce, "_START_SECONDS", seconds)
    engine = Quieted(RUNNING)
    engine.refusals = [words]
    with pytest.raises(EngineError, match=words):
        quieted(engine, "pause")
    assert engine.happened == ["pause the source", "pause"]


def test_an_engine_that_hangs_over_the_paused_source_is_told_of_and_the_undo_stays() -> None:
    engine: Any = Quieted(RUNNING)
    engine.silent = True
    with pytest.raises(EngineUnavailable, match=rf"source web is still PAUSED.*pkill -KILL .*{WEB}"):
        quieted(engine, "pause")
    (step,) = engine.undo
    engine.silent = False
    wake(engine, step)
    assert engine.happened[-1] == "unpause"


def test_a_paused_source_is_unpaused_without_a_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Quieted(inspected("paused", State={"Running": True, "Paused": True}))
    monkeypatch.setattr(engine, "inspect", None)
    wake(engine, restore_state(WEB, "unpaused"))
    assert engine.happened == ["unpause"]


@pytest.mark.parametrize("refusal", [ContainerNotFound("gone"), EngineError("The Engine is being shut down")])
def test_one_that_is_gone_is_fine_and_another_refusal_is_not(
    monkeypatch: pytest.MonkeyPatch, refusal: EngineError
) -> None:
    def refuse(identifier: str) -> None:
        raise refusal

    engine: Any = Quieted(RUNNING)
    monkeypatch.setattr(engine, "unpause", refuse)
    with nullcontext() if isinstance(refusal, ContainerNotFound) else pytest.raises(EngineError, match="shut down"):
        wake(engine, restore_state(WEB, "unpaused"))


def test_a_stop_takes_the_containers_own_time_and_is_undone() -> None:
    engine = Quieted(RUNNING)
    assert quieted(engine, "stop") == ["stop the source", "stop 3"]
    assert engine.happened[2:] == ["start"]
    assert engine.undo == []


def test_a_source_that_ended_before_it_was_stopped_is_not_started() -> None:
    engine = Quieted(RUNNING, ended_by_itself=True)
    quieted(engine, "stop")
    assert "start" not in engine.happened
    assert engine.undo == []


@pytest.mark.parametrize("state", ["paused", "created", "exited", "dead"])
@pytest.mark.parametrize("consistency", ["pause", "stop", "live"])
def test_a_source_that_is_quiet_already_is_left_alone(state: str, consistency: str) -> None:
    engine = Quieted(inspected(state))
    assert quieted(engine, consistency) == []
    assert engine.happened == []


def test_live_leaves_a_running_source_alone() -> None:
    engine = Quieted(RUNNING)
    assert quieted(engine, "live") == []
    assert engine.happened == []


@pytest.mark.parametrize("consistency", ["pause", "stop"])
def test_after_an_error_the_step_stays_for_the_undo(consistency: str) -> None:
    engine: Any = Quieted(RUNNING)
    with suppress(Cancelled), quiet(engine, engine, RUNNING, consistency):
        raise Cancelled("enough")
    (step,) = engine.undo
    wake(engine, step)
    assert engine.happened[-1] == ("unpause" if consistency == "pause" else "start")


def test_one_that_was_paused_and_has_ended_since_is_not_started() -> None:
    engine: Any = Quieted(inspected("exited", State={"Running": False}))
    wake(engine, restore_state(WEB, "unpaused"))
    assert engine.happened == []


def test_one_that_is_still_being_stopped_is_waited_for_and_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    running = inspected(State={"Running": True, "StartedAt": "then"})
    engine: Any = Quieted(running)
    step = restore_state(WEB, "running", started_at="then", until_epoch_seconds=100.0)
    monkeypatch.setattr("time.time", lambda: 99.0)
    with pytest.raises(EngineError, match="still being stopped"):
        wake(engine, step)
    monkeypatch.setattr("time.time", lambda: 101.0)
    wake(engine, step)
    engine.state = inspected(State={"Running": True, "StartedAt": "later"})
    monkeypatch.setattr("time.time", lambda: 99.0)
    wake(engine, step)
    assert engine.happened == []


def test_a_step_of_an_earlier_version_is_understood() -> None:
    engine: Any = Quieted(inspected("exited", State={"Running": False}))
    wake(engine, {"action": "restore_state", "container": WEB, "state": "running"})
    assert engine.happened == ["start"]


@pytest.mark.parametrize(
    ("source", "consistency", "words"),
    [
        (inspected(HostConfig={"AutoRemove": True}), "stop", "use 'pause'"),
        (inspected("restarting"), "pause", "use 'stop'"),
    ],
)
def test_what_cannot_be_kept_quiet_is_refused_by_the_fields_name(source: Any, consistency: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_quiet(source, consistency)
    assert refused.value.field == "options.consistency"
    with pytest.raises(InvalidRequest, match="'consistency' cannot be") as refused:
        check_quiet(source, consistency, field="consistency")
    assert refused.value.field == "consistency"


@pytest.mark.parametrize(
    ("source", "consistency"),
    [
        (inspected("exited", HostConfig={"AutoRemove": True}), "stop"),
        (inspected(HostConfig={"AutoRemove": True}), "pause"),
        (inspected("restarting"), "stop"),
        (inspected("restarting"), "live"),
    ],
)
def test_what_can_be_kept_quiet_is_not_refused(source: Any, consistency: str) -> None:
    check_quiet(source, consistency)
    assert grade_of(source) in ("live", "stopped")


@pytest.mark.parametrize(("own", "seconds"), [(None, 10), (0, 0), (-1, -1), (-7, -1), (42, 42)])
def test_the_time_to_stop_is_the_containers_own(own: int | None, seconds: int) -> None:
    assert stop_seconds(inspected(Config={"StopTimeout": own})) == seconds
    assert quiesce.DEFAULT_STOP_SECONDS == 10
