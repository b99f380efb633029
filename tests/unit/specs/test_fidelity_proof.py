from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers_app.specs.fidelity import prove, unfulfilled
from tests.unit.specs.inspects import BACK, BRIDGE, CLONE_ID, FRONT, IMAGE_ID, Inspect, endpoint, inspected

SECRET = "hunter2-very-secret"

RICH_CONFIG: Inspect = {
    "Env": ["A=1", "B=two\nlines"],
    "Labels": {"theirs": "x", "org.mycodocker.token": "1"},
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
    "Volumes": {"/data": {}},
    "ExposedPorts": {"80/tcp": {}},
    "User": "1000",
    "StopTimeout": 3,
}
RICH_HOST: Inspect = {
    "Binds": ["/srv:/srv:ro"],
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
    "Memory": 2**20,
    "Mounts": [{"Type": "volume", "Source": "named", "Target": "/named", "VolumeOptions": {"NoCopy": True}}],
    "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
    "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
}
RICH_MOUNTS = [
    {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": False, "Propagation": "rprivate"},
    {"Type": "volume", "Name": "named", "Source": "/v", "Destination": "/named", "Driver": "local", "RW": True},
]


def rich(**top: Any) -> Inspect:
    """A source that uses something of every group of fields."""
    front = endpoint(FRONT, Aliases=["web"], IPAMConfig={"IPv4Address": "10.0.0.9"}, DriverOpts={"a": "b"})
    networks = {"bridge": endpoint(BRIDGE), "front": front}
    return inspected(config=RICH_CONFIG, host=RICH_HOST, networks=networks, Mounts=RICH_MOUNTS, **top)


def faithful() -> Inspect:
    clone = rich(Id=CLONE_ID, Name="/clone", Created="later")
    clone["Config"]["Hostname"] = CLONE_ID[:12]
    return clone


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every scalar below."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, entry in entries for leaf in leaves(entry, (*path, key))]
    return found or ([] if isinstance(value, dict | list) else [path])


# What the configuration is made of: all but what belongs to the instance.
INSTANCE = {"Hostname", "ContainerIDFile", "org.mycodocker.token", "EndpointID", "IPAddress"}
PATHS = [
    path
    for part in ("Config", "HostConfig", "Mounts", "NetworkSettings", "Image")
    for path in leaves(rich()[part], (part,))
    # The host folder of a volume is the driver's business, its name is compared.
    if not INSTANCE & set(path) and path != ("Mounts", 1, "Source")
]


def changed(inspect: Inspect, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Inspect:
    other = copy.deepcopy(inspect)
    holder: Any = other
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return other


def another(value: Any) -> Any:
    """A value of the same shape that means something else."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value or ''}x"


@settings(deadline=None)
@given(st.sampled_from(PATHS))
def test_a_change_of_any_single_value_is_noticed(path: tuple[Any, ...]) -> None:
    proof = prove(rich(), changed(faithful(), path, another))
    assert proof.unexplained, path
    assert proof.equal == len(proof.compared) - len(proof.differences)


@settings(deadline=None)
@given(st.data())
def test_of_any_changes_those_without_a_reason_are_unexplained(data: st.DataObject) -> None:
    clone = faithful()
    for path in data.draw(st.lists(st.sampled_from(PATHS), min_size=1, unique=True)):
        clone = changed(clone, path, another)
    fields = [found.field for found in prove(rich(), clone).unexplained]
    asked = data.draw(st.sets(st.sampled_from(fields)))

    proof = prove(rich(), clone, expected=dict.fromkeys(asked, "asked for"))

    covered = {field for field in fields if any(field == one or field.startswith(f"{one}.") for one in asked)}
    assert [found.field for found in proof.differences] == fields
    assert {found.field for found in proof.unexplained} == set(fields) - covered


@settings(deadline=None)
@given(st.sampled_from(["Config", "HostConfig"]), st.text(), st.integers(1) | st.text(min_size=1))
def test_a_field_that_nobody_knows_yet_is_compared_and_its_value_hidden(part: str, key: str, value: Any) -> None:
    clone = faithful()
    clone[part][f"New{key}"] = value
    (found,) = prove(rich(), clone).unexplained
    assert found.field.startswith(f"{part}.New")
    assert (found.source, found.clone) == ("[absent]", "[hidden]")


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4))
def test_what_belongs_to_the_instance_changes_nothing(state: dict[str, Any]) -> None:
    clone = {**faithful(), "State": state, "RestartCount": 7, "LogPath": "/x"}
    proof = prove(rich(), clone)
    assert proof.differences == ()
    assert proof.equal == len(proof.compared) > 40


def test_the_document_of_a_faithful_clone_says_what_was_compared_and_what_was_not() -> None:
    document = prove(rich(), faithful()).document()
    left_out = document.pop("leftOut")
    assert document == {"equal": True, "comparedFields": document["comparedFields"], "differences": []}
    assert document["comparedFields"] > 40
    assert {"Id", "Name", "Created", "State", "NetworkSettings.Networks.*.EndpointID"} <= set(left_out)


def test_the_compared_fields_are_sorted_and_named_one_by_one() -> None:
    compared = prove(rich(), faithful()).compared
    assert list(compared) == sorted(set(compared))
    for name in ("Config.Env.A", "Config.Labels.theirs", "HostConfig.Memory", "Mounts./srv", "Image"):
        assert name in compared
    assert "NetworkSettings.Networks.front.Aliases" in compared


def test_a_difference_that_was_asked_for_has_its_reason_and_the_rest_has_none() -> None:
    clone = faithful()
    clone["HostConfig"]["Memory"] = 1
    clone["HostConfig"]["MemorySwap"] = 1
    clone["Config"]["Env"] = ["A=2", "B=two\nlines"]
    expected = {"HostConfig.Memory": "asked for by an override", "Config.Env": "asked for too"}

    proof = prove(rich(), clone, expected=expected)

    reasons = {found.field: found.reason for found in proof.differences}
    assert reasons == {
        "Config.Env.A": "asked for too",
        "HostConfig.Memory": "asked for by an override",
        "HostConfig.MemorySwap": None,
    }
    assert [found.field for found in proof.unexplained] == ["HostConfig.MemorySwap"]
    document = proof.document()
    assert document["equal"] is False
    assert document["differences"][1] == {
        "field": "HostConfig.Memory",
        "source": str(2**20),
        "clone": "1",
        "reason": "asked for by an override",
    }


def test_the_longest_expectation_wins() -> None:
    clone = faithful()
    clone["HostConfig"]["Memory"] = 1
    expected = {"HostConfig": "short", "HostConfig.Memory": "long", "HostConfig.Mem": "no whole name"}
    (found,) = prove(rich(), clone, expected=expected).differences
    assert found.reason == "long"


def test_an_image_named_by_its_id_is_a_difference_that_explains_itself() -> None:
    clone = faithful()
    clone["Config"]["Image"] = IMAGE_ID
    (found,) = prove(rich(), clone).differences
    assert found.field == "Config.Image"
    assert found.reason is not None
    another_image = {**clone, "Image": "sha256:" + "2" * 64}
    assert {found.field for found in prove(rich(), another_image).unexplained} == {"Image", "Config.Image"}


def test_a_network_that_is_gone_is_explained_by_whoever_knows() -> None:
    clone = faithful()
    del clone["NetworkSettings"]["Networks"]["front"]
    name = "NetworkSettings.Networks.front"
    assert [found.field for found in prove(rich(), clone).unexplained] == [name]
    assert prove(rich(), clone, expected={name: "gone"}).unexplained == ()


def test_a_network_made_anew_is_another_network() -> None:
    clone = faithful()
    clone["NetworkSettings"]["Networks"]["front"]["NetworkID"] = BACK.id
    (found,) = prove(rich(), clone).unexplained
    assert (found.field, found.source) == ("NetworkSettings.Networks.front.NetworkID", f'"{FRONT.id}"')


SECRETS: tuple[tuple[str, tuple[Any, ...], Any], ...] = (
    ("an environment value", ("Config", "Env"), [f"A={SECRET}"]),
    ("a command", ("Config", "Cmd"), ["run", SECRET]),
    ("an entrypoint", ("Config", "Entrypoint"), [SECRET]),
    ("a label", ("Config", "Labels"), {"theirs": SECRET}),
    ("a healthcheck", ("Config", "Healthcheck"), {"Test": ["CMD", SECRET]}),
    ("a shell", ("Config", "Shell"), [SECRET]),
    ("a trigger", ("Config", "OnBuild"), [f"RUN {SECRET}"]),
    ("an unknown setting", ("Config", "New"), {"deep": [SECRET]}),
    ("an unknown host setting", ("HostConfig", "New"), SECRET),
    ("an annotation", ("HostConfig", "Annotations"), {"a": SECRET}),
    ("a log option", ("HostConfig", "LogConfig"), {"Type": "json-file", "Config": {"max-size": SECRET}}),
    ("a storage option", ("HostConfig", "StorageOpt"), {"a": SECRET}),
    ("a device option", ("HostConfig", "DeviceRequests"), [{"Driver": "x", "Options": {"a": SECRET}}]),
    (
        "a volume driver's option",
        ("HostConfig", "Mounts"),
        [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": SECRET}}, "Labels": {"a": SECRET}}}],
    ),
    ("a network driver's option", ("NetworkSettings", "Networks", "front", "DriverOpts"), {"a": SECRET}),
)


@pytest.mark.parametrize(("path", "value"), [row[1:] for row in SECRETS], ids=[row[0] for row in SECRETS])
def test_what_may_be_secret_is_named_and_never_shown(path: tuple[Any, ...], value: Any) -> None:
    clone = faithful()
    holder = clone
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    for proof in (prove(rich(), clone), prove(clone, rich())):
        assert proof.unexplained
        assert SECRET not in json.dumps(proof.document())
        assert SECRET not in repr(proof)


def test_control_characters_of_a_name_are_not_repeated() -> None:
    clone = faithful()
    clone["Config"]["Labels"]["a\x00\x1b[31m\ud800"] = "x"
    (found,) = prove(rich(), clone).unexplained
    assert found.field == "Config.Labels.a��[31m�"
    assert "\\u0000" not in json.dumps(prove(rich(), clone).document())


ASKED: dict[str, Any] = {
    "Env": ["A=1"],
    "Labels": {"b": "2"},
    "Cmd": ["run"],
    "Entrypoint": [""],
    "User": "",
    "HostConfig": {"Memory": 64, "NanoCpus": 0, "CpusetCpus": "0"},
}
MADE: dict[str, Any] = {
    "Config": {"Env": ["PATH=/bin", "A=1"], "Labels": {"b": "2", "c": "3"}, "Cmd": ["run"], "Entrypoint": None},
    "HostConfig": {"Memory": 64, "NanoCpus": 0, "CpusetCpus": "0"},
}


def test_what_was_asked_for_and_what_the_image_adds_is_fulfilled() -> None:
    assert unfulfilled(ASKED, MADE) == ()


@pytest.mark.parametrize(
    ("part", "changed", "lost"),
    [
        ("Config", {"Env": ["A=2"]}, "Config.Env.A"),
        ("Config", {"Env": None}, "Config.Env.A"),
        ("Config", {"Labels": None}, "Config.Labels.b"),
        ("Config", {"Cmd": ["other"]}, "Config.Cmd"),
        ("HostConfig", {"Memory": 0}, "HostConfig.Memory"),
        ("HostConfig", {"CpusetCpus": ""}, "HostConfig.CpusetCpus"),
    ],
)
def test_what_an_engine_took_and_did_not_do_is_a_difference_that_nothing_excuses(
    part: str, changed: dict[str, Any], lost: str
) -> None:
    (found,) = unfulfilled(ASKED, {**MADE, part: {**MADE[part], **changed}})
    assert (found.field, found.reason) == (lost, None)
