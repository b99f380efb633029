#!/usr/bin/env python3
"""Checks a bundle of MycoDocker's ledger, offline, with Python 3.9 or newer and nothing else.

    python3 verify.py BUNDLE.zip --vkey KEY [--state FILE] [--quick] [--strict] [--json]
    python3 verify.py ENTRY.json --proof ENTRY.tlog-proof --vkey KEY

Exit code: 0 verified, 1 tampered, 2 cannot verify. The rules are in docs/reference/ledger-format.md; this file shares
no code with the product, so that neither can hide a fault of the other.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import gc
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

FORMAT = "mycodocker-ledger-bundle/1"
LONGEST_PAYLOAD = 65_535
LONGEST_LINE = 1024 * 1024  # the disclosed values of one entry may be longer together than its payload
LARGEST_DOCUMENT = 16 * 1024 * 1024
LARGEST_RATIO = 300  # of what is unpacked to what is packed; entries are packed some 15 times
AT_ONCE = 1024 * 1024
MOST_FINDINGS = 100
LAST_YEAR = 9999  # a shard has the number of its year; 202601 is the second one that 2026 has
COMMITTED = (
    ("actor", "label_c", "actor_label"),
    ("source", "ip_c", "source_ip"),
    ("source", "user_agent_c", "source_user_agent"),
    ("error", "message_c", "error_message"),
    ("", "reason_c", "reason"),
)
ROLLBACK = "audit.accept_rollback"
NOTHING: dict[str, Any] = {"index": None}
PHASES = ("intent", "outcome", "event")
is_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII).fullmatch
URL_SAFE = bytes.maketrans(b"+/", b"-_")
sha256 = hashlib.sha256


class CannotVerify(Exception):
    """What was handed over is not enough to say either way."""


class Tampered(Exception):
    """What was handed over contradicts itself; going on makes no sense."""


class Report:
    """What was found: `problems` prove tampering, `doubts` leave it unverified, `warnings` a person has to judge.

    `facts` say what was checked.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.doubts: list[str] = []
        self.warnings: list[str] = []
        self.facts: list[str] = []


def note(found: list[str], words: str) -> None:
    """Add a sentence; after a hundred of them the rest is not told one by one."""
    if len(found) < MOST_FINDINGS:
        found.append(plain(words))


def plain(words: str) -> str:
    """One line of printable ASCII: texts of a bundle must not draw on the reader's screen."""
    return ascii(words[:500])[1:-1]


# Ed25519, RFC 8032: slow, and in need of no library. Points are (X, Y, Z, T), see section 5.1.4.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def _point(encoded: bytes) -> Point:
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    x = P - x if x & 1 != sign else x
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
        point, number = _add(point, point), number >> 1
    return found


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the 64 bytes are the signature of `message` by the key of 32 bytes."""
    scalar = int.from_bytes(signature[32:], "little")
    if len(public_key) != 32 or len(signature) != 64 or scalar >= L:
        return False
    try:
        key, nonce = _point(public_key), _point(signature[:32])
    except ValueError:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    left, right = _times(scalar, BASE), _add(nonce, _times(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


class Key:
    """A verifier key, C2SP signed-note: `<name>+<key id, 8 hex digits>+<base64 of 0x01 and the public key>`."""

    def __init__(self, text: str) -> None:
        try:
            self.name, key_id, encoded = text.split("+", 2)
            self.id, raw = bytes.fromhex(key_id), base64.b64decode(encoded, validate=True)
        except ValueError:
            raise CannotVerify(f"this is no verifier key: {text[:80]}") from None
        self.public = raw[1:]
        if raw[:1] != b"\x01" or len(raw) != 33 or self.id != sha256(self.name.encode() + b"\n" + raw).digest()[:4]:
            raise CannotVerify(f"the verifier key of {self.name} is not whole, or not of Ed25519")


def keys_of(given: list[str]) -> list[Key]:
    """The keys: each given as it is, or in a file with one in each line, or a C2SP tlog-policy without witnesses."""
    texts: list[str] = []
    for one in given:
        texts += Path(one).read_text(encoding="utf-8").splitlines() if Path(one).is_file() else [one]
    words = [text.split() for text in texts if text.strip() and not text.startswith("#")]
    return [Key(" ".join(one[1:2] if one[0] == "log" else one)) for one in words if one != ["quorum", "none"]]


class Checkpoint:
    """A signed note that says `size` and `root` of the tree `origin`. Raises Tampered for one that is malformed."""

    def __init__(self, note: bytes) -> None:
        body, blank, below = note.rpartition(b"\n\n")
        self.signed = body + b"\n"
        try:
            self.origin, size, root, *_ = self.signed.decode().split("\n")
            self.size, self.root = int(size), base64.b64decode(root, validate=True)
            lines = [line.split(" ") for line in below.decode().splitlines()]
            self.signatures = [(name, base64.b64decode(text, validate=True)) for _, name, text in lines]
        except ValueError:
            raise Tampered("a checkpoint is malformed") from None
        good = blank and size == str(self.size) and 0 <= self.size < 2**63 and len(self.root) == 32
        if not good or any(dash != "—" for dash, _, _ in lines):
            raise Tampered("a checkpoint is malformed")

    def open(self, keys: list[Key]) -> None:
        """Return when one of the keys signed it, and each that claims to have signed it has."""
        opened = False
        for name, signature in self.signatures:
            # A key speaks for the tree of its own name only: one of another year proves nothing here.
            named = [key for key in keys if key.name == name == self.origin and key.id == signature[:4]]
            if named and not any(ed25519_verifies(key.public, self.signed, signature[4:]) for key in named):
                raise Tampered(f"{self.origin}: the checkpoint's signature is not by the key it names")
            opened = opened or bool(named)
        if not opened:
            raise CannotVerify(f"{self.origin}: the checkpoint is not signed by any key that you gave for this origin")


def root_of(leaves: bytes) -> bytes:
    """The root of an RFC 6962 tree over leaf hashes, 32 bytes each: pairs are hashed, and one left over moves up."""
    while len(leaves) > 32:
        end = len(leaves) // 64 * 64
        leaves = b"".join([sha256(b"\x01" + leaves[at : at + 64]).digest() for at in range(0, end, 64)]) + leaves[end:]
    return leaves or sha256(b"").digest()


def included(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that the proof leads to, from a leaf hash; nothing where it is no proof (RFC 9162, 2.1.3.2)."""
    number, last = index, size - 1
    if not 0 <= index < size:
        return b""
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
    """Check that one entry (its payload, as stored) is in a signed tree: C2SP tlog-proof."""
    if not keys:
        raise CannotVerify("a proof needs the log's key: --vkey")
    head, _, signed = _small(proof).partition(b"\n\n")
    magic, place, *hashes = head.decode().split("\n")
    if magic != "c2sp.org/tlog-proof@v1":
        raise CannotVerify("this is no proof of the form c2sp.org/tlog-proof@v1")
    index, path = int(place.split(" ")[1]), [base64.b64decode(one, validate=True) for one in hashes]
    checkpoint = Checkpoint(signed)
    checkpoint.open(keys)
    if included(sha256(b"\x00" + _small(entry)).digest(), index, checkpoint.size, path) != checkpoint.root:
        note(report.problems, f"{checkpoint.origin}: this is not entry {index} of the signed {checkpoint.size}")
    note(report.facts, f"{checkpoint.origin}: the entry claims to be {index} of the signed {checkpoint.size}")


def _small(path: Path) -> bytes:
    with path.open("rb") as source:
        return source.read(LARGEST_DOCUMENT)


class Bundle:
    """A zip file or a folder. Each file is compared with the manifest; no more than that says is unpacked."""

    def __init__(self, path: Path, report: Report) -> None:
        self.report, self.folder = report, path
        self.archive = None if path.is_dir() else zipfile.ZipFile(path)
        with self._source("manifest.json", LARGEST_DOCUMENT) as source:
            self.manifest: dict[str, Any] = json.loads(source.read(LARGEST_DOCUMENT))
        if self.manifest["format"] != FORMAT:
            raise CannotVerify(f"the bundle's format is {self.manifest['format']}, this file knows {FORMAT}")
        self.listed = {one["path"]: (int(one["size"]), one["sha256"]) for one in self.manifest["files"]}
        names = [] if self.archive is None else self.archive.namelist()
        if len(names) != len(set(names)) or set(names) - {*self.listed, "manifest.json"}:
            note(report.problems, "the zip file holds files twice, or such that the manifest does not list")

    def _source(self, name: str, most: int) -> IO[bytes]:
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name, re.ASCII):
            raise CannotVerify(f"the manifest names a file that no bundle has: {name}")
        if self.archive is None:
            return (self.folder / name).open("rb")
        info = self.archive.getinfo(name)
        if info.file_size > most or info.file_size > LARGEST_RATIO * info.compress_size + AT_ONCE:
            raise CannotVerify(f"{name}: it would unpack to more than the manifest says, or than is sane")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CannotVerify(f"{name}: it is packed otherwise than bundles are")
        return self.archive.open(info)

    def pieces(self, name: str, most: int) -> Iterator[bytes]:
        """The content of a file, of which a bundle has `most` bytes at most."""
        size, digest = self.listed.pop(name)
        if size > most:
            raise CannotVerify(f"{name} is larger than it can be")
        found, count = sha256(), 0
        with self._source(name, size) as source:
            while count <= size and (piece := source.read(min(AT_ONCE, size + 1 - count))):
                count += len(piece)
                found.update(piece)
                yield piece
        if (count, found.hexdigest()) != (size, digest):
            note(self.report.problems, f"{name}: it is not the file that the manifest lists")

    def lines(self, name: str, most: int) -> Iterator[list[bytes]]:
        """The lines of a file without their ends, some at a time."""
        rest = b""
        for piece in self.pieces(name, most):
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise Tampered(f"{name}: a line is too long")
            yield whole
        if rest:
            raise Tampered(f"{name}: the last line is cut off")

    def rest(self) -> None:
        """Compare the files that nobody asked for."""
        for name in list(self.listed):
            for _ in self.pieces(name, LARGEST_DOCUMENT if name in ("README.txt", "verify.py") else 2**63):
                pass


def _whole(text: str) -> int:
    if len(text) > 15 and abs(int(text)) >= 2**53:
        raise ValueError(f"{text} is too large")
    return int(text)


def _no_fraction(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")


_raw_decode = json.JSONDecoder(parse_int=_whole, parse_float=_no_fraction, parse_constant=_no_fraction).raw_decode
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def decode(text: str) -> Any:
    """The one JSON value that a text is, of whole numbers below 2^53 only."""
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("something follows")
    return value


def _has_ascii_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and _has_ascii_keys(one) for key, one in value.items())
    return all(map(_has_ascii_keys, value)) if isinstance(value, list) else True


class Shard:
    """What was read of one: its leaf hashes, 32 bytes each; which entries are shown, in `runs` pieces."""

    def __init__(self, number: int, checkpoint: Checkpoint, *, pruned: int, newer: int) -> None:
        self.number, self.checkpoint, self.leaves = number, checkpoint, bytearray()
        self.pruned, self.kept, self.gone = pruned, 0, 0  # below `pruned` retention took some away, and kept some
        self.origin, self.signed, self.newer = checkpoint.origin, checkpoint.size, newer
        if not 0 <= pruned <= self.signed or newer < 0:
            raise Tampered(f"{self.origin}: so many entries cannot be pruned or newer")
        self.shown, self.runs, self.begin, self.end = 0, 0, -2, -2  # the last two are of the last piece
        self.opening = self.first_line = self.last_line = b""

    @property
    def size(self) -> int:
        """How many entries are here."""
        return len(self.leaves) // 32

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries; nothing where they are not here."""
        return root_of(bytes(self.leaves[: 32 * size])) if 0 <= size <= self.size else b""

    def show(self, index: int, line: bytes) -> None:
        """Take note of an entry that is shown."""
        if index == 0:
            self.opening = line
        if index < self.pruned:
            self.kept += 1
            return
        if index != self.end + 1:
            self.runs, self.begin, self.first_line = self.runs + 1, index, line
        self.shown, self.end, self.last_line = self.shown + 1, index, line


def leaf_of(withheld: bytes, place: str) -> bytes:
    """The leaf hash that stands for an entry."""
    try:
        leaf = base64.b64decode(withheld[1:], validate=True)
    except ValueError:
        leaf = b""
    if len(leaf) != 32:
        raise Tampered(f"{place}: a withheld entry is not given by its leaf hash")
    return leaf


def rank(shard: int) -> int:
    """A number that grows from shard to shard: 2026, then 202601 (the second of that year), then 2027."""
    return shard if shard > LAST_YEAR else shard * 100


def time_of(line: bytes) -> str:
    """When an entry was recorded."""
    return str(json.loads(line)["time"])


class Meaning:
    """What entries say to each other: ids once, outcomes bound to their intents, time, disclosures."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.shards: dict[int, Shard] = {}
        self.here = (0, 0)
        self.ids: set[str] = set()
        self.open: dict[str, tuple[int, int]] = {}
        self.ended: set[str] = set()
        self.prunings: list[tuple[int, int, dict[str, Any]]] = []
        self.backwards = self.withheld = 0
        self.time = ""

    def problem(self, words: str) -> None:
        """Note a contradiction in the entry that is looked at."""
        note(self.report.problems, "{}/{}: ".format(*self.here) + words)

    def take(self, shard: int, index: int, line: bytes, texts: list[str]) -> None:
        """Check one entry, whose leaf is in the tree of its shard already, and the disclosures that stand with it."""
        self.here = (shard, index)
        try:
            text = line.decode()
            entry = decode(text)
            if encode(entry) != text or len(line) > LONGEST_PAYLOAD or not (text.isascii() or _has_ascii_keys(entry)):
                self.problem("the payload is not in its canonical form")
            phase, time, number = entry["phase"], entry["time"], entry["id"]
            if entry["v"] != 1 or phase not in PHASES or not is_time(time):
                self.problem("the version, the phase or the form of the time is not known")
            if number in self.ids:
                self.problem(f"the id {number} stands twice")
            self.ids.add(number)
            if time < self.time:
                self.backwards += 1
            self.time = time
            if phase == "intent":
                self._intent(entry["operation_id"])
            elif phase == "outcome":
                self._outcome(entry)
            if entry["action"] == "audit.prune":
                said = entry["details"]
                self.prunings.append((shard, index, {name: said[name] for name in ("shard", "end", "root")}))
            self._disclosed(entry, texts)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.problem("the payload is not what an entry is")

    def _intent(self, operation: str) -> None:
        if operation in self.open or operation in self.ended:
            self.problem(f"a second intent, or one after the outcome, of {operation}")
        self.open[operation] = self.here

    def _outcome(self, entry: dict[str, Any]) -> None:
        operation = entry["operation_id"]
        if operation in self.ended:
            self.problem(f"a second outcome of {operation}")
        self.ended.add(operation)
        self.open.pop(operation, None)
        if "intent" not in entry:
            note(self.report.warnings, "{}/{}: an outcome without an intent".format(*self.here))
            return
        shard, index = entry["intent"]["shard"], entry["intent"]["leaf_index"]
        if (rank(shard), index) >= (rank(self.here[0]), self.here[1]) or index < 0:
            self.problem("its intent would stand after it")
        elif shard in self.shards:
            leaf = self.shards[shard].leaves[32 * index : 32 * index + 32]
            if leaf.hex() != entry["intent"]["leaf_hash"]:
                self.problem(f"its intent at {shard}/{index} is not the one that was recorded")

    def _disclosed(self, entry: dict[str, Any], texts: list[str]) -> None:
        expected = {}
        for parent, name, kind in COMMITTED:
            holder = entry.get(parent) if parent else entry
            if holder and name in holder:
                expected[holder[name]] = kind
        for text in texts:
            digest = binascii.b2a_base64(sha256(text.encode()).digest()).translate(URL_SAFE)[:43].decode()
            # The form is ["<salt>","<name>","<value>"]; it is not parsed, since there are millions of them.
            begin, _, comma, named, *_ = text.split('"', 4)
            if expected.pop(digest, "") != named or begin + comma != "[,":
                self.problem("a disclosed value is not the one that the entry is bound to")
        self.withheld += len(expected)

    def recorded(self, shard: Shard) -> str:
        """Where a later shard tells that these entries were pruned; empty when none here does."""
        for told_in, index, said in self.prunings:
            # Where the last entries were never signed, the root of what went cannot be computed.
            is_all = shard.pruned == shard.signed < said["end"]
            is_this = (said["end"], said["root"]) == (shard.pruned, shard.root(shard.pruned).hex())
            if said["shard"] == shard.number and rank(told_in) > rank(shard.number) and (is_all or is_this):
                return f"entry {told_in}/{index} records it"
        return ""

    def close(self) -> None:
        """Say what can be said of all of them only."""
        if self.open:
            first = ", ".join(f"{shard}/{index}" for shard, index in [*self.open.values()][:5])
            words = f"not ended yet, withheld, or cut off; first {first}"
            note(self.report.warnings, f"{len(self.open)} intents have no outcome here: {words}")
        if self.backwards:
            words = f"the time goes back {self.backwards} times: a clock was set, or it was lied to"
            note(self.report.warnings, words)
        if self.withheld:
            note(self.report.facts, f"{self.withheld} personal values are erased or withheld")


class Verifier:
    """Checks a bundle's shards, oldest first. `known` maps an origin to the size and root of the last audit.

    `accepted` are the shards of which the auditor agrees that entries were lost.
    """

    def __init__(
        self, bundle: Bundle, keys: list[Key], *, known: dict[str, Any], accepted: list[int], quick: bool
    ) -> None:
        self.bundle, self.report, self.keys, self.quick = bundle, bundle.report, keys, quick
        self.known, self.accepted = known, accepted
        self.problems, self.doubts, self.warnings = self.report.problems, self.report.doubts, self.report.warnings
        self.since, self.until, self.made_at = period_of(bundle.manifest)
        self.period = f"{self.since or 'the beginning'} to {self.until or 'the end'}"
        self.filter: dict[str, str] = bundle.manifest["filter"]
        self.meaning = Meaning(self.report)
        self.shards = self.meaning.shards
        self.seen: dict[str, dict[str, Any]] = {}
        self.losses: list[dict[str, Any]] = []
        self.endings: list[tuple[dict[str, Any], str]] = []

    def run(self) -> None:
        """Check everything; what was found is in the report."""
        chosen = ", ".join(f"{name} = {value}" for name, value in self.filter.items()) or "none"
        note(self.report.facts, f"Period: {self.period}. Filter: {chosen}. Is that what you asked for?")
        note(self.report.facts, f"The bundle says that it was made at {self.made_at}.")
        told = {int(one["shard"]): one for one in self.bundle.manifest["shards"]}
        if not told or len(told) != len(self.bundle.manifest["shards"]):
            raise CannotVerify("the bundle holds no shard, or one twice")
        for number in sorted(told, key=rank):
            self._shard(number, told[number])
        self.bundle.rest()
        self._ends()
        for shard in [one for one in self.shards.values() if one.pruned]:
            self._pruned(shard)
        self.meaning.close()
        for origin in sorted(self.known):
            self._remembered(origin, self.known[origin])

    def _shard(self, number: int, said: dict[str, Any]) -> None:
        checkpoint = Checkpoint(b"".join(self.bundle.pieces(f"{number}/checkpoint", AT_ONCE)))
        own = b"".join(self.bundle.pieces(f"{number}/vkey", AT_ONCE)).decode().strip()
        # Else the log of one year could be handed over as that of another.
        if checkpoint.origin.rpartition("/")[2] != str(number):
            raise Tampered(f"{number}: the checkpoint is that of {checkpoint.origin}")
        checkpoint.open(self.keys or [Key(own)])
        shard = Shard(number, checkpoint, pruned=int(said.get("pruned", 0)), newer=int(said["newer"]))
        is_first, self.shards[number] = not self.shards, shard
        self._read(shard)
        if (said["origin"], said["size"], shard.size) != (shard.origin, shard.signed, shard.signed):
            note(self.problems, f"{shard.origin}: {shard.signed} entries are signed, {shard.size} are here")
        elif shard.root(shard.signed) != checkpoint.root:
            note(self.problems, f"{shard.origin}: the entries are not those that were signed")
        self._opening(shard, is_first)
        self._say(shard)
        self.seen[shard.origin] = {"size": shard.signed, "root": checkpoint.root.hex()}

    def _read(self, shard: Shard) -> None:
        texts = self.bundle.lines(f"{shard.number}/disclosures.jsonl", shard.signed * LONGEST_LINE)
        values = (decode(line.decode()) for some in ([] if self.quick else texts) for line in some)
        pending = next(values, NOTHING)
        for lines in self.bundle.lines(f"{shard.number}/entries.jsonl", shard.signed * LONGEST_LINE):
            if shard.size + len(lines) > shard.signed:
                raise Tampered(f"{shard.origin}: {shard.signed} entries are signed, more are here")
            for index, line in enumerate(lines, shard.size):
                if line[:1] == b"#":
                    shard.leaves += leaf_of(line, f"{shard.number}/{index}")
                    shard.gone += index < shard.pruned
                    continue
                shard.leaves += sha256(b"\x00" + line).digest()
                shard.show(index, line)
                disclosed = []
                if pending["index"] == index:
                    disclosed, pending = pending["texts"], next(values, NOTHING)
                if not self.quick:
                    self.meaning.take(shard.number, index, line, disclosed)
        if pending is not NOTHING:
            note(self.problems, f"{shard.number}: there are disclosed values that belong to no shown entry")

    def _opening(self, shard: Shard, is_first: bool) -> None:
        """Check what a shard's first entry says: of the shard before, and of signed entries that were lost."""
        entry = json.loads(shard.opening or b"{}")
        action, details = entry.get("action"), entry.get("details", {})
        if shard.number > LAST_YEAR and action != ROLLBACK:
            note(self.problems, f"{shard.number}: a further shard of a year has to begin with an accepted loss")
        elif not entry and not is_first:
            note(self.doubts, f"{shard.number}: its first entry is withheld, which says how the shard before it ended")
        elif not is_first and action not in ("audit.open_shard", ROLLBACK):
            note(self.problems, f"{shard.number}: its first entry does not say how the shard before it ended")
        for loss in details.get("rollback", []) if action == ROLLBACK else []:
            self.losses.append(loss)
            actor, reason = entry["actor"], entry.get("reason_c", "none")
            who = f"{actor['type']} {actor.get('id', '')} (name {actor.get('label_c', 'none')}, reason {reason})"
            what = f"of {loss['size']} signed entries of shard {loss['shard']} {loss['left']} were left: {loss['why']}"
            note(self.warnings, f"LOSS ACCEPTED at {entry['time']} ({shard.number}/0) by {who}: {what}")
        if "previous" in details and action in ("audit.open_shard", ROLLBACK):
            self.endings.append((details["previous"], entry["time"]))

    def _ends(self) -> None:
        """Check that each shard is all that it was when it was closed, and that none of the period is left out."""
        lost = {loss["shard"] for loss in self.losses}
        for said, time in self.endings:
            self._ended(said, time, is_lost=said["shard"] in lost)
        *_, last = self.shards
        told = {said["shard"] for said, _ in self.endings}
        # That a later shard was left out cannot be seen from the others, but from the calendar.
        over = f"{rank(last) // 100 + 1}-01-01T00:00:00.000000Z"
        for number in self.shards:
            if number not in told and (number != last or over < self.made_at):
                note(self.doubts, f"shard {number} was over, and no shard here tells how it ended: ask for one with it")
        if self.made_at < self.until:
            note(self.warnings, "the bundle was made before its period was over")

    def _ended(self, said: dict[str, Any], time: str, *, is_lost: bool) -> None:
        number, before = said["shard"], self.shards.get(said["shard"])
        unsure = self.warnings if is_lost else self.doubts
        if before is None:
            if self.since < time:
                note(unsure, f"the period reaches into shard {number}, which is not in the bundle")
            return
        ended = before.root(before.size).hex()
        if before.size > said["size"] or (before.size == said["size"] and said.get("root", ended) != ended):
            note(self.problems, f"shard {number} ended otherwise than the one after it says")
        elif before.size + before.newer > said["size"] and not is_lost:
            note(self.problems, f"shard {number}: there are entries that were added after it had ended")
        elif before.size < said["size"]:
            note(unsure, f"shard {number}: its last {said['size'] - before.size} entries are not signed, or withheld")
        if "checkpoint" in said and not is_lost:
            last = Checkpoint("\n".join([*said["checkpoint"], ""]).encode())
            if last.origin != before.origin or before.root(last.size) != last.root:
                note(
                    self.problems, f"shard {number}: its last checkpoint, says the one after it, was over other entries"
                )

    def _pruned(self, shard: Shard) -> None:
        """Retention keeps the hashes. That it was retention, a later shard tells, with the root of what went."""
        most = f"{'up to ' if self.filter else ''}{shard.gone} entries of {shard.number} were pruned"
        words, recorded = f"{most}, only their hashes are left", self.meaning.recorded(shard)
        nothing = f"{words}, says the bundle; nothing here records it"
        *_, last = self.shards.values()
        is_open = not self.until and not any(one.newer for one in self.shards.values())
        if recorded:
            note(self.warnings, f"{words}; {recorded}")
        elif shard is last and not self.until:
            note(self.problems, f"{nothing}, and nothing is ever pruned of the shard that is written to")
        elif self.quick:
            note(self.doubts, f"{words}; --quick does not look for the entry that records it")
        elif self.filter:
            note(self.warnings, nothing)
        elif is_open:
            note(self.problems, f"{nothing}: they are withheld")
        else:
            note(self.doubts, f"{nothing}: ask for all until now, which has that entry")

    def _remembered(self, origin: str, before: dict[str, Any]) -> None:
        """Compare with what was seen at the last audit."""
        name, _, number = origin.rpartition("/")
        shard = next((one for one in self.shards.values() if one.origin == origin), None)
        if shard is None:
            words, found = "you saw this log at an earlier audit; the bundle does not hold it", self.warnings
            if name in {one.rpartition("/")[0] for one in self.seen} and self._should_be_here(int(number)):
                found = self.doubts
        elif shard.signed < before["size"]:
            words = f"the log shrank from {before['size']} entries to {shard.signed} since your last audit"
            words, found = f"{words}, or this bundle is older than that", self.problems
        elif before["root"] and shard.root(before["size"]).hex() != before["root"]:
            words, found = "history was rewritten since your last audit", self.problems
        else:
            return
        if found is not self.warnings and any(_is_loss_of(before, one, number) for one in self.losses):
            is_agreed = int(number) in self.accepted
            words += ": you agreed to that" if is_agreed else f": if you agree to that loss, add --accept-loss {number}"
            found = self.warnings if is_agreed else self.problems
        note(found, f"{origin}: {words}")

    def _should_be_here(self, number: int) -> bool:
        """Whether the period reaches into a shard that is not in the bundle."""
        first, *_ = every = list(self.shards.values())
        if rank(number) < rank(first.number):
            return not first.opening or self.since < time_of(first.opening)
        opening = every[-1].opening
        is_beyond = rank(number) > rank(every[-1].number) and self.until and opening and self.until <= time_of(opening)
        return not is_beyond

    def remembered(self) -> dict[str, Any]:
        """What to remember for the next audit: nothing of a log that is lost, to which the auditor agreed."""
        lost = {str(loss["shard"]) for loss in self.losses if loss["shard"] in self.accepted}
        kept = {origin: one for origin, one in self.known.items() if origin.rpartition("/")[2] not in lost}
        return {**kept, **self.seen}

    def _say(self, shard: Shard) -> None:
        words = f"{shard.origin}: {shard.signed} entries are signed, {shard.kept + shard.shown} are shown"
        if self.filter:
            words += "; that none of the others fits the filter cannot be proved"
        elif shard.shown and self._is_whole(shard):
            words += (
                f": all from {shard.begin} to {shard.end}, {time_of(shard.first_line)} to {time_of(shard.last_line)}"
            )
        elif shard.pruned < shard.signed:
            note(self.problems, f"{shard.origin}: entries of the period {self.period} are withheld")
        note(self.report.facts, words)
        if shard.newer:
            note(self.warnings, f"{shard.origin}: {shard.newer} entries were newer than the checkpoint: not here")

    def _is_whole(self, shard: Shard) -> bool:
        """Whether one piece is shown, which an entry on each side proves to be the period; the first entry may too."""
        is_alone = shard.opening and shard.runs == 2 and shard.shown == shard.end - shard.begin + 2
        begun = shard.begin <= shard.pruned or time_of(shard.first_line) < self.since
        ended = shard.end == shard.signed - 1 or "" < self.until <= time_of(shard.last_line)
        return begun and ended and (shard.runs == 1 or bool(is_alone))


def _is_loss_of(before: dict[str, Any], loss: dict[str, Any], number: str) -> bool:
    """Whether a loss that was accepted explains that what was seen before is not there any more."""
    is_same = (before["size"], before["root"]) == (loss["size"], loss["root"])
    return str(loss["shard"]) == number and (is_same or loss["left"] < before["size"] < loss["size"])


def period_of(manifest: dict[str, Any]) -> tuple[str, str, str]:
    """What the manifest says: since, until (empty: open), and when it was made."""
    since, until, made_at = (manifest[name] or "" for name in ("since", "until", "made_at"))
    if not all(is_time(one) for one in (since or made_at, until or made_at, made_at)) or "" < until <= since:
        raise CannotVerify("the manifest's period is none")
    return since, until, made_at


def keep(state: Path, known: dict[str, Any]) -> None:
    """Write what was seen, all or nothing."""
    beside = state.with_name(state.name + ".new")
    beside.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(beside, state)  # noqa: PTH105 - the same, and clearer


def run(options: argparse.Namespace, report: Report) -> tuple[str, dict[str, Any]]:
    """Verify; return what to say beside the verdict, and what to remember if that is good."""
    keys, state = keys_of(options.vkey), options.state
    if options.proof:
        verify_proof(options.proof, options.bundle, keys, report)
        return "", {}
    if not keys and not options.trust_bundle_key:
        raise CannotVerify("the log's key is missing, which you got from somebody else than the bundle: --vkey")
    if not keys:
        note(report.warnings, "the key is the bundle's own: it proves nothing about who signed")
    known = json.loads(state.read_text(encoding="utf-8")) if state and state.exists() else {}
    if not all(isinstance(one["size"], int) and len(one["root"]) == 64 for one in known.values()):
        raise CannotVerify("the file of --state is none")
    verifier = Verifier(
        Bundle(options.bundle, report), keys, known=known, accepted=options.accept_loss, quick=options.quick
    )
    verifier.run()
    why = "but signed entries were lost, and somebody accepted that: see above" if verifier.losses else ""
    return why, verifier.remembered() if keys else {}


def judge(options: argparse.Namespace, report: Report) -> tuple[str, str]:
    """Verify, remember what was seen only when the verdict is good, and return the verdict and why."""
    try:
        why, seen = run(options, report)
        if options.strict and report.warnings:
            note(report.doubts, "--strict, and there are warnings")
        if not report.problems and not report.doubts:
            if options.state and seen:
                keep(options.state, seen)
            return "verified", why
    except Tampered as found:
        note(report.problems, str(found))
    except CannotVerify as error:
        note(report.doubts, str(error))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a hostile file leads to
        note(report.doubts, f"something cannot be read: {type(error).__name__}: {error}")
    return ("tampered", "") if report.problems else ("cannot verify", report.doubts[0])


def main(arguments: list[str]) -> int:
    """Tell the verdict in words or as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check a bundle of the audit ledger, offline.")
    parser.add_argument("bundle", type=Path, help="the zip file, or the folder that it was unpacked into")
    parser.add_argument("--proof", type=Path, help="a .tlog-proof file; BUNDLE is then the payload of its one entry")
    parser.add_argument("--vkey", action="append", default=[], help="the log's key, or a file of keys; repeatable")
    parser.add_argument("--trust-bundle-key", action="store_true", help="check only that the bundle fits itself")
    parser.add_argument("--state", type=Path, help="what you saw last time; written when the bundle is good")
    parser.add_argument(
        "--accept-loss", type=int, action="append", default=[], metavar="SHARD", help="agree to a loss that is told"
    )
    parser.add_argument("--quick", action="store_true", help="check the tree and the signature only")
    parser.add_argument("--strict", action="store_true", help="with a warning, say 'cannot verify'")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    gc.disable()  # nothing here refers to itself, and looking for it takes time
    report = Report()
    verdict, why = judge(options, report)
    tell(report, verdict, why, as_json=options.json)
    return {"verified": 0, "tampered": 1, "cannot verify": 2}[verdict]


def tell(report: Report, verdict: str, why: str, *, as_json: bool) -> None:
    """Print everything, the verdict last."""
    found = {"TAMPERED": report.problems, "cannot verify": report.doubts, "warning": report.warnings}
    lines = [f"{word}: {one}" for word, some in found.items() for one in some]
    words = "\n".join([*report.facts, *lines, f"{verdict.upper()}{': ' if why else ''}{why}"])
    told = {"verdict": verdict, "why": why, **vars(report)}
    sys.stdout.write((json.dumps(told, indent=1) if as_json else words) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
