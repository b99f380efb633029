"""Taking back: containers before what they hold, one failure does not keep the rest, and what is not ours stays."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from containers_app.errors import ContainerNotFound, EngineError
from containers_app.workflows.undo import remove_image, remove_labelled, replay, restore_name, restore_state

IMAGE = "sha256:" + "1" * 64


class Engine:
    """Has one of everything that an operation made; what is `stuck` cannot be removed."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = set(stuck)
        self.containers = ["container"]
        self.happened: list[str] = []

    def labelled(self, operation: str) -> tuple[str, ...]:
        assert operation == "o"
        return tuple(self.containers)

    def labelled_volumes(self, operation: str) -> tuple[str, ...]:
        return ("volume",)

    def labelled_networks(self, operation: str) -> tuple[str, ...]:
        return ("network",)

    def labelled_images(self, operation: str) -> tuple[str, ...]:
        return ("image",)

    def remove(self, found: str) -> None:
        if found in self.stuck:
            raise EngineError("The Engine refused (409): in use")
        self.happened.append(found)
        if found in self.containers:
            self.containers.remove(found)

    remove_volume = remove_network = remove_image = remove

    def remove_unused_image(self, found: str) -> bool:
        self.happened.append(found)
        return True

    def inspect(self, identifier: str) -> Any:
        if identifier == "gone":
            raise ContainerNotFound("no such container")
        return {"State": {"Running": True, "Paused": True}, "Name": "/own"}

    def rename(self, identifier: str, name: str) -> None:
        if name in self.stuck:
            raise EngineError("The Engine refused (409): in use")
        self.happened.append(f"rename {identifier} {name}")

    def unpause(self, identifier: str) -> None:
        self.happened.append(f"unpause {identifier}")


def taken_back(steps: list[Any], **hosts: Engine) -> list[Any]:
    """What is left of the steps."""

    def open_gateway(host: str) -> AbstractContextManager[Any]:
        return nullcontext(hosts[host or "local"])

    store: Any = None
    return replay(steps, open_gateway=open_gateway, store=store)


def test_everything_of_an_operation_is_removed_containers_first() -> None:
    engine = Engine()
    assert taken_back([remove_labelled("o")], local=engine) == []
    assert engine.happened == ["container", "volume", "network", "image"]


@pytest.mark.parametrize("stuck", ["container", "volume", "network", "image"])
def test_what_cannot_be_removed_yet_does_not_keep_the_rest(stuck: str) -> None:
    engine, step = Engine(stuck), remove_labelled("o")
    assert taken_back([step], local=engine) == [step]
    assert {*engine.happened, stuck} == {"container", "volume", "network", "image"}
    engine.stuck.clear()
    assert taken_back([step], local=engine) == []


def test_the_source_wakes_before_the_clone_goes_and_an_image_that_was_moved_goes_last() -> None:
    local, other = Engine(), Engine()
    steps = [
        remove_image("o", IMAGE, host="site-b"),
        remove_labelled("o"),
        remove_labelled("o", host="site-b"),
        restore_state("web", "unpaused"),
    ]
    assert taken_back(steps, local=local, **{"site-b": other}) == []
    assert local.happened[0] == "unpause web"
    assert other.happened == ["container", "volume", "network", "image", IMAGE]


def test_an_image_that_the_operations_own_container_still_uses_is_kept_until_that_is_gone() -> None:
    other = Engine("container")
    steps = [remove_image("o", IMAGE, host="site-b"), remove_labelled("o", host="site-b")]
    assert taken_back(steps, **{"site-b": other}) == steps
    assert IMAGE not in other.happened
    other.stuck.clear()
    assert taken_back(steps, **{"site-b": other}) == []
    assert other.happened[-1] == IMAGE


def test_a_step_that_is_not_understood_is_kept() -> None:
    step = {"action": "of another version"}
    assert taken_back([step], local=Engine()) == [step]


def test_a_container_gets_its_name_back_unless_it_has_it_or_is_gone() -> None:
    engine = Engine()
    steps = [restore_name("a", "before"), restore_name("b", "own"), restore_name("gone", "before")]
    assert taken_back(steps, local=engine) == []
    assert engine.happened == ["rename a before"]


def test_a_name_that_somebody_else_has_is_asked_for_again_later() -> None:
    engine, step = Engine("before"), restore_name("a", "before")
    assert taken_back([step], local=engine) == [step]
    engine.stuck.clear()
    assert taken_back([step], local=engine) == []


def test_a_swap_is_taken_back_from_its_end() -> None:
    engine = Engine()
    steps = [restore_state("old", "running"), restore_name("old", "before"), remove_labelled("o")]
    assert taken_back(steps, local=engine) == []
    assert engine.happened == ["container", "volume", "network", "image", "rename old before", "unpause old"]
