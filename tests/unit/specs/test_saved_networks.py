"""Networks that an Engine has no more are made as they were, unless what they had is somebody else's now."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.errors import ArchiveInvalid
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.saved_networks import lost_networks, network_collisions, saved_stack_networks

POOL = {"Subnet": "10.5.0.0/24", "IPRange": "10.5.0.128/25", "Gateway": "10.5.0.7"}


def saved(**more: Any) -> dict[str, Any]:
    plain = {"Id": "1" * 64, "Name": "own", "Driver": "bridge", "Scope": "local", "Options": {"mtu": "1400"}}
    return {**plain, "Labels": {"team": "one", "org.mycodocker.operation": "x"}, "IPAM": {"Config": [POOL]}, **more}


def container(address: str | None = None, name: str = "own") -> dict[str, Any]:
    configured = {"IPAMConfig": {"IPv4Address": address}} if address else {}
    return {"NetworkSettings": {"Networks": {name: {"NetworkID": "1" * 64, **configured}}}}


def there(name: str, *subnets: str, network_id: str = "2" * 64) -> NetworkSummary:
    return NetworkSummary(id=network_id, name=name, driver="bridge", subnets=subnets)


def test_a_network_that_is_gone_comes_back_as_it_was() -> None:
    (network,) = lost_networks(container("10.5.0.50"), {"own": saved(Internal=True, Attachable=True)}, ())
    assert (network.name, network.driver, network.internal, network.attachable) == ("own", "bridge", True, True)
    assert network.addressing == {"Driver": None, "Options": None, "Config": [POOL]}
    assert (network.labels, network.options) == ({"team": "one"}, {"mtu": "1400"})
    assert list(network_collisions((network,))) == []


@pytest.mark.parametrize("around", [there("own"), there("renamed", network_id="1" * 64)], ids=["by name", "by id"])
def test_a_network_that_is_there_is_not_made(around: NetworkSummary) -> None:
    assert lost_networks(container(), {"own": saved()}, (around,)) == ()


@pytest.mark.parametrize(
    ("name", "raw"),
    [("bridge", {"bridge": saved()}), ("own", {}), ("own", {"own": saved(Scope="swarm")})],
    ids=["an Engine's own", "not saved", "of a swarm"],
)
def test_what_cannot_be_made_is_left_to_the_plan(name: str, raw: dict[str, Any]) -> None:
    assert lost_networks(container(name=name), raw, ()) == ()


def test_a_taken_subnet_gives_way_to_a_free_one() -> None:
    (network,) = lost_networks(container(), {"own": saved()}, (there("other", "10.5.0.0/16"),))
    (pool,) = (network.addressing or {})["Config"]
    assert pool["Subnet"] != POOL["Subnet"]
    assert pool["Gateway"].endswith(".7")
    assert not network.lost_subnet


def test_a_taken_subnet_with_an_address_of_the_container_stands_in_the_way() -> None:
    networks = lost_networks(container("10.5.0.50"), {"own": saved()}, (there("other", "10.5.0.0/16"),))
    (collision,) = network_collisions(networks)
    assert (collision.kind, collision.subject, collision.blocks) == ("network", "own", "create")


@pytest.mark.parametrize("ipam", [{"Config": [{"Subnet": "nowhere"}]}, {"Config": ["text"]}, "text"])
def test_a_network_that_no_engine_told_is_refused(ipam: Any) -> None:
    with pytest.raises(ArchiveInvalid, match="own"):
        lost_networks(container(), {"own": saved(IPAM=ipam)}, ())


OURS = {"com.docker.compose.project": "shop", "com.docker.compose.network": "own"}


def of_a_stack(raw: Any, *around: NetworkSummary, new: str = "shop") -> Any:
    return saved_stack_networks([raw], [], project="shop", new_project=new, around=around)


def test_a_network_of_a_project_comes_back_with_all_of_its_subnets_under_the_projects_name() -> None:
    raw = saved(Name="shop_own", Labels={**OURS, "org.mycodocker.operation": "x"})
    (same,) = of_a_stack(raw)
    assert (same.name, same.labels, same.addressing["Config"]) == ("shop_own", OURS, [POOL])
    (other,) = of_a_stack(raw, there("shop_own", "10.5.0.0/24"), new="copy")
    assert (other.name, other.labels["com.docker.compose.project"]) == ("copy_own", "copy")
    assert other.summary.subnets != ("10.5.0.0/24",)


def test_a_network_that_the_project_only_uses_keeps_its_name_and_is_made_where_it_is_gone() -> None:
    (made,) = of_a_stack(saved(), new="copy")
    assert (made.name, made.labels) == ("own", {"team": "one"})
    assert of_a_stack(saved(), there("own"), new="copy") == ()


def test_a_bridge_has_its_name_on_the_host_only_under_its_own_name() -> None:
    raw = saved(Name="shop_own", Labels=OURS, Options={"com.docker.network.bridge.name": "br-shop"})
    assert of_a_stack(raw)[0].options == {"com.docker.network.bridge.name": "br-shop"}
    assert of_a_stack(raw, new="copy")[0].options == {}


@pytest.mark.parametrize("more", [{"Name": "bridge"}, {"Scope": "swarm"}])
def test_what_an_engine_or_a_swarm_has_itself_is_not_made(more: dict[str, str]) -> None:
    assert of_a_stack(saved(**more)) == ()


@pytest.mark.parametrize("more", [{"IPAM": "text"}, {"Labels": "text"}, {"IPAM": {"Config": [{"Subnet": "nowhere"}]}}])
def test_a_network_of_a_stack_that_no_engine_told_is_refused(more: Any) -> None:
    with pytest.raises(ArchiveInvalid):
        of_a_stack(saved(**more))
