from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from containers_app.specs.engine import NetworkSummary
from containers_app.specs.stack import member
from containers_app.specs.stack_networks import NewNetwork, new_networks
from tests.unit.specs.inspects import Inspect
from tests.unit.workflows.stack_engine import LABEL, SECRET, container, id_of, network

HELD = (NetworkSummary(id="9" * 64, name="shop_back", driver="bridge", subnets=("172.29.7.0/24", "fd01::/64")),)


def made(
    *raw: Inspect, members: tuple[Inspect, ...] = (), around: tuple[NetworkSummary, ...] = HELD
) -> tuple[NewNetwork, ...]:
    return new_networks(raw, map(member, members), project="shop", new_project="new", around=around)


def holder(address: str, key: str = "IPv4Address", **endpoint: Any) -> Inspect:
    return container("db", networks={"shop_back": {"IPAMConfig": {key: address}, **endpoint}})


def test_a_network_that_the_project_only_uses_is_not_made() -> None:
    assert made(network("web", name="web", ours=False)) == ()
    assert made({**network("web", name="web"), "Labels": None}) == ()


def test_a_network_with_a_name_of_its_own_gets_composes() -> None:
    (found,) = made(network("back", name="mine"))
    assert (found.old_name, found.name) == ("mine", "new_back")


def test_all_of_its_settings_are_kept_and_its_labels_are_of_the_new_project() -> None:
    raw = network(
        "back", Internal=True, Attachable=True, EnableIPv6=True, Options={"com.docker.network.driver.mtu": "1400"}
    )
    (found,) = made({**raw, "Driver": "overlay"})
    assert (found.driver, found.internal, found.attachable, found.enable_ipv6) == ("overlay", True, True, True)
    assert found.options == {"com.docker.network.driver.mtu": "1400"}
    assert found.labels == {LABEL + "project": "new", LABEL + "network": "back"}
    assert found.addressing is None
    assert found.shared_parent is None


@pytest.mark.parametrize(
    ("more", "expected"), [({}, True), ({"EnableIPv4": True}, True), ({"EnableIPv4": False}, False)]
)
def test_a_network_without_ipv4_stays_without(more: Inspect, expected: bool) -> None:
    (found,) = made(network("back", **more))
    assert found.enable_ipv4 is expected


def test_what_each_network_has_of_its_own_is_left_to_the_engine() -> None:
    (found,) = made(
        network(
            "back",
            Options={
                "com.docker.network.bridge.name": "br-shop",
                "com.docker.network.driver.overlay.vxlanid_list": "4097",
                "com.docker.network.bridge.enable_icc": "false",
            },
        )
    )
    assert found.options == {"com.docker.network.bridge.enable_icc": "false"}


def test_a_subnet_that_no_member_needs_is_left_to_the_engine() -> None:
    (found,) = made(network("back", subnet="172.29.7.0/24"), members=(container("db", networks={"shop_back": {}}),))
    assert (found.addressing, found.addresses, found.lost_subnet) == (None, {}, False)


@pytest.mark.parametrize("endpoint", [{}, {"NetworkID": ""}])
def test_a_static_address_moves_to_its_place_in_a_free_subnet(endpoint: Inspect) -> None:
    (found,) = made(network("back", subnet="172.29.7.0/24"), members=(holder("172.29.7.9", **endpoint),))
    (subnet,) = found.summary.subnets
    assert subnet != "172.29.7.0/24"
    assert ipaddress.ip_network(subnet).prefixlen == 24
    moved = ipaddress.ip_address(found.addresses["172.29.7.9"])
    assert int(moved) - int(ipaddress.ip_network(subnet).network_address) == 9


def test_where_the_subnet_is_free_every_address_stays() -> None:
    (found,) = made(network("back", subnet="172.29.7.0/24"), members=(holder("172.29.7.9"),), around=())
    assert found.summary.subnets == ("172.29.7.0/24",)
    assert found.addresses == {"172.29.7.9": "172.29.7.9"}


def test_an_address_in_another_network_asks_for_nothing_here() -> None:
    other = container("db", networks={"elsewhere": {"IPAMConfig": {"IPv4Address": "172.29.7.9"}}})
    (found,) = made(network("back", subnet="172.29.7.0/24"), members=(other,))
    assert found.addressing is None


def test_an_ipv6_subnet_is_always_asked_for_as_older_engines_choose_none() -> None:
    raw = network("back", EnableIPv6=True)
    raw["IPAM"]["Config"] = [{"Subnet": "172.29.7.0/24"}, {"Subnet": "fd01::/64", "Gateway": "fd01::1"}]
    (found,) = made(raw, members=(holder("fd01::9", "IPv6Address"),))
    assert found.addressing is not None
    (pool,) = found.addressing["Config"]
    assert pool["Subnet"] != "fd01::/64"
    assert pool["Gateway"] == str(ipaddress.ip_network(pool["Subnet"])[1])
    assert found.addresses == {"fd01::9": str(ipaddress.ip_network(pool["Subnet"])[9])}


def test_without_a_free_subnet_the_plan_knows_that_addresses_are_lost() -> None:
    full = NetworkSummary(
        id="9" * 64, name="all", driver="bridge", subnets=("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    )
    (found,) = made(network("back", subnet="172.29.7.0/24"), members=(holder("172.29.7.9"),), around=(full,))
    assert (found.lost_subnet, found.addresses) == (True, {})


def test_two_networks_of_a_project_never_get_one_subnet_and_fixed_ones_are_made_first() -> None:
    back, side = network("back", subnet="172.29.7.0/24"), network("side", subnet="172.29.8.0/24")
    both = container(
        "db",
        networks={
            "shop_back": {"IPAMConfig": {"IPv4Address": "172.29.7.9"}},
            "shop_side": {"IPAMConfig": {"IPv4Address": "172.29.8.9"}},
        },
    )
    held = (NetworkSummary(id="9" * 64, name="x", driver="bridge", subnets=("172.29.0.0/16",)),)
    found = made(network("any"), back, side, members=(both,), around=held)
    assert [entry.name for entry in found] == ["new_back", "new_side", "new_any"]
    one, other = (ipaddress.ip_network(entry.summary.subnets[0]) for entry in found[:2])
    assert not one.overlaps(other)


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_network_on_an_interface_keeps_its_parent_and_asks_for_a_subnet(driver: str) -> None:
    raw = network("lan", subnet="172.29.7.0/24", Options={"parent": "eth0.50"})
    (found,) = made({**raw, "Driver": driver})
    assert (found.options["parent"], found.shared_parent) == ("eth0.50", "eth0.50")
    assert len(found.summary.subnets) == 1


def test_an_address_manager_of_its_own_is_kept_with_its_options() -> None:
    raw = network("back")
    raw["IPAM"] = {"Driver": "infoblox", "Options": {"token": SECRET}, "Config": None}
    (found,) = made(raw)
    assert found.addressing == {"Driver": "infoblox", "Options": {"token": SECRET}, "Config": []}


def test_nothing_that_may_be_secret_is_shown() -> None:
    raw = network("back", Options={"key": SECRET})
    raw["IPAM"] = {"Driver": "x", "Options": {"token": SECRET}, "Config": []}
    raw["Labels"] = {**raw["Labels"], "token": SECRET}
    (found,) = made(raw)
    assert SECRET not in repr(found) + str(found.document())
    assert found.options == {"key": SECRET}
    assert found.old_id == id_of("shop_back")
