from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.specs.bindings import canonical, same_binding
from containers_app.specs.collisions import Collision, World, expected_ports, find_collisions, free_name
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.engine import Holding, NetworkSummary
from containers_app.specs.overrides import read_overrides
from containers_app.specs.reference import check_clone_name
from tests.unit.specs.inspects import BRIDGE, FRONT, IMAGE_ID, Inspect, endpoint, facts, inspected

MAC = "02:aa:bb:cc:dd:ee"
NET = NetworkSummary(id="d" * 64, name="net", driver="bridge", subnets=("10.1.0.0/29", "fd00::/125"))
TWIN = NetworkSummary(id="e" * 64, name="net", driver="bridge", subnets=("10.2.0.0/29",))
NETWORKS = (BRIDGE, FRONT, NET)
APIS = [{"api": "1.41", "engine": "20.10.24"}, {"api": "1.45", "engine": "26.1.5"}]


def holding(name: str = "other", *, running: bool = True, **held: Any) -> Holding:
    return Holding(id="c" * 64, name=name, running=running, **held)


def plan_of(
    source: Inspect, overrides: Inspect | None = None, networks: tuple[NetworkSummary, ...] = NETWORKS, **known: Any
) -> ClonePlan:
    read = read_overrides(overrides or {})
    return build_clone(source, facts(networks=networks, **known), name="clone", labels={}, overrides=read)


def found(plan: ClonePlan, *holdings: Holding, networks: tuple[NetworkSummary, ...] = NETWORKS) -> list[Collision]:
    return list(find_collisions(plan, World(holdings=holdings, networks=networks)))


def proposed(collision: Collision) -> Inspect:
    assert collision.resolution is not None
    return dict(collision.resolution["overrides"])


def resolved(
    source: Inspect, *holdings: Holding, networks: tuple[NetworkSummary, ...] = NETWORKS, **known: Any
) -> Inspect:
    """Lay every proposal over the request: none of its kind is left. Returns the last one."""
    proposal: Inspect = {}
    for collision in found(plan_of(source, networks=networks, **known), *holdings, networks=networks):
        proposal = proposed(collision)
        again = found(plan_of(source, proposal, networks, **known), *holdings, networks=networks)
        assert collision.kind not in [other.kind for other in again]
        assert "network" not in [other.kind for other in again]
    assert proposal
    return proposal


def port(number: str, address: str = "") -> Inspect:
    return {"HostIp": address, "HostPort": number}


def test_a_world_that_holds_nothing_stands_in_no_ones_way() -> None:
    source = inspected(host={"PortBindings": {"80/tcp": [port("8080")], "81/tcp": None}}, config={"MacAddress": MAC})
    assert found(plan_of(source), holding()) == []


def test_a_name_that_is_taken_blocks_the_create_even_by_a_stopped_container() -> None:
    (collision,) = found(plan_of(inspected()), holding("clone", running=False), holding("clone-2"))
    assert (collision.kind, collision.subject, collision.blocks) == ("name", "clone", "create")
    assert collision.resolution == {"name": "clone-3"}


@given(st.sampled_from(["ab", "x" * 63, "x" * 200]), st.sets(st.integers(2, 40)))
def test_a_free_name_is_free_and_one_that_a_request_may_ask_for(wanted: str, numbers: set[int]) -> None:
    taken = {wanted, *(f"{wanted[: 63 - len(str(number)) - 1]}-{number}" for number in numbers)}
    name = free_name(wanted, taken)
    assert name not in taken
    assert check_clone_name(name) == name


def test_a_missing_image_and_a_missing_network_block_the_create() -> None:
    plan = plan_of(inspected(), {"networks": [{"name": "gone"}]}, reference_image_id=None, image_exists=False)
    image, network = found(plan)
    assert (image.kind, image.subject, image.blocks) == ("image", IMAGE_ID, "create")
    assert "image:1" in image.message
    assert (network.kind, network.subject, network.blocks) == ("network", "gone", "create")
    assert "bridge, front, net" in network.message


HELD = ("0.0.0.0", 8080, "tcp")


@pytest.mark.parametrize(
    ("binding", "key", "subject"),
    [
        (port("8080"), "80/tcp", "0.0.0.0:8080/tcp"),
        (port("8080", "0.0.0.0"), "80/tcp", "0.0.0.0:8080/tcp"),
        (port("8080", "127.0.0.1"), "80", "127.0.0.1:8080/tcp"),
        (port("8080-8080"), "80/tcp", "0.0.0.0:8080/tcp"),
        (port("8080", "::"), "80/tcp", None),
        (port("8080"), "80/udp", None),
        (port("8081"), "80/tcp", None),
        (port("8080-8081"), "80/tcp", None),
        (port("0"), "80/tcp", None),
        (port(""), "80/tcp", None),
    ],
)
def test_a_host_port_collides_by_number_protocol_and_address(binding: Inspect, key: str, subject: str | None) -> None:
    plan = plan_of(inspected(host={"PortBindings": {key: [binding]}}))
    collisions = found(plan, holding(ports=(HELD,)))
    assert [collision.subject for collision in collisions] == ([subject] if subject else [])
    assert {(collision.kind, collision.blocks) for collision in collisions} <= {("port", "start")}
    assert found(plan, holding(ports=(HELD,), running=False)) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::", False),
        ("::", "::1", True),
        ("::", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
    ],
)
def test_addresses_exclude_each_other_as_a_kernel_has_it(one: str, other: str, same: bool) -> None:
    assert same_binding((one, 80, "tcp"), (other, 80, "tcp")) is same
    assert same_binding((other, 80, "tcp"), (one, 80, "tcp")) is same
    assert not same_binding((one, 80, "tcp"), (other, 80, "udp"))
    assert canonical("not an address") == "not an address"


def test_a_range_collides_only_when_all_of_it_is_held() -> None:
    plan = plan_of(inspected(host={"PortBindings": {"80/tcp": [port("8080-8081")]}}))
    second = ("::", 8081, "tcp")
    assert found(plan, holding(ports=(HELD,))) == []
    (collision,) = found(plan, holding(ports=(HELD, second)))
    assert collision.subject == "0.0.0.0:8080-8081/tcp"


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    plan = plan_of(inspected(host={"PortBindings": {"80/tcp": [port("80", "::1")]}}))
    (collision,) = found(plan, holding(ports=(("::", 80, "tcp"),)))
    assert collision.subject == "[::1]:80/tcp"


def test_without_a_network_of_its_own_no_port_is_bound() -> None:
    plan = plan_of(inspected(host={"NetworkMode": "host", "PortBindings": {"80/tcp": [port("8080")]}}))
    assert found(plan, holding(ports=(HELD,))) == []


def test_the_proposal_moves_what_is_held_and_keeps_the_rest() -> None:
    bindings = {
        "80/tcp": [port("8080", "127.0.0.1"), port("8080", "127.0.0.2"), port("9000")],
        "81/tcp": [port("8081")],
        "82/udp": [port("")],
        "83/tcp": [port("7000-7002")],
    }
    ports = (HELD, ("0.0.0.0", 7000, "tcp"))
    proposal = resolved(inspected(host={"PortBindings": bindings}), holding(ports=ports))
    shown = [(entry["container"], entry["protocol"], entry["host"], entry["hostIp"]) for entry in proposal["ports"]]
    assert shown == [
        (80, "tcp", 8082, "127.0.0.1"),
        (80, "tcp", 8083, "127.0.0.2"),
        (80, "tcp", 9000, None),
        (81, "tcp", 8081, None),
        (82, "udp", None, None),
        (83, "tcp", 7001, None),
    ]


def test_at_the_end_of_all_ports_any_free_one_is_proposed() -> None:
    source = inspected(host={"PortBindings": {"80/tcp": [port("65535")]}})
    assert resolved(source, holding(ports=(("", 65535, "tcp"),)))["ports"][0]["host"] is None


def test_a_proposal_still_publishes_what_was_published_without_a_binding() -> None:
    exposed: Inspect = {"80/tcp": {}, "90/udp": {}}
    host = {"PortBindings": {"80/tcp": [port("8080")]}, "PublishAllPorts": True}
    proposal = resolved(inspected(config={"ExposedPorts": exposed}, host=host), holding(ports=(HELD,)))
    assert [(entry["container"], entry["host"]) for entry in proposal["ports"]] == [(80, 8081), (90, None)]


NUMBERS = st.integers(1, 6)
BINDINGS = st.lists(
    st.tuples(
        st.sampled_from(["80/tcp", "81/tcp", "80/udp"]),
        st.sampled_from(["", "127.0.0.1", "0.0.0.0", "::", "::1"]),
        st.one_of(
            NUMBERS.map(str), st.tuples(NUMBERS, NUMBERS).map(lambda pair: f"{min(pair)}-{max(pair)}"), st.just("")
        ),
    ),
    max_size=4,
)
HELD_PORTS = st.lists(
    st.tuples(st.sampled_from(["0.0.0.0", "127.0.0.1", "::"]), NUMBERS, st.sampled_from(["tcp", "udp"])), max_size=8
)


@given(BINDINGS, HELD_PORTS)
def test_laid_over_the_request_a_proposal_leaves_no_port_in_the_way(
    wanted: list[tuple[str, str, str]], held: list[tuple[str, int, str]]
) -> None:
    bindings: dict[str, list[Inspect]] = {}
    for key, address, number in wanted:
        bindings.setdefault(key, []).append(port(number, address))
    source, other = inspected(host={"PortBindings": bindings}), holding(ports=tuple(held))
    before = found(plan_of(source), other)
    for collision in before[:1]:
        # Bindings of a source that exclude each other are the source's own fault and are not judged here.
        numbers = [number for _, _, number in wanted if number and "-" not in number]
        if len(numbers) == len(set(numbers)):
            assert found(plan_of(source, proposed(collision)), other) == []


def attached(network: NetworkSummary = NET, **settings: Any) -> Inspect:
    addresses = {key: settings.pop(key) for key in ("IPv4Address", "IPv6Address") if key in settings}
    place = endpoint(network, IPAMConfig=addresses, **settings)
    return inspected(host={"NetworkMode": network.name}, networks={network.name: place})


@pytest.mark.parametrize("known", APIS)
@pytest.mark.parametrize(
    ("address", "taken", "proposal"),
    [
        ("10.1.0.2", ["10.1.0.2"], "10.1.0.3"),
        ("10.1.0.2", ["10.1.0.2", "10.1.0.3"], "10.1.0.4"),
        ("10.1.0.6", ["10.1.0.6"], "10.1.0.2"),
        ("10.1.0.5", ["10.1.0.5", "10.1.0.6", "10.1.0.2", "10.1.0.3"], "10.1.0.4"),
        ("10.1.0.5", [f"10.1.0.{number}" for number in range(2, 7)], None),
        ("10.9.0.5", ["10.9.0.5"], None),
    ],
)
def test_an_address_that_is_held_is_moved_within_its_subnet(
    known: Inspect, address: str, taken: list[str], proposal: str | None
) -> None:
    source = attached(IPv4Address=address, Aliases=["web"])
    network = resolved(source, holding(addresses=tuple(taken)), **known)["networks"][0]
    assert network == {"name": "net", "aliases": ["web"], **({"ipv4Address": proposal} if proposal else {})}


@pytest.mark.parametrize(
    ("address", "proposal"), [("FD00::2", "fd00::3"), ("fd00:0::6", "fd00::2"), ("fd00::5", "fd00::6")]
)
def test_ipv6_addresses_are_compared_in_one_spelling(address: str, proposal: str) -> None:
    source = attached(IPv6Address=address)
    other = holding(addresses=(canonical(address),))
    (collision,) = found(plan_of(source), other)
    assert (collision.kind, collision.subject, collision.blocks) == ("address", canonical(address), "start")
    assert resolved(source, other)["networks"][0]["ipv6Address"] == proposal


def test_a_stopped_containers_address_is_no_collision_but_is_not_proposed() -> None:
    source, stopped = attached(IPv4Address="10.1.0.2"), holding(running=False, addresses=("10.1.0.3", "10.1.0.2"))
    assert found(plan_of(source), stopped) == []
    proposal = resolved(source, holding(addresses=("10.1.0.2",)), stopped)
    assert proposal["networks"][0]["ipv4Address"] == "10.1.0.4"


def test_two_addresses_of_one_clone_are_not_proposed_to_each_other() -> None:
    networks = (
        NetworkSummary(id="1" * 64, name="one", driver="bridge", subnets=("10.1.0.0/28",)),
        NetworkSummary(id="2" * 64, name="two", driver="bridge", subnets=("10.1.0.0/28",)),
    )
    places = {
        network.name: endpoint(network, IPAMConfig={"IPv4Address": f"10.1.0.{number}"})
        for number, network in enumerate(networks, 2)
    }
    source = inspected(host={"NetworkMode": "one"}, networks=places)
    proposal = resolved(source, holding(addresses=("10.1.0.2", "10.1.0.3")), networks=networks)
    assert [entry["ipv4Address"] for entry in proposal["networks"]] == ["10.1.0.4", "10.1.0.5"]


@pytest.mark.parametrize("known", APIS)
def test_a_mac_that_is_held_is_left_out_and_so_is_an_address_that_is_held(known: Inspect) -> None:
    source = attached(IPv4Address="10.1.0.2", MacAddress=MAC)
    source["Config"]["MacAddress"] = MAC.upper()
    other = holding(macs=(MAC,), addresses=("10.1.0.2",))
    kinds = {collision.kind: collision for collision in found(plan_of(source, **known), other)}
    assert set(kinds) == {"address", "mac"}
    assert kinds["mac"].subject == MAC
    for collision in kinds.values():
        assert found(plan_of(source, proposed(collision), **known), other) == []
    assert found(plan_of(source, **known), holding(macs=(MAC,), running=False)) == []


@pytest.mark.parametrize("known", APIS)
def test_the_proposal_names_a_network_by_its_id_where_two_share_the_name(known: Inspect) -> None:
    networks = (BRIDGE, TWIN, NET)
    proposal = resolved(attached(IPv4Address="10.1.0.2"), holding(addresses=("10.1.0.2",)), networks=networks, **known)
    assert proposal["networks"] == [{"name": NET.id, "aliases": [], "ipv4Address": "10.1.0.3"}]


@pytest.mark.parametrize("known", APIS)
def test_a_network_that_is_gone_is_not_proposed(known: Inspect) -> None:
    gone = NetworkSummary(id="9" * 64, name="gone", driver="bridge")
    source = attached(IPv4Address="10.1.0.2")
    source["NetworkSettings"]["Networks"]["gone"] = endpoint(gone)
    proposal = resolved(source, holding(addresses=("10.1.0.2",)), **known)
    assert [entry["name"] for entry in proposal["networks"]] == ["net"]


def test_a_document_has_every_key() -> None:
    plain = Collision(kind="image", subject="x", message="y").document()
    assert plain == {"kind": "image", "subject": "x", "message": "y", "resolution": None, "blocks": None}


def test_the_ports_that_a_clone_will_hold_are_known_before() -> None:
    bindings = {
        "80/tcp": [port("8080", "127.0.0.1"), port("8000-8003")],
        "53/udp": [port("8000-8003"), port(""), port("0")],
    }
    bindings["81/tcp"] = [port("8000-8003")]
    world = World(holdings=(holding(ports=(("", 8000, "tcp"),)), holding(running=False, ports=(("", 8001, "tcp"),))))
    assert expected_ports(plan_of(inspected(host={"PortBindings": bindings})), world) == (
        ("127.0.0.1", 8080, "tcp"),
        ("", 8001, "tcp"),
        ("", 8000, "udp"),
        ("", 8002, "tcp"),
    )
    assert expected_ports(plan_of(inspected(host={"PortBindings": bindings, "NetworkMode": "host"})), world) == ()
