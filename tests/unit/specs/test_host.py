from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.host import HostValues, check_name, check_queue, guarded_endpoint, is_plain

GOOD = HostValues(name="site-b", url="tcp://engine.example.org:2376", tls_directory="site-b")


def endpoint(**changes: Any) -> Endpoint:
    return guarded_endpoint(replace(GOOD, **changes), tls_root="/etc/myco/tls/", own_ports=frozenset({15432}))


def test_a_registered_host_is_read_by_the_one_grammar_and_guarded() -> None:
    expected = Endpoint("https", "engine.example.org:2376", "/etc/myco/tls/site-b", guarded=True)
    assert endpoint() == expected
    assert endpoint(url="https://engine.example.org:2376", tls_directory="").tls_directory is None
    assert endpoint(url="unix:///run/other.sock", tls_directory="").scheme == "unix"


@pytest.mark.parametrize(
    "url",
    [
        "tcp://169.254.169.254:80",
        "tcp://[fe80::1]:2376",
        "tcp://0.0.0.0:2376",
        "tcp://[::]:2376",
        "tcp://224.0.0.1:2376",
        "tcp://[::ffff:169.254.169.254]:80",
        "tcp://127.0.0.1:6379",
        "tcp://[::1]:5432",
        "tcp://localhost:15432",
        "tcp://0x7f000001:2376",
        "tcp://2130706433:2376",
        "tcp://127.1:2376",
        "ssh://u@-oProxyCommand=x",
        "ssh://h -oX",
        "ssh://u ser@host",
        "ssh://host",
        "",
        "tcp://me:hunter2@host:2376",
    ],
)
def test_an_address_that_no_engine_may_have_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        endpoint(url=url)
    assert caught.value.field == "url"
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1:2376", "tcp://[::1]:2376", "tcp://10.0.0.7:2376", "tcp://[fd00::7]:2376"]
)
def test_this_machine_and_private_networks_are_where_engines_are(url: str) -> None:
    assert endpoint(url=url).scheme == "https"


@pytest.mark.parametrize("url", ["tcp://10.0.0.7:2375", "http://10.0.0.7:2375"])
def test_a_connection_without_tls_needs_the_word(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        endpoint(url=url, tls_directory="")
    assert caught.value.field == "allowPlain"
    assert endpoint(url=url, tls_directory="", allow_plain=True).scheme == "http"
    assert is_plain(replace(GOOD, url=url, tls_directory=""))


def test_what_has_tls_or_is_a_socket_is_not_plain() -> None:
    assert not is_plain(GOOD)
    assert not is_plain(replace(GOOD, url="unix:///run/other.sock", tls_directory=""))
    assert not is_plain(replace(GOOD, url="https://engine:2376", tls_directory=""))
    assert not is_plain(replace(GOOD, url="", tls_directory=""))


@pytest.mark.parametrize(
    "folder",
    ["/etc", "..", "a/../../b", "a/", "/a", "a//b", ".ssh", "a/.b", "a\\b", "a\nb", "x" * 101, "a/" * 8 + "a"],
)
def test_a_folder_of_certificates_stays_below_its_root(folder: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        endpoint(tls_directory=folder)
    assert caught.value.field == "tlsDirectory"


def test_a_folder_may_have_parts() -> None:
    assert endpoint(tls_directory="eu/site-b").tls_directory == "/etc/myco/tls/eu/site-b"


@pytest.mark.parametrize("word", ["", "-a", "A", "a b", "a/b", "a" * 64, "a\n", "\u0430", "<script>"])
def test_a_name_or_a_queue_is_a_short_plain_word(word: str) -> None:
    for check, field in ((check_name, "name"), (check_queue, "queue")):
        with pytest.raises(InvalidRequest) as caught:
            check(word)
        assert caught.value.field == field
    assert check_name("site-b.example_1") == check_queue("site-b.example_1")
