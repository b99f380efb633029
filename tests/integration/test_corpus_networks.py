"""Sources that are special by their networks, addresses and names in them, cloned on every Engine."""

from __future__ import annotations

from containers_app.engine.gateway import EngineGateway
from tests.integration.laboratory import Kind, Kinds, Laboratory, check_clone

KINDS = Kinds()


@KINDS.add()
def two_networks_with_addresses_and_aliases(lab: Laboratory) -> str:
    first, second = lab.network("first", subnet=1), lab.network("second", subnet=2)
    endpoint = {"Aliases": ["web", "www"], "IPAMConfig": {"IPv4Address": f"10.{lab.octet}.1.77"}}
    networking = {"EndpointsConfig": {f"{lab.word}-first": endpoint}}
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-first"}, "NetworkingConfig": networking})
    lab.start(source)
    lab.join(second, source, {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": f"10.{lab.octet}.2.88"}})
    assert first
    return source


@KINDS.add()
def three_networks_never_started(lab: Laboratory) -> str:
    lab.network("a", subnet=1)
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-a"}})
    lab.join(lab.network("b", subnet=2), source, {"Aliases": ["beta"]})
    lab.join(lab.network("c", subnet=3), source, {"DriverOpts": {"com.example.option": "1"}})
    return source


@KINDS.add()
def network_named_by_id(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": lab.network("byid", subnet=1)}}, start=True)


@KINDS.add()
def network_named_by_an_id_prefix(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": lab.network("prefix", subnet=1)[:12]}}, start=True)


@KINDS.add()
def network_removed_meanwhile(lab: Laboratory) -> str:
    source = lab.container(start=True)
    network = lab.network("doomed", subnet=1)
    lab.join(network, source)
    lab.leave(network, source)
    lab.client.api.remove_network(network)
    return source


@KINDS.add()
def network_left_for_another(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.join(lab.network("only", subnet=1), source, {"Aliases": ["only"]})
    lab.leave(lab.client.api.inspect_network("bridge")["Id"], source)
    return source


@KINDS.add()
def no_networks_at_all(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.leave(lab.client.api.inspect_network("bridge")["Id"], source)
    return source


@KINDS.add()
def network_of_another_container(lab: Laboratory) -> str:
    image = lab.image("exposing", "EXPOSE 80")
    other = lab.container(name="other", start=True)
    return lab.container({"Image": image, "HostConfig": {"NetworkMode": f"container:{other}"}}, start=True)


@KINDS.add()
def host_network(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": "host"}}, start=True)


@KINDS.add()
def no_network(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": "none"}}, start=True)


@KINDS.add()
def links(lab: Laboratory) -> str:
    lab.container(name="target", start=True)
    return lab.container({"HostConfig": {"Links": [f"{lab.word}-target:db", f"{lab.word}-target:cache"]}}, start=True)


@KINDS.add()
def links_in_a_network(lab: Laboratory) -> str:
    lab.network("linked", subnet=1)
    host = {"NetworkMode": f"{lab.word}-linked"}
    lab.container({"HostConfig": host}, name="target", start=True)
    endpoint = {f"{lab.word}-linked": {"Links": [f"{lab.word}-target:db"]}}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}}, start=True)


@KINDS.add()
def configured_mac(lab: Laboratory) -> str:
    mac = "02:aa:bb:cc:00:01"
    if tuple(int(part) for part in lab.client.api.api_version.split(".")) < (1, 44):
        return lab.container({"MacAddress": mac}, start=True)
    return lab.container({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}}, start=True)


@KINDS.add()
def three_networks_while_running(lab: Laboratory) -> str:
    networks = [lab.network(name, subnet=index) for index, name in enumerate("abc", 1)]
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-a"}}, start=True)
    for index, network in enumerate(networks[1:], 2):
        address = {"IPv4Address": f"10.{lab.octet}.{index}.{index}9"}
        lab.join(network, source, {"IPAMConfig": address, "Aliases": [f"n{index}", "Same"]})
    return source


@KINDS.add()
def alias_that_looks_like_an_id(lab: Laboratory) -> str:
    lab.network("names", subnet=1)
    endpoint = {f"{lab.word}-names": {"Aliases": ["0123456789ab", "web"]}}
    host = {"NetworkMode": f"{lab.word}-names"}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}}, start=True)


@KINDS.add()
def mac_in_a_network(lab: Laboratory) -> str:
    lab.network("mac", subnet=1)
    mac, mode = "02:aa:bb:cc:00:02", f"{lab.word}-mac"
    if lab.api < (1, 44):
        return lab.container({"MacAddress": mac, "HostConfig": {"NetworkMode": mode}}, start=True)
    endpoints = {"EndpointsConfig": {mode: {"MacAddress": mac}}}
    return lab.container({"HostConfig": {"NetworkMode": mode}, "NetworkingConfig": endpoints}, start=True)


@KINDS.add(api=(1, 44))
def a_mac_for_each_network(lab: Laboratory) -> str:
    modes = [f"{lab.word}-{name}" for name in "ab"]
    for index, name in enumerate("ab", 1):
        lab.network(name, subnet=index)
    endpoints = {mode: {"MacAddress": f"02:aa:bb:cc:01:0{index}"} for index, mode in enumerate(modes)}
    return lab.container({"HostConfig": {"NetworkMode": modes[0]}, "NetworkingConfig": {"EndpointsConfig": endpoints}})


@KINDS.add()
def addresses_of_both_families(lab: Laboratory) -> str:
    pools = [{"Subnet": f"10.{lab.octet}.1.0/24"}, {"Subnet": f"fd00:{lab.octet:x}::/64"}]
    lab.network("six", subnet=1, EnableIPv6=True, IPAM={"Config": pools})
    addresses = {"IPv4Address": f"10.{lab.octet}.1.50", "IPv6Address": f"fd00:{lab.octet:x}::50"}
    endpoint = {f"{lab.word}-six": {"IPAMConfig": addresses}}
    host = {"NetworkMode": f"{lab.word}-six"}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}}, start=True)


@KINDS.add()
def addresses_given_out_of_both_families(lab: Laboratory) -> str:
    pools = [{"Subnet": f"10.{lab.octet}.1.0/24"}, {"Subnet": f"fd00:{lab.octet:x}::/64"}]
    lab.network("six", subnet=1, EnableIPv6=True, IPAM={"Config": pools})
    return lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-six"}}, start=True)


@KINDS.add()
def addresses_of_the_link(lab: Laboratory) -> str:
    lab.network("link", subnet=1)
    endpoint = {f"{lab.word}-link": {"IPAMConfig": {"LinkLocalIPs": ["169.254.34.68", "169.254.34.69"]}}}
    host = {"NetworkMode": f"{lab.word}-link"}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}}, start=True)


@KINDS.add(api=(1, 48))
def gateways_by_priority(lab: Laboratory) -> str:
    modes = [f"{lab.word}-{name}" for name in "ab"]
    for index, name in enumerate("ab", 1):
        lab.network(name, subnet=index)
    endpoints = {modes[0]: {"GwPriority": -1}, modes[1]: {"GwPriority": 10}}
    networking = {"EndpointsConfig": endpoints}
    return lab.container({"HostConfig": {"NetworkMode": modes[0]}, "NetworkingConfig": networking}, start=True)


@KINDS.add(api=(1, 46))
def kernel_parameters_of_an_endpoint(lab: Laboratory) -> str:
    mode = f"{lab.word}-kernel"
    lab.network("kernel", subnet=1)
    options = {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"}
    networking = {"EndpointsConfig": {mode: {"DriverOpts": options}}}
    return lab.container({"HostConfig": {"NetworkMode": mode}, "NetworkingConfig": networking}, start=True)


@KINDS.add()
def network_without_a_way_out(lab: Laboratory) -> str:
    lab.network("inner", subnet=1, Internal=True)
    return lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-inner"}}, start=True)


@KINDS.add(kernel=True)
def network_by_macvlan(lab: Laboratory) -> str:
    lab.network("mv", subnet=1, Driver="macvlan", Options={"parent": "docker0"})
    endpoint = {f"{lab.word}-mv": {"IPAMConfig": {"IPv4Address": f"10.{lab.octet}.1.9"}}}
    host = {"NetworkMode": f"{lab.word}-mv"}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}})


@KINDS.add(kernel=True)
def network_by_ipvlan(lab: Laboratory) -> str:
    lab.network("iv", subnet=1, Driver="ipvlan", Options={"ipvlan_mode": "l3", "parent": "docker0"})
    return lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-iv"}})


@KINDS.add()
def network_made_anew(lab: Laboratory) -> str:
    source = lab.container({"HostConfig": {"NetworkMode": lab.network("again", subnet=1)}})
    second = lab.network("second", subnet=2)
    lab.join(second, source, {"Aliases": ["kept"]})
    lab.client.api.remove_network(second)
    lab.network("second", subnet=3)
    return source


@KINDS.add(starts=False)
def network_that_is_gone(lab: Laboratory) -> str:
    network = lab.network("gone", subnet=1)
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-gone"}}, start=True)
    lab.client.api.kill(source)
    lab.client.api.remove_network(network)
    return source


@KINDS.add(starts=False)
def network_of_a_container_that_is_gone(lab: Laboratory) -> str:
    other = lab.container(name="other", start=True)
    source = lab.container({"HostConfig": {"NetworkMode": f"container:{lab.word}-other"}}, start=True)
    lab.client.api.kill(source)
    lab.client.api.remove_container(other, force=True)
    return source


@KINDS.add()
def default_network_by_its_name(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": "bridge"}}, start=True)


@KINDS.add()
def default_network_and_another(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.join(lab.network("besides", subnet=1), source, {"Links": None, "Aliases": ["besides"]})
    return source


@KINDS.add()
def link_to_a_container_of_a_link(lab: Laboratory) -> str:
    lab.container(name="first", start=True)
    lab.container({"HostConfig": {"Links": [f"{lab.word}-first:first"]}}, name="second", start=True)
    return lab.container({"HostConfig": {"Links": [f"{lab.word}-second:second"]}}, start=True)


@KINDS.every
def test_a_clone_equals_its_source_before_and_after_its_start(
    kind: Kind, lab: Laboratory, gateway: EngineGateway
) -> None:
    check_clone(kind, lab, gateway)
