"""What a clone has to copy is known before anything is made, and that there is room for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.engine.trees import TaskEnd, TreeSize, VolumeTree
from containers_app.specs.collisions import in_words
from containers_app.workflows import measuring
from containers_app.workflows.content import Ends
from containers_app.workflows.measuring import NOTHING_TO_COPY, Measured, measure

GIGABYTE = 10**9


class Engine:
    def __init__(self, *, image_bytes: int = 0, volume_free_bytes: int = 50_000) -> None:
        self.volume_free_bytes = volume_free_bytes
        self.asked: list[list[str]] = []
        self.image_bytes = image_bytes

    def image(self, image_id: str) -> dict[str, Any]:
        return {"Id": image_id, "Size": self.image_bytes}


class Context:
    helper_image = None
    interruptible = None

    facts = SimpleNamespace(operation_id="o1")

    def __init__(self) -> None:
        self.recorded: list[tuple[str, Any]] = []

    def checkpoint(self) -> None:
        """Nothing stops a test."""

    def stage(self, name: str, *, undo: Any) -> None:
        self.recorded.append((name, undo["host"]))

    def remember_undo(self, step: Any) -> None:
        self.recorded.append(("remember", step["host"]))


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_tasks(engine: Engine, tasks: Any, options: object, **_: object) -> tuple[TaskEnd, ...]:
        engine.asked.append([task.verb for task in tasks])
        sizes = {"entries": "3", "bytes": "100", "elsewhere": "0", "free": str(engine.volume_free_bytes)}
        facts = {"measure": sizes, "space": {"free": "70000"}}
        return tuple(TaskEnd(facts=facts[task.verb]) for task in tasks)

    monkeypatch.setattr(measuring, "run_tasks", run_tasks)


def measured(source: Engine, *names: str, target: Engine | None = None, images: tuple[str, ...] = ()) -> Measured:
    context: Any = Context()
    ends: Any = Ends(source=source, target=target or source)  # type: ignore[arg-type]
    return measure(context, ends, [VolumeTree(name=name) for name in names], images=images)


def sized(size_bytes: int, free_bytes: int, *, image_bytes: int = 0) -> Measured:
    size = TreeSize(entries=1, bytes=size_bytes, elsewhere=0)
    return Measured(sizes={"volume data": size}, free_bytes=free_bytes, image_bytes=image_bytes)


def test_one_helper_measures_every_tree_and_what_is_free() -> None:
    engine = Engine()
    found = measured(engine, "one", "two", "one")
    assert engine.asked == [["measure", "measure", "space"]]
    assert found.document() == {"entries": 6, "bytes": 200, "imageBytes": 0, "freeBytes": 70000}
    assert found.of(VolumeTree(name="two")).bytes == 100
    assert found.of(VolumeTree(name="three")).bytes == 0


def test_how_to_take_the_helpers_back_is_written_before_them_and_for_both_engines() -> None:
    context: Any = Context()
    here, there = Engine(), Engine()
    ends: Any = Ends(source=here, target=there, host="far")  # type: ignore[arg-type]
    measure(context, ends, [VolumeTree(name="one")])
    assert context.recorded == [("remember", ""), ("measure the content", "far")]
    context = Context()
    measure(context, ends, [])
    assert context.recorded == []


def test_another_engine_says_what_is_free_there_and_each_image_counts_once() -> None:
    here, there = Engine(image_bytes=50), Engine()
    found = measured(here, "one", target=there, images=("sha256:a", "sha256:a"))
    assert (here.asked, there.asked) == ([["measure"]], [["space"]])
    assert found.document() == {"entries": 3, "bytes": 100, "imageBytes": 50, "freeBytes": 70000}


def test_on_another_engine_a_lack_of_room_is_advice_as_its_volumes_may_be_elsewhere() -> None:
    here, there = Engine(image_bytes=70_001), Engine()
    found = measured(here, "one", target=there, images=("sha256:a",))
    assert [(collision.kind, collision.blocks) for collision in found.collisions()] == [("space", None)]


def test_volumes_on_a_larger_disk_than_the_containers_count_by_that() -> None:
    assert measured(Engine(volume_free_bytes=10**9), "one").free_bytes == 10**9


def test_an_image_alone_is_not_measured_as_no_helper_is_needed_for_it() -> None:
    here, there = Engine(image_bytes=70_001), Engine()
    assert measured(here, target=there, images=("sha256:a",)) is NOTHING_TO_COPY
    assert (here.asked, there.asked) == ([], [])


def test_where_nothing_is_copied_no_helper_is_started() -> None:
    engine = Engine()
    assert measured(engine) is NOTHING_TO_COPY
    assert engine.asked == []
    assert NOTHING_TO_COPY.document() is None
    assert NOTHING_TO_COPY.collisions() == ()


def test_what_does_not_fit_stops_the_clone_and_says_how_much_there_is() -> None:
    (found,) = sized(3 * GIGABYTE, 2 * GIGABYTE).collisions()
    assert (found.kind, found.blocks) == ("space", "create")
    assert "takes 3 GB, and" in found.message
    assert "2 GB are free" in found.message
    assert sized(GIGABYTE, 2 * GIGABYTE, image_bytes=GIGABYTE).collisions() == ()
    assert sized(GIGABYTE, 2 * GIGABYTE, image_bytes=GIGABYTE + 1).collisions() != ()


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_234_567, "1.23 MB"),
        (999_999, "1 MB"),
        (5 * 10**13, "50 TB"),
    ],
)
def test_sizes_are_told_with_three_digits(size_bytes: int, words: str) -> None:
    assert in_words(size_bytes) == words
