from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.clone_volumes import VolumeFacts, plan_volumes, with_volumes
from containers_app.specs.container import build_clone
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.overrides import read_overrides
from containers_app.specs.privilege import effective_powers, host_powers
from tests.unit.specs.inspects import BRIDGE, FRONT, facts, inspected

Inspect = dict[str, Any]
ORDINARY: Inspect = {
    "Privileged": False,
    "CapAdd": None,
    "CapDrop": ["ALL"],
    "NetworkMode": "web",
    "PidMode": "",
    "IpcMode": "private",
    "UTSMode": "",
    "UsernsMode": "",
    "CgroupnsMode": "host",
    "Runtime": "runc",
    "SecurityOpt": ["no-new-privileges", "apparmor=docker-default"],
    "MaskedPaths": ["/proc/acpi", "/proc/kcore"],
    "ReadonlyPaths": ["/proc/bus", "/proc/sys"],
    "OomScoreAdj": 0,
    "Memory": 1 << 20,
    "Ulimits": [],
}


def container(mounts: list[Inspect] | None = None, **host: object) -> Inspect:
    return {"HostConfig": {**ORDINARY, **host}, "Mounts": mounts or []}


def bound(path: str, *, writable: bool = True) -> Inspect:
    return {"Type": "bind", "Source": path, "Destination": "/x", "RW": writable, "Propagation": "rprivate"}


def test_an_ordinary_container_has_no_power_over_its_host() -> None:
    volume = {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data"}
    inspect = container([bound("/srv/app"), bound("/home/me/project"), volume], Binds=["data:/data", "/srv/app:/x"])
    assert host_powers(inspect, {"data": {"Options": None, "Driver": "local"}}) == ()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"Privileged": True}, "privileged"),
        ({"CapAdd": ["ALL"]}, "capability ALL"),
        ({"CapAdd": ["CAP_SYS_ADMIN"]}, "CAP_SYS_ADMIN"),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, "/dev/sda"),
        ({"DeviceCgroupRules": ["a *:* rwm"]}, "a *:* rwm"),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, "devices of a driver"),
        ({"PidMode": "host"}, "process namespace"),
        ({"PidMode": "container:" + "a" * 64}, "another container"),
        ({"IpcMode": "host"}, "inter-process"),
        ({"IpcMode": "container:" + "a" * 64}, "another container"),
        ({"NetworkMode": "host"}, "network namespace"),
        ({"UTSMode": "host"}, "host name namespace"),
        ({"UsernsMode": "host"}, "user namespace"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "seccomp=unconfined"),
        ({"SecurityOpt": ["apparmor:unconfined"]}, "apparmor=unconfined"),
        ({"SecurityOpt": ["systempaths=unconfined"]}, "systempaths=unconfined"),
        ({"SecurityOpt": ["label=disable"]}, "label=disable"),
        ({"SecurityOpt": ["label:disable"]}, "label=disable"),
        ({"SecurityOpt": ["label=type:spc_t"]}, "spc_t"),
        ({"SecurityOpt": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']}, "seccomp profile of its own"),
        ({"MaskedPaths": []}, "hidden or read only"),
        ({"ReadonlyPaths": []}, "hidden or read only"),
        ({"CgroupParent": "/"}, "control group /"),
        ({"Runtime": "nvidia"}, "runtime nvidia"),
        ({"OomScoreAdj": -1000}, "spared"),
        ({"OomKillDisable": True}, "never killed"),
        ({"Binds": ["/:/host:ro"]}, "path /."),
        ({"Binds": ["/srv/../etc:/x"]}, "path /etc"),
        ({"Mounts": [{"Type": "bind", "Source": "/root", "Target": "/x"}]}, "/root"),
        ({"Mounts": [{"Type": "bind", "Source": "/a", "BindOptions": {"Propagation": "rshared"}}]}, "shared"),
        (
            {
                "Mounts": [
                    {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"device": "/", "o": "bind"}}}}
                ]
            },
            "host's path /",
        ),
    ],
)
def test_every_power_in_the_configuration_is_named(host: Inspect, words: str) -> None:
    (sentence,) = host_powers(container(**host), {})
    assert words in sentence


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/.",
        "/srv/..",
        "/etc",
        "/etc/shadow",
        "/srv/../etc/passwd",
        "/root/.ssh",
        "/proc",
        "/proc/1/root",
        "/sys/fs/cgroup",
        "/dev/mem",
        "/boot",
        "/run",
        "/var/run",
        "/var",
        "/var/lib",
        "/var/lib/docker/overlay2",
        "/usr/local/bin",
        "/home",
        "/home/me",
        "/home/me/.ssh/id_ed25519",
    ],
)
def test_a_bind_of_the_hosts_own_paths_is_a_power(path: str) -> None:
    (sentence,) = host_powers(container([bound(path)]), {})
    assert "host's path" in sentence


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/srv/elsewhere/docker.sock",
        "/run/podman/podman.sock",
        "\\\\.\\pipe\\docker_engine",
    ],
)
def test_the_engines_socket_is_a_power_even_when_read_only(path: str) -> None:
    (sentence,) = host_powers(container([bound(path, writable=False)]), {})
    assert "Engine's socket" in sentence


@pytest.mark.parametrize("path", ["/etcetera", "/srv", "/data/etc", "/mnt/usr", "/homes", "/rooted", "/var/www"])
def test_a_path_that_only_looks_alike_is_none(path: str) -> None:
    assert host_powers(container([bound(path)]), {}) == ()


def test_the_hosts_time_zone_is_harmless_only_when_read_only() -> None:
    assert host_powers(container([bound("/etc/localtime", writable=False)], Binds=["/etc/localtime:/x:ro"]), {}) == ()
    assert host_powers(container([bound("/etc/localtime")]), {}) != ()


def test_shared_propagation_is_a_power() -> None:
    (sentence,) = host_powers(container([{**bound("/srv"), "Propagation": "rshared"}]), {})
    assert "shared propagation" in sentence


VOLUME = {"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/v", "RW": True}


@pytest.mark.parametrize(
    "options",
    [
        {"type": "none", "o": "bind", "device": "/"},
        {"type": "none", "o": "rbind,ro", "device": "/etc"},
        {"type": "", "o": "bind", "device": "/srv/../root"},
        {"type": "ext4", "device": "/dev/sda1"},
        {"type": "overlay", "device": "overlay", "o": "lowerdir=/,upperdir=/srv/u,workdir=/srv/w"},
        {"type": "nfs", "o": "bind", "device": "/etc"},
        {"mountpoint": "/var/lib"},
    ],
)
def test_a_volume_whose_options_reach_the_host_is_a_power(options: dict[str, str]) -> None:
    (sentence, *_) = host_powers(container([VOLUME]), {"v": {"Options": options}})
    assert "Through the volume v" in sentence


@pytest.mark.parametrize(
    "options",
    [
        None,
        {},
        {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
        {"type": "nfs", "device": ":/etc/export", "o": "addr=10.0.0.1,rw"},
        {"type": "cifs", "device": "//server/share", "o": "username=me,password=x"},
        {"type": "none", "o": "bind", "device": "/srv/data"},
    ],
)
def test_an_ordinary_volume_is_none(options: dict[str, str] | None) -> None:
    assert host_powers(container([VOLUME]), {"v": {"Options": options}}) == ()


def test_a_volume_that_could_not_be_examined_counts() -> None:
    (sentence,) = host_powers(container([VOLUME]), {})
    assert "could not be examined" in sentence


def test_volumes_of_another_container_are_judged_by_the_resolved_mounts() -> None:
    assert host_powers(container([bound("/etc")], VolumesFrom=["giver"]), {}) != ()


def test_each_reason_is_said_once() -> None:
    assert len(host_powers(container([bound("/etc")], Binds=["/etc:/x"]), {})) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"Sysctls": {"net.core.somaxconn": "1024"}},
        {"Ulimits": [{"Name": "nofile", "Soft": 65536, "Hard": 65536}]},
    ],
)
def test_limits_of_its_own_namespaces_are_no_power_over_the_host(settings: dict[str, object]) -> None:
    assert host_powers({"HostConfig": settings, "Mounts": []}, {}) == ()


def powers(source: Inspect, overrides: Inspect, **asked: Any) -> tuple[str, ...]:
    """The powers of a planned clone, as a workflow finds them."""
    known: dict[str, VolumeFacts] = asked.pop("known", {})
    read = read_overrides(overrides)
    wish = {"clone_name": "new", "data": "none", "choices": {}, "known": known, **asked}
    volumes = plan_volumes(source, replaced={mount.target for mount in read.mounts}, **wish)
    plan = build_clone(
        with_volumes(source, volumes), facts(networks=(BRIDGE, FRONT, HOST)), name="new", labels={}, overrides=read
    )
    return effective_powers(source, plan.create.host.body(), volumes=volumes, known=known, overrides=read)


HOST = NetworkSummary(id="8" * 64, name="host", driver="host")
SOCKET = "/var/run/docker.sock"
BINDING = VolumeFacts(name="root", options={"type": "none", "o": "bind", "device": "/"})
TEMPORARY = VolumeFacts(name="root", options={"type": "tmpfs", "o": "bind", "device": "/"})
PLAIN = VolumeFacts(name="plain")


def with_volume(name: str = "root") -> Inspect:
    mount = {"Type": "volume", "Name": name, "Source": f"/volumes/{name}", "Destination": "/v", "RW": True}
    return inspected(host={"Binds": [f"{name}:/v"]}, Mounts=[mount])


def with_bind(path: str, *, spelt: str = "/v") -> Inspect:
    return inspected(host={"Binds": [f"{path}:{spelt}"]}, Mounts=[{**bound(path), "Destination": "/v"}])


@pytest.mark.parametrize(
    "overrides",
    [
        {"mounts": [{"type": "bind", "source": "/", "target": "/x"}]},
        {"mounts": [{"type": "bind", "source": "//", "target": "/x", "readOnly": True}]},
        {"mounts": [{"type": "bind", "source": SOCKET, "target": "/x", "readOnly": True}]},
        {"mounts": [{"type": "bind", "source": "/run/./docker.sock", "target": "/x"}]},
        {"mounts": [{"type": "bind", "source": "/srv//docker.sock", "target": "/x"}]},
        {"mounts": [{"type": "volume", "source": "root", "target": "/x"}]},
        {"networks": [{"name": "host"}]},
        {"networks": [{"name": HOST.id}]},
        {"networks": [{"name": HOST.id[:12]}]},
    ],
)
def test_power_that_an_override_adds_is_caught(overrides: Inspect) -> None:
    assert powers(inspected(), overrides, known={"root": BINDING, "plain": PLAIN}) != ()


def test_any_path_of_the_host_that_the_request_chooses_counts_as_it_may_be_a_link() -> None:
    overrides = {"mounts": [{"type": "bind", "source": "/srv/app", "target": "/x"}]}
    assert powers(inspected(), overrides) == ("It binds the host's path /srv/app, which the request chose.",)


def test_a_volume_of_somebody_else_that_the_request_mounts_counts_and_the_sources_own_does_not() -> None:
    overrides = {"mounts": [{"type": "volume", "source": "plain", "target": "/x"}]}
    known = {"plain": PLAIN}
    (sentence,) = powers(inspected(), overrides, known=known)
    assert sentence == "It mounts the volume plain, which is there and not its source's."
    assert powers(with_volume("plain"), overrides, known=known) == ()


def test_an_override_does_not_hide_what_another_container_gives() -> None:
    source = inspected(Mounts=[{**bound("/etc"), "Destination": "/v"}])
    wish = read_overrides({"mounts": [{"type": "tmpfs", "target": "/v"}]})
    taken_over = {"VolumesFrom": ["giver"]}
    assert effective_powers(source, taken_over, volumes=(), known={}, overrides=wish) != ()
    assert effective_powers(source, {}, volumes=(), known={}, overrides=wish) == ()


def test_a_bind_is_not_taken_for_a_volume_that_is_called_none() -> None:
    volume = {"Type": "volume", "Name": "None", "Source": "/volumes/None", "Destination": "/n", "RW": True}
    source = inspected(host={"Binds": ["None:/n"]}, Mounts=[volume, {**bound("/etc"), "Destination": "/v"}])
    assert powers(source, {}, known={"None": VolumeFacts(name="None")}, choices={"None": "copy"}) != ()


@pytest.mark.parametrize(
    "overrides",
    [
        {"mounts": [{"target": "/y"}]},
        {"mounts": [{"type": "volume", "source": "new-one", "target": "/x"}]},
        {"mounts": [{"type": "tmpfs", "target": "/etc"}]},
        {"networks": [{"name": "front"}], "user": "0:0", "command": ["sh"]},
        {"networks": []},
    ],
)
def test_an_ordinary_override_adds_none(overrides: Inspect) -> None:
    assert powers(inspected(), overrides, known={"root": BINDING, "plain": PLAIN}) == ()


@pytest.mark.parametrize("kind", ["none", "tmpfs", "volume"])
@pytest.mark.parametrize("spelt", ["/v", "/v/", "//v/."])
@pytest.mark.parametrize("path", ["/", SOCKET, "/etc"])
def test_power_that_an_override_takes_away_is_gone(kind: str, spelt: str, path: str) -> None:
    source = with_bind(path, spelt=spelt)
    assert powers(source, {}) != ()
    assert powers(source, {"mounts": [{"type": kind, "target": "/v"}]}) == ()
    assert powers(source, {"mounts": [{"type": kind, "target": "/w"}]}) != ()


def test_leaving_the_hosts_network_takes_its_power_away() -> None:
    source = inspected(host={"NetworkMode": "host"}, networks={"host": {"NetworkID": HOST.id}})
    assert powers(source, {}) != ()
    assert powers(source, {"networks": [{"name": "front"}]}) == ()


@pytest.mark.parametrize("facts_of_volume", [BINDING, TEMPORARY])
def test_a_volume_that_reaches_the_host_counts_while_it_is_shared(facts_of_volume: VolumeFacts) -> None:
    known = {"root": facts_of_volume}
    if facts_of_volume is BINDING:
        assert powers(with_volume(), {}, known=known) != ()
    for choice in ("copy", "empty"):
        assert powers(with_volume(), {}, known=known, choices={"root": choice}) == ()
        # Because the volume that is made instead does not take such options over.
        assert facts_of_volume.is_elsewhere


def test_a_volume_that_the_clone_keeps_but_nobody_could_examine_counts() -> None:
    (sentence,) = powers(with_volume(), {}, known={})
    assert "could not be examined" in sentence


def test_a_mounts_own_options_count_until_a_volume_of_its_own_takes_its_place() -> None:
    options = {"DriverConfig": {"Name": "local", "Options": dict(BINDING.options)}}
    mount = {"Type": "volume", "Source": "root", "Target": "/v", "VolumeOptions": options}
    source = inspected(host={"Mounts": [mount]}, Mounts=with_volume()["Mounts"])
    assert powers(source, {}, known={"root": BINDING}) != ()
    assert powers(source, {}, known={"root": BINDING}, choices={"root": "copy"}) == ()


def test_a_fresh_volume_without_a_name_is_not_judged_by_its_source() -> None:
    name = "a" * 64
    mount = {"Type": "volume", "Name": name, "Destination": "/v", "RW": True}
    source = inspected(config={"Volumes": {"/v": {}}}, Mounts=[mount])
    assert powers(source, {}) == ()
    assert powers(source, {}, choices={"/v": "share"}) != ()


def test_other_power_stays_whatever_is_overridden() -> None:
    source = inspected(host={"Privileged": True, "CapAdd": ["SYS_ADMIN"]})
    assert len(powers(source, {"mounts": [], "networks": [], "command": ["x"]})) == 2
