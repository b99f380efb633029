"""The one place where failures of the SDK, requests and urllib3, and the Engine's refusals, become errors of ours."""

from __future__ import annotations

import errno
import http.client
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import docker.errors
import requests
import urllib3.exceptions

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

MESSAGE_LIMIT_CHARACTERS = 500
SHORTEST_SECRET_CHARACTERS = 4
_REDACTED = "[redacted]"
# `Bind for 0.0.0.0:80 failed`, `listen tcp4 0.0.0.0:80: bind`, `failed to bind host port 0.0.0.0:80/tcp`.
_PORT = re.compile(
    r"(?:Bind for|listen (?:tcp|udp|sctp)[46]?|host port(?: for)?) "
    r"(?P<port>(?:\[[0-9a-f:]{2,39}\]|[0-9.]{7,15}|[0-9a-f:]{2,39})?:\d{1,5})",
    re.ASCII,
)
_PORT_WORDS = ("port is already allocated", "address already in use")

# What a read of an answer can raise: requests' family, urllib3's family when `raw` is read, and the socket's own.
STREAM_FAILURES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """Words of an Engine made safe to store: secrets replaced, control characters escaped, 500 characters at most."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _REDACTED)
    shown = printable(text.strip())
    return shown if len(shown) <= MESSAGE_LIMIT_CHARACTERS else shown[: MESSAGE_LIMIT_CHARACTERS - 1] + "…"


def printable(text: str) -> str:
    """The text with its control characters escaped: it cannot steer a terminal, nor begin a line of its own."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _forms(secret: str) -> Iterator[str]:
    """A secret as itself and as Go's %q or JSON would quote it; a `KEY=VALUE` pair also by its value alone."""
    for text in {secret, secret.partition("=")[2]}:
        if len(text) >= SHORTEST_SECRET_CHARACTERS:
            yield text
            yield text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


@contextmanager
def translated(endpoint: Endpoint) -> Iterator[None]:
    """Turn whatever a call to the Engine raises into EngineUnavailable (or StreamBroken) with words on what to do."""
    try:
        yield
    except (*STREAM_FAILURES, docker.errors.DockerException) as error:
        raise _unavailable(endpoint, error) from error


def _unavailable(endpoint: Endpoint, error: BaseException) -> EngineUnavailable:
    if isinstance(error, docker.errors.TLSParameterError | requests.exceptions.SSLError):
        return EngineUnavailable(_tls_words(endpoint))
    if _is_timeout(error):
        return EngineUnavailable(_timeout_words(endpoint))
    if isinstance(error, requests.exceptions.ChunkedEncodingError | urllib3.exceptions.ProtocolError):
        return StreamBroken(f"The Engine at {endpoint.url} broke off its answer: is it still running?")
    return EngineUnavailable(_unreachable_words(endpoint, error))


def stream_failure(endpoint: Endpoint, error: BaseException, stall_seconds: float) -> EngineUnavailable:
    """The error for a failed read of a stream; the caller raises it from `error`."""
    if _is_timeout(error):
        return StreamStalled(
            f"The Engine at {endpoint.url} sent nothing for {stall_seconds:g} seconds: "
            "check that it is running and that its disk answers."
        )
    return StreamBroken(f"The Engine at {endpoint.url} broke off the stream: is it still running?")


def refusal(status: int, message: str, subject: str, secrets: Iterable[str] = ()) -> MycoError:
    """The error for an answer with a status of 400 or more.

    `subject` is what the call was about: `container`, `start`, `image`, `network`, `volume`, `create` or `engine`.
    """
    words = clean(message, secrets) or f"status {status} without a message"
    lower = message.lower()
    if status == 404 and (subject == "image" or (subject == "create" and "image" in lower)):
        return ImageNotFound(f"The image is not on the Engine: {words}")
    if status == 404 and (subject == "container" or (subject == "start" and "no such container" in lower)):
        return ContainerNotFound(f"The container is no longer on the Engine: {words}")
    if subject == "create" and "name" in lower and "already in use" in lower:
        return NameTaken(
            "A container of that name exists already on the Engine: choose another name.", field="options.name"
        )
    if "no space left on device" in lower:
        return EngineError(f"The Engine's disk is full; free some space on its host: {words}")
    return _state_refusal(message, words, subject) or EngineError(f"The Engine refused ({status}): {words}")


def _state_refusal(message: str, words: str, subject: str) -> EngineError | None:
    """The refusal of a change of a container's state, if it is one that people can do something about."""
    lower = message.lower()
    if subject == "container" and "force remove" in lower:
        return ContainerRunning(f"The container runs: stop it first, or send 'options.force': true ({words})")
    if subject != "start":
        return None
    found = _PORT.search(message)
    if found and any(taken in lower for taken in _PORT_WORDS):
        return PortTaken(
            f"The port {found['port']} of the Engine's host is taken: stop what uses it, or publish another port."
        )
    if "driver failed programming external connectivity" in lower:
        return EngineError(f"The Engine could not publish the container's ports: {words}")
    return None


def _tls_words(endpoint: Endpoint) -> str:
    return (
        f"The Engine at {endpoint.url} could not be verified by TLS: check ca.pem, cert.pem and key.pem in the folder "
        "with certificates, and that the Engine's certificate names this host and has not expired."
    )


def _timeout_words(endpoint: Endpoint) -> str:
    return (
        f"The Engine at {endpoint.url} did not answer in time: check with `docker -H {endpoint.url} info`, "
        "and that its host is not overloaded."
    )


def _unreachable_words(endpoint: Endpoint, error: BaseException) -> str:
    check = f"check with `docker -H {endpoint.url} info`, and DOCKER_API_URL or DOCKER_HOST if it is the wrong address"
    number = _error_number(error)
    if number == errno.ENOENT:
        return f"The Engine's socket {endpoint.url} does not exist: start the Engine, or {check}."
    if number in (errno.EACCES, errno.EPERM):
        return f"The Engine's socket {endpoint.url} may not be opened: add this user to the socket's group."
    if number == errno.ECONNREFUSED:
        return f"The Engine at {endpoint.url} refused the connection: start the Engine, or {check}."
    return f"The Engine at {endpoint.url} cannot be reached: {check}."


def _is_timeout(error: BaseException) -> bool:
    """requests wraps a time-out met while reading a body in a plain ConnectionError.

    urllib3 counts a refused connection and a name without an address among its time-outs: they are none.
    """
    new = urllib3.exceptions.NewConnectionError
    return any(isinstance(link, _TIMEOUTS) and not isinstance(link, new) for link in _chain(error))


def _error_number(error: BaseException) -> int | None:
    """The operating system's error number, from wherever in the chain of wrapping it stands."""
    for link in _chain(error):
        if isinstance(link, OSError) and not isinstance(link, requests.RequestException) and link.errno:
            return link.errno
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and every error it wraps: as cause, as context, as `reason` or as an argument."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
