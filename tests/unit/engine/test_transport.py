from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from containers_app.engine import transport
from containers_app.engine.connection import EngineLimits, open_gateway, open_reader
from containers_app.engine.transport import api_number, container_id, name_segment, network_id
from containers_app.errors import EngineError, EngineUnavailable, InvalidRequest, MycoError, TimedOut
from containers_app.specs.receipt import Receipt
from tests.throwaway import wait_until
from tests.unit.engine.scripted_engine import PING, Script, json_answer, scripted, scripted_over_network

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
SHORT = EngineLimits(connect_seconds=0.3, call_seconds=0.3, stall_seconds=0.3)


def sending(answer: bytes) -> Script:
    return lambda connection, line: connection.sendall(answer)


def silent(connection: socket.socket, line: str) -> None:
    return


@pytest.mark.parametrize("door", [container_id, network_id])
@pytest.mark.parametrize(
    "value", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "../volumes/victim", "a" * 12, "web"]
)
def test_only_64_hex_digits_pass_the_door_to_an_address(door: Callable[[str], str], value: str) -> None:
    with pytest.raises(InvalidRequest):
        door(value)


def test_a_full_id_passes() -> None:
    assert {str(container_id("a" * 64)), str(network_id("a" * 64))} == {"a" * 64}


@pytest.mark.parametrize(("name", "quoted"), [("front", "front"), ("a b", "a%20b"), ("a?b#c%2f", "a%3Fb%23c%252f")])
def test_a_name_is_quoted_to_one_part_of_the_path(name: str, quoted: str) -> None:
    assert name_segment(name) == quoted


def test_api_versions_compare_as_numbers() -> None:
    assert api_number("1.9") < api_number("1.41")


@pytest.mark.parametrize(
    ("announced", "used"), [("1.41", "v1.41"), ("1.99", f"v{transport.HIGHEST_API}"), ("1.30", "v1.30")]
)
def test_the_api_version_is_the_highest_that_both_speak(announced: str, used: str) -> None:
    ping = PING.replace(b"1.41", announced.encode())
    with scripted(sending(json_answer("[]")), ping=ping) as (engine, endpoint), open_reader(endpoint, SHORT) as reader:
        assert reader.containers() == ()
    assert engine.requests[1].startswith(f"GET /{used}/containers/json?all=1 ")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "304 Not Modified", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_refused_and_not_followed(status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    with (
        scripted(sending(answer)) as (engine, endpoint),
        open_reader(endpoint, SHORT) as reader,
        pytest.raises(EngineError, match="never followed"),
    ):
        reader.containers()
    assert len(engine.requests) == 2


@pytest.mark.parametrize(("status", "changed"), [("204 No Content", True), ("304 Not Modified", False)])
def test_a_change_says_whether_there_was_anything_to_do(status: str, changed: bool) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    with scripted(sending(answer)) as (engine, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        assert gateway.start("a" * 64) is changed
    assert engine.requests[1] == f"POST /v1.41/containers/{'a' * 64}/start HTTP/1.1"


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary"])
def test_a_redirected_change_is_refused(status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    with (
        scripted(sending(answer)) as (engine, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
        pytest.raises(EngineError, match="never followed"),
    ):
        gateway.start("a" * 64)
    assert len(engine.requests) == 2


def test_a_stop_may_last_as_long_as_it_was_told_to_on_top_of_every_calls_limit() -> None:
    begun = time.monotonic()

    def late(connection: socket.socket, line: str) -> None:
        wait_until(lambda: time.monotonic() - begun > 2 * SHORT.call_seconds)
        connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")

    with scripted(late) as (engine, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        assert gateway.stop("a" * 64, timeout_seconds=20)
    assert "/stop?t=20 " in engine.requests[1]


def test_a_stop_that_lasts_longer_is_an_engine_that_does_not_answer() -> None:
    with (
        scripted(silent) as (_, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
        pytest.raises(EngineUnavailable, match="did not answer in time"),
    ):
        gateway.restart("a" * 64, timeout_seconds=0)


def test_a_redirected_ping_is_refused() -> None:
    ping = b"HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with scripted(silent, ping=ping) as (_, endpoint), pytest.raises(EngineError, match="redirect"):
        open_reader(endpoint, SHORT).__enter__()


@pytest.mark.parametrize(
    "ping",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 200 OK\r\nApi-Version: x\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.1 403 Forbidden\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_engine_is_named_so(ping: bytes) -> None:
    with scripted(silent, ping=ping) as (_, endpoint), pytest.raises(EngineUnavailable, match="not a Docker Engine"):
        open_reader(endpoint, SHORT).__enter__()


def test_an_engine_that_never_answers_the_ping_ends_within_the_connect_limit() -> None:
    limits = EngineLimits(connect_seconds=0.3, call_seconds=60)
    with scripted(silent, ping=b"") as (_, endpoint):
        begun = time.monotonic()
        with pytest.raises(EngineUnavailable, match="did not answer in time"):
            open_reader(endpoint, limits).__enter__()
        assert time.monotonic() - begun < 3


def test_an_answer_in_drops_ends_within_the_limit_of_the_call() -> None:
    def drip(connection: socket.socket, line: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" " * 300)
            if engine.released.wait(0.05):
                return

    with scripted(drip) as (engine, endpoint), open_reader(endpoint, SHORT) as reader:
        begun = time.monotonic()
        with pytest.raises(EngineUnavailable, match="did not answer in time"):
            reader.containers()
        assert time.monotonic() - begun < 3


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ANSWER_LIMIT_BYTES", 1_000_000)

    def flood(connection: socket.socket, line: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not engine.released.is_set():
            connection.sendall(b" " * 65536)

    with (
        scripted(flood) as (engine, endpoint),
        open_reader(endpoint, EngineLimits()) as reader,
        pytest.raises(EngineError, match="larger than"),
    ):
        reader.containers()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (json_answer("not json"), "not JSON"),
        (json_answer("{}"), "unexpected shape"),
        (json_answer("[1]"), "unexpected shape"),
        (json_answer(""), "unexpected shape"),
        (json_answer('{"message": "boom\\n\\u001b[2J"}', "500 Oops"), r"boom\\n\\x1b\[2J"),
        (json_answer("<html>proxy</html>", "502 Bad Gateway"), "proxy"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[", "did not answer|broke off"),
    ],
)
def test_an_answer_that_is_not_understood_is_an_error_of_ours(answer: bytes, words: str) -> None:
    with (
        scripted(sending(answer)) as (_, endpoint),
        open_reader(endpoint, SHORT) as reader,
        pytest.raises(MycoError, match=words),
    ):
        reader.containers()


def test_the_operations_time_limit_is_told_from_a_slow_engine() -> None:
    until = time.monotonic() + 0.5
    limits = EngineLimits(remaining_seconds=lambda: until - time.monotonic())
    with scripted(silent) as (_, endpoint), open_reader(endpoint, limits) as reader, pytest.raises(TimedOut):
        reader.containers()


def test_limits_never_exceed_what_is_left() -> None:
    assert EngineLimits().within(7.0) == 7.0
    assert EngineLimits(remaining_seconds=lambda: 2.0).within(7.0) == 2.0
    with pytest.raises(TimedOut):
        EngineLimits(remaining_seconds=lambda: 0.0).within(7.0)


def test_proxies_and_credentials_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with scripted_over_network(sending(json_answer("[]"))) as (_, endpoint), open_reader(endpoint, SHORT) as reader:
        assert reader.containers() == ()


def certificates(folder: Path) -> ssl.SSLContext:
    """A self-signed certificate for 127.0.0.1, as `ca.pem` in the folder and in a server's context."""
    wanted = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=engine"
    files = ["-keyout", str(folder / "server.key"), "-out", str(folder / "ca.pem")]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", *files]
    subprocess.run(["openssl", "req", *wanted.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "server.key")
    return context


def test_an_engine_that_the_given_authority_vouches_for_is_trusted(tmp_path: Path) -> None:
    context = certificates(tmp_path)
    serving = scripted_over_network(sending(json_answer("[]")), context=context, tls_directory=str(tmp_path))
    with serving as (_, endpoint), open_reader(endpoint, EngineLimits()) as reader:
        assert reader.containers() == ()


@pytest.mark.parametrize("own_authority", [True, False], ids=["another authority", "no authority"])
@pytest.mark.parametrize("environment", [True, False], ids=["bundle in the environment", "clean environment"])
def test_an_impostor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_authority: bool, environment: bool
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    context = certificates(theirs)
    certificates(ours)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
        if environment:
            monkeypatch.setenv(variable, str(theirs / "ca.pem"))
    directory = str(ours) if own_authority else None
    with scripted_over_network(silent, context=context, tls_directory=directory) as (engine, endpoint):
        with pytest.raises(EngineUnavailable, match="could not be verified"):
            open_reader(endpoint, EngineLimits()).__enter__()
        assert engine.requests == []


@pytest.mark.parametrize("present", [(), ("ca.pem",), ("cert.pem",)])
def test_an_incomplete_folder_of_certificates_is_refused(tmp_path: Path, present: tuple[str, ...]) -> None:
    for name in present:
        (tmp_path / name).write_text("nothing")
    with scripted_over_network(silent) as (engine, endpoint):
        secure = type(endpoint)("https", endpoint.address, str(tmp_path))
        with pytest.raises(EngineUnavailable, match=r"ca\.pem"):
            open_reader(secure, SHORT).__enter__()
        assert engine.requests == []
