"""Which trees a helper mounts where; tests/integration has what it does with them."""

from __future__ import annotations

import pytest

from containers_app.engine.layers import LayerTree
from containers_app.engine.trees import TreeTask, VolumeTree, _places
from containers_app.errors import EngineError


def copying(source: str, target: str, *options: str) -> TreeTask:
    return TreeTask(verb="copy", source=VolumeTree(name=source), target=VolumeTree(name=target, options=options))


def test_only_what_is_written_to_is_below_target() -> None:
    places = _places([copying("a", "b"), copying("c", "d"), TreeTask(verb="prove", source=VolumeTree(name="a"))])
    assert {tree.place: place for tree, place in places.items()} == {
        "volume a": "/source/0",
        "volume c": "/source/1",
        "volume b": "/target/0",
        "volume d": "/target/1",
    }


@pytest.mark.parametrize("options", [(), ("replace",)])
def test_a_tree_is_not_copied_into_itself_whatever_its_options(options: tuple[str, ...]) -> None:
    with pytest.raises(EngineError, match="into itself"):
        _places([copying("a", "b"), copying("b", "b", *options)])


@pytest.mark.parametrize("options", [(), ("replace",)])
def test_two_trees_are_not_copied_into_one(options: tuple[str, ...]) -> None:
    with pytest.raises(EngineError, match="into one"):
        _places([copying("a", "c"), copying("b", "c", *options)])


def test_a_volume_is_no_layer_of_the_same_name() -> None:
    assert VolumeTree(name="a" * 64).place != LayerTree(container="a" * 64).place
