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
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from containers_app.archives.codecs.pipes import ChunkReader
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, WrongKey

VERSION_LINE = b"age-encryption.org/v1\n"
MARK = VERSION_LINE + b"-> scrypt "
# The work factor of `age` itself: 256 MiB and about a second, for each guess too.
WORK_FACTOR = 18
# What another program asked for: 1 GiB at most.
HIGHEST_WORK_FACTOR = 20

_LABEL = b"age-encryption.org/v1/scrypt"
_BLOCK_SIZE = 8
_CHUNK_BYTES, _TAG_BYTES, _NONCE_BYTES, _KEY_BYTES = 64 * 1024, 16, 16, 16
# A scrypt stanza is the only one of its header, so that everything but the digits of the factor is of fixed length.
_HEADER = re.compile(
    re.escape(MARK) + rb"([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n"
)
_LONGEST_HEADER = len(MARK) + 22 + 1 + 2 + 1 + 43 + 1 + 4 + 43 + 1
_MAC_BYTES = 43 + 1 + 1


def encrypt(passphrase: str, source: ChunkReader, write: Callable[[bytes], None]) -> None:
    """Encrypt the whole source. Raises what `source` or `write` raises."""
    file_key, salt, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES), os.urandom(_NONCE_BYTES)
    sealed = _wrapping(passphrase, salt, WORK_FACTOR).encrypt(bytes(12), file_key, None)
    signed = MARK + _encoded(salt) + b" %d\n" % WORK_FACTOR + _encoded(sealed) + b"\n---"
    write(signed + b" " + _encoded(_mac(file_key, signed)) + b"\n" + nonce)
    cipher = _payload_cipher(file_key, nonce)
    for number, chunk in _chunks(source, _CHUNK_BYTES):
        write(cipher.encrypt(number, chunk, None))


def decrypt(passphrase: str, source: ChunkReader) -> Iterator[bytes]:
    """The plain bytes, in chunks of 64 KiB at most. Raises WrongKey, ArchiveTruncated or ArchiveInvalid."""
    file_key = _open_header(passphrase, source)
    nonce = source.read_fully(_NONCE_BYTES)
    if len(nonce) < _NONCE_BYTES:
        raise _cut()
    cipher = _payload_cipher(file_key, nonce)
    for number, chunk in _chunks(source, _CHUNK_BYTES + _TAG_BYTES):
        if len(chunk) < _TAG_BYTES:
            raise _cut()
        if len(chunk) == _TAG_BYTES and number[:11] != bytes(11):
            raise ArchiveInvalid("The part is damaged: its encryption ends with an empty chunk.")
        yield from filter(None, [_opened(cipher, number, chunk)])


def _chunks(source: ChunkReader, size_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk with its nonce: eleven bytes count the chunks, and the last byte marks the end."""
    chunk, number = source.read_fully(size_bytes), 0
    while True:
        following = source.read_fully(size_bytes) if len(chunk) == size_bytes else b""
        yield number.to_bytes(11, "big") + (b"\0" if following else b"\1"), chunk
        if not following:
            return
        chunk, number = following, number + 1


def _opened(cipher: ChaCha20Poly1305, number: bytes, chunk: bytes) -> bytes:
    try:
        return cipher.decrypt(number, chunk, None)
    except InvalidTag as error:
        raise ArchiveInvalid("The part is damaged, or broke off: it cannot be decrypted.") from error


def _open_header(passphrase: str, source: ChunkReader) -> bytes:
    """The file's key; leaves the source behind the header."""
    start = source.read_fully(_LONGEST_HEADER)
    header = _HEADER.match(start)
    if header is None:
        raise (
            _cut() if len(start) < _LONGEST_HEADER else ArchiveInvalid("The part is damaged: its header is malformed.")
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
    if not hmac.compare_digest(mac, _mac(file_key, header[0][:-_MAC_BYTES])):
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


def _payload_cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))


def _mac(file_key: bytes, signed: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), signed, "sha256")


def _derived(file_key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(file_key)


def _encoded(content: bytes) -> bytes:
    return base64.b64encode(content).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    content = base64.b64decode(text + b"=" * (-len(text) % 4))
    if _encoded(content) != text:
        raise ArchiveInvalid("The part is damaged: its header is malformed.")
    return content


def _cut() -> ArchiveTruncated:
    return ArchiveTruncated("The part broke off in the middle of its encryption: make the backup again.")
