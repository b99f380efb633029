"""Keys and encodings that several tests of the codecs need, and ways to encode and decode in one call."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyrage
import pytest

from containers_app.archives.codecs import Keys, Stored, decoded, encoding_writer
from containers_app.specs.encoding import Encoding

_IDENTITY, _OTHER_IDENTITY = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
IDENTITY, OTHER_IDENTITY = str(_IDENTITY), str(_OTHER_IDENTITY)
RECIPIENT, OTHER_RECIPIENT = str(_IDENTITY.to_public()), str(_OTHER_IDENTITY.to_public())
PASSPHRASE = "hunter2-the-passphrase"
KEYS = Keys(identities=(IDENTITY,), passphrase=PASSPHRASE)

GZIP, ZSTD = Encoding(codec="gzip"), Encoding(codec="zstd")
AGE, SCRYPT = Encoding(recipients=(RECIPIENT,)), Encoding(passphrase=PASSPHRASE)
BOTH = Encoding(codec="zstd", recipients=(RECIPIENT,))
ENCODINGS = (
    Encoding(),
    GZIP,
    Encoding(codec="gzip", level=0),
    ZSTD,
    Encoding(codec="zstd", level=1, threads=2),
    AGE,
    SCRYPT,
    BOTH,
    Encoding(codec="gzip", recipients=(OTHER_RECIPIENT, RECIPIENT)),
    Encoding(codec="zstd", passphrase=PASSPHRASE),
)
# More than two chunks of age, and neither all noise nor all the same.
CONTENT = b"".join(b"%d: a line of the sample\n" % (number * number) for number in range(6000))


def name_of(encoding: Encoding) -> str:
    """For the names of tests."""
    return f"plain{encoding.suffix}-{encoding.shown['keys']}-{encoding.level}"


each_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=name_of)
each_real_encoding = pytest.mark.parametrize("encoding", ENCODINGS[1:], ids=name_of)


def encode(content: bytes, encoding: Encoding, *, chunk_bytes: int = 10_000) -> tuple[bytes, Stored]:
    """What is stored of this content, and what the sink says of it."""
    written: list[bytes] = []
    with encoding_writer(encoding, lambda chunk: written.append(bytes(chunk))) as sink:
        for start in range(0, len(content), chunk_bytes):
            sink.write(content[start : start + chunk_bytes])
        stored = sink.finish()
    return b"".join(written), stored


def decode(
    content: bytes, encoding: Encoding, *, keys: Keys | None = KEYS, limit_bytes: int | None = None, step: int = 65536
) -> bytes:
    """The plain bytes of what was stored that way, read to the end."""
    source, encryption = io.BytesIO(content), "age" if encoding.encrypted else None
    with decoded(encoding.codec, encryption, source, keys=keys, limit_bytes=limit_bytes) as part:
        return b"".join(iter(lambda: part.read(step), b""))


class Pieces(io.RawIOBase):
    """A source of these pieces, which then raises what it was told to."""

    def __init__(self, pieces: Iterable[bytes], failure: Exception | None = None) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._failure = failure

    def read(self, size_bytes: int = -1, /) -> bytes:
        piece = next(self._pieces, b"")
        if not piece and self._failure is not None:
            raise self._failure
        assert size_bytes < 0 or len(piece) <= size_bytes
        return piece
