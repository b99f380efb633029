"""Signed notes and checkpoints as C2SP writes them, so that any tool for transparency logs can read ours.

See c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature and c2sp.org/tlog-proof.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from containers_app.audit.merkle import HASH_BYTES

ED25519: Final = 1
COSIGNATURE: Final = 4
MOST_SIGNATURES: Final = 100
_ID_BYTES, _TIME_BYTES = 4, 8
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_PRIVATE: Final = "PRIVATE+KEY+"


class NoteRefused(Exception):
    """A text is no signed note or checkpoint, or none of the trusted keys signed it; says why in words."""


class UnknownSigner(NoteRefused):
    """The note is whole, and none of the trusted keys has signed it."""


@dataclass(frozen=True)
class VerifierKey:
    """What a signature is checked with: the name of the signer, the kind of signature, and 32 bytes of Ed25519."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that stand before a signature of this key."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:_ID_BYTES]

    def text(self) -> str:
        """The key as one word, for an auditor: `<name>+<id>+<base64>`."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without the four bytes of the key) is this key's, over the text of a note."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            if len(signature) < _TIME_BYTES:
                return False
            message, signature = cosigned_text(text, signature), signature[_TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A name and its private key. It is written to a file for its owner only, and nowhere else."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> VerifierKey:
        """What others check its signatures with."""
        return VerifierKey(self.name, ED25519, self.private.public_key().public_bytes_raw())

    def secret_text(self) -> str:
        """The private key as one word, in the form of Go's `sumdb/note`: `PRIVATE+KEY+<name>+<id>+<base64>`."""
        secret = _base64(bytes([ED25519]) + self.private.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{secret}"

    def line(self, text: str) -> str:
        """The signature line over the text of a note."""
        return f"— {self.name} {_base64(self.verifier.id + self.private.sign(text.encode()))}\n"


@dataclass(frozen=True)
class Checkpoint:
    """The state of one tree: which log, how many leaves, the root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def new_key(name: str) -> SigningKey:
    """A fresh key. Raises ValueError for a name that no signature line can hold."""
    if not _is_name(name):
        raise ValueError(f"{name!r} is no key name: no spaces and no plus signs")
    return SigningKey(name, Ed25519PrivateKey.generate())


def read_signing_key(text: str) -> SigningKey:
    """What `secret_text` wrote. Raises ValueError without the text in it."""
    kind, name, digest, material = _key_parts(text.strip().removeprefix(_PRIVATE))
    if kind != ED25519 or not text.startswith(_PRIVATE):
        raise ValueError("this is no private key of a signed note")
    key = SigningKey(name, Ed25519PrivateKey.from_private_bytes(material))
    if key.verifier.id != digest:
        raise ValueError("the private key does not fit its name")
    return key


def read_verifier_key(text: str) -> VerifierKey:
    """What `VerifierKey.text` wrote. Raises ValueError for anything else."""
    kind, name, digest, material = _key_parts(text.strip())
    key = VerifierKey(name, kind, material)
    if kind not in (ED25519, COSIGNATURE) or key.id != digest:
        raise ValueError("this is no Ed25519 key of a signed note")
    return key


def sign(checkpoint: Checkpoint, *keys: SigningKey) -> str:
    """The checkpoint as a note with a signature of each key, in their order."""
    text = checkpoint.text()
    return f"{text}\n{''.join(key.line(text) for key in keys)}"


def open_note(note: str, vkeys: Iterable[str]) -> Checkpoint:
    """Return the checkpoint that a note carries, when a trusted key signed it; signatures of others are ignored.

    `vkeys` are trusted keys as text. Raises `UnknownSigner` when none of them signed it, `NoteRefused` when a
    signature of one is false, and when the text is no checkpoint; ValueError when a key is no key.
    """
    text, signatures = split_note(note)
    signed = False
    for key in [read_verifier_key(one) for one in vkeys]:
        for name, blob in signatures:
            if (name, blob[:_ID_BYTES]) == (key.name, key.id):
                if not key.has_signed(text, blob[_ID_BYTES:]):
                    raise NoteRefused(f"the signature of {key.name} is false")
                signed = True
    if not signed:
        raise UnknownSigner("no trusted key has signed this")
    return parse_checkpoint(text)


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the signed text and the signatures: name, and key id with what follows. Raises `NoteRefused`."""
    text, separator, below = note.rpartition("\n\n")
    if not separator or not below.endswith("\n") or any(sign < " " and sign != "\n" for sign in note):
        raise NoteRefused("this is no signed note")
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteRefused(f"the note has more than {MOST_SIGNATURES} signatures")
    return text + "\n", [_signature(line) for line in lines]


def signer_of(line: str) -> tuple[str, bytes] | None:
    """The name and the key id of a signature line; None when it is none."""
    try:
        name, blob = _signature(line)
    except NoteRefused:
        return None
    return name, blob[:_ID_BYTES]


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what `Checkpoint.text` wrote; lines behind the third are allowed and ignored. Raises `NoteRefused`."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
        raise NoteRefused("the text is no checkpoint: origin, size and root, a line each")
    root = _bytes_of(lines[2])
    if root is None or len(root) != HASH_BYTES:
        raise NoteRefused("the root of the checkpoint is no hash")
    return Checkpoint(lines[0], int(lines[1]), root)


def cosigned_text(text: str, timestamped: bytes) -> bytes:
    """The message that a witness signs over a checkpoint's text; `timestamped` begins with its time, 8 bytes."""
    (seconds,) = struct.unpack(">Q", timestamped[:_TIME_BYTES])
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def tlog_proof(*, index: int, proof: Sequence[bytes], note: str) -> str:
    """One entry's proof as a file of its own: its index, its inclusion proof, and the checkpoint as it was signed."""
    hashes = "".join(f"{_base64(one)}\n" for one in proof)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{note}"


def _signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, text = rest.partition(" ")
    blob = _bytes_of(text)
    if dash != "—" or not _is_name(name) or blob is None or len(blob) <= _ID_BYTES:
        raise NoteRefused("a signature line of the note is malformed")
    return name, blob


def _key_parts(text: str) -> tuple[int, str, bytes, bytes]:
    parts = text.split("+", 2)
    material = _bytes_of(parts[-1])
    if len(parts) != 3 or not _is_name(parts[0]) or material is None or len(material) != 33:
        raise ValueError("this is no key of a signed note")
    if not re.fullmatch("[0-9a-f]{8}", parts[1], re.ASCII):
        raise ValueError("the id of the key is not 8 hex digits")
    return material[0], parts[0], bytes.fromhex(parts[1]), material[1:]


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and name.isprintable() and not any(sign.isspace() for sign in name)


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _bytes_of(text: str) -> bytes | None:
    try:
        value = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if _base64(value) == text else None
