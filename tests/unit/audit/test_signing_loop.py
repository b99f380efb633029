"""What passes by itself is waited for, longer each time; a bug ends the process, so that it is started again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from containers_app.audit import signing_loop
from containers_app.audit.anchoring import Carrier
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder, SignerUnfit
from containers_app.audit.signing_loop import SignerEnded, sign_until
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, MycoError

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
Waited = list[float]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Waited]:
    """Run the loop until it has looked so often; returns how long it waited before each look."""

    def ran(looks: int) -> Waited:
        waited: Waited = []

        def wait(signals: Iterable[signal.Signals], seconds: float) -> object:
            waited.append(seconds)
            return None if len(waited) <= looks else signal.SIGTERM

        monkeypatch.setattr(signal, "sigtimedwait", wait)
        sign_until([signal.SIGTERM], conf=replace(load(), signer_directory=str(tmp_path / "signer")))
        return waited

    return ran


@pytest.mark.parametrize(
    "fault",
    [AuditUnavailable("it does not answer"), OSError(28, "No space left on device"), SignerUnfit("no key")],
    ids=lambda fault: type(fault).__name__,
)
def test_a_fault_that_can_pass_is_waited_for_longer_each_time(
    run: Callable[[int], Waited], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    left = [fault] * 8

    def look(self: Signer) -> list[Any]:
        if left:
            raise left.pop()
        return []

    monkeypatch.setattr(Signer, "look", look)
    assert run(10) == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 1]
    words = fault.message if isinstance(fault, MycoError) else "No space left on device"
    assert sum(words in record.getMessage() for record in caplog.records) == 8


@pytest.mark.parametrize("fault", [AuditUnavailable("it does not answer"), OSError(28, "No space left on device")])
def test_anchors_that_meet_a_fault_go_on(
    run: Callable[[int], Waited], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Exception
) -> None:
    again = threading.Event()
    turns: list[int] = []

    def carry(self: Carrier) -> list[Any]:
        turns.append(1)
        if len(turns) > 1:
            again.set()
        raise fault

    over = threading.Event()
    monkeypatch.setattr(Carrier, "carry", carry)
    settings = replace(load(), anchor_seconds=0.01)
    carrier = Carrier(SignerFolder(tmp_path / "signer"), settings)
    thread = threading.Thread(target=signing_loop._carry_until, args=(over, carrier, settings))
    thread.start()
    assert again.wait(10)
    over.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_ends_the_process_with_an_error(
    run: Callable[[int], Waited], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def carry(self: Carrier) -> list[Any]:
        ended.set()
        raise LookupError("a bug")

    def look(self: Signer) -> list[Any]:
        ended.wait(10)
        for thread in threading.enumerate():
            if thread.name == "anchors":
                thread.join(10)
        return []

    monkeypatch.setattr(Carrier, "carry", carry)
    monkeypatch.setattr(Signer, "look", look)
    with pytest.raises(SignerEnded):
        run(5)


def test_the_command_turns_that_into_an_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(signals: object, *, conf: object) -> None:
        raise SignerEnded("the anchors ended")

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    monkeypatch.setattr("containers_app.management.commands.signer.sign_until", end)
    try:
        with pytest.raises(CommandError, match="the anchors ended") as refused:
            call_command("signer")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert refused.value.returncode == 1
