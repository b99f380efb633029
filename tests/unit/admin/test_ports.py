"""Links to published ports: only where a browser would reach something that it understands."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.admin.ports import address_of, published_ports
from tests import recipes

REMOTE = "https://engine.example.org:2376"


def port(**fields: Any) -> dict[str, Any]:
    return {"container": 80, "host": "8080", "protocol": "tcp", "hostIp": "0.0.0.0", **fields}


@pytest.mark.parametrize(
    ("published", "engine", "expected"),
    [
        (port(), REMOTE, "http://engine.example.org:8080/"),
        (port(hostIp="::"), REMOTE, "http://engine.example.org:8080/"),
        (port(hostIp=None), "tcp://[fd00::5]:2375", "http://[fd00::5]:8080/"),
        (port(container=8443), REMOTE, "https://engine.example.org:8080/"),
        (port(hostIp="192.0.2.7"), REMOTE, "http://192.0.2.7:8080/"),
        (port(hostIp="2001:db8::7"), REMOTE, "http://[2001:db8::7]:8080/"),
        (port(), "unix:///var/run/docker.sock", "http://127.0.0.1:8080/"),
        (port(hostIp="127.0.0.1"), "unix:///var/run/docker.sock", "http://127.0.0.1:8080/"),
    ],
)
def test_a_port_is_linked_where_its_host_answers(published: dict[str, Any], engine: str, expected: str) -> None:
    assert address_of(published, engine=engine).replace("localhost", "127.0.0.1") == expected


@pytest.mark.parametrize(
    "published",
    [
        port(hostIp="127.0.0.1"),
        port(protocol="udp"),
        port(container=5432),
        port(host=None),
        port(host='80/"><script>'),
        port(hostIp="javascript:alert(1)//"),
    ],
)
def test_a_port_that_no_browser_reaches_or_understands_is_no_link(published: dict[str, Any]) -> None:
    assert address_of(published, engine=REMOTE) == ""


@pytest.mark.django_db
def test_a_port_of_both_address_families_is_shown_once_and_linked_while_the_container_runs() -> None:
    both = [port(), port(hostIp="::"), port(container=53, host="53", protocol="udp")]
    row = recipes.container(ports=both)
    assert published_ports(row).count("8080→80") == 1
    assert "53→53/udp" in published_ports(row)
    assert published_ports(row).count("<a ") == 1
    row.state = "exited"
    assert "<a " not in published_ports(row)
