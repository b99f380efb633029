from __future__ import annotations

import pytest

from containers_app.specs.engine import NetworkSummary
from containers_app.specs.network import EndpointSpec, find_network, generated_mac, hardware_mac, own_aliases

FRONT = NetworkSummary(id="a" * 64, name="front", driver="bridge")
TWIN = NetworkSummary(id="b" * 64, name="front", driver="bridge")
BACK = NetworkSummary(id="c" * 64, name="back", driver="bridge")
CONTAINER = "0123456789ab" + "0" * 52


def test_a_network_is_found_by_the_id_its_source_had() -> None:
    found = find_network("renamed", FRONT.id, (FRONT, BACK))
    assert found is not None
    assert (found.network, found.replaced, found.ambiguous) == (FRONT, False, False)


def test_a_name_that_two_networks_have_is_ambiguous_even_when_the_id_is_known() -> None:
    found = find_network("front", TWIN.id, (FRONT, TWIN))
    assert found is not None
    assert (found.network, found.ambiguous) == (TWIN, True)


def test_a_network_made_anew_under_the_name_is_taken_and_told() -> None:
    found = find_network("front", "d" * 64, (FRONT, BACK))
    assert found is not None
    assert (found.network, found.replaced) == (FRONT, True)


def test_a_network_of_a_source_that_never_ran_is_found_by_its_name() -> None:
    found = find_network("front", "", (FRONT, BACK))
    assert found is not None
    assert (found.network, found.replaced, found.ambiguous) == (FRONT, False, False)


@pytest.mark.parametrize("name", ["a" * 12, "a" * 64])
def test_a_network_can_be_named_by_its_id_or_a_prefix(name: str) -> None:
    found = find_network(name, "", (FRONT, BACK))
    assert found is not None
    assert found.network == FRONT


@pytest.mark.parametrize(("name", "identifier"), [("gone", ""), ("gone", "d" * 64), ("", "")])
def test_a_network_that_is_gone_is_not_found(name: str, identifier: str) -> None:
    assert find_network(name, identifier, (FRONT, BACK)) is None


def test_only_configuration_of_an_endpoint_is_kept() -> None:
    raw = {
        "IPAMConfig": {"IPv4Address": "10.0.0.9"},
        "Links": ["db:database"],
        "Aliases": ["web", CONTAINER[:12]],
        "DriverOpts": {"a": "b"},
        "GwPriority": 7,
        "NetworkID": "a" * 64,
        "EndpointID": "b" * 64,
        "Gateway": "10.0.0.1",
        "IPAddress": "10.0.0.9",
        "IPPrefixLen": 24,
        "MacAddress": "02:42:0a:00:00:09",
        "DNSNames": ["web", CONTAINER[:12], "source"],
    }
    endpoint = EndpointSpec.of(raw, CONTAINER, None)
    assert endpoint.body() == {
        "IPAMConfig": {"IPv4Address": "10.0.0.9"},
        "Links": ["db:database"],
        "Aliases": ["web"],
        "DriverOpts": {"a": "b"},
        "GwPriority": 7,
    }
    assert endpoint.static_addresses == ("10.0.0.9",)


def test_a_configured_mac_is_sent() -> None:
    assert EndpointSpec.of({}, CONTAINER, "02:aa:00:00:00:01").body() == {"MacAddress": "02:aa:00:00:00:01"}


def test_the_short_id_is_nobodys_alias() -> None:
    assert own_aliases((CONTAINER[:12],), CONTAINER) is None
    assert own_aliases(None, CONTAINER) is None


@pytest.mark.parametrize(
    ("mac", "address", "generated"),
    [
        ("02:42:0a:00:00:09", "10.0.0.9", True),
        ("02:42:0A:00:00:09", "10.0.0.9", True),
        ("02:42:0a:00:00:08", "10.0.0.9", False),
        ("02:aa:0a:00:00:09", "10.0.0.9", False),
        ("02:42:0a:00:00:09", "", False),
        ("02:42:0a:00:00:09", "fd00::1", False),
    ],
)
def test_a_mac_derived_from_the_address_is_generated(mac: str, address: str, generated: bool) -> None:
    assert generated_mac(mac, address) is generated


@pytest.mark.parametrize(
    ("mac", "hardware"),
    [("00:16:3e:00:00:07", True), ("1e:d8:19:ae:62:9a", False), ("02:42:ac:11:00:02", False), ("", False)],
)
def test_an_address_of_a_maker_is_told_from_one_that_an_engine_generates(mac: str, hardware: bool) -> None:
    assert hardware_mac(mac) is hardware
