"""Commands in a container, before an Engine that breaks off, falls silent or refuses."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from containers_app.engine import exec_verbs
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.exec_verbs import OUTPUT_LIMIT_CHARACTERS, ExecEnd
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import Cancelled, ContainerNotFound, EngineError, InvalidRequest, StreamBroken
from containers_app.specs.receipt import Receipt
from tests.unit.engine.scripted_engine import ScriptedEngine, json_answer, scripted

CONTAINER, SECRET = "a" * 64, "hunter2-the-secret-value"
RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
SHORT = EngineLimits(connect_seconds=2, call_seconds=0.5, stall_seconds=0.5)
RAW = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
COMMAND = ["login", SECRET]


def frame(channel: int, content: bytes) -> bytes:
    return bytes([channel, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@contextlib.contextmanager
def executing(
    *printed: bytes, states: tuple[object, ...] = (0,), closes: bool = True, create: bytes = b"", start: bytes = b""
) -> Iterator[tuple[ScriptedEngine, EngineGateway]]:
    """Its command prints this; each question after its state takes one of `states`: an exit code, or None."""
    waiting = list(states)

    def script(connection: socket.socket, line: str) -> None:
        if line.startswith("POST ") and f"/containers/{CONTAINER}/exec " in line:
            connection.sendall(create or json_answer('{"Id": "exec1"}', "201 Created"))
        elif "/exec/exec1/start " in line:
            connection.sendall(start or RAW + b"".join(printed))
            if closes and not start:
                connection.shutdown(socket.SHUT_RDWR)
        else:
            code = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            connection.sendall(json_answer(json.dumps({"Running": code is None, "ExitCode": code})))

    with scripted(script) as (engine, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        yield engine, gateway


def nothing() -> None:
    """Nobody wishes it to stop."""


def run(
    gateway: EngineGateway,
    *,
    timeout_seconds: float = 5,
    tick: Callable[[], None] = nothing,
    container: str = CONTAINER,
) -> ExecEnd:
    return gateway.run_exec(container, COMMAND, timeout_seconds=timeout_seconds, tick=tick)


def test_both_channels_are_the_output_and_the_exit_code_is_asked_for() -> None:
    with executing(frame(1, b"one\n"), frame(2, b"two"), states=(3,)) as (_, gateway):
        assert run(gateway) == ExecEnd(exit_code=3, output="one\\ntwo")


def test_the_output_is_the_end_of_what_was_printed_and_steers_no_terminal() -> None:
    noise = frame(1, b"x" * 9000 + b"\x1b[31m\r\xff\xe2\x80\xae\x00" + SECRET.encode())
    with executing(*[noise] * 20) as (_, gateway):
        output = run(gateway).output
    assert len(output) == OUTPUT_LIMIT_CHARACTERS
    assert output.isprintable()
    assert output.endswith("\\x1b[31m\\r\ufffd\\u202e\\x00" + SECRET)


def test_the_output_is_not_in_the_repr() -> None:
    assert SECRET not in repr(ExecEnd(exit_code=0, output=SECRET))


def test_one_that_closes_its_output_and_goes_on_is_waited_for() -> None:
    with executing(states=(None, None, 0)) as (engine, gateway):
        assert run(gateway).exit_code == 0
    assert len([line for line in engine.requests if "/exec/exec1/json" in line]) == 3


def test_a_silent_one_is_waited_for_longer_than_an_engine_may_be_silent_and_ended_at_its_limit() -> None:
    begun = time.monotonic()
    with executing(closes=False, states=(None, None, None, 137)) as (engine, gateway):
        gateway.end_execs = lambda container: None  # type: ignore[method-assign]
        end = run(gateway, timeout_seconds=4 * SHORT.stall_seconds)
    assert end == ExecEnd(exit_code=None, left_running=False)
    assert time.monotonic() - begun >= 4 * SHORT.stall_seconds
    assert engine.requests[-1].startswith("GET")


def test_what_tick_raises_abandons_it_at_once() -> None:
    def cancelled() -> None:
        raise Cancelled("enough")

    with executing(closes=False) as (_, gateway), pytest.raises(Cancelled):
        run(gateway, tick=cancelled)


@pytest.mark.parametrize("cut", [1, 8, 10])
def test_an_output_that_breaks_off_is_not_taken_for_an_end(cut: int) -> None:
    with executing(frame(1, b"one")[:cut]) as (_, gateway), pytest.raises(StreamBroken):
        run(gateway)


REFUSED = json_answer(json.dumps({"message": f"bad command: login {SECRET}"}), "400 Bad Request")


@pytest.mark.parametrize("refusal", [{"create": REFUSED}, {"start": REFUSED}], ids=["create", "start"])
def test_a_refusal_does_not_repeat_the_command(refusal: dict[str, bytes]) -> None:
    with executing(**refusal) as (_, gateway), pytest.raises(EngineError) as refused:  # type: ignore[arg-type]
        run(gateway)
    assert SECRET not in refused.value.message
    assert "[redacted]" in refused.value.message


def test_a_container_that_is_gone_says_so_and_only_a_full_id_gets_this_far() -> None:
    gone = json_answer('{"message": "No such container"}', "404 Not Found")
    with executing(create=gone) as (engine, gateway):
        with pytest.raises(ContainerNotFound):
            run(gateway)
        asked = len(engine.requests)
        with pytest.raises(InvalidRequest):
            run(gateway, container="web")
        assert len(engine.requests) == asked


@pytest.mark.parametrize("identifier", ["../containers/x", "", "a/b"])
def test_an_id_that_the_engine_makes_up_does_not_lead_elsewhere(identifier: str) -> None:
    answer = json_answer(json.dumps({"Id": identifier}), "201 Created")
    with executing(create=answer) as (engine, gateway), pytest.raises((InvalidRequest, EngineError)):
        run(gateway)
    assert "start" not in engine.requests[-1]


@pytest.mark.parametrize("state", ["x", True, 1.5, [], {}])
def test_an_exit_code_that_is_no_number_is_not_taken_for_success(
    state: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_verbs, "_NOTICED_SECONDS", 0.1)
    with executing(states=(state,)) as (_, gateway):
        gateway.end_execs = lambda container: None  # type: ignore[method-assign]
        assert run(gateway, timeout_seconds=0.2).exit_code is None


def test_ending_what_is_left_never_fails() -> None:
    with executing(create=REFUSED) as (_, gateway):
        gateway.end_execs(CONTAINER)
