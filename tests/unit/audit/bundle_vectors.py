"""Small bundles for the verifier, good ones and each broken in one way: `python -m tests.unit.audit.bundle_vectors`.

They are built from the published format alone, not by the product's exporter, and are the same at every run.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from containers_app.audit.commitments import digest_of
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.notes import Checkpoint, SigningKey, sign
from tests.machine import PROJECT

FOLDER = PROJECT / "containers_app" / "audit" / "verifier" / "vectors"
ORIGIN = "mycodocker.example/audit/2026"
KEY = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
FOREIGN = SigningKey(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
LAST_YEAR = SigningKey("mycodocker.example/audit/2025", Ed25519PrivateKey.from_private_bytes(b"5" * 32))
AFTER_LOSS = SigningKey("mycodocker.example/audit/202601", Ed25519PrivateKey.from_private_bytes(b"6" * 32))
VKEYS = "".join(f"{key.verifier.text()}\n" for key in (KEY, LAST_YEAR, AFTER_LOSS))
SECRET = '["b2Zxq4T0mCzXkP3u9yqE1g","actor_label","alice"]'
VERIFIED, TAMPERED, CANNOT = 0, 1, 2


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entry(number: int, **members: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "time": f"2026-11-{number + 1:02d}T09:00:00.000000Z",
        "phase": "event",
        "action": "auth.login",
        "category": "auth",
        "outcome": "success",
        "actor": {"type": "user", "auth": "session", "id": "7", "label_c": digest_of(SECRET)},
        "source": {"channel": "ui"},
    } | members


def honest() -> list[dict[str, Any]]:
    """Seven entries, a day apart; the third is the outcome of the second."""
    entries = [entry(number) for number in range(7)]
    entries[1] = entry(1, phase="intent", action="container.clone", operation_id="op-1")
    del entries[1]["outcome"]
    receipt = {"shard": 2026, "leaf_index": 1, "leaf_hash": leaf_hash(canonical(entries[1])).hex()}
    entries[2] = entry(2, phase="outcome", action="container.clone", operation_id="op-1", intent=receipt)
    return entries


@dataclass
class Draft:
    """A bundle that is being made: change a member before `files` signs, or what `files` returned."""

    entries: list[Any] = field(default_factory=honest)
    withheld: frozenset[int] = frozenset()
    since: str | None = None
    until: str | None = None
    filter: dict[str, str] = field(default_factory=dict)
    key: SigningKey = KEY
    origin: str = ORIGIN
    text: str = SECRET
    pruned: int = 0
    newer: int = 0
    shard: int = 2026
    made_at: str = "2026-12-01T00:00:00.000000Z"
    before: Draft | None = None

    def lines(self) -> list[bytes]:
        return [one if isinstance(one, bytes) else canonical(one) for one in self.entries]

    def tree(self) -> Frontier:
        tree = Frontier()
        for line in self.lines():
            tree = tree.append(leaf_hash(line))
        return tree

    def checkpoint(self) -> str:
        return sign(Checkpoint(self.origin, self.tree().size, self.tree().root()), self.key)

    def ended(self) -> dict[str, Any]:
        """What the first entry of the shard after this one says."""
        closed = {"shard": self.shard, "size": len(self.entries), "root": self.tree().root().hex()}
        return closed | {"checkpoint": self.checkpoint().splitlines()}

    def files(self) -> dict[str, bytes]:
        """The evidence, of the shard before too."""
        shown = [
            b"#" + b64encode(leaf_hash(line)) if index in self.withheld else line
            for index, line in enumerate(self.lines())
        ]
        texts = [
            canonical({"index": index, "texts": [self.text]}) for index, line in enumerate(shown) if b"label_c" in line
        ]
        return {
            **(self.before.files() if self.before else {}),
            f"{self.shard}/checkpoint": self.checkpoint().encode(),
            f"{self.shard}/vkey": self.key.verifier.text().encode() + b"\n",
            f"{self.shard}/entries.jsonl": b"".join(line + b"\n" for line in shown),
            f"{self.shard}/disclosures.jsonl": b"".join(line + b"\n" for line in texts),
        }

    def shards(self) -> list[dict[str, Any]]:
        earlier = self.before.shards() if self.before else []
        shard = {"shard": self.shard, "origin": self.origin, "size": len(self.entries), "newer": self.newer}
        return [*earlier, shard | ({"pruned": self.pruned} if self.pruned else {})]

    def manifest(self, files: Mapping[str, bytes]) -> bytes:
        listed = [
            {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        ]
        period = {"since": self.since, "until": self.until, "filter": self.filter, "made_at": self.made_at}
        about = {"format": "mycodocker-ledger-bundle/1", "shards": self.shards(), "files": listed}
        return canonical(about | period)


def zipped(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content, compress_type=zipfile.ZIP_DEFLATED)
    return target.getvalue()


def made(draft: Draft, change: Callable[[dict[str, bytes]], object] = lambda files: None) -> bytes:
    """A bundle whose manifest lists what is in it, so that only the evidence itself can give it away."""
    files = draft.files()
    change(files)
    return zipped(files | {"manifest.json": draft.manifest(files)})


def with_entries(change: Callable[[list[Any]], object], **members: Any) -> bytes:
    """Signed like that by the log: only the meaning of the entries is broken."""
    draft = Draft(**members)
    change(draft.entries)
    return made(draft)


def replaced(path: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[path]
        files[path] = files[path].replace(old, new, 1)

    return change


def lines_of(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[dict[str, bytes]], None]:
    def changed(files: dict[str, bytes]) -> None:
        lines = files["2026/entries.jsonl"].splitlines(keepends=True)
        files["2026/entries.jsonl"] = b"".join(change(lines))

    return changed


def last_year() -> Draft:
    """The shard of the year before: three entries."""
    entries = [entry(number, time=f"2025-12-{number + 1:02d}T09:00:00.000000Z") for number in range(20, 23)]
    return Draft(entries=entries, shard=2025, key=LAST_YEAR, origin=LAST_YEAR.name)


def opened(before: Draft, *, action: str = "audit.open_shard", **details: Any) -> list[dict[str, Any]]:
    """The entries of a shard that follows `before`."""
    told = {"previous": before.ended(), **details}
    return [entry(9, action=action, category="audit", details=told, time="2026-11-01T00:00:00.000000Z"), *honest()[3:]]


def two_shards(*, bundled: Draft | None = None, is_first_here: bool = True, **members: Any) -> bytes:
    """2025 and 2026; `bundled` in the place of what 2026 says of 2025."""
    draft = Draft(entries=opened(last_year()), before=bundled or last_year(), **members)
    if not is_first_here:
        draft.before = None
    return made(draft)


def cut_shard(**members: Any) -> Draft:
    """The shard of the year before, as an older checkpoint of it has it."""
    draft = replace(last_year(), **members)
    draft.entries.pop()
    return draft


def unsigned_end() -> bytes:
    """2025 without its last entry, which was never signed."""
    entries = opened(last_year())
    entries[0]["details"]["previous"]["checkpoint"] = cut_shard().checkpoint().splitlines()
    return made(Draft(entries=entries, before=cut_shard()))


def pruned_year(*, told: Mapping[str, Any] | None = None, told_in: int = 2026, **members: Any) -> bytes:
    """2025, of which retention took the first two entries, and 2026, which `told` it (None: nothing does)."""
    whole, root = last_year(), Draft(entries=last_year().entries[:2]).tree().root().hex()
    details = {"shard": 2025, "start": 0, "end": 2, "root": root, "policy": {}, **(told or {})}
    records = [] if told is None else [entry(8, action="audit.prune", category="audit", details=details)]
    whole.entries += records if told_in == 2025 else []
    entries = opened(whole) + (records if told_in == 2026 else [])
    return made(Draft(entries=entries, before=replace(whole, withheld=frozenset({0, 1}), pruned=2), **members))


def after_loss(*, action: str = "audit.accept_rollback", is_left_here: bool = True, **members: Any) -> bytes:
    """2026 as it was left, and a second shard of that year, in which somebody accepted the loss of two entries."""
    left = Draft()
    lost = {
        "shard": 2026,
        "size": 9,
        "root": "0" * 64,
        "left": 7,
        "why": "the database has fewer entries",
        "checkpoint": [],
    }
    entries = opened(left, action=action, rollback=[lost])
    for number, one in enumerate(entries):
        one.update(id=f"loss-{number}", time=f"2026-11-{number + 10}T00:00:00.000000Z", reason_c=digest_of("why"))
    return made(
        Draft(
            entries=entries,
            shard=202601,
            key=AFTER_LOSS,
            origin=AFTER_LOSS.name,
            before=left if is_left_here else None,
            **members,
        )
    )


def bomb() -> bytes:
    """A file that is a thousand times larger than what it is packed into."""
    return made(Draft(), lambda files: files.update({"2026/entries.jsonl": b"\n" * (6 << 20)}))


def _named_twice() -> bytes:
    target = io.BytesIO(made(Draft()))
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(zipfile.ZipInfo("2026/other.jsonl"), b"unlisted")
    return target.getvalue()


def _outcome_of_another(entries: list[Any]) -> None:
    entries[2]["intent"]["leaf_hash"] = "0" * 64


def _unlisted() -> bytes:
    draft = Draft()
    files = draft.files()
    manifest = draft.manifest(files)
    return zipped(files | {"2026/vkey": FOREIGN.verifier.text().encode() + b"\n", "manifest.json": manifest})


def _signed_by(*, key: SigningKey) -> bytes:
    return made(Draft(key=key))


PERIOD = {"since": "2026-11-03T00:00:00.000000Z", "until": "2026-11-05T00:00:00.000000Z"}
YEAR: Mapping[str, Any] = {"since": "2025-01-01T00:00:00.000000Z", "until": "2026-01-01T00:00:00.000000Z"}
# The name, what the verifier says with the key of KEY, a word of its reason, and the bundle.
VECTORS: Mapping[str, tuple[int, str, Callable[[], bytes]]] = {
    "good-whole": (VERIFIED, "7 are shown: all from 0 to 6", lambda: made(Draft())),
    "good-period": (
        VERIFIED,
        "4 are shown: all from 1 to 4",
        lambda: made(Draft(withheld=frozenset({0, 5, 6}), since=PERIOD["since"], until=PERIOD["until"])),
    ),
    "good-filtered": (
        VERIFIED,
        "cannot be proved",
        lambda: made(Draft(withheld=frozenset({0, 3, 4, 6}), filter={"actor": "7"})),
    ),
    "good-erased": (
        VERIFIED,
        "7 personal values are erased",
        lambda: made(Draft(), lambda files: files.update({"2026/disclosures.jsonl": b""})),
    ),
    "good-pruned": (
        VERIFIED,
        "2 entries of 2025 were pruned, only their hashes are left; entry 2026/5 records it",
        lambda: pruned_year(told={}),
    ),
    "pruned-newest": (
        TAMPERED,
        "nothing is ever pruned of the shard that is written to",
        lambda: made(Draft(withheld=frozenset({3}), pruned=7)),
    ),
    "pruned-all": (
        TAMPERED,
        "7 entries of 2026 were pruned",
        lambda: made(Draft(withheld=frozenset(range(7)), pruned=7)),
    ),
    "pruned-unrecorded": (TAMPERED, "nothing here records it: they are withheld", pruned_year),
    "pruned-otherwise": (TAMPERED, "nothing here records it", lambda: pruned_year(told={"root": "0" * 64})),
    "pruned-by-itself": (TAMPERED, "nothing here records it", lambda: pruned_year(told={}, told_in=2025)),
    "pruned-later": (
        CANNOT,
        "ask for all until now",
        lambda: pruned_year(until="2026-11-05T00:00:00.000000Z"),
    ),
    "pruned-more-than-there-is": (TAMPERED, "so many entries cannot be", lambda: made(Draft(pruned=8))),
    "pruned-and-withheld": (TAMPERED, "are withheld", lambda: made(Draft(withheld=frozenset({0, 4}), pruned=3))),
    "entry-changed": (
        TAMPERED,
        "not those that were signed",
        lambda: made(Draft(), replaced("2026/entries.jsonl", b"container.clone", b"container.start")),
    ),
    "entry-removed": (TAMPERED, "6 are here", lambda: made(Draft(), lines_of(lambda lines: lines[:3] + lines[4:]))),
    "entry-added": (TAMPERED, "more are here", lambda: made(Draft(), lines_of(lambda lines: [*lines, lines[-1]]))),
    "entries-swapped": (
        TAMPERED,
        "not those that were signed",
        lambda: made(Draft(), lines_of(lambda lines: [*lines[:4], lines[5], lines[4], lines[6]])),
    ),
    "withheld-changed": (
        TAMPERED,
        "not those that were signed",
        lambda: made(
            Draft(withheld=frozenset({3}), filter={"actor": "7"}),
            lines_of(lambda lines: [*lines[:3], b"#" + b64encode(bytes(32)) + b"\n", *lines[4:]]),
        ),
    ),
    "withheld-malformed": (
        TAMPERED,
        "not given by its leaf hash",
        lambda: made(Draft(), lines_of(lambda lines: [b"#AAAA\n", *lines[1:]])),
    ),
    "withheld-in-period": (TAMPERED, "are withheld", lambda: made(Draft(withheld=frozenset({3})))),
    "period-cut": (
        TAMPERED,
        "are withheld",
        lambda: made(Draft(withheld=frozenset({4, 5, 6}), since=PERIOD["since"], until=PERIOD["until"])),
    ),
    "last-line-cut": (
        TAMPERED,
        "cut off",
        lambda: made(Draft(), lines_of(lambda lines: [*lines[:-1], lines[-1][:-1]])),
    ),
    "signature-false": (
        TAMPERED,
        "not by the key it names",
        lambda: made(Draft(), replaced("2026/checkpoint", b"\n7\n", b"\n8\n")),
    ),
    "checkpoint-malformed": (
        TAMPERED,
        "malformed",
        lambda: made(Draft(), replaced("2026/checkpoint", b"\n7\n", b"\nseven\n")),
    ),
    "signed-by-another": (CANNOT, "not signed by any key", lambda: _signed_by(key=FOREIGN)),
    "another-shard": (
        TAMPERED,
        "is that of",
        lambda: made(Draft(key=LAST_YEAR, origin=LAST_YEAR.name)),
    ),
    "id-twice": (TAMPERED, "stands twice", lambda: with_entries(lambda all_: all_[4].update(id=all_[3]["id"]))),
    "outcome-of-another-intent": (TAMPERED, "not the one that was recorded", lambda: with_entries(_outcome_of_another)),
    "outcome-twice": (
        TAMPERED,
        "second outcome",
        lambda: with_entries(lambda all_: all_.append(all_[2] | {"id": "x", "time": all_[6]["time"]})),
    ),
    "intent-after-outcome": (
        TAMPERED,
        "second intent",
        lambda: with_entries(lambda all_: all_.append(all_[1] | {"id": "x", "time": all_[6]["time"]})),
    ),
    "not-canonical": (
        TAMPERED,
        "canonical form",
        lambda: with_entries(lambda all_: all_.append(json.dumps(entry(7)).encode())),
    ),
    "key-twice": (
        TAMPERED,
        "canonical form",
        lambda: with_entries(lambda all_: all_.append(canonical(entry(7))[:-1] + b',"v":1}')),
    ),
    "fraction": (TAMPERED, "not what an entry is", lambda: with_entries(lambda all_: all_[3].update(size_bytes=1.5))),
    "no-entry": (TAMPERED, "not what an entry is", lambda: with_entries(lambda all_: all_.append(b"[]"))),
    "disclosure-changed": (TAMPERED, "not the one", lambda: made(Draft(text=SECRET.replace("alice", "bob")))),
    "disclosure-of-nothing": (
        TAMPERED,
        "belong to no shown entry",
        lambda: made(Draft(), lambda files: files.update({"2026/disclosures.jsonl": b'{"index":99,"texts":["[]"]}\n'})),
    ),
    "good-two-shards": (VERIFIED, "2025: 3 entries are signed", two_shards),
    "good-rollback": (VERIFIED, "LOSS ACCEPTED at 2026-11-10", after_loss),
    "good-closed-year": (
        VERIFIED,
        "2025: 3 entries are signed, 3 are shown: all from 0 to 2",
        lambda: two_shards(withheld=frozenset({1, 2, 3, 4}), **YEAR),
    ),
    "shard-left-out": (CANNOT, "reaches into shard 2025, which is not", lambda: two_shards(is_first_here=False)),
    "later-shard-left-out": (CANNOT, "no shard here", lambda: made(Draft(made_at="2027-02-01T00:00:00.000000Z"))),
    "closed-year-without-its-end": (CANNOT, "no shard here tells how it ended", lambda: made(cut_shard(**YEAR))),
    "closed-year-unsigned-end": (CANNOT, "its last 1 entries are not signed, or withheld", unsigned_end),
    "closed-year-grown": (
        TAMPERED,
        "added after it had ended",
        lambda: two_shards(bundled=replace(last_year(), newer=1)),
    ),
    "opening-withheld": (
        CANNOT,
        "its first entry is withheld",
        lambda: two_shards(withheld=frozenset({0}), filter={"actor": "7"}),
    ),
    "shard-ended-otherwise": (
        TAMPERED,
        "ended otherwise",
        lambda: two_shards(bundled=replace(last_year(), entries=[*last_year().entries[:2], entry(30)])),
    ),
    "shard-grew-afterwards": (
        TAMPERED,
        "ended otherwise",
        lambda: two_shards(bundled=replace(last_year(), entries=[*last_year().entries, entry(30)])),
    ),
    "shard-cut": (TAMPERED, "was over other entries", lambda: two_shards(bundled=cut_shard())),
    "shard-not-bound": (
        TAMPERED,
        "does not say how the shard before it ended",
        lambda: made(Draft(before=last_year())),
    ),
    "further-shard-without-loss": (
        TAMPERED,
        "has to begin with an accepted loss",
        lambda: after_loss(action="audit.open_shard"),
    ),
    "loss-withheld": (
        TAMPERED,
        "has to begin with an accepted loss",
        lambda: after_loss(withheld=frozenset({0}), filter={"actor": "7"}),
    ),
    "period-claimed-wider": (
        TAMPERED,
        "are withheld",
        lambda: made(Draft(withheld=frozenset({0, 1}), since="2026-11-01T00:00:00.000000Z")),
    ),
    "period-backwards": (CANNOT, "period", lambda: made(Draft(since=PERIOD["until"], until=PERIOD["since"]))),
    "number-too-large": (
        TAMPERED,
        "not what an entry is",
        lambda: with_entries(lambda all_: all_[3].update(size_bytes=2**53)),
    ),
    "key-not-ascii": (TAMPERED, "canonical form", lambda: with_entries(lambda all_: all_[3].update({"\u00e9": 1}))),
    "unlisted-file": (TAMPERED, "does not list", _named_twice),
    "bomb": (CANNOT, "more than the manifest says, or than is sane", bomb),
    "larger-than-possible": (
        CANNOT,
        "larger than it can be",
        lambda: made(Draft(), lambda files: files.update({"2026/vkey": b"x" * (2 << 20)})),
    ),
    "file-replaced": (TAMPERED, "not the file that the manifest lists", _unlisted),
    "entries-missing": (CANNOT, "cannot be read", lambda: made(Draft(), lambda files: files.pop("2026/entries.jsonl"))),
    "no-zip": (CANNOT, "cannot be read", lambda: b"this is no zip file"),
    "another-format": (
        CANNOT,
        "format",
        lambda: zipped({"manifest.json": b'{"format":"mycodocker-ledger-bundle/9"}'}),
    ),
}


def write(folder: Path) -> None:
    """All vectors, with the key and what is expected of each."""
    folder.mkdir(exist_ok=True)
    for name, (_, _, make) in VECTORS.items():
        (folder / f"{name}.zip").write_bytes(make())
    (folder / "vkey").write_text(VKEYS)
    expected = {name: code for name, (code, _, _) in VECTORS.items()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    write(FOLDER)
