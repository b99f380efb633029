from __future__ import annotations

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.clone_networks import NetworkPlan, chosen_networks
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.overrides import read_overrides
from tests.unit.specs.inspects import BACK, BRIDGE, FRONT, Inspect

HOST = NetworkSummary(id="8" * 64, name="host", driver="host")
NONE = NetworkSummary(id="7" * 64, name="none", driver="null")
TWIN = NetworkSummary(id="e" * 64, name="front", driver="bridge")
LIMITED = NetworkSummary(id="d" * 64, name="limited", driver="bridge", subnets=("10.1.0.0/24", "fd00::/64"))
EVERY = (BRIDGE, FRONT, BACK, HOST, NONE, LIMITED)
OLD, NEW = (1, 41), (1, 44)


def chosen(*networks: Inspect, api: tuple[int, ...] = NEW, known: tuple[NetworkSummary, ...] = EVERY) -> NetworkPlan:
    wanted = read_overrides({"networks": list(networks)}).networks
    assert wanted is not None
    return chosen_networks(wanted, networks=known, api=api)


def mistake(*networks: Inspect, known: tuple[NetworkSummary, ...] = EVERY) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        chosen(*networks, known=known)
    assert str(caught.value.field) in caught.value.message
    return caught.value.field


def sent(plan: NetworkPlan) -> Inspect:
    return {key: endpoint.body() for key, endpoint in plan.at_create.items()}


def test_a_newer_engine_gets_all_chosen_networks_at_once() -> None:
    plan = chosen({"name": "front", "aliases": ["web"]}, {"name": "limited", "ipv4Address": "10.1.0.9"})
    assert plan.mode == "front"
    assert sent(plan) == {"front": {"Aliases": ["web"]}, "limited": {"IPAMConfig": {"IPv4Address": "10.1.0.9"}}}
    assert (plan.connect_after, plan.disconnect_after, plan.mac_address) == ((), (), None)


def test_an_older_engine_joins_the_others_after() -> None:
    plan = chosen({"name": "front"}, {"name": "back", "aliases": ["db"]}, api=OLD)
    assert (plan.mode, sent(plan)) == ("front", {"front": {}})
    assert [(join.network_id, join.endpoint.body()) for join in plan.connect_after] == [(BACK.id, {"Aliases": ["db"]})]


def test_no_network_at_all_is_the_mode_none() -> None:
    assert chosen() == NetworkPlan(mode="none", at_create={})


@pytest.mark.parametrize("network", [HOST, NONE])
@pytest.mark.parametrize("reference", ["name", "id", "prefix"])
def test_the_engines_own_networks_are_known_by_name_however_they_are_chosen(
    network: NetworkSummary, reference: str
) -> None:
    name = {"name": network.name, "id": network.id, "prefix": network.id[:12]}[reference]
    assert chosen({"name": name}) == NetworkPlan(mode=network.name, at_create={})


@pytest.mark.parametrize("api", [OLD, NEW])
def test_an_id_and_a_prefix_are_sent_as_the_full_id(api: tuple[int, ...]) -> None:
    for reference in (FRONT.id, FRONT.id[:12]):
        plan = chosen({"name": reference}, api=api)
        assert plan.mode == FRONT.id
        assert sent(plan) == {FRONT.id: {}}


def test_a_network_that_is_not_there_is_missing_and_the_others_are_kept() -> None:
    plan = chosen({"name": "gone"}, {"name": "front"})
    assert (plan.missing, plan.mode, sent(plan)) == (("gone",), "front", {"front": {}})
    assert chosen({"name": "gone"}).missing == ("gone",)


@pytest.mark.parametrize(
    ("networks", "field"),
    [
        (({"name": "front"}, {"name": FRONT.id}), "networks[1].name"),
        (({"name": "front"}, {"name": HOST.id}), "networks[0].name"),
        (({"name": "bridge", "aliases": ["web"]},), "networks[0].aliases"),
        (({"name": "bridge", "ipv4Address": "172.17.0.9"},), "networks[0].ipv4Address"),
        (({"name": "host", "ipv4Address": "10.0.0.9"},), "networks[0].ipv4Address"),
        (({"name": "front"}, {"name": "limited", "ipv4Address": "10.2.0.9"}), "networks[1].ipv4Address"),
        (({"name": "limited", "ipv6Address": "fd01::9"},), "networks[0].ipv6Address"),
    ],
)
def test_what_an_engine_would_refuse_names_its_field(networks: tuple[Inspect, ...], field: str) -> None:
    assert mistake(*networks) == f"options.overrides.{field}"


def test_an_ambiguous_name_is_refused_and_an_id_of_one_of_them_is_not() -> None:
    known = (FRONT, TWIN)
    assert mistake({"name": "front"}, known=known) == "options.overrides.networks[0].name"
    assert chosen({"name": TWIN.id}, known=known).mode == TWIN.id
