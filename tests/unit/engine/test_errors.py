from __future__ import annotations

import pytest
import requests
import urllib3.exceptions

from containers_app.engine.errors import MESSAGE_LIMIT_CHARACTERS, clean, refusal, stream_failure, translated
from containers_app.errors import (
    ContainerNotFound,
    ContainerRunning,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    MycoError,
    NameTaken,
    PortTaken,
    StreamBroken,
    StreamStalled,
)
from containers_app.specs.endpoint import Endpoint

ENDPOINT = Endpoint("unix", "/run/docker.sock")


@pytest.mark.parametrize(
    ("status", "message", "subject", "expected"),
    [
        (404, "No such container: abc", "container", ContainerNotFound),
        (404, "No such image: x:1", "image", ImageNotFound),
        (404, "No such image: x:1", "create", ImageNotFound),
        (404, "network front not found", "create", EngineError),
        (404, "network front not found", "network", EngineError),
        (409, 'Conflict. The container name "/x" is already in use by container "y"', "create", NameTaken),
        (500, "creating container storage: the container name x is already in use by y", "create", NameTaken),
        (
            409,
            "You cannot remove a running container abc. Stop the container before attempting removal or force remove",
            "container",
            ContainerRunning,
        ),
        (
            409,
            'cannot remove container "/x": container is running: stop the container before removing or force remove',
            "container",
            ContainerRunning,
        ),
        (409, "removal of container abc is already in progress", "container", EngineError),
        (404, "No such container: abc", "start", ContainerNotFound),
        (404, "network abc not found", "start", EngineError),
        (409, "cannot start a paused container, try unpause instead", "start", EngineError),
        (500, "write /var/lib/docker/x: no space left on device", "start", EngineError),
        (500, "write /var/lib/docker/x: no space left on device", "create", EngineError),
        (400, "", "engine", EngineError),
    ],
)
def test_a_refusal_becomes_the_error_that_fits(
    status: int, message: str, subject: str, expected: type[MycoError]
) -> None:
    error = refusal(status, message, subject)
    assert type(error) is expected
    assert error.message


def test_a_taken_name_names_the_field() -> None:
    error = refusal(409, 'Conflict. The container name "/x" is already in use', "create")
    assert error.field == "options.name"


def test_a_full_disk_says_what_to_do() -> None:
    assert "free some space" in refusal(500, "no space left on device", "create").message


DRIVER = "driver failed programming external connectivity on endpoint web (0123): "


@pytest.mark.parametrize(
    ("message", "port"),
    [
        (f"{DRIVER}Bind for 127.0.0.1:18080 failed: port is already allocated", "127.0.0.1:18080"),
        (f"{DRIVER}Bind for :::18080 failed: port is already allocated", ":::18080"),
        (f"{DRIVER}Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use", "0.0.0.0:80"),
        (f"{DRIVER}failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use", "0.0.0.0:80"),
        (f"{DRIVER}failed to bind host port [::1]:443/tcp: address already in use", "[::1]:443"),
    ],
)
def test_a_port_that_is_taken_is_named(message: str, port: str) -> None:
    error = refusal(500, message, "start")
    assert type(error) is PortTaken
    assert f"The port {port} of the Engine's host is taken" in error.message


@pytest.mark.parametrize("words", ["iptables failed", "Address already in use"])
def test_ports_that_cannot_be_published_for_another_reason_keep_the_engines_words(words: str) -> None:
    error = refusal(500, DRIVER + words, "start")
    assert type(error) is EngineError
    assert "could not publish the container's ports" in error.message
    assert words in error.message


def test_control_characters_are_shown_escaped() -> None:
    shown = clean("a\r\nb\x1b[2J\u2028c\u202ed\x00")
    assert shown == "a\\r\\nb\\x1b[2J\\u2028c\\u202ed\\x00"


def test_a_long_message_is_cut() -> None:
    assert len(clean("x" * 5000)) == MESSAGE_LIMIT_CHARACTERS


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("bad variable TOKEN=hunter2-secret here", "TOKEN=hunter2-secret"),
        ("bad value hunter2-secret here", "TOKEN=hunter2-secret"),
        ('bad value "hunter2\\nsecret" here', "TOKEN=hunter2\nsecret"),
        ('bad value "hunter2\\"secret" here', 'TOKEN=hunter2"secret'),
        ("bad value =hunter2-secret here", "=hunter2-secret"),
    ],
)
def test_a_secret_is_taken_out_in_every_spelling(text: str, secret: str) -> None:
    shown = clean(text, (secret,))
    assert "hunter2" not in shown
    assert "[redacted]" in shown
    assert shown.endswith("here")


def test_a_secret_is_taken_out_before_the_message_is_cut() -> None:
    assert "hunter2" not in clean("x" * 495 + "hunter2-secret", ("A=hunter2-secret",))


def test_values_that_are_words_of_every_message_do_not_mangle_it() -> None:
    assert clean("invalid mount: yes", ("A=yes", "B=", "C=1")) == "invalid mount: yes"


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (requests.ConnectTimeout(), EngineUnavailable, "did not answer in time"),
        (requests.ReadTimeout(), EngineUnavailable, "did not answer in time"),
        (
            requests.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, "/x", "slow")),  # type: ignore[arg-type]
            EngineUnavailable,
            "did not answer in time",
        ),
        (requests.ConnectionError(ConnectionRefusedError(111, "refused")), EngineUnavailable, "start the Engine"),
        (requests.ConnectionError(FileNotFoundError(2, "no file")), EngineUnavailable, "does not exist"),
        (requests.ConnectionError(PermissionError(13, "denied")), EngineUnavailable, "socket's group"),
        (requests.ConnectionError("unknown host"), EngineUnavailable, "cannot be reached"),
        (requests.exceptions.SSLError("self-signed"), EngineUnavailable, "ca.pem"),
        (requests.exceptions.ChunkedEncodingError("cut"), StreamBroken, "broke off"),
        (urllib3.exceptions.ProtocolError("cut"), StreamBroken, "broke off"),
    ],
)
def test_a_failed_call_says_what_to_do(raised: Exception, expected: type[MycoError], words: str) -> None:
    with pytest.raises(expected, match=words) as caught, translated(ENDPOINT):
        raise raised
    assert type(caught.value) is expected
    assert caught.value.__cause__ is raised
    assert ENDPOINT.url in caught.value.message


def test_an_error_of_ours_and_a_bug_pass_unchanged() -> None:
    for error in (NameTaken("x"), KeyError("x")):
        with pytest.raises(type(error)) as caught, translated(ENDPOINT):
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (urllib3.exceptions.ReadTimeoutError(None, "/x", "slow"), StreamStalled),  # type: ignore[arg-type]
        (TimeoutError(), StreamStalled),
        (urllib3.exceptions.ProtocolError("cut"), StreamBroken),
        (requests.exceptions.ChunkedEncodingError("cut"), StreamBroken),
        (ConnectionResetError(), StreamBroken),
    ],
)
def test_a_failed_stream_is_stalled_or_broken(raised: BaseException, expected: type[MycoError]) -> None:
    assert type(stream_failure(ENDPOINT, raised, 30.0)) is expected


def test_an_error_that_wraps_itself_ends() -> None:
    error = requests.ConnectionError()
    error.args = (error,)
    with pytest.raises(EngineUnavailable), translated(ENDPOINT):
        raise error
