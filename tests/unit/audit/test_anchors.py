"""Checkpoints reach each anchor once, failures are recorded and tried again, and what came back is verified."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core import mail
from pytest_django import Settings

from containers_app.audit.anchoring import Carrier
from containers_app.audit.anchors import anchors
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
