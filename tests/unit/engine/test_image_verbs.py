"""What an Engine can say to a load besides yes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.errors import EngineError, EngineUnavailable, InvalidRequest
from containers_app.specs.receipt import Receipt
from tests.unit.engine.scripted_engine import chunk, chunked_head, scripted

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
SHORT = EngineLimits(connect_seconds=2, call_seconds=0.5, stall_seconds=0.5)
END = b"0\r\n\r\n"


def load(*parts: bytes) -> None:
    def script(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head() + b"".join(map(chunk, parts)) + END)

    with scripted(script) as (_, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        gateway.load_image(iter([b"tar"]))


def test_a_load_that_reports_steps_only_is_done() -> None:
    load(b'{"status":"Loading layer"}\r\n{"stre', b'am":"Loaded image"}\r\n')
    load()


def test_an_error_after_a_200_is_an_error() -> None:
    told = json.dumps({"errorDetail": {"message": "no space"}, "error": "no\nspace left"}).encode()
    with pytest.raises(EngineError, match=r"did not load the image: no\\nspace left"):
        load(b'{"status":"Loading layer"}\r\n', told)


@pytest.mark.parametrize("answer", [b"<html>", b"x" * 2**21])
def test_an_answer_that_is_no_report_is_an_error(answer: bytes) -> None:
    with pytest.raises(EngineError):
        load(answer)


def test_an_error_of_the_content_is_not_taken_for_one_of_the_engine() -> None:
    def content() -> Iterator[bytes]:
        yield b"tar"
        raise EngineUnavailable("the source broke off")

    def script(connection: socket.socket, line: str) -> None:
        connection.recv(65536)

    with scripted(script) as (_, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        with pytest.raises(EngineUnavailable, match="the source broke off"):
            gateway.load_image(content())


IMAGE = "sha256:" + "1" * 64


def made(*parts: bytes) -> tuple[str, str]:
    """The id of an imported image, and the request's first line."""

    def script(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head() + b"".join(map(chunk, parts)) + END)

    with scripted(script) as (engine, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        found = gateway.import_image(iter([b"tar"]), labels={"own": 'a "label"'})
        return found, next(line for line in engine.requests if "/images/create" in line)


def test_an_imported_image_has_the_operation_s_label_from_its_first_moment() -> None:
    found, line = made(b'{"status":"Importing"}\r\n', json.dumps({"status": IMAGE}).encode())
    assert found == IMAGE
    asked = parse_qs(line.split()[1].partition("?")[2])
    assert asked["fromSrc"] == ["-"]
    assert asked["changes"] == ['LABEL own="a \\"label\\""', 'LABEL org.mycodocker.operation="operation-1"']


@pytest.mark.parametrize("answer", [b'{"status":"done"}', b'{"error":"unexpected EOF"}', b"[]", b"<html>"])
def test_an_import_that_names_no_image_is_an_error(answer: bytes) -> None:
    with pytest.raises((EngineError, InvalidRequest)):
        made(answer)


def pull(reference: str, answer: bytes = b"{}") -> str:
    def script(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head() + chunk(answer) + END)

    with scripted(script) as (engine, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        gateway.pull_image(reference)
        return engine.requests[-1]


def test_an_image_is_pulled_by_its_digest() -> None:
    asked = parse_qs(pull(f"registry.example:5000/team/web@{IMAGE}").split()[1].partition("?")[2])
    assert asked == {"fromImage": ["registry.example:5000/team/web"], "tag": [IMAGE]}


@pytest.mark.parametrize("reference", ["web", "web:1", "web@sha256:1", f"@{IMAGE}", f"web@{IMAGE}x", ""])
def test_no_image_is_pulled_by_a_name_that_may_mean_another(reference: str) -> None:
    with pytest.raises(InvalidRequest):
        pull(reference)


def test_a_registry_s_no_is_told_in_its_words() -> None:
    with pytest.raises(EngineError, match="manifest unknown"):
        pull(f"web@{IMAGE}", b'{"errorDetail":{},"error":"manifest unknown"}')
