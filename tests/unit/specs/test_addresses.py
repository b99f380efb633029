from __future__ import annotations

import pytest

from containers_app.specs.addresses import why_refused


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("169.254.169.254", "link-local"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("0.0.0.0", "every address"),
        ("0.1.2.3", "every address"),
        ("::", "every address"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("100.100.100.200", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:0.0.0.0", "every address"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::1", "link-local"),
    ],
)
def test_no_engine_is_where_a_cloud_or_everybody_listens(address: str, words: str) -> None:
    assert words in str(why_refused(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "172.17.0.1",
        "192.168.1.5",
        "fd00::1",
        "203.0.113.7",
        "2a00::1",
    ],
)
def test_an_engine_may_be_on_this_machine_in_this_network_or_anywhere_else(address: str) -> None:
    assert why_refused(address) is None


def test_what_is_no_address_is_not_judged() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        why_refused("engine.example.org")
