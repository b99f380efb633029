from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.specs.image_defaults import without_image_defaults
from containers_app.specs.settings import ContainerSettings

Config = dict[str, Any]
HEALTH = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")


def merged(user: Config, image: Config) -> Config:
    """What an Engine makes of a request and an image (moby, daemon/commit.go, merge), the emptied entrypoint reset."""
    config = dict(user)
    for key in ("User", "WorkingDir", "StopSignal", "Shell"):
        config[key] = user.get(key) or image.get(key)
    for key in ("ExposedPorts", "Volumes", "Labels"):
        config[key] = {**(image.get(key) or {}), **(user.get(key) or {})}
    names = {entry.partition("=")[0] for entry in user.get("Env") or []}
    added = [entry for entry in image.get("Env") or [] if entry.partition("=")[0] not in names]
    config["Env"] = [*(user.get("Env") or []), *added]
    if not user.get("Entrypoint"):
        config["Cmd"] = user.get("Cmd") or image.get("Cmd")
        config["Entrypoint"] = image.get("Entrypoint") if user.get("Entrypoint") is None else user["Entrypoint"]
    if config.get("Entrypoint") == [""]:
        config["Entrypoint"] = None
    config["Healthcheck"] = merged_health(user.get("Healthcheck"), image.get("Healthcheck"))
    return {key: value for key, value in config.items() if value}


def merged_health(user: Config | None, image: Config | None) -> Config | None:
    if user is None or image is None:
        return user or image
    both = {key: user.get(key) or image.get(key) for key in HEALTH}
    return {key: value for key, value in both.items() if value}


def request_for_another_image(source: Config, image: Config) -> Config:
    return without_image_defaults(ContainerSettings.read(source, "Config"), image).body()


def cloned(user: Config, old: Config, new: Config) -> Config:
    """The clone's configuration on another image, when its source was asked for by `user`."""
    return merged(request_for_another_image(merged(user, old), old), new)


OLD: Config = {
    "Env": ["PATH=/old", "V=1"],
    "Cmd": ["old"],
    "Entrypoint": ["/old"],
    "Labels": {"v": "1", "same": "x"},
    "Volumes": {"/old": {}},
    "ExposedPorts": {"1/tcp": {}},
    "WorkingDir": "/old",
    "User": "old",
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "old"], "Interval": 5},
}
NEW: Config = {
    "Env": ["PATH=/new", "V=2", "N=1"],
    "Cmd": ["new"],
    "Entrypoint": ["/new"],
    "Labels": {"v": "2"},
    "Volumes": {"/new": {}},
    "ExposedPorts": {"2/tcp": {}},
    "WorkingDir": "/new",
    "User": "new",
    "Healthcheck": {"Test": ["CMD", "new"], "Interval": 7, "Retries": 2},
}


def test_a_source_that_was_asked_for_with_nothing_becomes_the_new_image_with_nothing() -> None:
    assert cloned({}, OLD, NEW) == merged({}, NEW)
    assert cloned({}, OLD, {"Cmd": ["x"]}) == {"Cmd": ["x"]}


@pytest.mark.parametrize(
    "user",
    [
        {"Cmd": ["mine"]},
        {"Entrypoint": ["/mine"]},
        {"Entrypoint": ["/mine"], "Cmd": ["mine"]},
        {"Entrypoint": ["/mine"], "Cmd": ["old"]},
        {"Entrypoint": [""], "Cmd": ["mine"]},
        {"Entrypoint": [""], "Cmd": ["old"]},
        {"Env": ["V=mine", "M=1"]},
        {"Env": ["V"]},
        {"Labels": {"v": "mine"}},
        {"Volumes": {"/mine": {}}, "ExposedPorts": {"3/udp": {}}},
        {"User": "mine", "WorkingDir": "/mine", "StopSignal": "SIGQUIT", "Shell": ["/mine"]},
        {"Healthcheck": {"Test": ["NONE"]}},
        {"Healthcheck": {"Test": ["CMD", "mine"]}},
        {"Healthcheck": {"Interval": 9}},
        {"Healthcheck": {"Test": ["CMD", "mine"], "Interval": 9, "Timeout": 3}},
    ],
)
def test_the_clone_is_what_the_same_request_makes_of_the_new_image(user: Config) -> None:
    assert cloned(user, OLD, NEW) == merged(user, NEW)


def test_an_entrypoint_given_like_the_images_own_still_stands_without_its_command() -> None:
    # `docker run --entrypoint /old image`: the image's command does not count, and an Engine reads back none.
    user = {"Entrypoint": ["/old"]}
    assert "Cmd" not in merged(user, OLD)
    assert cloned(user, OLD, NEW)["Entrypoint"] == ["/old"]
    assert "Cmd" not in cloned(user, OLD, NEW)


def test_an_image_without_an_entrypoint_keeps_the_command_apart() -> None:
    old = {"Cmd": ["old"]}
    assert cloned({"Cmd": ["mine"]}, old, NEW)["Cmd"] == ["mine"]
    assert cloned({}, old, NEW)["Cmd"] == ["new"]


def test_no_image_configuration_subtracts_nothing() -> None:
    source = merged({}, OLD)
    assert merged(request_for_another_image(source, {}), {}) == source


WORDS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2)
MAPS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=2)
SETS: st.SearchStrategy[Config] = st.sets(st.sampled_from(["/a", "/b"])).map(lambda paths: {path: {} for path in paths})
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "Env": MAPS.map(lambda values: [f"{key}={value}" for key, value in values.items()]),
        "Cmd": WORDS,
        "Entrypoint": WORDS,
        "Labels": MAPS,
        "Volumes": SETS,
        "User": st.sampled_from("uv"),
        "Healthcheck": st.fixed_dictionaries({"Test": WORDS}, optional={"Interval": st.integers(1, 3)}),
    },
)


@given(CONFIGS, CONFIGS)
def test_on_the_same_image_again_nothing_changes(user: Config, image: Config) -> None:
    source = merged(user, image)
    again = merged(request_for_another_image(source, image), image)
    assert {**again, "Env": sorted(again.get("Env", []))} == {**source, "Env": sorted(source.get("Env", []))}
