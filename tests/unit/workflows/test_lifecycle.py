"""Start, stop, restart and remove say truthfully what was and what is, and refuse before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from containers_app.errors import Busy, Cancelled, ContainerRunning, EngineError, InvalidRequest, PortTaken
from containers_app.models import Container
from containers_app.workflows import lifecycle
from containers_app.workflows.context import Done
from containers_app.workflows.lifecycle import RemoveParams, StartParams, StopParams
from tests import recipes
from tests.unit.workflows.lifecycle_engine import SECRET, WEB, Context, Engine, inspected

pytestmark = pytest.mark.django_db
Verb = Callable[[Any, Any], Done]
STOP = StopParams(container="web")
REMOVE = RemoveParams(container="web", confirm="web")
VERBS: list[tuple[Verb, Any]] = [
    (lifecycle.start, StartParams(container="web")),
    (lifecycle.stop, STOP),
    (lifecycle.restart, STOP),
    (lifecycle.remove, RemoveParams(container="web", confirm="web", force=True)),
]
every_verb = pytest.mark.parametrize(("verb", "params"), VERBS, ids=["start", "stop", "restart", "remove"])


def exited(code: int = 0) -> Any:
    return inspected("exited", State={"ExitCode": code})


def run(verb: Verb, params: Any, engine: Engine) -> tuple[Done, Context]:
    context = Context(engine)
    return verb(context, params), context


@pytest.mark.parametrize(
    ("verb", "params", "before", "after", "expected"),
    [
        (lifecycle.start, StartParams(container="web"), exited(3), inspected(), ("exited", "running", None)),
        (lifecycle.stop, STOP, inspected(), exited(137), ("running", "exited", 137)),
        (lifecycle.restart, STOP, exited(1), inspected(), ("exited", "running", None)),
        (lifecycle.remove, REMOVE, exited(), None, ("exited", "removed", None)),
    ],
)
def test_the_result_tells_the_state_before_and_after_and_the_inventory_has_it(
    verb: Verb, params: Any, before: Any, after: Any, expected: tuple[Any, ...]
) -> None:
    recipes.container(engine_id=WEB, state="stale")
    done, context = run(verb, params, Engine(before, after))
    told = {name: done.result[name] for name in ("stateBefore", "stateAfter", "exitCode")}
    assert tuple(told.values()) == expected
    assert done.result["success"] is True
    assert (done.result["containerId"], done.result["name"], done.result["health"]) == ("web", "web", None)
    assert done.result["message"].endswith(" successfully")
    assert (done.partial, context.warnings, context.undo, context.locked) == (False, [], [], [WEB])
    row = Container.objects.get(engine_id=WEB)
    assert row.removed_at is not None if expected[1] == "removed" else row.state == expected[1]
    assert SECRET not in repr(done)


@every_verb
def test_a_container_that_another_operation_works_on_is_left_alone(verb: Verb, params: Any) -> None:
    engine = Engine(inspected())
    with pytest.raises(Busy):
        verb(Context(engine, busy=True), params)
    assert engine.asked == []


@every_verb
def test_a_refusal_of_the_engine_is_the_operations_error(verb: Verb, params: Any) -> None:
    refusal = PortTaken("taken")
    with pytest.raises(PortTaken) as caught:
        verb(Context(Engine(inspected(), refusal=refusal)), params)
    assert caught.value is refusal


@pytest.mark.parametrize(
    ("verb", "params", "state", "code"),
    [
        (lifecycle.start, StartParams(container="web"), "running", "ALREADY_STARTED"),
        (lifecycle.stop, STOP, "exited", "ALREADY_STOPPED"),
    ],
)
def test_what_is_so_already_is_a_success_with_a_warning(verb: Verb, params: Any, state: str, code: str) -> None:
    done, context = run(verb, params, Engine(inspected(state), unchanged=True))
    assert (done.result["stateAfter"], done.partial) == (state, False)
    assert [warning for warning, _ in context.warnings] == [code]


@pytest.mark.parametrize(
    ("asked_for", "own", "sent"),
    [(None, None, 10), (None, 0, 0), (None, 77, 77), (None, -5, -1), (0, 77, 0), (9, 77, 9)],
)
@pytest.mark.parametrize("verb", [lifecycle.stop, lifecycle.restart])
def test_the_time_until_the_kill_is_what_was_asked_for_else_the_containers_own(
    verb: Verb, asked_for: int | None, own: int | None, sent: int
) -> None:
    engine = Engine(inspected(Config={} if own is None else {"StopTimeout": own}), exited())
    run(verb, StopParams(container="web", timeout_seconds=asked_for), engine)
    assert engine.asked == [(verb.__name__, WEB, sent)]


def test_a_container_that_removes_itself_is_gone_when_the_answer_says_so() -> None:
    recipes.container(engine_id=WEB)
    done, context = run(lifecycle.stop, STOP, Engine(inspected(HostConfig={"AutoRemove": True}), None))
    assert done.result["stateAfter"] == "removed"
    assert [code for code, _ in context.warnings] == ["REMOVED_ITSELF"]
    assert Container.objects.get(engine_id=WEB).removed_at is not None


def test_a_removal_that_does_not_end_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_GONE_SECONDS", 0.2)
    with pytest.raises(EngineError, match="has not removed web"):
        run(lifecycle.remove, REMOVE, Engine(exited(), exited()))


@pytest.mark.parametrize("typed", ["Web", "web ", "we", "", "*", WEB])
def test_another_name_than_the_containers_removes_nothing(typed: str) -> None:
    engine = Engine(exited())
    with pytest.raises(InvalidRequest, match="exactly: web") as caught:
        run(lifecycle.remove, RemoveParams(container=WEB, confirm=typed, force=True), engine)
    assert (engine.asked, caught.value.field) == ([], "options.confirm")


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_what_runs_is_removed_by_force_only(state: str) -> None:
    engine = Engine(inspected(state))
    with pytest.raises(ContainerRunning, match=f"web is {state}: stop it first"):
        run(lifecycle.remove, REMOVE, engine)
    assert engine.asked == []
    run(lifecycle.remove, RemoveParams(container="web", confirm="web", force=True, volumes=True), engine)
    assert engine.asked == [("remove", WEB, True, True)]


def test_anonymous_volumes_stay_unless_they_are_named() -> None:
    engine = Engine(exited())
    run(lifecycle.remove, REMOVE, engine)
    assert engine.asked == [("remove", WEB, False, False)]


@pytest.mark.parametrize(
    ("after", "up", "codes"),
    [
        (inspected(health="healthy"), True, []),
        (inspected(health="unhealthy", checks=[1]), False, ["UNHEALTHY"]),
        (exited(7), False, ["ENDED"]),
        (None, False, ["ENDED"]),
    ],
)
def test_a_start_that_waits_is_whole_only_when_the_container_is_up(after: Any, up: bool, codes: list[str]) -> None:
    done, context = run(lifecycle.start, StartParams(container="web", wait_healthy_seconds=5), Engine(exited(), after))
    assert (done.partial, [code for code, _ in context.warnings]) == (not up, codes)
    assert done.result["message"] == ("Container started successfully" if up else "Container started, with a warning")
    assert "wait until it is healthy" in context.stages
    assert SECRET not in repr((done, context.warnings))


def test_a_start_that_waits_can_be_cancelled() -> None:
    reason = Cancelled("enough")
    engine = Engine(exited(), inspected(health="starting"))
    with pytest.raises(Cancelled):
        context: Any = Context(engine, reason=reason, after=1)
        lifecycle.start(context, StartParams(container="web", wait_healthy_seconds=60))
    assert engine.asked == [("start", WEB)]
