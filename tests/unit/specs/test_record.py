from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from containers_app.errors import EngineError
from containers_app.specs.host_settings import HostSettings, MountSpec
from containers_app.specs.record import (
    BOOLEAN,
    INTEGER,
    KEY_SET,
    TEXT,
    TEXT_MAP,
    TEXTS,
    Record,
    engine_field,
    many,
    mapped,
    nullable,
    record,
)
from containers_app.specs.settings import ContainerSettings


@dataclass(frozen=True, kw_only=True)
class Inner(Record):
    word: str | None = engine_field("Word", TEXT)


@dataclass(frozen=True, kw_only=True)
class Outer(Record):
    words: tuple[str, ...] | None = engine_field("Words", TEXTS, secret=True)
    number: int | None = engine_field("Number", INTEGER)
    switch: bool | None = engine_field("Switch", BOOLEAN)
    words_by_key: dict[str, str] | None = engine_field("Map", TEXT_MAP)
    keys: dict[str, None] | None = engine_field("Keys", KEY_SET)
    inner: Inner | None = engine_field("Inner", record(Inner))
    lists: dict[str, tuple[Inner, ...] | None] | None = engine_field("Lists", mapped(nullable(many(record(Inner)))))


FULL = {
    "Words": ["a", "b"],
    "Number": 0,
    "Switch": False,
    "Map": {"k": "v"},
    "Keys": {"/data": {}},
    "Inner": {"Word": ""},
    "Lists": {"80/tcp": [{"Word": "x"}], "81/tcp": None, "82/tcp": []},
}


def test_what_is_read_is_written_back_unchanged() -> None:
    assert Outer.read(FULL).body() == FULL


def test_null_and_absent_are_left_out_and_empty_is_kept() -> None:
    assert Outer.read({"Words": None, "Map": {}, "Number": None}).body() == {"Map": {}}


@pytest.mark.parametrize("key", ["words", "WORDS", "Word\u017f", "Privileged", "__class__"])
def test_a_key_that_is_not_listed_is_never_sent_on(key: str) -> None:
    assert Outer.read({key: ["x"]}).body() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Words", "abc"),
        ("Words", [1]),
        ("Number", "1"),
        ("Number", True),
        ("Number", 1.5),
        ("Switch", 1),
        ("Map", ["k"]),
        ("Map", {"k": 1}),
        ("Keys", {"/data": 1}),
        ("Inner", "text"),
        ("Lists", {"80/tcp": [None]}),
    ],
)
def test_another_shape_is_refused_naming_the_field_and_not_the_value(key: str, value: object) -> None:
    with pytest.raises(EngineError, match=f"Config.{key}") as caught:
        Outer.read({key: value}, "Config")
    assert "abc" not in caught.value.message


def test_a_secret_field_stands_not_in_the_representation() -> None:
    assert "hunter2" not in repr(Outer.read({"Words": ["hunter2"]}))


@pytest.mark.parametrize("cls", [HostSettings, ContainerSettings, MountSpec])
def test_no_two_fields_share_a_key(cls: type[Record]) -> None:
    keys = [field.metadata["key"].lower() for field in dataclasses.fields(cls)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("kind", "kept"),
    [("bind", "BindOptions"), ("volume", "VolumeOptions"), ("tmpfs", "TmpfsOptions"), ("image", "ImageOptions")],
)
def test_a_mount_keeps_only_the_options_of_its_type(kind: str, kept: str) -> None:
    every = {
        "BindOptions": {"Propagation": "rslave"},
        "VolumeOptions": {"NoCopy": True},
        "TmpfsOptions": {"SizeBytes": 1},
        "ImageOptions": {"Subpath": "x"},
        "ClusterOptions": {},
    }
    body = MountSpec.read({"Type": kind, "Target": "/t", **every}).cleaned().body()
    assert body == {"Type": kind, "Target": "/t", kept: every[kept]}
