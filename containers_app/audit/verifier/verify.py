#!/usr/bin/env python3
"""Checks a bundle of MycoDocker's ledger, offline, with Python 3.9 or newer and nothing else.

    python3 verify.py BUNDLE.zip --vkey KEY [--state FILE] [--json] [--quick]
    python3 verify.py ENTRY.json --proof ENTRY.tlog-proof --vkey KEY

Exit code: 0 verified, 1 tampered, 2 cannot verify. The rules are in docs/reference/ledger-format.md; this file shares
no code with the product, so that neither can hide a fault of the other.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

FORMAT = "mycodocker-ledger-bundle/1"
LONGEST_LINE = 1024 * 1024  # a payload has 65,535 bytes at most; its disclosed values may be longer together
LARGEST_DOCUMENT = 16 * 1024 * 1024
MOST_FINDINGS = 100
COMMITTED = {
    ("actor", "label_c"): "actor_label",
    ("source", "ip_c"): "source_ip",
    ("source", "user_agent_c"): "source_user_agent",
    ("error", "message_c"): "error_message",
    ("reason_c",): "reason",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
sha256 = hashlib.sha256
# What a hostile or damaged zip file and manifest can lead to.
UNREADABLE = (
    *(OSError, LookupError, TypeError, ValueError, EOFError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


class CannotVerify(Exception):
    """What was handed over is not enough to say either way."""


class Tampered(Exception):
    """What was handed over contradicts itself; going on makes no sense."""


class Report:
    """What was found: `problems` prove tampering, `warnings` a person has to judge, `facts` say what was checked."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.facts: list[str] = []

    def problem(self, words: str) -> None:
        """Note a contradiction; after a hundred of them the rest is not told one by one."""
        if len(self.problems) < MOST_FINDINGS:
            self.problems.append(words)

    def warn(self, words: str) -> None:
        """Note what is unusual, but may be honest."""
        if len(self.warnings) < MOST_FINDINGS:
            self.warnings.append(words)


# Ed25519, RFC 8032: slow, and in need of no library.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def _recover_x(y: int, sign: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    return P - x if x & 1 != sign else x


def _point(encoded: bytes) -> Point:
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        raise ValueError("no point of the curve")
    x = _recover_x(y, sign)
    return x, y, 1, x * y % P


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(number: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = _add(found, point)
        point = _add(point, point)
        number >>= 1
    return found


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the 64 bytes are the signature of `message` by the key of 32 bytes."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    try:
        key, nonce = _point(public_key), _point(signature[:32])
    except ValueError:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    left, right = _times(scalar, BASE), _add(nonce, _times(challenge, key))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    return scalar < L and same


class Key:
    """A verifier key, C2SP signed-note: `<name>+<key id, 8 hex digits>+<base64 of 0x01 and the public key>`."""

    def __init__(self, text: str) -> None:
        try:
            self.name, key_id, encoded = text.strip().split("+", 2)
            self.id, raw = bytes.fromhex(key_id), base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise CannotVerify(f"this is no verifier key: {text.strip()[:80]!r}") from None
        self.public = raw[1:]
        if raw[:1] != b"\x01" or len(raw) != 33 or self.id != sha256(self.name.encode() + b"\n" + raw).digest()[:4]:
            raise CannotVerify(f"the verifier key of {self.name!r} is not whole, or not of Ed25519")


class Checkpoint:
    """A signed note that says `size` and `root` of the tree `origin`. Raises Tampered for one that is malformed."""

    def __init__(self, note: bytes) -> None:
        body, blank, signatures = note.rpartition(b"\n\n")
        self.signed, self.signatures = body + b"\n", []
        try:
            origin, size, root, *_ = self.signed.decode().split("\n")
            self.origin, self.size, self.root = origin, int(size), base64.b64decode(root, validate=True)
            lines = signatures.decode().splitlines()
            self.signatures = [(one.split(" ")[1], base64.b64decode(one.split(" ")[2])) for one in lines]
        except (ValueError, IndexError, binascii.Error):
            raise Tampered("the checkpoint is malformed") from None
        if not blank or size != str(self.size) or len(self.root) != 32 or not all(one[:2] == "— " for one in lines):
            raise Tampered("the checkpoint is malformed")

    def open(self, keys: list[Key]) -> None:
        """Return when one of the keys signed it, and each that claims to have signed it has."""
        opened = False
        for name, signature in self.signatures:
            for key in keys:
                # A key speaks for the tree of its own name only: one of another year proves nothing here.
                if key.name != name or key.id != signature[:4] or name != self.origin:
                    continue
                if not ed25519_verifies(key.public, self.signed, signature[4:]):
                    raise Tampered(f"{self.origin}: the checkpoint's signature is not by the key it names")
                opened = True
        if not opened:
            raise CannotVerify(f"{self.origin}: the checkpoint is not signed by any key that you gave for this origin")


class Tree:
    """The Merkle tree of RFC 6962. `leaves` holds all leaf hashes, 32 bytes each; `roots` those of watched sizes."""

    def __init__(self, watched: set[int]) -> None:
        self.leaves = bytearray()
        self.size = 0
        self.watched = watched
        self.subtrees: list[bytes] = []
        self.roots: dict[int, bytes] = {}
        if 0 in watched:
            self.roots[0] = sha256(b"").digest()

    def append(self, leaf: bytes) -> None:
        """Take the next leaf hash."""
        self.leaves += leaf
        full = self.size
        while full & 1:
            leaf = sha256(b"\x01" + self.subtrees.pop() + leaf).digest()
            full >>= 1
        self.subtrees.append(leaf)
        self.size += 1
        if self.size in self.watched:
            self.roots[self.size] = self.root()

    def root(self) -> bytes:
        """The root of all leaves so far, of which there is one at least."""
        *wider, root = self.subtrees
        for subtree in reversed(wider):
            root = sha256(b"\x01" + subtree + root).digest()
        return root

    def leaf(self, index: int) -> bytes:
        """A leaf hash; nothing where there is none."""
        return bytes(self.leaves[32 * index : 32 * index + 32]) if index >= 0 else b""


def _no_fraction(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")


_raw_decode = json.JSONDecoder(parse_float=_no_fraction, parse_constant=_no_fraction).raw_decode
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def rank(shard: int) -> int:
    """A number that grows from shard to shard: 2026, then 202601 (the second of that year), then 2027."""
    return shard if shard > 9999 else shard * 100


def _decode(text: str) -> Any:
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("something follows")
    return value


def _kind_of(text: str) -> str:
    """The name in a disclosure, `["<salt>","<name>","<value>"]`; it is not parsed, since there are millions of them."""
    begin, _, comma, kind, *_ = text.split('"', 4)
    return kind if (begin, comma) == ("[", ",") else ""


class Meaning:
    """What entries say to each other: ids once, outcomes bound to their intents, time, shards, disclosures."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.trees: dict[int, Tree] = {}
        self.ids: set[str] = set()
        self.open: set[str] = set()
        self.ended: set[str] = set()
        self.prunings: dict[tuple[Any, ...], str] = {}
        self.backwards = self.entries = self.withheld_values = 0
        self.time = self.place = ""
        self.shard = self.index = 0

    def take(self, shard: int, index: int, line: bytes, texts: list[str]) -> None:
        """Check one entry, whose leaf is in the tree of its shard already, and the disclosures that stand with it."""
        self.shard, self.index, self.place = shard, index, f"{shard}/{index}"
        self.entries += 1
        try:
            text = line.decode()
            entry = _decode(text)
            if not isinstance(entry, dict) or _encode(entry) != text:
                self.report.problem(f"{self.place}: the payload is not in its canonical form")
            self._check(entry)
            self._disclosed(entry, texts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.report.problem(f"{self.place}: the payload is not what an entry is")

    def close(self) -> None:
        """Say what can be said of all of them only."""
        if self.open:
            self.report.warn(f"{len(self.open)} intents have no outcome here: not ended yet, withheld, or cut off")
        if self.backwards:
            self.report.warn(f"the time goes back {self.backwards} times: a clock was set, or it was lied to")
        if self.withheld_values:
            self.report.facts.append(f"{self.withheld_values} personal values are erased or withheld")

    def _check(self, entry: dict[str, Any]) -> None:
        if entry["v"] != 1 or entry["phase"] not in ("intent", "outcome", "event"):
            self.report.problem(f"{self.place}: the version or phase is not known")
        if entry["id"] in self.ids:
            self.report.problem(f"{self.place}: the id {entry['id']} stands twice")
        self.ids.add(entry["id"])
        if not TIME.fullmatch(entry["time"]):
            self.report.problem(f"{self.place}: the time is not in its form")
        self.backwards += entry["time"] < self.time
        self.time = entry["time"]
        if entry["phase"] == "intent":
            self._intent(entry["operation_id"])
        elif entry["phase"] == "outcome":
            self._outcome(entry)
        elif entry["action"] in ("audit.open_shard", "audit.accept_rollback"):
            self._opened(entry["details"])
        elif entry["action"] == "audit.prune":
            self.prunings[tuple(entry["details"][name] for name in ("shard", "end", "root"))] = self.place

    def _intent(self, operation: str) -> None:
        if operation in self.open or operation in self.ended:
            self.report.problem(f"{self.place}: a second intent, or one after the outcome, of {operation}")
        self.open.add(operation)

    def _outcome(self, entry: dict[str, Any]) -> None:
        operation = entry["operation_id"]
        if operation in self.ended:
            self.report.problem(f"{self.place}: a second outcome of {operation}")
        self.ended.add(operation)
        self.open.discard(operation)
        if "intent" not in entry:
            self.report.warn(f"{self.place}: an outcome without an intent")
            return
        shard, index = entry["intent"]["shard"], entry["intent"]["leaf_index"]
        if (rank(shard), index) >= (rank(self.shard), self.index):
            self.report.problem(f"{self.place}: its intent would stand after it")
        elif shard in self.trees and self.trees[shard].leaf(index).hex() != entry["intent"]["leaf_hash"]:
            self.report.problem(f"{self.place}: its intent at {shard}/{index} is not the one that was recorded")

    def _opened(self, details: dict[str, Any]) -> None:
        for loss in details.get("rollback", []):
            self.report.warn(f"{self.place}: it records that of shard {loss['shard']} signed entries were lost")
        previous = details.get("previous", {"shard": 0})
        tree = self.trees.get(previous["shard"])
        if tree is None or not tree.size:
            return
        if tree.size < previous["size"]:
            self.report.warn(
                f"shard {previous['shard']}: its last {previous['size'] - tree.size} entries are not signed"
            )
        elif tree.size != previous["size"] or tree.root().hex() != previous["root"]:
            self.report.problem(f"{self.place}: shard {previous['shard']} ended otherwise than this one says")

    def _disclosed(self, entry: dict[str, Any], texts: list[str]) -> None:
        expected = {}
        for path, kind in COMMITTED.items():
            holder = entry.get(path[0], {}) if len(path) == 2 else entry
            if path[-1] in holder:
                expected[holder[path[-1]]] = kind
        for text in texts:
            digest = base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
            if expected.pop(digest, None) != _kind_of(text):
                self.report.problem(f"{self.place}: a disclosed value is not the one that the entry is bound to")
        self.withheld_values += len(expected)


class _Measured(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source, self.digest, self.count = source, sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.source.read(len(buffer))
        self.digest.update(chunk)
        self.count += len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def included(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that the proof leads to, from a leaf hash; nothing where it is no proof (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return b""
    number, last = index, size - 1
    for beside in proof:
        if last == 0:
            return b""
        if number & 1 or number == last:
            leaf = sha256(b"\x01" + beside + leaf).digest()
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            leaf = sha256(b"\x01" + leaf + beside).digest()
        number, last = number >> 1, last >> 1
    return leaf if last == 0 else b""


def verify_proof(proof: Path, entry: Path, keys: list[Key], report: Report) -> None:
    """Check that one entry (its payload, as stored) is in a signed tree: C2SP tlog-proof. Raises CannotVerify."""
    if not keys:
        raise CannotVerify("a proof needs the log's key: --vkey")
    try:
        head, _, note = proof.read_bytes().partition(b"\n\n")
        magic, place, *hashes = head.decode().split("\n")
        index, path = int(place.split(" ")[1]), [base64.b64decode(one, validate=True) for one in hashes]
        payload = entry.read_bytes()
    except (OSError, ValueError, IndexError) as error:
        raise CannotVerify(f"the proof or the entry cannot be read: {error}") from error
    if magic != "c2sp.org/tlog-proof@v1":
        raise CannotVerify("this is no proof of the form c2sp.org/tlog-proof@v1")
    try:
        checkpoint = Checkpoint(note)
        checkpoint.open(keys)
    except Tampered as found:
        report.problem(str(found))
        return
    if included(sha256(b"\x00" + payload).digest(), index, checkpoint.size, path) != checkpoint.root:
        report.problem(f"{checkpoint.origin}: this is not entry {index} of the signed {checkpoint.size}")
    report.facts.append(f"{checkpoint.origin}: the entry claims to be {index} of the signed {checkpoint.size}")


class Bundle:
    """A zip file or a folder. Each file that is read is compared with the manifest."""

    def __init__(self, path: Path, report: Report) -> None:
        self.report, self.folder = report, path
        self.archive = None if path.is_dir() else zipfile.ZipFile(path)
        self.listed: dict[str, tuple[int, str]] = {}
        self.manifest = json.loads(self.small("manifest.json"))
        if self.manifest.get("format") != FORMAT:
            raise CannotVerify(f"the bundle's format is {self.manifest.get('format')!r}, this file knows {FORMAT!r}")
        self.listed = {one["path"]: (one["size"], one["sha256"]) for one in self.manifest["files"]}

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Read one file, to its end."""
        if ".." in name or name.startswith("/"):
            raise CannotVerify(f"the manifest names a file outside the bundle: {name!r}")
        source = (self.folder / name).open("rb") if self.archive is None else self.archive.open(name)
        with source:
            measured = _Measured(source)
            with io.BufferedReader(measured, 1 << 20) as reader:
                yield reader
                while reader.read(1 << 20):
                    pass
            found = measured.count, measured.digest.hexdigest()
        if self.listed and self.listed.pop(name, None) != found:
            self.report.problem(f"{name}: it is not the file that the manifest lists")

    def small(self, name: str) -> bytes:
        """The content of a small file."""
        with self.open(name) as reader:
            content = reader.read(LARGEST_DOCUMENT + 1)
        if len(content) > LARGEST_DOCUMENT:
            raise CannotVerify(f"{name} is too large")
        return content

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, without their ends."""
        with self.open(name) as reader:
            while line := reader.readline(LONGEST_LINE):
                if line[-1:] != b"\n":
                    raise Tampered(f"{name}: a line is too long, or the last one is cut off")
                yield line[:-1]

    def rest(self) -> None:
        """Compare the files that nobody asked for."""
        for name in list(self.listed):
            with self.open(name):
                pass


class Disclosures:
    """The disclosed values, a line for each entry that has some, in the order of the entries."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.lines = lines
        self.next = self._read()

    def _read(self) -> Any:
        line = next(self.lines, None)
        return {"index": None} if line is None else _decode(line.decode())

    def of(self, index: int) -> list[str]:
        """Those of the entry at this place."""
        if self.next["index"] != index:
            return []
        found: list[str] = self.next["texts"]
        self.next = self._read()
        return found


class Verifier:
    """Checks a bundle's shards, oldest first. `known` maps an origin to the size and root of the last audit."""

    def __init__(self, bundle: Bundle, keys: list[Key], *, known: dict[str, Any], quick: bool) -> None:
        self.bundle, self.report = bundle, bundle.report
        self.keys, self.known, self.quick = keys, known, quick
        self.meaning = Meaning(self.report)
        self.seen: dict[str, dict[str, Any]] = {}
        self.pruned: list[tuple[int, Shown]] = []

    def run(self) -> None:
        """Check everything; what was found is in the report."""
        shards = sorted(self.bundle.manifest["shards"], key=lambda one: rank(int(one["shard"])))
        if not shards:
            raise CannotVerify("the bundle holds no shard")
        for one in shards:
            self._shard(int(one["shard"]), one)
        self.bundle.rest()
        self.meaning.close()
        self._say_pruned()
        for origin in sorted(set(self.known) - set(self.seen)):
            self.report.warn(f"{origin}: you saw this log at an earlier audit; the bundle does not hold it")

    def _shard(self, shard: int, said: dict[str, Any]) -> None:
        checkpoint = Checkpoint(self.bundle.small(f"{shard}/checkpoint"))
        # Else the log of one year could be handed over as that of another.
        if checkpoint.origin.rpartition("/")[2] != str(shard):
            raise Tampered(f"{shard}: the checkpoint is that of {checkpoint.origin}")
        checkpoint.open(self.keys or [Key(self.bundle.small(f"{shard}/vkey").decode())])
        before = self.known.get(checkpoint.origin, {"size": 0, "root": None})
        tree = self.meaning.trees[shard] = Tree({before["size"], said.get("pruned", 0)})
        shown = self._entries(shard, tree, Shown(said.get("pruned", 0)))
        if tree.size != checkpoint.size:
            self.report.problem(f"{checkpoint.origin}: {checkpoint.size} entries are signed, {tree.size} are here")
        elif tree.size and tree.root() != checkpoint.root:
            self.report.problem(f"{checkpoint.origin}: the entries are not those that were signed")
        self._compare(checkpoint, before, tree)
        self._say(checkpoint, shown)
        if not self.bundle.manifest["filter"]:
            self._period(checkpoint, shown)
        if said["newer"]:
            self.report.warn(f"{checkpoint.origin}: {said['newer']} entries were newer than the checkpoint: not here")
        self.seen[checkpoint.origin] = {"size": checkpoint.size, "root": checkpoint.root.hex()}

    def _entries(self, shard: int, tree: Tree, shown: Shown) -> Shown:
        values = Disclosures(iter(()) if self.quick else self.bundle.lines(f"{shard}/disclosures.jsonl"))
        for index, line in enumerate(self.bundle.lines(f"{shard}/entries.jsonl")):
            if line[:1] == b"#":
                tree.append(_withheld(line, f"{shard}/{index}"))
                shown.gone += index < shown.pruned
                continue
            tree.append(sha256(b"\x00" + line).digest())
            shown.take(index, line)
            if not self.quick:
                self.meaning.take(shard, index, line, values.of(index))
        if shown.gone:
            self.pruned.append((shard, shown))
        if values.next["index"] is not None:
            self.report.problem(f"{shard}: there are disclosed values that belong to no shown entry")
        return shown

    def _say_pruned(self) -> None:
        """Retention keeps the hashes. That it was retention, a later entry tells, with the root of what went."""
        for shard, shown in self.pruned:
            root = self.meaning.trees[shard].roots.get(shown.pruned, b"").hex()
            place = self.meaning.prunings.get((shard, shown.pruned, root))
            words = f"entry {place} records it" if place else "nothing here records it: ask for that entry"
            if self.quick:
                words = "--quick does not look for the entry that records it"
            most = "up to " if self.bundle.manifest["filter"] else ""
            self.report.warn(f"{most}{shown.gone} entries of {shard} were pruned, only their hashes are left; {words}")

    def _compare(self, checkpoint: Checkpoint, before: dict[str, Any], tree: Tree) -> None:
        if checkpoint.size < before["size"]:
            words = f"the log shrank from {before['size']} entries to {checkpoint.size} since your last audit"
            self.report.problem(f"{checkpoint.origin}: {words}, or this bundle is older than that")
        elif before["root"] and tree.roots.get(before["size"], b"").hex() != before["root"]:
            self.report.problem(f"{checkpoint.origin}: history was rewritten since your last audit")

    def _say(self, checkpoint: Checkpoint, shown: Shown) -> None:
        words = f"{checkpoint.origin}: {checkpoint.size} entries are signed, {shown.kept + shown.count} are shown"
        if self.bundle.manifest["filter"]:
            words += "; that none of the others fits the filter cannot be proved"
        elif shown.is_one_piece:
            words += f": all from {shown.first} to {shown.last}"
        self.report.facts.append(words)

    def _period(self, checkpoint: Checkpoint, shown: Shown) -> None:
        """Without a filter nothing of the period may be withheld; an entry on each side shows where it ends."""
        if shown.pruned >= checkpoint.size:
            return  # what is left of it is shown
        since, until = self.bundle.manifest["since"], self.bundle.manifest["until"]
        begun = shown.first <= shown.pruned or (since is not None and _time(shown.first_line) < since)
        ended = shown.last == checkpoint.size - 1 or (until is not None and _time(shown.last_line) >= until)
        if not (shown.is_one_piece and begun and ended):
            self.report.problem(f"{checkpoint.origin}: entries of the period {since} to {until} are withheld")


class Shown:
    """Which entries of a shard are not withheld. Below `pruned` some are `gone`, and the `kept` ones are no piece."""

    def __init__(self, pruned: int) -> None:
        self.pruned, self.gone, self.kept = pruned, 0, 0
        self.count, self.first, self.last = 0, -1, -1
        self.first_line = self.last_line = b""

    def take(self, index: int, line: bytes) -> None:
        """Count one."""
        if index < self.pruned:
            self.kept += 1
            return
        if not self.count:
            self.first, self.first_line = index, line
        self.count += 1
        self.last, self.last_line = index, line

    @property
    def is_one_piece(self) -> bool:
        """Whether there are any, with none withheld between them."""
        return 0 < self.count == self.last - self.first + 1


def _time(line: bytes) -> str:
    return str(json.loads(line)["time"])


def _withheld(line: bytes, place: str) -> bytes:
    try:
        leaf = base64.b64decode(line[1:], validate=True)
    except binascii.Error:
        leaf = b""
    if len(leaf) != 32:
        raise Tampered(f"{place}: a withheld entry is not given by its leaf hash")
    return leaf


def verify(path: Path, keys: list[Key], *, known: dict[str, Any], quick: bool, report: Report) -> dict[str, Any]:
    """Fill the report, and return what the next audit should know. Raises CannotVerify."""
    if not keys:
        report.warn("the key is the bundle's own: it proves nothing about who signed. Get it by another way: --vkey")
    try:
        verifier = Verifier(Bundle(path, report), keys, known=known, quick=quick)
        verifier.run()
    except Tampered as found:
        report.problem(str(found))
        return {}
    except UNREADABLE as error:
        raise CannotVerify(f"the bundle cannot be read: {type(error).__name__}: {error}") from error
    return verifier.seen


def keys_of(given: list[str]) -> list[Key]:
    """The keys that were given: each a key, or a file with one in each line."""
    texts: list[str] = []
    for one in given:
        texts += Path(one).read_text(encoding="utf-8").split("\n") if Path(one).is_file() else [one]
    return [Key(text) for text in texts if text.strip()]


def keep(state: Path, known: dict[str, Any]) -> None:
    """Write what was seen, all or nothing."""
    beside = state.with_name(state.name + ".new")
    beside.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(beside, state)  # noqa: PTH105 - the same, and clearer


def run(options: argparse.Namespace, report: Report) -> None:
    """Verify, and remember what was seen if it is good. Raises CannotVerify."""
    try:
        keys, state = keys_of(options.vkey), options.state
        known = json.loads(state.read_text(encoding="utf-8")) if state and state.exists() else {}
        if not all(isinstance(one["size"], int) and len(one["root"]) == 64 for one in known.values()):
            raise ValueError("no state")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CannotVerify(f"a key's file or the state cannot be read: {error}") from error
    if options.proof:
        verify_proof(options.proof, options.bundle, keys, report)
        return
    seen = verify(options.bundle, keys, known=known, quick=options.quick, report=report)
    if state and not report.problems:
        keep(state, {**known, **seen})


def main(arguments: list[str]) -> int:
    """Tell the verdict in words or as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check a bundle of the audit ledger, offline.")
    parser.add_argument("bundle", type=Path, help="the zip file, or the folder that it was unpacked into")
    parser.add_argument("--proof", type=Path, help="a .tlog-proof file; BUNDLE is then the payload of its one entry")
    parser.add_argument("--vkey", action="append", default=[], help="the log's key, or a file of keys; repeatable")
    parser.add_argument("--state", type=Path, help="what you saw last time; written when the bundle is good")
    parser.add_argument("--quick", action="store_true", help="check the tree and the signature only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    report, verdict, why = Report(), "verified", ""
    try:
        run(options, report)
    except CannotVerify as error:
        verdict, why = "cannot verify", str(error)
    if report.problems:
        verdict = "tampered"
    if options.json:
        told = {"verdict": verdict, "why": why, **vars(report)}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        lines = [*(f"TAMPERED: {one}" for one in report.problems), *(f"warning: {one}" for one in report.warnings)]
        sys.stdout.write("\n".join([*report.facts, *lines, f"{verdict.upper()}{': ' if why else ''}{why}"]) + "\n")
    return {"verified": 0, "tampered": 1, "cannot verify": 2}[verdict]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
