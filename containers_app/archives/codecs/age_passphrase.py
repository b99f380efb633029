"""Encrypts and decrypts with a passphrase, by the age format (age-encryption.org/v1, recipient type scrypt).

pyrage does this in memory only, the whole file at once. This is its streaming counterpart; the format is the public
one, and the tests read and write it with `age` and pyrage.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from containers_app.archives.codecs import age_stream
from containers_app.archives.codecs.age_stream import VERSION_LINE, cut, encoded, header_mac
from containers_app.archives.codecs.pipes import ChunkReader
from containers_app.errors import ArchiveInvalid, WrongKey

MARK = VERSION_LINE + b"-> scrypt "
# The work factor of `age` itself: 256 MiB and about a second, for each guess too.
WORK_FACTOR = 18
# What another program asked for: 1 GiB at most.
HIGHEST_WORK_FACTOR = 20

_LABEL = b"age-encryption.org/v1/scrypt"
_BLOCK_SIZE = 8
_SALT_BYTES = 16
# A scrypt stanza is the only one of its header, so that everything but the digits of the factor is of fixed length.
_HEADER = re.compile(
    re.escape(MARK) + rb"([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n"
)
_LONGEST_HEADER = len(MARK) + 22 + 1 + 2 + 1 + 43 + 1 + 4 + 43 + 1
_MAC_BYTES = 43 + 1 + 1


def encrypt(passphrase: str, source: ChunkReader, write: Callable[[bytes], None]) -> None:
    """Encrypt the whole source. Raises what `source` or `write` raises."""
    file_key, salt = os.urandom(age_stream.KEY_BYTES), os.urandom(_SALT_BYTES)
    sealed = _wrapping(passphrase, salt, WORK_FACTOR).encrypt(bytes(12), file_key, None)
    stanza = b"-> scrypt " + encoded(salt) + b" %d\n" % WORK_FACTOR + encoded(sealed) + b"\n"
    age_stream.encrypt(file_key, stanza, source, write)


def decrypt(passphrase: str, source: ChunkReader) -> Iterator[bytes]:
    """The plain bytes, in chunks of 64 KiB at most. Raises WrongKey, ArchiveTruncated or ArchiveInvalid."""
    yield from age_stream.decrypt(_open_header(passphrase, source), source)


def _open_header(passphrase: str, source: ChunkReader) -> bytes:
    """The file's key; leaves the source behind the header."""
    start = source.read_fully(_LONGEST_HEADER)
    header = _HEADER.match(start)
    if header is None:
        raise (
            cut() if len(start) < _LONGEST_HEADER else ArchiveInvalid("The part is damaged: its header is malformed.")
        )
    source.unread(start[header.end() :])
    work_factor = int(header[2])
    if work_factor > HIGHEST_WORK_FACTOR:
        raise ArchiveInvalid(f"The part's passphrase has a work factor of {work_factor}, over {HIGHEST_WORK_FACTOR}.")
    salt, sealed, mac = map(_decoded, header.group(1, 3, 4))
    try:
        file_key = _wrapping(passphrase, salt, work_factor).decrypt(bytes(12), sealed, None)
    except InvalidTag as error:
        raise WrongKey("The part was encrypted with another passphrase, or its first lines are damaged.") from error
    if not hmac.compare_digest(mac, header_mac(file_key, header[0][:-_MAC_BYTES])):
        raise ArchiveInvalid("The part is damaged: its header was changed.")
    return file_key


def _wrapping(passphrase: str, salt: bytes, work_factor: int) -> ChaCha20Poly1305:
    """The cipher of the file's key, under a key that is as dear to guess as the work factor says."""
    cost = 1 << work_factor
    memory_bytes = 128 * _BLOCK_SIZE * (cost + 8)
    key = hashlib.scrypt(
        passphrase.encode(), salt=_LABEL + salt, n=cost, r=_BLOCK_SIZE, p=1, maxmem=memory_bytes, dklen=32
    )
    return ChaCha20Poly1305(key)


def _decoded(text: bytes) -> bytes:
    content = base64.b64decode(text + b"=" * (-len(text) % 4))
    if encoded(content) != text:
        raise ArchiveInvalid("The part is damaged: its header is malformed.")
    return content
