"""DNS is judged when the connection is made, every address of it, and the judged address is the one connected to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers_app.engine.addresses import allowed_addresses
from containers_app.engine.connection import EngineLimits, open_reader
from containers_app.errors import EngineUnavailable
from containers_app.specs.endpoint import Endpoint
from tests.certificates import Authority
from tests.unit.engine.scripted_engine import Script, json_answer, scripted_over_network

SHORT = EngineLimits(connect_seconds=0.5, call_seconds=0.5)
Names = Callable[..., list[str]]


def listing(connection: socket.socket, line: str) -> None:
    connection.sendall(json_answer("[]"))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A function: let `engine.test` have these addresses, another turn at each question. Returns what was asked."""
    real = socket.getaddrinfo

    def give(*turns: tuple[str, ...]) -> list[str]:
        asked: list[str] = []

        def answer(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
            if host != "engine.test":
                return real(host, port, *arguments, **options)
            asked.append(host)
            found = turns[min(len(asked), len(turns)) - 1]
            return [place for address in found for place in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return give


def named(endpoint: Endpoint, **changes: Any) -> Endpoint:
    return replace(endpoint, address=f"engine.test:{endpoint.address.rpartition(':')[2]}", guarded=True, **changes)


@pytest.mark.parametrize("second", ["169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1", "100.100.100.200"])
def test_one_refused_address_behind_a_name_refuses_the_name(names: Names, second: str) -> None:
    names(("127.0.0.1", second))
    with scripted_over_network(listing) as (engine, endpoint):
        with pytest.raises(EngineUnavailable, match="refused, because"):
            open_reader(named(endpoint), SHORT).__enter__()
        assert engine.requests == []


def test_a_literal_address_is_judged_too() -> None:
    with pytest.raises(EngineUnavailable, match="link-local"):
        open_reader(Endpoint("http", "169.254.169.254:80", guarded=True), SHORT).__enter__()


def test_a_name_is_asked_for_once_for_each_connection(names: Names) -> None:
    asked = names(("127.0.0.1",))
    with scripted_over_network(listing) as (engine, endpoint), open_reader(named(endpoint), SHORT) as reader:
        assert reader.containers() == ()
        assert asked == ["engine.test"] * len(engine.requests)


def test_a_name_that_changes_its_address_is_judged_again(names: Names) -> None:
    names(("127.0.0.1",), ("169.254.169.254",))
    with scripted_over_network(listing) as (engine, endpoint), open_reader(named(endpoint), SHORT) as reader:
        with pytest.raises(EngineUnavailable, match="link-local"):
            reader.containers()
        assert len(engine.requests) == 1


def test_the_next_address_is_tried_when_one_does_not_answer(names: Names) -> None:
    names(("127.0.0.2", "127.0.0.1"))
    with scripted_over_network(listing) as (_, endpoint), open_reader(named(endpoint), SHORT) as reader:
        assert reader.containers() == ()


def test_an_engine_that_nobody_answers_for_is_unreachable_and_an_unknown_name_too(names: Names) -> None:
    names(("127.0.0.2", "127.0.0.3"), ())
    with scripted_over_network(listing) as (_, endpoint):
        with pytest.raises(EngineUnavailable, match="refused the connection"):
            open_reader(named(endpoint), SHORT).__enter__()
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            open_reader(named(endpoint), SHORT).__enter__()
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            open_reader(Endpoint("http", "nothing.invalid:1", guarded=True), SHORT).__enter__()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_tls_verifies_the_name_and_not_the_address(names: Names, authority: Authority) -> None:
    names(("127.0.0.1",))
    context, folder = serving(authority.issue("server", names=("engine.test",))), str(authority.directory)
    with scripted_over_network(listing, context=context, tls_directory=folder) as (_, endpoint):
        with open_reader(named(endpoint), EngineLimits()) as reader:
            assert reader.containers() == ()


def test_a_certificate_for_the_address_alone_is_refused(names: Names, authority: Authority) -> None:
    names(("127.0.0.1",))
    context = serving(authority.issue("server", names=("other.test", "127.0.0.1")))
    with scripted_over_network(listing, context=context, tls_directory=str(authority.directory)) as (engine, endpoint):
        with pytest.raises(EngineUnavailable, match="could not be verified"):
            open_reader(named(endpoint), EngineLimits()).__enter__()
        assert engine.requests == []


def serving(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_redirect_to_a_metadata_service_is_not_followed(names: Names) -> None:
    answer = b"HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    moved: Script = lambda connection, line: connection.sendall(answer)  # noqa: E731
    names(("127.0.0.1",))
    with scripted_over_network(moved) as (_, endpoint), open_reader(named(endpoint), SHORT) as reader:
        with pytest.raises(Exception, match="redirect"):
            reader.containers()


def test_addresses_come_once_each_in_their_order(names: Names) -> None:
    names(("127.0.0.1", "::1", "127.0.0.1"))
    assert allowed_addresses("engine.test", 80) == ("127.0.0.1", "::1")
