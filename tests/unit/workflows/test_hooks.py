"""Hooks around a piece of work: what is written first, what runs when, and what a failure of each of them means."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import pytest

from containers_app.engine.exec_verbs import ExecEnd
from containers_app.errors import Cancelled, EngineError, HookFailed, LeaseLost, MycoError, StorageFull, TimedOut
from containers_app.specs.hooks import Hooks, shell
from containers_app.workflows.hooks import hooked
from containers_app.workflows.quiesce import quiet
from containers_app.workflows.undo import replay, restore_state, run_hook
from tests.unit.workflows.lifecycle_engine import WEB, inspected

SECRET = "hunter2-the-secret-value"
HOOKS = Hooks(before=shell(f"freeze {SECRET}"), after=shell(f"thaw {SECRET}"), timeout_seconds=90)
THEN = "2026-02-12T03:20:00Z"
RUNNING = inspected(State={"Running": True})
SLOW, STUCK = ExecEnd(exit_code=None), ExecEnd(exit_code=None, left_running=True)


class Hooking:
    """An Engine and an operation's context in one: all that happens is noted in its order.

    `ends` are how the hooks end, by the first word of their texts: as an exec does, or by an error.
    """

    def __init__(self, state: Any = RUNNING, **ends: ExecEnd | MycoError) -> None:
        self.state = state
        self.ends = ends
        self.happened: list[str] = []
        self.undo: list[Any] = []
        self.warnings: list[tuple[str, str]] = []
        self.limits: list[float] = []

    def inspect(self, identifier: str) -> Any:
        assert identifier == WEB
        return self.state

    def execs(self, container: str) -> tuple[str, ...]:
        assert container == WEB
        return ()

    def run_exec(self, container: str, command: Any, *, timeout_seconds: float, tick: Any) -> ExecEnd:
        assert (container, command[:2]) == (WEB, ("/bin/sh", "-c"))
        assert self.undo, "what is to be taken back must be written first"
        word = command[2].split()[0]
        self.happened.append(word)
        self.limits.append(timeout_seconds)
        end = self.ends.get(word, ExecEnd(exit_code=0, output=SECRET))
        if isinstance(end, MycoError):
            raise end
        return end

    def end_execs(self, container: str) -> None:
        self.happened.append("end")

    def pause(self, container: str) -> None:
        self.happened.append("pause")
        self.state = inspected("paused", State={"Running": True, "Paused": True})

    def unpause(self, container: str) -> None:
        assert container == WEB
        self.happened.append("unpause")
        self.state = RUNNING

    def stage(self, name: str, *, undo: Any = None) -> None:
        self.undo += [] if undo is None else [undo]

    def forget_undo(self, step: Any) -> None:
        self.undo.remove(step)

    def warn(self, code: str, message: str) -> None:
        self.warnings.append((code, message))

    def checkpoint(self) -> None:
        """Nobody wishes it to stop."""

    def taken_back(self) -> list[Any]:
        """Replay the undo as a failed operation does; returns what is left of it."""

        def open_gateway(host: str) -> AbstractContextManager[Any]:
            assert host == ""
            return nullcontext(self)

        store: Any = None
        self.undo = replay(self.undo, open_gateway=open_gateway, store=store)
        return self.undo


def worked(engine: Hooking, hooks: Hooks | None = HOOKS, **options: bool) -> bool:
    """Whether the result is whole."""
    both: Any = engine
    with hooked(both, both, engine.state, hooks, **options) as outcome:
        engine.happened.append("work")
    return not outcome.after_failed


def test_the_hooks_run_around_the_work_and_nothing_is_left_to_take_back() -> None:
    engine = Hooking()
    assert worked(engine)
    assert engine.happened == ["freeze", "work", "thaw"]
    assert (engine.undo, engine.warnings, engine.limits) == ([], [], [90, 90])


@pytest.mark.parametrize(
    ("hooks", "happened"),
    [
        (None, ["work"]),
        (Hooks(before=HOOKS.before), ["freeze", "work"]),
        (Hooks(after=HOOKS.after), ["work", "thaw"]),
    ],
)
def test_one_hook_alone_is_run_alone(hooks: Hooks | None, happened: list[str]) -> None:
    engine = Hooking()
    assert worked(engine, hooks)
    assert engine.happened == happened
    assert engine.undo == []


@pytest.mark.parametrize("state", ["created", "exited", "paused", "restarting", "dead"])
def test_a_container_that_does_not_run_has_no_hooks_and_a_warning(state: str) -> None:
    engine = Hooking(inspected(state))
    assert worked(engine)
    assert engine.happened == ["work"]
    assert [code for code, _ in engine.warnings] == ["HOOKS_SKIPPED"]
    assert state in engine.warnings[0][1]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ExecEnd(exit_code=3, output=SECRET), "exit code 3"),
        (ExecEnd(exit_code=126, output=SECRET), "could not be started"),
        (ExecEnd(exit_code=127, output=SECRET), "lacks the program, or /bin/sh"),
        (SLOW, "within 90 s and was ended"),
        (STUCK, "within 90 s and may still run"),
    ],
)
def test_a_hook_before_that_fails_keeps_the_work_from_beginning_and_the_hook_after_runs(
    end: ExecEnd, words: str
) -> None:
    engine = Hooking(freeze=end)
    with pytest.raises(HookFailed, match=words) as failed:
        worked(engine)
    assert failed.value.field == "options.hooks"
    assert engine.happened == ["freeze"]
    assert engine.taken_back() == []
    assert engine.happened == ["freeze", "end", "thaw"]


@pytest.mark.parametrize("end", [ExecEnd(exit_code=1, output=SECRET), SLOW, STUCK, EngineError("refused")])
def test_a_hook_after_that_fails_is_a_warning_and_the_result_partial(end: Any) -> None:
    engine = Hooking(thaw=end)
    assert not worked(engine)
    assert [code for code, _ in engine.warnings] == ["HOOK_AFTER_FAILED"]
    assert engine.undo == []


def test_neither_error_nor_warning_nor_undo_holds_a_command_or_what_it_printed() -> None:
    failing = ExecEnd(exit_code=1, output=SECRET)
    engine = Hooking(freeze=failing, thaw=failing)
    with pytest.raises(HookFailed) as failed:
        worked(engine)
    assert not worked(Hooking(freeze=ExecEnd(exit_code=0), thaw=failing))
    shown = f"{failed.value.message} {engine.undo} {engine.warnings}"
    assert SECRET not in shown
    assert "thaw" not in shown


STOPPED = [Cancelled("enough"), TimedOut("late"), LeaseLost("another's")]


@pytest.mark.parametrize(
    ("hook", "error"),
    [*(("freeze", error) for error in [*STOPPED, EngineError("away")]), *(("thaw", e) for e in STOPPED)],
)
def test_what_ends_the_operation_leaves_the_hook_after_to_its_undo(hook: str, error: MycoError) -> None:
    engine = Hooking(**{hook: error})
    with pytest.raises(type(error)):
        worked(engine)
    engine.ends.clear()
    assert engine.taken_back() == []
    assert engine.happened[-2:] == ["end", "thaw"]


def paused_and_failed(engine: Hooking) -> None:
    both: Any = engine
    with suppress(StorageFull), hooked(both, both, engine.state, HOOKS), quiet(both, both, engine.state, "pause"):
        engine.happened.append("work")
        raise StorageFull("full")


def test_a_pause_is_within_the_hooks_and_after_an_error_the_container_wakes_first() -> None:
    engine: Any = Hooking()
    with hooked(engine, engine, RUNNING, HOOKS), quiet(engine, engine, RUNNING, "pause"):
        engine.happened.append("work")
    assert engine.happened == ["freeze", "pause", "work", "unpause", "thaw"]
    engine = Hooking()
    paused_and_failed(engine)
    assert engine.taken_back() == []
    assert engine.happened == ["freeze", "pause", "work", "unpause", "end", "thaw"]


def test_the_hook_after_waits_for_a_container_that_cannot_be_woken_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Hooking()
    paused_and_failed(engine)

    def refuse(container: str) -> None:
        raise EngineError("not yet")

    with monkeypatch.context() as stuck:
        stuck.setattr(engine, "unpause", refuse)
        assert len(engine.taken_back()) == 2
    assert "thaw" not in engine.happened
    assert engine.taken_back() == []
    assert engine.happened[-1] == "thaw"


def test_the_sleep_of_one_container_does_not_keep_anothers_hook_waiting() -> None:
    engine = Hooking(inspected("paused", State={"Running": True, "Paused": True}))
    engine.undo = [run_hook(WEB, HOOKS, started_at=""), restore_state("b" * 64, "unpaused")]
    with pytest.raises(AssertionError):
        engine.taken_back()
    engine.undo = [run_hook(WEB, HOOKS, started_at=""), {"action": "unknown", "container": "b" * 64}]
    assert [step["action"] for step in engine.taken_back()] == ["unknown"]
    assert engine.happened == ["end", "thaw"]


@pytest.mark.parametrize(
    ("state", "restarts", "runs"),
    [
        (RUNNING, False, True),
        (inspected(State={"Running": True, "StartedAt": "later"}), False, False),
        (inspected(State={"Running": True, "StartedAt": "later"}), True, True),
        (inspected("exited", State={"Running": False}), False, False),
        (inspected("exited", State={"Running": False}), True, False),
    ],
)
def test_a_late_hook_after_runs_in_the_same_start_or_in_one_that_the_operation_gave(
    state: Any, restarts: bool, runs: bool
) -> None:
    engine = Hooking(freeze=ExecEnd(exit_code=1))
    with pytest.raises(HookFailed):
        worked(engine, restarts=restarts)
    engine.state = state
    assert engine.taken_back() == []
    assert ("thaw" in engine.happened) is runs


def test_a_late_hook_after_is_not_repeated_for_its_own_failure_and_is_for_the_engines() -> None:
    for end in (ExecEnd(exit_code=1), SLOW, STUCK):
        engine = Hooking(freeze=ExecEnd(exit_code=1), thaw=end)
        with suppress(HookFailed):
            worked(engine)
        assert engine.taken_back() == []
    engine = Hooking(freeze=ExecEnd(exit_code=1), thaw=EngineError("away"))
    with suppress(HookFailed):
        worked(engine)
    assert len(engine.taken_back()) == 1


def test_a_late_hook_after_does_not_keep_others_waiting_for_longer_than_a_minute() -> None:
    engine = Hooking(freeze=ExecEnd(exit_code=1))
    with suppress(HookFailed):
        worked(engine)
    engine.taken_back()
    assert engine.limits == [90, 60]


def test_a_step_that_another_secret_key_sealed_is_kept(settings: Any) -> None:
    engine = Hooking(freeze=ExecEnd(exit_code=1))
    with suppress(HookFailed):
        worked(engine)
    key, settings.SECRET_KEY = settings.SECRET_KEY, "another key, of another installation"
    assert len(engine.taken_back()) == 1
    settings.SECRET_KEY = key
    assert engine.taken_back() == []
