"""Encrypts for public keys and decrypts with secret ones, by the age format.

What is for age's own keys alone (recipient type X25519) is encrypted here; pyrage does what is for SSH keys, and
decrypts.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pyrage
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from containers_app.archives.codecs import age_stream
from containers_app.archives.codecs.age_stream import encoded
from containers_app.archives.codecs.keys import Keys, parse_identities
from containers_app.archives.codecs.pipes import ChunkReader
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, InvalidRequest, KeyMissing, MycoError, WrongKey
from containers_app.specs.encoding import parse_recipient

# pyrage tells these failures apart by words alone.
_NO_KEY_FITS = "No matching keys found"
_CUT = frozenset({"age file is truncated", "Incomplete header", "failed to fill whole buffer"})
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_WRITE_BYTES = 256 * 1024


def encrypt(recipients: tuple[str, ...], source: ChunkReader, write: Callable[[bytes], None]) -> None:
    """Encrypt the whole source. Raises InvalidRequest for a key that shares no secret, and what `source` or `write` do.

    With an SSH key among the recipients, pyrage.EncryptError comes in place of whatever these raised.
    """
    if all(recipient.startswith("age1") for recipient in recipients):
        file_key = os.urandom(age_stream.KEY_BYTES)
        stanzas = b"".join(_stanza(_public_key(recipient), file_key) for recipient in recipients)
        age_stream.encrypt(file_key, stanzas, source, write)
        return
    writer = _Writer(write)
    pyrage.encrypt_io(source, writer, list(map(parse_recipient, recipients)))
    writer.drain()


def decrypt(keys: Keys, source: ChunkReader, write: Callable[[bytes], None]) -> None:
    """Decrypt the whole source; what was written before an error proves nothing.

    Raises KeyMissing, WrongKey, ArchiveTruncated, ArchiveInvalid, and what `source` or `write` raised.
    """
    identities = parse_identities(keys)
    if not identities:
        raise KeyMissing("The part is encrypted for public keys: send the secret key of one of them.")
    reader, writer = _Reader(source), _Writer(write)
    try:
        pyrage.decrypt_io(reader, writer, identities)
    except (pyrage.DecryptError, OSError) as error:
        raise reader.failure or _translated(str(error)) from error
    writer.drain()


def _stanza(recipient: bytes, file_key: bytes) -> bytes:
    """The file's key for one recipient, under a secret shared with a key pair that is gone at once."""
    pair = X25519PrivateKey.generate()
    share = pair.public_key().public_bytes_raw()
    try:
        secret = pair.exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError as error:
        raise InvalidRequest("'recipients' has a key that nobody can own: name another", field="recipients") from error
    key = age_stream.derived(secret, share + recipient, b"age-encryption.org/v1/X25519")
    sealed = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + encoded(share) + b"\n" + encoded(sealed) + b"\n"


def _public_key(recipient: str) -> bytes:
    """Its 32 bytes (Bech32, BIP 173: 5 bits a letter, the last 6 a checksum). Raises pyrage.RecipientError."""
    parse_recipient(recipient)
    number = 0
    for letter in recipient.removeprefix("age1")[:-6]:
        number = number << 5 | _BECH32.index(letter)
    return (number >> 4).to_bytes(32, "big")


def _translated(words: str) -> MycoError:
    if words == _NO_KEY_FITS:
        return WrongKey("The part is encrypted for other keys than these, or its first lines are damaged.")
    if words in _CUT:
        return ArchiveTruncated("The part broke off in the middle of its encryption: make the backup again.")
    return ArchiveInvalid("The part is damaged, or broke off: it cannot be decrypted.")


class _Reader:
    """A file for pyrage; `failure` is what its source raised, which pyrage replaces or mixes up with its own errors."""

    def __init__(self, source: ChunkReader) -> None:
        self._source = source
        self.failure: BaseException | None = None

    def read(self, size_bytes: int) -> bytes:
        try:
            return self._source.read(size_bytes)
        except BaseException as error:
            self.failure = error
            raise


class _Writer:
    """A file for pyrage, which writes small pieces; they are gathered before they are handed on."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._gathered = bytearray()

    def write(self, piece: bytes) -> int:
        self._gathered += piece
        if len(self._gathered) >= _WRITE_BYTES:
            self.drain()
        return len(piece)

    def drain(self) -> None:
        if self._gathered:
            self._write(bytes(self._gathered))
            self._gathered.clear()
