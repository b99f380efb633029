"""Checkpoints reach each anchor once, failures are recorded and tried again, and what came back is verified."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core import mail
from pytest_django import Settings

from containers_app.audit.anchoring import Carrier
from containers_app.audit.anchors import anchors
from containers_app.audit.appending import writable
from containers_app.audit.models import Anchoring, SignedCheckpoint
from containers_app.audit.notes import open_note
from containers_app.audit.published import checkpoint, last_outside_anchor
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.conf import Conf, load
from containers_app.specs.receipt import Receipt
from tests.fakes import witness as fake
from tests.unit.api.conftest import silent

Begin = Callable[..., Receipt]
pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture(autouse=True)
def signer_folder(tmp_path: Path, settings: Settings) -> None:
    """The folder that checkpoints are brought from."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "signer_directory": str(tmp_path / "signer")}


@pytest.fixture
def sign(begin: Begin, tmp_path: Path) -> Callable[[int], SignedCheckpoint]:
    """Record so many entries, sign them, and return the checkpoint."""
    signer = Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=3600)

    def signed(entries: int) -> SignedCheckpoint:
        for _ in range(entries):
            begin()
        signer.look()
        return SignedCheckpoint.objects.latest("id")

    return signed


@pytest.fixture
def witness() -> Iterator[fake.Witness]:
    with fake.running() as running:
        yield running


@pytest.fixture
def witnessed(witness: fake.Witness) -> Conf:
    return conf(anchor_witness=witness.url, anchor_witness_vkey=witness.verifier.text())


def conf(**changed: Any) -> Conf:
    return replace(load(), **changed)


def bring(conf: Conf) -> list[Anchoring]:
    """What a fresh start brings."""
    return Carrier(SignerFolder(Path(conf.signer_directory)), conf).carry()


def failures() -> list[str]:
    return list(Anchoring.objects.filter(is_done=False).order_by("id").values_list("error", flat=True))


def test_without_a_setting_nothing_is_anchored(sign: Callable[[int], SignedCheckpoint]) -> None:
    sign(1)
    assert anchors(load()) == ()
    assert bring(load()) == []
    assert last_outside_anchor() is None


def test_a_folder_gets_each_checkpoint_once_as_a_file_that_cannot_be_written(
    sign: Callable[[int], SignedCheckpoint], tmp_path: Path
) -> None:
    folder = tmp_path / "anchored"
    folder.mkdir()
    settings = conf(anchor_directory=str(folder))
    first = sign(2)
    bring(settings)
    assert bring(settings) == []
    second = sign(1)
    bring(settings)
    files = sorted(folder.iterdir())
    assert [path.read_text() for path in files] == [first.note, second.note]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}
    assert last_outside_anchor() is None  # a folder may be on this machine


def test_a_file_that_is_there_is_not_replaced(sign: Callable[[int], SignedCheckpoint], tmp_path: Path) -> None:
    settings = conf(anchor_directory=str(tmp_path))
    row = sign(1)
    path = tmp_path / f"{row.shard}-{1:012}-{row.signed_at:%Y%m%dT%H%M%SZ}.checkpoint"
    path.write_text("an older one")
    bring(settings)
    assert path.read_text() == "an older one"
    assert failures() == ["the folder takes no file: File exists"]


def test_a_failure_is_recorded_holds_up_no_other_and_is_tried_again(
    sign: Callable[[int], SignedCheckpoint], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    settings = conf(anchor_directory=str(missing), anchor_email="auditor@example.org")
    row = sign(1)
    bring(settings)
    assert failures() == ["the folder takes no file: No such file or directory"]
    assert len(mail.outbox) == 1
    missing.mkdir()
    (again,) = bring(settings)
    assert (again.kind, again.is_done) == ("folder", True)
    assert [path.read_text() for path in missing.iterdir()] == [row.note]


def test_mail_has_the_note_and_the_ledger_has_no_address(sign: Callable[[int], SignedCheckpoint]) -> None:
    row = sign(3)
    bring(conf(anchor_email="auditor@example.org, carol@example.com"))
    (message,) = mail.outbox
    assert message.to == ["auditor@example.org", "carol@example.com"]
    assert row.note in message.body
    outside = last_outside_anchor()
    assert outside is not None
    assert (outside.kind, outside.target, outside.size) == ("email", "example.com, example.org", 3)


def test_syslog_gets_one_line(sign: Callable[[int], SignedCheckpoint]) -> None:
    row = sign(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        bring(conf(anchor_syslog=f"udp://127.0.0.1:{server.getsockname()[1]}"))
        line = server.recv(8192).decode()
    assert line.startswith("<86>1 ")
    assert "\n" not in line
    assert json.loads(line[line.index("{") :])["checkpoint"] == row.note


def test_syslog_over_tcp_is_framed(sign: Callable[[int], SignedCheckpoint]) -> None:
    sign(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        bring(conf(anchor_syslog=f"tcp://127.0.0.1:{server.getsockname()[1]}"))
        connection, _ = server.accept()
        with connection:
            length, _, line = connection.recv(8192).partition(b" ")
    assert int(length) == len(line)


@pytest.mark.parametrize("address", ["/nonexistent/log", "tcp://127.0.0.1:1", "udp://host.invalid:514"])
def test_a_syslog_that_is_not_there_is_a_failure(sign: Callable[[int], SignedCheckpoint], address: str) -> None:
    sign(1)
    bring(conf(anchor_syslog=address))
    assert len(failures()) == 1
    assert "syslog" in failures()[0]


def test_a_webhook_is_signed_and_its_key_is_nowhere(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness
) -> None:
    row = sign(1)
    witness.answer = (204, "text/plain", "")
    bring(conf(anchor_webhook=f"{witness.url}/hook?token=hunter2", anchor_webhook_key="hunter3"))
    ((_path, headers, body),) = witness.asked
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(b"hunter3", signed, hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert json.loads(body)["data"]["checkpoint"] == row.note
    stored = repr(list(Anchoring.objects.values()))
    assert "hunter" not in stored
    assert "hunter" not in repr(conf(anchor_webhook_key="hunter3"))


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_a_failure_and_no_redirect_is_followed(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness, status: int
) -> None:
    sign(1)
    witness.answer = (status, "text/plain", "")
    bring(conf(anchor_webhook=witness.url))
    assert failures() == [f"the webhook answers {status}"]
    assert len(witness.asked) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://169.254.169.254/latest", "nothing is sent to"),
        ("http://127.0.0.1:1/", "no answer"),
        ("http://host.invalid/", "no answer"),
        ("ftp://127.0.0.1/", "no answer"),
    ],
)
def test_an_address_that_is_refused_or_silent_is_a_failure(
    sign: Callable[[int], SignedCheckpoint], url: str, words: str
) -> None:
    sign(1)
    bring(conf(anchor_webhook=url))
    (error,) = failures()
    assert words in error


def test_a_witness_follows_the_growth_and_its_signature_is_served(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness, witnessed: Conf
) -> None:
    row = sign(3)
    witness.log_vkeys = [row.vkey]
    bring(witnessed)
    sign(5)
    bring(witnessed)
    assert failures() == []
    assert [body.split(b"\n")[0] for _path, _headers, body in witness.asked] == [b"old 0", b"old 3"]
    assert witness.asked[0][0] == "/add-checkpoint"
    note = checkpoint().note
    assert open_note(note, [witness.verifier.text()]) == open_note(note, [row.vkey]) == witness.seen
    outside = last_outside_anchor()
    assert outside is not None
    assert (outside.kind, outside.size) == ("witness", 8)


def test_a_witness_that_remembers_another_size_is_asked_again_with_it(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness, witnessed: Conf
) -> None:
    row = sign(3)
    witness.log_vkeys = [row.vkey]
    witness.seen = open_note(row.note, [row.vkey])
    sign(2)
    bring(witnessed)
    assert failures() == []
    assert witness.seen.size == 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((409, "text/x.tlog.size", "9999\n"), "has seen 9999 entries, the ledger has 3"),
        ((409, "text/x.tlog.size", "many\n"), "does not say which size"),
        ((422, "text/plain", "the proof does not hold"), "answers 422: the proof does not hold"),
        ((200, "text/plain", "thank you\n"), "refused"),
        ((200, "text/plain", ""), "refused"),
    ],
)
def test_what_a_witness_refuses_or_does_not_sign_is_a_failure(
    sign: Callable[[int], SignedCheckpoint],
    witness: fake.Witness,
    witnessed: Conf,
    answer: tuple[int, str, str],
    words: str,
) -> None:
    sign(3)
    witness.answer = answer
    bring(witnessed)
    (error,) = failures()
    assert words in error
    assert last_outside_anchor() is None


def test_a_signature_of_another_witness_is_not_taken(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness
) -> None:
    row = sign(1)
    witness.log_vkeys = [row.vkey]
    bring(conf(anchor_witness=witness.url, anchor_witness_vkey=fake.Witness().verifier.text()))
    (error,) = failures()
    assert "no trusted key" in error


def test_a_heartbeat_is_anchored_too(sign: Callable[[int], SignedCheckpoint]) -> None:
    with time_machine.travel("2026-11-30T12:00:00Z", tick=False) as clock:
        sign(1)
        settings = conf(anchor_email="auditor@example.org")
        bring(settings)
        clock.shift(3600)
        sign(0)
        bring(settings)
        assert bring(settings) == []
    assert len(mail.outbox) == 2


def test_what_was_signed_is_sent_while_the_ledger_does_not_answer_and_not_twice(
    sign: Callable[[int], SignedCheckpoint],
) -> None:
    sign(1)
    settings = conf(anchor_email="auditor@example.org")
    with silent("audit"):
        assert [one.is_done for one in bring(settings)] == [True]
    assert bring(settings) == []
    assert len(mail.outbox) == 1


def test_rows_that_somebody_wrote_hold_no_checkpoint_back_and_send_none(
    sign: Callable[[int], SignedCheckpoint],
) -> None:
    row = sign(2)
    later = row.signed_at + timedelta(days=1)
    settings = conf(anchor_email="auditor@example.org")
    forged = {"shard": row.shard, "size": 2, "root": row.root}
    writable(Anchoring).bulk_create(
        [Anchoring(at=later, kind="email", target="example.org", is_done=True, error="", receipt="", **forged)]
    )
    writable(SignedCheckpoint).bulk_create(
        [SignedCheckpoint(origin="forged", vkey="", note="forged", signed_at=later, **forged)]
    )
    bring(settings)
    assert [row.note in message.body for message in mail.outbox] == [True]
    assert "forged" not in mail.outbox[0].body


def test_a_checkpoint_whose_loss_was_accepted_is_brought_nowhere(
    sign: Callable[[int], SignedCheckpoint], tmp_path: Path
) -> None:
    row = sign(2)
    folder = SignerFolder(tmp_path / "signer")
    folder.remember(row.shard, replace(folder.signed[row.shard], is_given_up=True))
    assert bring(conf(anchor_email="auditor@example.org")) == []


def test_an_anchor_that_fails_is_tried_again_after_pauses_that_grow(
    sign: Callable[[int], SignedCheckpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("containers_app.audit.anchoring.time.monotonic", lambda: now[0])
    sign(1)
    missing = tmp_path / "missing"
    settings = conf(anchor_directory=str(missing), anchor_seconds=300.0)
    carrier = Carrier(SignerFolder(tmp_path / "signer"), settings)
    tried = []
    for _ in range(100):
        tried += [now[0]] * len(carrier.carry())
        now[0] += 300
    assert [int(after - before) for before, after in pairwise(tried)][:6] == [300, 600, 1200, 2400, 3600, 3600]
    missing.mkdir()
    now[0] += 3600
    assert [one.is_done for one in carrier.carry()] == [True]


def test_what_was_brought_and_cannot_be_remembered_is_told_and_brought_again(
    sign: Callable[[int], SignedCheckpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    sign(1)
    settings = conf(anchor_email="auditor@example.org")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(os, "fsync", fail)
        bring(settings)
    assert [one.is_done for one in bring(settings)] == [True]


def test_a_server_that_sends_a_byte_now_and_then_is_left_alone(
    sign: Callable[[int], SignedCheckpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containers_app.audit.anchor_http._WHOLE_SECONDS", 0.3)
    sign(1)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        settings = conf(anchor_webhook=f"http://127.0.0.1:{server.getsockname()[1]}/")
        bring(settings)
        bring(settings)
        ended.set()
        thread.join()
    assert failures() == ["it did not end within 0.3 s", "the attempt before still hangs"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_an_anchor_is_its_own(
    sign: Callable[[int], SignedCheckpoint], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: object) -> str:
        raise LookupError("nobody thought of this")

    monkeypatch.setattr("containers_app.audit.anchors.send_mail", fail)
    sign(1)
    settings = conf(anchor_email="auditor@example.org", anchor_directory=str(tmp_path))
    assert [(one.kind, one.is_done) for one in bring(settings)] == [("folder", True), ("email", False)]
    assert failures() == ["it ended by a fault of its own: see the log"]


def test_each_heartbeat_is_cosigned_and_the_note_keeps_one_signature_of_a_witness(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness, witnessed: Conf
) -> None:
    with time_machine.travel("2026-11-30T12:00:00Z", tick=False) as clock:
        row = sign(3)
        witness.log_vkeys = [row.vkey]
        for _ in range(3):
            bring(witnessed)
            clock.shift(3600)
            sign(0)
    rows = Anchoring.objects.filter(kind="witness", is_done=True)
    assert rows.count() == 3
    note = checkpoint().note
    assert note == row.note + rows.latest("id").receipt
    assert open_note(note, [witness.verifier.text()]).size == 3


def test_signatures_that_somebody_wrote_into_the_database_spoil_no_note(
    sign: Callable[[int], SignedCheckpoint],
) -> None:
    row = sign(1)
    same = {"at": row.signed_at, "shard": row.shard, "size": row.size, "root": row.root}
    forged = "".join(f"— forged{number} AAAAAAAA\n" for number in range(200)) + "no signature\n"
    writable(Anchoring).bulk_create(
        [Anchoring(kind="witness", target="w", is_done=True, error="", receipt=forged, **same)]
    )
    note = checkpoint().note
    assert note.count("— forged") == 8
    assert open_note(note, [row.vkey]).size == 1


def test_a_witness_is_shown_nothing_while_the_ledger_does_not_answer(
    sign: Callable[[int], SignedCheckpoint], witness: fake.Witness, witnessed: Conf
) -> None:
    witness.log_vkeys = [sign(3).vkey]
    bring(witnessed)
    sign(2)
    with silent("audit"):
        (attempt,) = bring(witnessed)
    assert "nothing can be shown to the witness" in attempt.error
