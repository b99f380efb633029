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
from dataclasses import dataclass, field
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

    def lines(self) -> list[bytes]:
        return [one if isinstance(one, bytes) else canonical(one) for one in self.entries]

    def checkpoint(self) -> str:
        tree = Frontier()
        for line in self.lines():
            tree = tree.append(leaf_hash(line))
        return sign(Checkpoint(self.origin, tree.size, tree.root()), self.key)

    def files(self) -> dict[str, bytes]:
        shown = [
            b"#" + b64encode(leaf_hash(line)) if index in self.withheld else line
            for index, line in enumerate(self.lines())
        ]
        texts = [
            canonical({"index": index, "texts": [self.text]}) for index, line in enumerate(shown) if b"label_c" in line
        ]
        return {
            "2026/checkpoint": self.checkpoint().encode(),
            "2026/vkey": KEY.verifier.text().encode() + b"\n",
            "2026/entries.jsonl": b"".join(line + b"\n" for line in shown),
            "2026/disclosures.jsonl": b"".join(line + b"\n" for line in texts),
        }

    def manifest(self, files: Mapping[str, bytes], *, newer: int = 0) -> bytes:
        listed = [
            {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        ]
        shard = {"shard": 2026, "origin": self.origin, "size": len(self.entries), "newer": newer}
        shards = [shard | ({"pruned": self.pruned} if self.pruned else {})]
        period = {"since": self.since, "until": self.until, "filter": self.filter}
        return canonical({"format": "mycodocker-ledger-bundle/1", "shards": shards, "files": listed, **period})


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
        "2 entries of 2026 were pruned, only their hashes are left; nothing here records it",
        lambda: made(Draft(withheld=frozenset({0, 2}), pruned=3)),
    ),
    "pruned-and-withheld": (TAMPERED, "are withheld", lambda: made(Draft(withheld=frozenset({0, 4}), pruned=3))),
    "entry-changed": (
        TAMPERED,
        "not those that were signed",
        lambda: made(Draft(), replaced("2026/entries.jsonl", b"container.clone", b"container.start")),
    ),
    "entry-removed": (TAMPERED, "6 are here", lambda: made(Draft(), lines_of(lambda lines: lines[:3] + lines[4:]))),
    "entry-added": (TAMPERED, "8 are here", lambda: made(Draft(), lines_of(lambda lines: [*lines, lines[-1]]))),
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
    (folder / "vkey").write_text(KEY.verifier.text() + "\n")
    expected = {name: code for name, (code, _, _) in VECTORS.items()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    write(FOLDER)
