"""A volume that a protected container uses too is as protected as that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.engine.layers import RootTree
from containers_app.engine.trees import FolderTree, Tree, VolumeTree
from containers_app.errors import ContainerNotFound, ContainerProtected
from containers_app.specs.protection import PROTECTED_LABEL
from containers_app.workflows import protected
from containers_app.workflows.protected import check_sharers

OWN, GUARDED, GONE = "a" * 64, "b" * 64, "c" * 64
VOLUME = {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data"}
FOLDER = {"Type": "bind", "Source": "/srv/app/data"}


class Engine:
    """Three containers, one of which was removed just now."""

    def __init__(self, *mounts: Any, labels: Any = None) -> None:
        self.mounts = list(mounts)
        self.labels = {PROTECTED_LABEL: "true"} if labels is None else labels
        self.inspected: list[str] = []

    def containers(self) -> tuple[Any, ...]:
        return tuple(SimpleNamespace(id=found, labels=self.labels) for found in (OWN, GUARDED, GONE))

    def inspect(self, identifier: str) -> Any:
        self.inspected.append(identifier)
        if identifier == GONE:
            raise ContainerNotFound("no such container")
        return {"Id": identifier, "Config": {"Labels": self.labels}, "Mounts": self.mounts}


def check(engine: Engine, *trees: Tree, administrator: bool = False, confirmed: bool = False) -> list[str]:
    """The warnings."""
    warned: list[str] = []
    facts = SimpleNamespace(may=lambda permission: administrator)
    context: Any = SimpleNamespace(facts=facts, warn=lambda code, words: warned.append(f"{code} {words}"))
    gateway: Any = engine
    check_sharers(context, gateway, trees, besides=OWN, confirmed=confirmed)
    return warned


@pytest.mark.parametrize(
    ("mount", "tree", "place"),
    [
        (VOLUME, VolumeTree(name="data"), "volume data"),
        (FOLDER, FolderTree(path="/srv/app/data"), "folder /srv/app/data"),
        (FOLDER, FolderTree(path="/srv/app"), "folder /srv/app"),
        (FOLDER, FolderTree(path="/srv/app/data/deep"), "folder /srv/app/data/deep"),
    ],
    ids=["a volume", "a folder", "a folder above", "a folder below"],
)
def test_what_a_protected_container_uses_too_is_changed_by_an_administrator_who_confirms(
    mount: Any, tree: Tree, place: str
) -> None:
    engine = Engine(mount)
    with pytest.raises(ContainerProtected, match=f"a container that uses the {place} too is protected .*ask an admin"):
        check(engine, tree)
    with pytest.raises(ContainerProtected, match="confirm with 'confirmProtected'"):
        check(engine, tree, administrator=True)
    (warned,) = check(engine, tree, administrator=True, confirmed=True)
    assert warned.startswith(f"PROTECTED a container that uses the {place} too")
    assert OWN not in engine.inspected


@pytest.mark.parametrize(
    ("mount", "tree"),
    [
        (VOLUME, VolumeTree(name="other")),
        (VOLUME, RootTree(container=OWN)),
        (VOLUME, FolderTree(path="data")),
        (FOLDER, FolderTree(path="/srv/app/data2")),
        (FOLDER, VolumeTree(name="data")),
    ],
)
def test_what_it_does_not_use_is_free(mount: Any, tree: Tree) -> None:
    assert check(Engine(mount), tree) == []


def test_what_only_others_use_is_free_and_those_are_not_even_looked_at() -> None:
    engine = Engine(VOLUME, labels={})
    assert check(engine, VolumeTree(name="data")) == []
    assert engine.inspected == []


def test_the_container_that_we_run_in_is_protected_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protected, "_own_id", lambda: GUARDED)
    with pytest.raises(ContainerProtected, match="MycoDocker itself runs in it"):
        check(Engine(VOLUME, labels={}), VolumeTree(name="data"))
