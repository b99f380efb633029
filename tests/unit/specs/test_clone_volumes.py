from __future__ import annotations

from typing import Any

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.clone_mounts import own_destinations, unnamed_destinations
from containers_app.specs.clone_volumes import VolumeFacts, VolumePlan, plan_volumes, volume_prefix, with_volumes
from containers_app.specs.reference import check_engine_name
from tests.unit.specs.inspects import Inspect, inspected

ID = "a" * 64


def mounted(name: str, path: str, **changes: Any) -> Inspect:
    return {"Type": "volume", "Name": name, "Destination": path, "RW": True, "Mode": "", "Propagation": "", **changes}


def bound(path: str) -> Inspect:
    return {"Type": "bind", "Source": path, "Destination": path, "RW": False, "Mode": "", "Propagation": "rprivate"}


NAMED = inspected(host={"Binds": ["data:/data:rw,z"]}, Mounts=[mounted("data", "/data")])
ANONYMOUS = inspected(config={"Volumes": {"/var/lib/db/": {}}}, Mounts=[mounted(ID, "/var/lib/db")])


def plans(source: Inspect, choices: dict[str, str] | None = None, **changes: Any) -> tuple[VolumePlan, ...]:
    asked = {"clone_name": "new", "data": "none", "known": {}, **changes}
    return plan_volumes(source, choices=choices or {}, **asked)


def treated(
    source: Inspect, choices: dict[str, str] | None = None, **changes: Any
) -> list[tuple[str, str, str | None]]:
    return [(plan.source, plan.treatment, plan.target) for plan in plans(source, choices, **changes)]


def wanted(source: Inspect, choices: dict[str, str] | None = None, **changes: Any) -> Inspect:
    return with_volumes(source, plans(source, choices, **changes))


def field_of(source: Inspect, choices: dict[str, str], **changes: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        plans(source, choices, **changes)
    return caught.value.field


def test_a_named_volume_is_shared_and_an_anonymous_one_is_fresh_unless_told_otherwise() -> None:
    assert treated(NAMED) == [("data", "share", None)]
    assert treated(ANONYMOUS) == [(ID, "empty", None)]
    assert with_volumes(NAMED, plans(NAMED)) == NAMED
    assert with_volumes(ANONYMOUS, plans(ANONYMOUS)) == ANONYMOUS


@pytest.mark.parametrize("data", ["volumes", "all"])
def test_with_data_every_volume_is_copied(data: str) -> None:
    assert treated(NAMED, data=data) == [("data", "copy", "new_data")]
    assert treated(ANONYMOUS, data=data) == [(ID, "copy", None)]


@pytest.mark.parametrize("key", ["data", "/data"])
def test_a_volume_is_chosen_by_its_name_or_its_mount_point(key: str) -> None:
    assert treated(NAMED, {key: "copy"}) == [("data", "copy", "new_data")]
    assert treated(NAMED, {key: "empty"}, data="all") == [("data", "empty", "new_data")]
    assert treated(NAMED, {key: "share"}, data="all") == [("data", "share", None)]


def test_a_new_volume_takes_the_place_of_its_source() -> None:
    made = wanted(NAMED, {"data": "copy"})
    assert made["HostConfig"]["Binds"] == ["new_data:/data:rw,z"]
    assert made["Mounts"][0]["Name"] == "new_data"
    assert NAMED["HostConfig"]["Binds"] == ["data:/data:rw,z"]


def test_a_host_path_that_is_named_like_a_volume_is_left_alone() -> None:
    source = inspected(host={"Binds": ["data:/data", "/data:/srv"]}, Mounts=[mounted("data", "/data"), bound("/srv")])
    assert wanted(source, {"data": "copy"})["HostConfig"]["Binds"] == ["new_data:/data", "/data:/srv"]


def test_a_mount_keeps_what_is_the_mounts_and_leaves_what_is_the_old_volumes() -> None:
    options = {
        "NoCopy": True,
        "Subpath": "inner",
        "Labels": {"a": "b"},
        "DriverConfig": {"Name": "local", "Options": {"type": "nfs", "o": "password=hunter2"}},
    }
    mount = {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True, "VolumeOptions": options}
    source = inspected(host={"Mounts": [mount]}, Mounts=[mounted("data", "/data", RW=False)])
    (made,) = wanted(source, {"data": "copy"})["HostConfig"]["Mounts"]
    assert made == {**mount, "Source": "new_data", "VolumeOptions": {"NoCopy": True, "Subpath": "inner"}}
    assert wanted(source)["HostConfig"]["Mounts"] == [mount]


def test_one_volume_at_two_places_stays_one() -> None:
    binds = ["data:/a", "data:/b:ro"]
    source = inspected(host={"Binds": binds}, Mounts=[mounted("data", "/b", RW=False), mounted("data", "/a")])
    (plan,) = plans(source, {"/b": "copy"})
    assert (plan.destinations, plan.target) == (("/a", "/b"), "new_data")
    assert wanted(source, {"/b": "copy"})["HostConfig"]["Binds"] == ["new_data:/a", "new_data:/b:ro"]


def test_two_choices_for_one_volume_must_agree() -> None:
    source = inspected(host={"Binds": ["data:/a", "data:/b"]}, Mounts=[mounted("data", "/a"), mounted("data", "/b")])
    assert field_of(source, {"/a": "copy", "/b": "empty"}) == "options.volumes./b"
    assert field_of(source, {"data": "share", "/a": "copy"}) == "options.volumes./a"
    assert treated(source, {"data": "copy", "/a": "copy"}) == [("data", "copy", "new_data")]


@pytest.mark.parametrize("key", ["other", "/other", "/data/", "", "x" * 500, "a\nb"])
def test_a_choice_that_means_no_volume_is_named_and_the_volumes_are_listed(key: str) -> None:
    with pytest.raises(InvalidRequest, match="data") as caught:
        plans(NAMED, {key: "copy"})
    assert caught.value.field is not None
    assert caught.value.field.startswith("options.volumes.")
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_nothing_is_shared_with_another_host() -> None:
    assert field_of(NAMED, {"data": "share"}, elsewhere=True) == "options.volumes.data"
    assert treated(NAMED, elsewhere=True) == [("data", "empty", "data")]
    assert treated(NAMED, elsewhere=True, taken={"data"}, data="all") == [("data", "copy", "data_2")]
    assert treated(ANONYMOUS, elsewhere=True) == [(ID, "empty", None)]


def test_a_volume_that_is_kept_by_its_id_gets_a_name_after_its_place() -> None:
    source = inspected(host={"Binds": [f"{ID}:/var/lib/d b"]}, Mounts=[mounted(ID, "/var/lib/d b")])
    assert treated(source) == [(ID, "share", None)]
    assert treated(source, {ID: "copy"}) == [(ID, "copy", "new_var-lib-d-b")]


def test_new_names_are_numbered_past_what_is_taken_and_past_each_other() -> None:
    first, second = "b" * 64, "c" * 64
    binds = [f"{first}:/a b", f"{second}:/a_b", f"{ID}:/a?b"]
    mounts = [mounted(first, "/a b"), mounted(second, "/a-b"), mounted(ID, "/a?b")]
    source = inspected(host={"Binds": binds}, Mounts=mounts)
    targets = [target for _, _, target in treated(source, data="all", taken={"new_a-b"})]
    assert targets == ["new_a-b_2", "new_a-b_3", "new_a-b_4"]


@pytest.mark.parametrize("name", ["x", "n" * 255, "-" * 10 + "n" * 95])
@pytest.mark.parametrize("volume", ["v" * 255, ID, "data"])
def test_every_new_name_is_one_that_an_engine_takes(name: str, volume: str) -> None:
    source = inspected(host={"Binds": [f"{volume}:/data"]}, Mounts=[mounted(volume, "/data")])
    taken = {target for _, _, target in treated(source, data="all", clone_name=name) if target}
    ((_, _, target),) = treated(source, data="all", clone_name=name, taken=taken)
    assert target is not None
    assert check_engine_name(target) == target
    assert target not in taken


def test_the_moment_in_a_long_default_name_is_not_cut_off() -> None:
    assert volume_prefix("s" * 200 + "-clone-1700000000000").endswith("-clone-1700000000000_")


def test_an_anonymous_volume_that_is_shared_is_bound_by_its_id() -> None:
    made = wanted(ANONYMOUS, {"/var/lib/db": "share"})
    assert made["HostConfig"]["Binds"] == [f"{ID}:/var/lib/db:rw"]


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["/data/", "/srv:/srv:ro"]},
        {"Mounts": [{"Type": "volume", "Target": "/data/", "ReadOnly": True}], "Binds": ["/srv:/srv:ro"]},
    ],
)
def test_a_shared_volume_takes_the_place_of_the_entry_that_asked_for_one_without_a_name(host: Inspect) -> None:
    source = inspected(host=host, Mounts=[mounted(ID, "/data", RW=False), bound("/srv")])
    assert treated(source) == [(ID, "empty", None)]
    made = wanted(source, {ID: "share"})["HostConfig"]
    assert (made["Binds"], made.get("Mounts") or []) == (["/srv:/srv:ro", f"{ID}:/data:ro"], [])
    untouched = wanted(source)["HostConfig"]
    assert {key: untouched[key] for key in host} == host


TAKING = inspected(
    host={"VolumesFrom": ["giver:ro"], "Binds": ["own:/own"], "Tmpfs": {"/tmp": ""}},
    Mounts=[
        mounted("own", "/own"),
        mounted("theirs", "/theirs", RW=False),
        bound("/srv"),
        {"Type": "tmpfs", "Destination": "/cache", "RW": True},
    ],
)


def test_volumes_of_another_container_are_taken_over_while_all_of_them_are_shared() -> None:
    assert wanted(TAKING, {"own": "copy"})["HostConfig"]["VolumesFrom"] == ["giver:ro"]
    assert wanted(TAKING, {"own": "copy"})["HostConfig"]["Binds"] == ["new_own:/own"]


def test_once_one_of_them_is_copied_each_is_mounted_by_itself() -> None:
    made = wanted(TAKING, {"theirs": "copy"})["HostConfig"]
    assert made["VolumesFrom"] is None
    assert made["Binds"] == ["own:/own", "new_theirs:/theirs:ro", "/srv:/srv:ro"]


def test_a_volume_that_another_container_may_give_is_never_filled_in_its_own_place() -> None:
    """The image of both declares the path, and the giver's volume stands there: a copy needs a volume of its own."""
    source = inspected(
        config={"Volumes": {"/data": {}}}, host={"VolumesFrom": ["giver"]}, Mounts=[mounted(ID, "/data")]
    )
    assert treated(source) == [(ID, "share", None)]
    assert with_volumes(source, plans(source)) == source
    assert treated(source, data="volumes") == [(ID, "copy", "new_data")]
    made = wanted(source, data="volumes")["HostConfig"]
    assert (made["VolumesFrom"], made["Binds"]) == (None, ["new_data:/data:rw"])
    assert wanted(source, {"/data": "share"})["HostConfig"]["Binds"] == [f"{ID}:/data:rw"]


def test_a_mount_that_an_override_replaces_gets_no_volume() -> None:
    assert treated(NAMED, data="all", replaced={"/data"}) == []
    assert treated(ANONYMOUS, data="all", replaced={"/var/lib/db"}) == []
    assert field_of(NAMED, {"data": "copy"}, replaced={"/data"}) == "options.volumes.data"


def test_a_plan_shows_names_and_no_options() -> None:
    secret = VolumeFacts(name="data", options={"o": "password=hunter2"}, labels={"token": "hunter2"})
    (plan,) = plans(NAMED, {"data": "copy"}, known={"data": secret})
    shown = {"source": "data", "target": "new_data", "mountPoints": ["/data"], "treatment": "copy"}
    assert plan.document() == shown
    assert "hunter2" not in repr(plan)


@pytest.mark.parametrize(
    ("options", "driver", "elsewhere"),
    [
        ({}, "local", False),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"}, "local", False),
        ({"type": "tmpfs", "device": "/", "o": "size=1m, RBIND"}, "local", True),
        ({"type": "tmpfs", "device": "/etc", "o": "bind"}, "local", True),
        ({"type": "none", "device": "/srv", "o": "bind"}, "local", True),
        ({"type": "nfs", "device": ":/export"}, "local", True),
        ({"type": "tmpfs"}, "plugin", True),
    ],
)
def test_options_that_name_a_place_are_told_from_those_of_a_fresh_volume(
    options: dict[str, str], driver: str, elsewhere: bool
) -> None:
    assert VolumeFacts(name="v", driver=driver, options=options).is_elsewhere is elsewhere


def test_paths_are_compared_as_an_engine_does() -> None:
    host = {
        "Binds": ["data:/a/./b/:ro", "/plain/"],
        "Mounts": [{"Type": "volume", "Source": "x", "Target": "/m//n"}, {"Type": "volume", "Target": "/fresh/"}],
        "Tmpfs": {"/tmp/": ""},
    }
    source = inspected(config={"Volumes": {"/a/b": {}, "/v/": {}, "//w": {}}}, host=host)
    assert own_destinations(source) == {"/a/b", "/plain", "/m/n", "/fresh", "/tmp", "/v", "/w"}
    assert unnamed_destinations(source) == {"/plain", "/fresh", "/tmp", "/v", "/w"}
