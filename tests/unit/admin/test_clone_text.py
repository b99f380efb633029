"""The lines of the clone form: read as they are meant, written so that they are read the same, never repeated."""

from __future__ import annotations

from typing import Any

import pytest
from django.forms import ValidationError

from containers_app.admin import clone_text


def port(**fields: Any) -> dict[str, Any]:
    return {"container": 80, "host": 8080, "hostIp": None, "protocol": "tcp", **fields}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("8080:80", port()),
        ("auto:80", port(host=None)),
        ("127.0.0.1:8080:80", port(hostIp="127.0.0.1")),
        ("[::1]:8080:80", port(hostIp="::1")),
        ("8080:53/udp", port(container=53, protocol="udp")),
        ("[::]:auto:53/sctp", port(host=None, hostIp="::", container=53, protocol="sctp")),
    ],
)
def test_a_port_is_read_and_written_the_same(line: str, read: dict[str, Any]) -> None:
    assert clone_text.ports(line) == [read]
    assert clone_text.port_lines([read]) == line


def test_a_port_on_every_address_is_one_line() -> None:
    both = [port(hostIp="0.0.0.0"), port(hostIp="::")]
    assert clone_text.port_lines(both) == "8080:80"
    assert clone_text.port_lines(both[:1]) == "0.0.0.0:8080:80"


@pytest.mark.parametrize(
    "line", ["80", "8080:80:90:100", "8080-8090:80", "::1:8080:80", "x:80", "8080:80/", "8080:80 tcp"]
)
def test_a_line_that_is_no_port_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(ValidationError, match="Line 2 must be") as told:
        clone_text.ports(f"1:1\n\n{line}")
    assert line not in str(told.value)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("front", {"name": "front", "aliases": []}),
        ("front ip=10.0.0.5 alias=web", {"name": "front", "aliases": ["web"], "ipv4Address": "10.0.0.5"}),
        ("front ip=fd00::5", {"name": "front", "aliases": [], "ipv6Address": "fd00::5"}),
    ],
)
def test_a_network_is_read_and_written_the_same(line: str, read: dict[str, Any]) -> None:
    assert clone_text.networks(line) == [read]
    assert clone_text.network_lines([read]) == line


@pytest.mark.parametrize("line", ["front back", "front ip=", "front mac=1"])
def test_a_network_with_an_unknown_word_is_refused(line: str) -> None:
    with pytest.raises(ValidationError, match="Line 1 must be"):
        clone_text.networks(line)


def test_values_are_kept_as_they_were_typed() -> None:
    assert clone_text.pairs("A=1=2 \r\n\r\nB=\n C= x") == {"A": "1=2 ", "B": "", "C": " x"}


@pytest.mark.parametrize("line", ["hunter2", "=hunter2", "A=hunter2"])
def test_a_wrong_pair_is_refused_without_its_value(line: str) -> None:
    with pytest.raises(ValidationError, match="Line 2") as told:
        clone_text.pairs(f"A=1\n{line}")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("512m", 512 << 20), ("1.5 GiB", 3 << 29), ("2T", 2 << 40), ("8kb", 8192)]
)
def test_a_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert clone_text.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1e9", "1 pb"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        clone_text.size_bytes(text)


@pytest.mark.parametrize(("text", "nano"), [("2", 2 * 10**9), ("0.5", 5 * 10**8), ("1.000000001", 10**9 + 1)])
def test_processors_are_read_to_the_billionth(text: str, nano: int) -> None:
    assert clone_text.nano_processors(text) == nano


@pytest.mark.parametrize("text", ["half", "-1", "1.0000000001", "."])
def test_what_is_no_number_of_processors_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        clone_text.nano_processors(text)


def test_a_proposal_fills_the_fields_that_the_form_has() -> None:
    ports = {"overrides": {"ports": [port(host=8081)], "mounts": [{"target": "/data"}]}, "unknown": 1}
    assert clone_text.as_fields(ports) == {"ports": "8081:80"}
    assert clone_text.as_fields({"name": "web-2"}) == {"name": "web-2"}
    assert clone_text.as_fields({"confirmPrivileged": True}) == {"confirm_privileged": "on"}
    assert clone_text.as_fields({"overrides": {"networks": [{"name": "front", "aliases": []}]}}) == {
        "networks": "front"
    }
    assert clone_text.as_fields(None) == {}
