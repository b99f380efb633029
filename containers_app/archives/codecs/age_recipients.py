"""Encrypts for public keys and decrypts with secret ones, by the age format; pyrage does it."""

from __future__ import annotations

from collections.abc import Callable

import pyrage

from containers_app.archives.codecs.keys import Keys, parse_identities
from containers_app.archives.codecs.pipes import ChunkReader
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, KeyMissing, MycoError, WrongKey
from containers_app.specs.encoding import parse_recipient

# pyrage tells these failures apart by words alone.
_NO_KEY_FITS = "No matching keys found"
_CUT = frozenset({"age file is truncated", "Incomplete header", "failed to fill whole buffer"})
_WRITE_BYTES = 256 * 1024


def encrypt(recipients: tuple[str, ...], source: ChunkReader, write: Callable[[bytes], None]) -> None:
    """Encrypt the whole source. Raises pyrage.EncryptError in place of whatever `source` or `write` raised."""
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
