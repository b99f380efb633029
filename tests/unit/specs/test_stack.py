from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.placeholder import placeholder_id
from containers_app.specs.reference import is_full_id
from containers_app.specs.stack import (
    Member,
    Renaming,
    check_project,
    circles,
    in_order,
    member,
    new_container_name,
    new_resource_name,
    renamed,
    with_live_networks,
    with_own_volumes,
)
from tests.unit.specs.inspects import Inspect
from tests.unit.workflows.stack_engine import LABEL, container, id_of, mounted

VOLUME = "d" * 64


def waits_for(*services: str) -> dict[str, str]:
    return {LABEL + "depends_on": ",".join(f"{service}:service_healthy:false" for service in services)}


def ordered(*inspects: Inspect) -> list[str]:
    return [entry.name for entry in in_order(map(member, inspects))]


def renaming(**changes: Any) -> Renaming:
    plain: Any = {"project": "shop", "new_project": "new", "names": {}, "containers": {}, "networks": {}, "volumes": {}}
    return Renaming(**{**plain, **changes})


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "a" * 63])
def test_a_projects_name_is_composes_own(name: str) -> None:
    assert check_project(name, field_name="newProject") == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a.b", "a/b", "a" * 64, "ä", "a\n", "a b"])
def test_another_name_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InvalidRequest, match="newProject") as caught:
        check_project(name, field_name="newProject")
    assert caught.value.field == "newProject"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("db:service_healthy:false", {"db": "service_healthy"}),
        (
            "db:service_started:false,job:service_completed_successfully:true",
            {"db": "service_started", "job": "service_completed_successfully"},
        ),
        ("db", {"db": "service_started"}),
    ],
)
def test_what_a_service_waits_for_is_read_from_its_label(text: str, expected: dict[str, str]) -> None:
    assert member(container("web", label={LABEL + "depends_on": text})).depends_on == expected


def test_a_container_without_labels_of_its_own_is_still_a_member() -> None:
    found = member(container("web", config={"Labels": None}))
    assert (found.service, found.number, found.depends_on) == ("", "1", {})


def test_a_member_shows_nothing_of_its_environment() -> None:
    assert "hunter2" not in repr(member(container("web", config={"Env": ["A=hunter2"]})))


def test_members_of_equal_rank_are_ordered_by_name() -> None:
    assert ordered(container("b"), container("c"), container("a")) == ["shop-a-1", "shop-b-1", "shop-c-1"]


def test_a_service_comes_after_all_replicas_of_what_it_depends_on() -> None:
    replicas = [container("z", name=f"shop-z-{number}") for number in (2, 1)]
    assert ordered(container("a", label=waits_for("z")), *replicas) == ["shop-z-1", "shop-z-2", "shop-a-1"]


@pytest.mark.parametrize("word", [id_of("shop-z-1"), id_of("shop-z-1")[:12], "shop-z-1"])
@pytest.mark.parametrize(
    "host",
    [
        {"NetworkMode": "container:%s"},
        {"PidMode": "container:%s"},
        {"IpcMode": "container:%s"},
        {"VolumesFrom": ["%s:ro"]},
        {"VolumesFrom": ["%s"]},
        {"Links": ["/%s:/shop-a-1/db"]},
    ],
)
def test_a_member_comes_after_those_it_refers_to_by_any_word(host: Any, word: str) -> None:
    filled = {
        key: [entry % word for entry in value] if isinstance(value, list) else value % word
        for key, value in host.items()
    }
    assert ordered(container("a", host=filled), container("z")) == ["shop-z-1", "shop-a-1"]


def test_what_is_outside_of_the_project_orders_nothing() -> None:
    stranger = {"NetworkMode": f"container:{id_of('stranger')}", "VolumesFrom": ["other"]}
    assert ordered(container("a", host=stranger, label=waits_for("gone")), container("b")) == ["shop-a-1", "shop-b-1"]


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_a_circle_is_cut_where_one_only_depends_on_the_other(first: str, second: str) -> None:
    refers = container(first, host={"NetworkMode": f"container:{id_of(f'shop-{second}-1')}"})
    depends = container(second, label=waits_for(first))
    assert ordered(refers, depends) == [f"shop-{second}-1", f"shop-{first}-1"]
    assert circles(in_order(map(member, (refers, depends)))) == ()


def test_a_longer_circle_keeps_every_reference_too() -> None:
    uses = container("a", host={"VolumesFrom": [id_of("shop-b-1")]})
    members = (uses, container("b", label=waits_for("c")), container("c", label=waits_for("a")))
    names = ordered(*members)
    assert names.index("shop-b-1") < names.index("shop-a-1")


def test_members_that_all_refer_to_one_another_are_found() -> None:
    one = container("a", host={"VolumesFrom": ["shop-b-1"]})
    other = container("b", host={"IpcMode": f"container:{id_of('shop-a-1')}"})
    found = in_order(map(member, (one, other, container("c"))))
    assert sorted(entry.name for entry in found) == ["shop-a-1", "shop-b-1", "shop-c-1"]
    assert circles(found) == (("shop-a-1", "shop-b-1"),)


def test_a_member_that_refers_to_itself_is_found() -> None:
    assert circles((member(container("a", host={"VolumesFrom": ["shop-a-1"]})),)) == (("shop-a-1", "shop-a-1"),)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12))
def test_everyone_is_in_the_order_once_and_no_reference_is_cut_that_need_not_be(
    edges: list[tuple[int, int, bool]],
) -> None:
    """References from higher to lower numbers have no circle, whatever depends on whatever."""
    hard: dict[int, list[str]] = {number: [] for number in range(6)}
    soft: dict[int, list[str]] = {number: [] for number in range(6)}
    for one, other, refers in edges:
        if refers and one > other:
            hard[one].append(f"shop-s{other}-1")
        elif not refers:
            soft[one].append(f"s{other}")
    every = [
        member(container(f"s{number}", host={"VolumesFrom": hard[number]}, label=waits_for(*soft[number])))
        for number in range(6)
    ]
    found = in_order(reversed(every))
    assert sorted(entry.name for entry in found) == [f"shop-s{number}-1" for number in range(6)]
    assert circles(found) == ()
    assert found == in_order(every)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop-web-1", "new-web-1"),
        ("shop_web_1", "new_web_1"),
        ("shop-web-12", "new-web-12"),
        ("database", "new-database"),
        ("shopping-web-1", "new-shopping-web-1"),
        ("shop", "new-shop"),
    ],
)
def test_a_container_is_named_as_compose_would(name: str, expected: str) -> None:
    assert new_container_name(member(container("web", name=name)), "shop", "new") == expected


def test_only_what_the_project_made_gets_a_new_name() -> None:
    key = LABEL + "volume"
    assert new_resource_name({LABEL + "project": "shop", key: "data"}, key, "shop", "new") == "new_data"
    assert new_resource_name({LABEL + "project": "other", key: "data"}, key, "shop", "new") is None
    assert new_resource_name({LABEL + "project": "shop"}, key, "shop", "new") is None
    assert new_resource_name({}, key, "shop", "new") is None


def test_a_planned_id_is_an_id_and_always_the_same() -> None:
    assert is_full_id(placeholder_id("new-web-1"))
    assert placeholder_id("new-web-1") == placeholder_id("new-web-1") != placeholder_id("new-web-2")


def endpoint_of(found: Inspect, name: str) -> Inspect:
    return dict(found["NetworkSettings"]["Networks"][name])


def test_an_endpoint_moves_to_the_new_network_with_aliases_links_and_address() -> None:
    raw = {
        "Aliases": ["shop-web-1", "web", "db"],
        "Links": ["shop-db-1:db", "outside:o", f"{id_of('shop-db-1')}:byid"],
        "IPAMConfig": {"IPv4Address": "172.29.7.9", "LinkLocalIPs": ["169.254.1.1"]},
        "MacAddress": "02:42:ac:1d:07:09",
    }
    source = container("web", networks={"shop_back": raw, "outside": {}})
    found = renamed(
        source,
        renaming(
            names={"shop-web-1": "new-web-1", "shop-db-1": "new-db-1", id_of("shop-db-1"): "new-db-1"},
            networks={id_of("shop_back"): ("new_back", "9" * 64)},
            addresses={"172.29.7.9": "10.0.0.9"},
        ),
    )
    assert endpoint_of(found, "new_back") == {
        "NetworkID": "9" * 64,
        "Aliases": ["new-web-1", "web", "db"],
        "Links": ["new-db-1:db", "outside:o", "new-db-1:byid"],
        "IPAMConfig": {"IPv4Address": "10.0.0.9", "LinkLocalIPs": ["169.254.1.1"]},
        "MacAddress": "02:42:ac:1d:07:09",
    }
    assert endpoint_of(found, "outside")["NetworkID"] == id_of("outside")
    assert found["HostConfig"]["NetworkMode"] == "new_back"
    assert source["HostConfig"]["NetworkMode"] == "shop_back"


@pytest.mark.parametrize("mode", ["shop_back", id_of("shop_back"), id_of("shop_back")[:12]])
@pytest.mark.parametrize("network_id", ["", id_of("shop_back")])
def test_the_mode_means_the_new_network_by_name_and_by_id(mode: str, network_id: str) -> None:
    source = container("web", networks={"shop_back": {"NetworkID": network_id}}, host={"NetworkMode": mode})
    new = ("new_back", "9" * 64)
    found = renamed(source, renaming(networks={id_of("shop_back"): new, "shop_back": new}))
    assert found["HostConfig"]["NetworkMode"] == (
        "new_back" if network_id or mode == "shop_back" or len(mode) == 64 else mode
    )
    assert list(found["NetworkSettings"]["Networks"]) == ["new_back"]


def test_a_mode_whose_network_was_left_since_does_not_name_the_old_one() -> None:
    source = container("web", networks={"other": {}}, host={"NetworkMode": "shop_back"})
    found = renamed(source, renaming(networks={"shop_back": ("new_back", "9" * 64)}))
    assert found["HostConfig"]["NetworkMode"] == "new_back"


@pytest.mark.parametrize("mode", ["host", "none", "bridge", "default", "", None, "private", "shareable"])
def test_other_modes_stay(mode: str | None) -> None:
    found = renamed(container("web", host={"NetworkMode": mode, "IpcMode": mode}), renaming())
    assert (found["HostConfig"]["NetworkMode"], found["HostConfig"]["IpcMode"]) == (mode, mode)


def test_references_between_members_mean_the_new_ones() -> None:
    old, new, outside = id_of("shop-db-1"), "9" * 64, id_of("outside")
    host = {
        "NetworkMode": f"container:{old}",
        "PidMode": f"container:{old[:12]}",
        "IpcMode": f"container:{outside}",
        "VolumesFrom": [f"{old}:ro", "shop-db-1", f"{outside}:rw"],
        "Links": ["/shop-db-1:/shop-web-1/db"],
    }
    keys = member(container("db")).keys
    found = renamed(
        container("web", host=host),
        renaming(containers=dict.fromkeys(keys, new), names=dict.fromkeys(keys, "new-db-1")),
    )["HostConfig"]
    assert (found["NetworkMode"], found["PidMode"], found["IpcMode"]) == (
        f"container:{new}",
        f"container:{new}",
        f"container:{outside}",
    )
    assert found["VolumesFrom"] == [f"{new}:ro", new, f"{outside}:rw"]
    assert found["Links"] == ["/new-db-1:/shop-web-1/db"]


def test_volumes_are_renamed_wherever_they_stand_and_binds_are_not() -> None:
    host = {
        "Binds": ["shop_data:/data:rw", "/srv/shop_data:/srv", "/anonymous"],
        "Mounts": [
            {"Type": "volume", "Source": "shop_data", "Target": "/m", "VolumeOptions": {"NoCopy": True, "Labels": {}}}
        ],
    }
    found = renamed(
        container("db", host=host, Mounts=[mounted("shop_data", "/data")]), renaming(volumes={"shop_data": "new_data"})
    )
    assert found["HostConfig"]["Binds"] == ["new_data:/data:rw", "/srv/shop_data:/srv", "/anonymous"]
    assert found["HostConfig"]["Mounts"][0]["Source"] == "new_data"
    assert found["HostConfig"]["Mounts"][0]["VolumeOptions"] == {"NoCopy": True}
    assert found["Mounts"][0]["Name"] == "new_data"


@pytest.mark.parametrize(("beside", "expected"), [(True, ""), (False, "02:aa:bb:cc:dd:ee")])
def test_a_mac_is_dropped_beside_the_source_only(beside: bool, expected: str) -> None:
    mac = "02:aa:bb:cc:dd:ee"
    found = renamed(
        container("web", config={"MacAddress": mac}, networks={"front": {"MacAddress": mac}}),
        renaming(drop_macs=beside),
    )
    assert found["Config"]["MacAddress"] == endpoint_of(found, "front")["MacAddress"] == expected


def test_labels_are_kept_but_for_the_projects() -> None:
    source = container("web", label={"mine": "1", LABEL + "config-hash": "abc"})
    assert renamed(source, renaming())["Config"]["Labels"] == {**source["Config"]["Labels"], LABEL + "project": "new"}


def own(*inspects: Inspect) -> list[dict[str, str]]:
    return [dict(entry.own) for entry in with_own_volumes(map(member, inspects))]


@pytest.mark.parametrize(
    "asked",
    [
        {"config": {"Volumes": {"/data": {}}}},
        {"host": {"Binds": ["/data"]}},
        {"host": {"Mounts": [{"Type": "volume", "Target": "/data"}]}},
        # As compose asks for the volume of a container that it makes anew.
        {"host": {"Binds": [f"{VOLUME}:/data:rw"]}},
        {"host": {"Mounts": [{"Type": "volume", "Source": VOLUME, "Target": "/data"}]}},
    ],
)
def test_a_volume_without_a_name_belongs_to_who_asks_for_it(asked: Any) -> None:
    assert own(container("db", Mounts=[mounted(VOLUME, "/data")], **asked)) == [{VOLUME: "/data"}]


def test_a_volume_with_a_name_and_one_of_another_belong_to_nobody() -> None:
    named = container("db", host={"Binds": ["shop_data:/data"]}, Mounts=[mounted("shop_data", "/data")])
    taker = container("side", host={"VolumesFrom": ["shop-db-1"]}, Mounts=[mounted(VOLUME, "/data")])
    assert own(named, taker) == [{}, {}]


def test_of_two_that_ask_for_one_volume_the_first_has_it() -> None:
    """A taker whose image asks for a volume at the same path still gets the giver's."""
    both: Any = {"config": {"Volumes": {"/data": {}}}, "Mounts": [mounted(VOLUME, "/data")]}
    taker = container("side", host={"VolumesFrom": ["shop-db-1"]}, **both)
    assert own(container("db", **both), taker) == [{VOLUME: "/data"}, {}]


BACK = NetworkSummary(id="9" * 64, name="shop_back", driver="bridge")


@pytest.mark.parametrize("known", ["", "8" * 64])
def test_an_endpoint_without_an_id_or_with_a_dead_one_means_the_network_of_its_name(known: str) -> None:
    found = with_live_networks(container("web", networks={"shop_back": {"NetworkID": known}}), (BACK,))
    assert endpoint_of(found, "shop_back")["NetworkID"] == BACK.id


def test_an_endpoint_whose_network_is_gone_stays_as_it_is() -> None:
    source = container("web", networks={"gone": {"NetworkID": "8" * 64}})
    assert with_live_networks(source, (BACK,)) == source
    assert isinstance(member(source), Member)
