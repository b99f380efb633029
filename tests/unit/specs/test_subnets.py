from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.specs.subnets import Network, free_subnet, moved, parsed, pool_body, within

PRIVATE = ("172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16")


def subnets(text: str, lowest: int, highest: int) -> st.SearchStrategy[str]:
    """Subnets inside of one."""
    whole = ipaddress.ip_network(text)

    def cut(drawn: tuple[int, int]) -> str:
        address = int(whole.network_address) + drawn[0] % whole.num_addresses
        return str(ipaddress.ip_network((address, drawn[1]), strict=False))

    return st.tuples(st.integers(0, 2**128), st.integers(lowest, highest)).map(cut)


FOURS = st.one_of(*(subnets(text, int(text.partition("/")[2]), 30) for text in PRIVATE))
SIXES = subnets("fd00::/8", 40, 125)


@given(old=FOURS | SIXES, taken=st.lists(FOURS | SIXES, max_size=12), seed=st.text(max_size=5))
def test_a_free_subnet_overlaps_nothing_and_has_the_old_size(old: str, taken: list[str], seed: str) -> None:
    held = parsed(taken)
    found = free_subnet(old, held, seed=seed)
    assert found == free_subnet(old, held, seed=seed)
    if found is None:
        fours = [entry for entry in held if isinstance(entry, ipaddress.IPv4Network)]
        full = ipaddress.ip_network("10.0.0.0/8") in set(ipaddress.collapse_addresses(fours))
        assert full or ipaddress.ip_network(old).prefixlen < 24
        return
    fresh: Network = ipaddress.ip_network(found)
    assert fresh.prefixlen == ipaddress.ip_network(old).prefixlen
    assert fresh.is_private
    assert not [entry for entry in held if entry.version == fresh.version and entry.overlaps(fresh)]


def test_a_subnet_that_nobody_has_is_kept() -> None:
    assert free_subnet("172.29.7.0/24", parsed(["172.29.8.0/24", ""]), seed="n") == "172.29.7.0/24"
    assert free_subnet("fd01::/64", [], seed="n") == "fd01::/64"


@pytest.mark.parametrize("prefix", [24, 28, 30])
def test_what_is_taken_whole_is_stepped_over_into_the_next_range(prefix: int) -> None:
    assert free_subnet(f"172.29.7.0/{prefix}", parsed(["172.16.0.0/12"]), seed="n") == f"10.0.0.0/{prefix}"
    assert free_subnet(f"172.29.7.0/{prefix}", parsed(PRIVATE[:2]), seed="n") == f"192.168.0.0/{prefix}"


def test_where_everything_is_taken_there_is_none() -> None:
    assert free_subnet("172.29.7.0/24", parsed(PRIVATE), seed="n") is None
    assert free_subnet("10.0.0.0/7", parsed(["10.0.0.0/8"]), seed="n") is None
    assert free_subnet("fd01::/64", parsed(["fc00::/7"]), seed="n") is None
    assert free_subnet("::/0", parsed(["fd00::/8"]), seed="n") is None


@pytest.mark.parametrize("prefix", [8, 40, 48, 56, 64, 80, 125])
def test_two_pools_of_one_network_get_two_subnets(prefix: int) -> None:
    old = str(ipaddress.ip_network(("fd12:3456:789a::", prefix), strict=False))
    taken = parsed([old])
    first = free_subnet(old, taken, seed="n")
    if prefix == 8:
        assert first is None
        return
    assert first is not None
    second = free_subnet(old, [*taken, *parsed([first])], seed="n")
    assert second not in (None, first, old)


@given(old=FOURS, new=FOURS, place=st.integers(0, 3))
def test_an_address_keeps_its_place(old: str, new: str, place: int) -> None:
    before, after = ipaddress.ip_network(old), ipaddress.ip_network(new)
    address = str(before[place])
    assert moved(address, old, new) == str(after.network_address + place)
    assert moved(moved(address, old, new), new, old) == address


def test_range_gateway_and_reserved_addresses_move_along() -> None:
    pool = {
        "Subnet": "172.29.0.0/16",
        "IPRange": "172.29.5.0/24",
        "Gateway": "172.29.0.254",
        "AuxiliaryAddresses": {"router": "172.29.5.1"},
    }
    assert pool_body(pool, "10.1.0.0/16") == {
        "Subnet": "10.1.0.0/16",
        "IPRange": "10.1.5.0/24",
        "Gateway": "10.1.0.254",
        "AuxiliaryAddresses": {"router": "10.1.5.1"},
    }
    assert pool_body({"Subnet": "fd00::/64", "Gateway": "fd00::1/64"}, "fd01::/64") == {
        "Subnet": "fd01::/64",
        "Gateway": "fd01::1",
    }


@pytest.mark.parametrize(
    ("address", "subnet", "expected"),
    [
        ("172.29.7.9", "172.29.7.0/24", True),
        ("172.29.8.9", "172.29.7.0/24", False),
        ("fd00::9", "fd00::/64", True),
        ("fd00::9", "172.29.7.0/24", False),
        ("172.29.7.9", "::/0", False),
    ],
)
def test_an_address_lies_only_in_subnets_of_its_kind(address: str, subnet: str, expected: bool) -> None:
    assert within(address, subnet) is expected
