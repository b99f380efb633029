"""Bundles of the real ledger, checked by the verifier in a process that knows nothing of the product."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from containers_app.audit import appending, bundle
from containers_app.audit.bundle import LedgerDamaged, NothingSigned, Signed, write_bundle
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.models import Entry, Head
from containers_app.audit.notes import Checkpoint, SigningKey, sign
from containers_app.audit.selection import Selection
from containers_app.specs.receipt import Receipt
from tests.unit.audit.signing import NOON
from tests.unit.audit.test_closing import put_into
from tests.unit.audit.test_verifier import Auditor, all_words

Begin = Callable[..., Receipt]
End = Callable[..., int]
DAY = timedelta(days=1)
FIRST = datetime(2026, 11, 1, 9, tzinfo=UTC)
pytestmark = pytest.mark.django_db(databases=["default", "audit"])


class Signer:
    """Signs a shard as it is, or as it was at `size`."""

    def __init__(self) -> None:
        self.keys: dict[int, SigningKey] = {}
        self.sizes: dict[int, int] = {}

    def __call__(self, shard: int) -> Signed | None:
        origin = f"test/audit/{shard}"
        key = self.keys.setdefault(shard, SigningKey(origin, Ed25519PrivateKey.generate()))
        size = self.sizes.get(shard, Head.objects.get(shard=shard).size)
        tree = Frontier()
        leaves = Entry.objects.filter(shard=shard, leaf_index__lt=size).order_by("leaf_index")
        for leaf in leaves.values_list("leaf_hash", flat=True):
            tree = tree.append(bytes.fromhex(leaf))
        note = sign(Checkpoint(origin, size, tree.root()), key)
        return Signed(origin=origin, size=size, note=note, vkey=key.verifier.text())

    def vkeys(self) -> str:
        return "\n".join(key.verifier.text() for key in self.keys.values())


@pytest.fixture(autouse=True)
def _today() -> Iterator[None]:
    """The year of the entries is not over."""
    with time_machine.travel(NOON, tick=True):
        yield


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    return Auditor(tmp_path)


@pytest.fixture
def days(begin: Begin, end: End, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Record an intent and its outcome on each of so many days, beginning with 1 November 2026."""

    def recorded(count: int = 5, start: datetime = FIRST) -> None:
        for day in range(count):
            monkeypatch.setattr(appending, "_now", lambda day=day: start + day * DAY)
            receipt = begin(ticket=f"CHG-{day}", reason="because")
            end(receipt.operation_id)

    return recorded


def bundle_of(signer: Signer, **selection: Any) -> tuple[bytes, bundle.Written]:
    target = io.BytesIO()
    written = write_bundle(target, Selection(**selection), newest=signer)
    return target.getvalue(), written


def checked(auditor: Auditor, signer: Signer, content: bytes) -> dict[str, Any]:
    return auditor.check(content, vkey=signer.vkeys())


def member(content: bytes, path: str) -> bytes:
    return zipfile.ZipFile(io.BytesIO(content)).read(path)


def test_the_whole_ledger_is_verified(days: Callable[..., None], signer: Signer, auditor: Auditor) -> None:
    days()
    content, written = bundle_of(signer)
    found = checked(auditor, signer, content)
    assert (found["code"], found["problems"], found["warnings"]) == (0, [], [])
    assert written == bundle.Written(entries=10, first="2026/0", last="2026/9")
    assert "10 are shown: all from 0 to 9" in found["facts"][2]
    assert b"alice@example.org" in member(content, "2026/disclosures.jsonl")
    assert b"Nothing of the period is withheld" in member(content, "README.txt")


def test_a_bundle_brings_the_verifier(days: Callable[..., None], signer: Signer) -> None:
    days(1)
    assert member(bundle_of(signer)[0], "verify.py") == bundle.VERIFIER.read_bytes()


def test_a_period_shows_one_entry_on_each_side_and_withholds_the_rest(
    days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days()
    content, written = bundle_of(signer, since=FIRST + DAY, until=FIRST + 2 * DAY)
    assert (written.first, written.last) == ("2026/1", "2026/4")
    lines = member(content, "2026/entries.jsonl").splitlines()
    assert [line[:1] == b"#" for line in lines] == [True, False, False, False, False, True, True, True, True, True]
    assert checked(auditor, signer, content)["code"] == 0


@pytest.mark.parametrize(
    "period",
    [{"since": FIRST + 90 * DAY}, {"until": FIRST - DAY}, {"since": FIRST + timedelta(hours=1), "until": FIRST + DAY}],
)
def test_a_period_without_entries_is_proved_to_have_none(
    period: dict[str, datetime], days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days()
    found = checked(auditor, signer, bundle_of(signer, **period)[0])
    assert (found["code"], found["problems"]) == (0, [])


def test_a_filtered_bundle_is_verified_and_says_what_it_cannot_prove(
    days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days()
    content, written = bundle_of(signer, equal={"ticket": "CHG-2"})
    found = checked(auditor, signer, content)
    assert (found["code"], written.entries) == (0, 1)
    assert b"cannot prove that a withheld entry does not fit" in member(content, "README.txt")
    assert json.loads(member(content, "manifest.json"))["filter"] == {"ticket": "CHG-2"}


def test_two_shards_are_bound_to_each_other(days: Callable[..., None], signer: Signer, auditor: Auditor) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    content, written = bundle_of(signer)
    assert (written.first, written.last) == ("2026/0", "2027/2")
    assert (checked(auditor, signer, content)["code"], written.entries) == (0, 5)


@pytest.mark.parametrize(
    ("period", "shards"),
    [
        ({"since": datetime(2026, 12, 31, 12, tzinfo=UTC)}, [2026, 2027]),
        ({"since": datetime(2027, 1, 1, 12, tzinfo=UTC)}, [2027]),
        ({"until": datetime(2026, 12, 31, 12, tzinfo=UTC)}, [2026, 2027]),
        ({"until": datetime(2026, 1, 1, tzinfo=UTC)}, [2026, 2027]),
        ({"until": datetime(2026, 12, 31, 12, tzinfo=UTC), "equal": {"ticket": "CHG-0"}}, [2026, 2027]),
        ({"since": datetime(2026, 12, 31, 12, tzinfo=UTC), "equal": {"ticket": "none"}}, [2026, 2027]),
    ],
)
def test_each_shard_that_the_period_reaches_into_is_there_and_what_tells_how_the_last_ended(
    period: dict[str, Any], shards: list[int], days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    content, _ = bundle_of(signer, **period)
    assert [one["shard"] for one in json.loads(member(content, "manifest.json"))["shards"]] == shards
    found = checked(auditor, signer, content)
    assert (found["code"], [one for one in found["warnings"] if "reaches into" in one]) == (0, [])


def test_of_the_shard_that_only_tells_an_ending_its_first_entry_is_shown_and_counts_for_nothing(
    days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    content, written = bundle_of(signer, until=datetime(2027, 1, 1, tzinfo=UTC))
    assert (written.first, written.last, written.entries) == ("2026/0", "2026/1", 2)
    lines = member(content, "2027/entries.jsonl").splitlines()
    assert [line[:1] == b"#" for line in lines] == [False, True, True]
    assert checked(auditor, signer, content)["code"] == 0


@pytest.mark.parametrize("period", [{}, {"until": datetime(2027, 1, 1, tzinfo=UTC)}])
def test_what_is_added_to_a_closed_shard_is_found(
    period: dict[str, datetime], days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    put_into(2026)
    found = checked(auditor, signer, bundle_of(signer, **period)[0])
    assert (found["code"], "ended otherwise" in all_words(found)) == (1, True)
    signer.sizes[2026] = 2
    found = checked(auditor, signer, bundle_of(signer, **period)[0])
    assert (found["code"], "added after it had ended" in all_words(found)) == (1, True)


@pytest.mark.parametrize("selection", [{"equal": {"ticket": "CHG-9"}}, {"since": datetime(2027, 2, 1, tzinfo=UTC)}])
def test_how_a_shard_was_begun_is_always_shown(
    selection: dict[str, Any], days: Callable[..., None], signer: Signer, auditor: Auditor
) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    content, _ = bundle_of(signer, **selection)
    assert b"audit.open_shard" in member(content, "2027/entries.jsonl").splitlines()[0]
    assert checked(auditor, signer, content)["code"] == 0


def test_a_shard_that_ended_otherwise_is_found(
    days: Callable[..., None], signer: Signer, auditor: Auditor, tamper: Callable[..., None]
) -> None:
    days(2, start=datetime(2026, 12, 31, tzinfo=UTC))
    row = Entry.objects.get(shard=2026, leaf_index=0)
    payload = row.payload.replace("CHG-0", "CHG-9")
    tamper(
        "UPDATE audit_entry SET payload = %s, leaf_hash = %s WHERE id = %s",
        payload,
        leaf_hash(payload.encode()).hex(),
        row.pk,
    )
    found = checked(auditor, signer, bundle_of(signer)[0])
    assert (found["code"], "ended otherwise" in all_words(found)) == (1, True)


def test_what_is_not_signed_yet_is_counted(days: Callable[..., None], signer: Signer, auditor: Auditor) -> None:
    days()
    signer.sizes[2026] = 7
    content, written = bundle_of(signer)
    assert (written.entries, written.newer) == (7, 3)
    assert "3 entries were newer" in all_words(checked(auditor, signer, content))


def test_erased_values_are_no_damage(
    days: Callable[..., None], signer: Signer, auditor: Auditor, tamper: Callable[..., None]
) -> None:
    days(1)
    tamper("DELETE FROM audit_disclosure")
    content, _ = bundle_of(signer)
    assert member(content, "2026/disclosures.jsonl") == b""
    assert "are erased or withheld" in all_words(checked(auditor, signer, content))


def test_a_changed_entry_is_found_by_the_auditor(
    days: Callable[..., None], signer: Signer, auditor: Auditor, tamper: Callable[..., None]
) -> None:
    days()
    tamper("UPDATE audit_entry SET payload = replace(payload, 'CHG-1', 'CHG-9')")
    assert checked(auditor, signer, bundle_of(signer)[0])["code"] == 1


def test_without_a_checkpoint_there_is_no_bundle(days: Callable[..., None]) -> None:
    days(1)
    with pytest.raises(NothingSigned, match="no signed checkpoint"):
        write_bundle(io.BytesIO(), Selection(), newest=lambda shard: None)


def test_a_signed_entry_that_is_gone_stops_it(
    days: Callable[..., None], signer: Signer, tamper: Callable[..., None]
) -> None:
    days()
    signed = signer(2026)
    tamper("DELETE FROM audit_entry WHERE leaf_index = 4")
    with pytest.raises(LedgerDamaged, match="ledger verify"):
        write_bundle(io.BytesIO(), Selection(), newest=lambda shard: signed)


def test_it_is_made_in_pieces_and_can_be_stopped(
    days: Callable[..., None], signer: Signer, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    days()
    asked: list[int] = []
    monkeypatch.setattr(bundle, "ROWS_AT_ONCE", 3)
    target = io.BytesIO()
    write_bundle(target, Selection(), newest=signer, checkpoint=lambda: asked.append(1))
    assert len(asked) > 4
    assert checked(auditor, signer, target.getvalue())["code"] == 0
