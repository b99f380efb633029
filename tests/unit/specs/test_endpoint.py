from __future__ import annotations

import pytest

from containers_app.errors import InvalidRequest
from containers_app.specs.endpoint import Endpoint, endpoint_candidates


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///var/run/docker.sock", Endpoint("unix", "/var/run/docker.sock")),
        ("tcp://10.0.0.1:2375", Endpoint("http", "10.0.0.1:2375")),
        ("http://host.docker.internal:2375", Endpoint("http", "host.docker.internal:2375")),
        ("http://LOCALHOST:2375", Endpoint("http", "localhost:2375")),
        ("http://socket_proxy:1", Endpoint("http", "socket_proxy:1")),
        ("https://engine.example.org:65535", Endpoint("https", "engine.example.org:65535")),
        ("tcp://[::1]:2375", Endpoint("http", "[::1]:2375")),
    ],
)
def test_it_reads_the_addresses_an_operator_writes(url: str, expected: Endpoint) -> None:
    assert Endpoint.parse(url) == expected
    assert Endpoint.parse(expected.url) == expected


def test_tcp_with_certificates_means_https() -> None:
    endpoint = Endpoint.parse("tcp://engine:2376", "/certs")
    assert (endpoint.scheme, endpoint.tls_directory, endpoint.url) == ("https", "/certs", "https://engine:2376")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "docker",
        "/var/run/docker.sock",
        "unix://var/run/docker.sock",
        "unix://../../etc/x",
        "unix:///run/../etc/x",
        "unix:///run//docker.sock",
        "unix:///run/",
        "unix:///" + "x" * 107,
        "unix:///run/a b.sock",
        "unix:///run/docker.sock?x=1",
        "npipe:////./pipe/docker_engine",
        "ssh://u@-oProxyCommand=x",
        "ftp://host:21",
        "TCP://host:2375",
        "tcp://host",
        "tcp://host:",
        "tcp://:2375",
        "tcp://host:0",
        "tcp://host:65536",
        "tcp://host:123456",
        "tcp://host:2375/",
        "tcp://host:2375/v1.41",
        "tcp://host:2375?x",
        "tcp://host:2375#x",
        "tcp://user:password@host:2375",
        " tcp://host:2375",
        "tcp://host:2375\n",
        "tcp://ho st:2375",
        "tcp://host:2375\u202e",
        "tcp://-oProxyCommand:22",
        "tcp://host.:2375",
        "tcp://ho..st:2375",
        "tcp://0x7f000001:2375",
        "tcp://2130706433:2375",
        "tcp://127.1:2375",
        "tcp://256.0.0.1:2375",
        "tcp://[::g]:2375",
        "tcp://[127.0.0.1]:2375",
        "tcp://\u0440lain:2375",
        "tcp://host:\u00b2",
    ],
)
def test_it_refuses_what_the_sdk_would_take(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Endpoint.parse(url)
    assert caught.value.field == "url"
    assert "password" not in caught.value.message or "must not hold" in caught.value.message


def test_it_says_what_to_do_instead_of_ssh() -> None:
    with pytest.raises(InvalidRequest, match="forward the socket"):
        Endpoint.parse("ssh://host")


def test_the_message_never_repeats_a_password() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Endpoint.parse("tcp://me:hunter2@host:2375")
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("url", ["unix:///run/docker.sock", "http://host:2375"])
def test_certificates_stand_only_with_tls(url: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot use certificates"):
        Endpoint.parse(url, "/certs")


def test_the_certificates_folder_must_be_absolute() -> None:
    with pytest.raises(InvalidRequest, match="absolute"):
        Endpoint.parse("tcp://host:2376", "certs")


def candidates(environment: dict[str, str], *, platform: str = "linux", socket: bool = False) -> tuple[Endpoint, ...]:
    return endpoint_candidates(environment, platform=platform, exists=lambda path: socket)


def test_the_first_variable_that_is_set_decides() -> None:
    both = {"DOCKER_API_URL": "http://a:1", "DOCKER_HOST": "tcp://b:2"}
    assert [endpoint.url for endpoint in candidates(both, socket=True)] == ["http://a:1"]
    assert [endpoint.url for endpoint in candidates({"DOCKER_HOST": "tcp://b:2"}, socket=True)] == ["http://b:2"]


def test_an_empty_variable_counts_as_unset() -> None:
    environment = {"DOCKER_API_URL": "", "DOCKER_HOST": ""}
    assert [endpoint.url for endpoint in candidates(environment, socket=True)] == ["unix:///var/run/docker.sock"]


@pytest.mark.parametrize(
    ("platform", "url"), [("linux", "http://host.docker.internal:2375"), ("win32", "http://localhost:2375")]
)
def test_without_variables_and_socket_the_documented_default_is_used(platform: str, url: str) -> None:
    assert [endpoint.url for endpoint in candidates({}, platform=platform)] == [url]


@pytest.mark.parametrize("variable", ["DOCKER_API_URL", "DOCKER_HOST"])
def test_a_wrong_variable_is_named(variable: str) -> None:
    with pytest.raises(InvalidRequest, match=variable) as caught:
        candidates({variable: "ssh://host"})
    assert caught.value.field == variable


@pytest.mark.parametrize(
    ("extra", "folder"),
    [
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}, "/certs"),
        ({"DOCKER_CERT_PATH": "/certs"}, "/certs"),
        ({"DOCKER_TLS_VERIFY": "1", "HOME": "/home/me"}, "/home/me/.docker"),
    ],
)
def test_docker_host_uses_the_certificates_of_the_environment(extra: dict[str, str], folder: str) -> None:
    (endpoint,) = candidates({"DOCKER_HOST": "tcp://b:2376", **extra})
    assert (endpoint.scheme, endpoint.tls_directory) == ("https", folder)


def test_plain_http_stays_plain_whatever_the_certificates_say() -> None:
    (endpoint,) = candidates({"DOCKER_API_URL": "http://b:2375", "DOCKER_CERT_PATH": "/certs"})
    assert endpoint == Endpoint("http", "b:2375")


@pytest.mark.parametrize("extra", [{"DOCKER_TLS_VERIFY": "1"}, {"DOCKER_CERT_PATH": "relative"}])
def test_a_missing_or_relative_folder_of_certificates_is_named(extra: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        candidates({"DOCKER_HOST": "tcp://b:2376", **extra})
    assert caught.value.field == "DOCKER_CERT_PATH"
