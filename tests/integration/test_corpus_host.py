"""Sources that are special by their limits, namespaces, ports, logs or power, cloned on every Engine."""

from __future__ import annotations

import json
from pathlib import Path

from containers_app.engine.gateway import EngineGateway
from tests.integration.laboratory import Body, Kind, Kinds, Laboratory, check_clone

KINDS = Kinds()


@KINDS.add()
def limits_and_kernel_parameters(lab: Laboratory) -> str:
    limits = [{"Name": "nofile", "Soft": 512, "Hard": 1024}, {"Name": "core", "Soft": 0, "Hard": 0}]
    return lab.container({"HostConfig": {"Ulimits": limits, "Sysctls": {"net.ipv4.ip_forward": "0"}}})


@KINDS.add()
def processor_and_memory_limits(lab: Laboratory) -> str:
    host = {
        "Memory": 64 * 2**20,
        "MemoryReservation": 32 * 2**20,
        "CpuShares": 512,
        "CpuPeriod": 100000,
        "CpuQuota": 50000,
        "PidsLimit": 50,
        "OomScoreAdj": 100,
        "ShmSize": 2**20,
    }
    return lab.container({"HostConfig": host})


@KINDS.add()
def logging(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}})


@KINDS.add()
def ports(lab: Laboratory) -> str:
    base = 20000 + lab.octet * 20
    bindings = {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(base)}, {"HostPort": str(base + 1)}],
        "81/tcp": [{"HostPort": f"{base + 2}-{base + 6}"}],
        "82/udp": [{"HostPort": ""}],
        "83/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(base + 7)}],
        "84/tcp": [{"HostIp": "127.0.0.2", "HostPort": str(base + 7)}],
    }
    exposed: Body = {port: {} for port in bindings}
    return lab.container({"ExposedPorts": exposed, "HostConfig": {"PortBindings": bindings}}, start=True)


@KINDS.add()
def all_ports_published(lab: Laboratory) -> str:
    return lab.container({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PublishAllPorts": True}}, start=True)


@KINDS.add(kernel=True)
def host_power(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Privileged": True, "PidMode": "host", "IpcMode": "host"}})


@KINDS.add()
def host_name_of_the_host(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"UTSMode": "host"}}, start=True)


@KINDS.add()
def namespaces_of_another_container(lab: Laboratory) -> str:
    other = lab.container({"HostConfig": {"IpcMode": "shareable"}}, name="other", start=True)
    modes = {"PidMode": f"container:{other}", "IpcMode": f"container:{other}"}
    return lab.container({"HostConfig": modes}, start=True)


@KINDS.add()
def security(lab: Laboratory) -> str:
    host = {
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": ["/proc/sys"],
        "ReadonlyRootfs": True,
        "GroupAdd": ["1234"],
        "Init": False,
    }
    return lab.container({"HostConfig": host}, start=True)


@KINDS.add()
def devices(lab: Laboratory) -> str:
    device = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"}
    return lab.container({"HostConfig": {"Devices": [device], "DeviceCgroupRules": ["c 1:3 r"]}}, start=True)


@KINDS.add(starts=False)
def ports_of_every_protocol_and_family(lab: Laboratory) -> str:
    # Not started: Engines refuse one of these ports now and then as allocated already, though nothing else holds it.
    base = 10000 + lab.octet * 20
    bindings = {
        "53/udp": [{"HostIp": "::1", "HostPort": str(base)}],
        "53/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(base + 1)}],
        "54/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(base + 2)}],
        "55/tcp": None,
        "56/tcp": [],
    }
    exposed: Body = {port: {} for port in bindings}
    return lab.container({"ExposedPorts": exposed, "HostConfig": {"PortBindings": bindings}})


@KINDS.add()
def one_port_bound_twice(lab: Laboratory) -> str:
    base = 15000 + lab.octet * 20
    bindings = {"80/tcp": [{"HostPort": str(base)}, {"HostPort": str(base + 1)}, {"HostPort": str(base)}]}
    # Both cannot be bound: such a container can be made, but not be started.
    return lab.container({"HostConfig": {"PortBindings": bindings}})


@KINDS.add(kernel=True)
def privileged(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Privileged": True}})


@KINDS.add()
def private_control_groups(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"CgroupnsMode": "private"}})


@KINDS.add()
def control_groups_of_the_host(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"CgroupnsMode": "host"}})


@KINDS.add()
def control_group_of_its_own(lab: Laboratory) -> str:
    parent = f"{lab.engine.control_group}/{lab.word}"
    return lab.container({"HostConfig": {"CgroupParent": parent}})


@KINDS.add()
def process_one_of_the_engine(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Init": True}}, start=True)


@KINDS.add()
def runtime_by_name(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Runtime": "io.containerd.runc.v2"}})


@KINDS.add()
def processors_by_number(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"CpusetCpus": "0", "CpusetMems": "0"}})


@KINDS.add()
def processors_by_fraction_and_swap(lab: Laboratory) -> str:
    host = {"NanoCpus": 500_000_000, "Memory": 64 * 2**20, "MemorySwap": -1, "MemorySwappiness": 10}
    return lab.container({"HostConfig": {**host, "OomKillDisable": True}})


@KINDS.add(until=(1, 41))
def kernel_memory(lab: Laboratory) -> str:
    host = {"KernelMemory": 32 * 2**20, "KernelMemoryTCP": 16 * 2**20, "Memory": 64 * 2**20}
    return lab.container({"HostConfig": host})


@KINDS.add(kernel=True)
def realtime_processor(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"CpuRealtimePeriod": 1000000, "CpuRealtimeRuntime": 950000}})


@KINDS.add()
def block_weight(lab: Laboratory) -> str:
    device = [{"Path": block_device(), "Weight": 200}]
    return lab.container({"HostConfig": {"BlkioWeight": 300, "BlkioWeightDevice": device}})


@KINDS.add()
def block_rates(lab: Laboratory) -> str:
    path, keys = block_device(), ("ReadBps", "WriteBps", "ReadIOps", "WriteIOps")
    limits = {f"BlkioDevice{key}": [{"Path": path, "Rate": 2**20 + index}] for index, key in enumerate(keys)}
    return lab.container({"HostConfig": limits})


def block_device() -> str:
    """A device of this machine that input and output can be limited for."""
    names = [line.split()[-1] for line in Path("/proc/partitions").read_text().splitlines()[2:]]
    return next((f"/dev/{name}" for name in names if Path("/dev", name).is_block_device()), "/dev/null")


@KINDS.add()
def no_logging(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"LogConfig": {"Type": "none", "Config": {}}}})


@KINDS.add()
def logging_with_every_option(lab: Laboratory) -> str:
    options = {
        "max-size": "1m",
        "max-file": "3",
        "labels": "a,b",
        "env": "PATH",
        "tag": "{{.Name}}",
        "mode": "non-blocking",
    }
    return lab.container({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": options}}})


@KINDS.add()
def logging_by_another_driver(lab: Laboratory) -> str:
    log = {"Type": "local", "Config": {"max-size": "2m", "compress": "false"}}
    return lab.container({"HostConfig": {"LogConfig": log}})


@KINDS.add(api=(1, 43))
def annotations_for_the_runtime(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Annotations": {"org.example.one": "1", "org.example.two": "zwölf\n"}}})


@KINDS.add(starts=False)
def device_requests(lab: Laboratory) -> str:
    # A machine without such a device can make the container and not start it.
    request = {
        "Driver": "nvidia",
        "DeviceIDs": ["0", "GPU-1"],
        "Capabilities": [["gpu", "utility"]],
        "Options": {"a": "b"},
    }
    by_number = {"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}
    return lab.container({"HostConfig": {"DeviceRequests": [request, by_number]}})


@KINDS.add()
def names_looked_up_elsewhere(lab: Laboratory) -> str:
    host = {
        "Dns": ["10.0.0.2", "2001:db8::1"],
        "DnsOptions": ["ndots:3", "rotate"],
        "DnsSearch": ["example.org", "."],
        "ExtraHosts": ["one:10.0.0.1", "six:2001:db8::1", "gateway:host-gateway"],
    }
    return lab.container({"HostConfig": host})


@KINDS.add()
def groups_by_name_and_number(lab: Laboratory) -> str:
    return lab.container({"User": "sample:root", "HostConfig": {"GroupAdd": ["sample", "4242"]}})


@KINDS.add()
def user_namespace_of_the_host(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"UsernsMode": "host"}})


@KINDS.add()
def memory_shared_with_nobody(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"IpcMode": "none"}})


@KINDS.add()
def memory_shareable(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"IpcMode": "shareable", "ShmSize": 2**21}})


@KINDS.add()
def processes_of_the_host(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"PidMode": "host"}})


@KINDS.add(kernel=True)
def storage_options(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"StorageOpt": {"size": "120m"}}})


@KINDS.add()
def read_only_with_masked_paths(lab: Laboratory) -> str:
    host = {
        "ReadonlyRootfs": True,
        "MaskedPaths": ["/proc/kcore", "/proc/keys"],
        "ReadonlyPaths": ["/proc/bus"],
        "Tmpfs": {"/tmp": "rw,noexec,nosuid,size=65536k"},
        "CapDrop": ["ALL"],
        "CapAdd": ["CAP_CHOWN", "KILL"],
    }
    return lab.container({"HostConfig": host})


@KINDS.add()
def system_calls_by_a_profile(lab: Laboratory) -> str:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    options = [f"seccomp={json.dumps(profile)}", "label=disable", "apparmor=unconfined", "no-new-privileges:true"]
    return lab.container({"HostConfig": {"SecurityOpt": options}})


@KINDS.add()
def nothing_masked(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"MaskedPaths": [], "ReadonlyPaths": []}})


@KINDS.every
def test_a_clone_equals_its_source_before_and_after_its_start(
    kind: Kind, lab: Laboratory, gateway: EngineGateway
) -> None:
    check_clone(kind, lab, gateway)
