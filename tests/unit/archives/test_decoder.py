from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import traceback
import tracemalloc

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat, PublicFormat

from containers_app.archives.codecs import Keys, decoded
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, KeyMissing, MycoError, StorageError, WrongKey
from containers_app.specs.encoding import Encoding
from tests.machine import PROJECT
from tests.unit.archives.encoded import (
    AGE,
    BOTH,
    CONTENT,
    GZIP,
    IDENTITY,
    KEYS,
    OTHER_IDENTITY,
    PASSPHRASE,
    SCRYPT,
    ZSTD,
    Pieces,
    decode,
    each_encoding,
    each_real_encoding,
    encode,
    name_of,
)

MIB = 1024 * 1024
SHORT = b"A short text." * 20
each_encrypted = pytest.mark.parametrize("encoding", [AGE, SCRYPT, BOTH], ids=name_of)


@pytest.fixture(autouse=True)
def no_thread_is_left(cheap_passphrases: None):
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@each_encoding
@pytest.mark.parametrize("step", [1000, 65536, MIB])
def test_it_reads_pieces_of_any_size(encoding: Encoding, step: int):
    assert decode(encode(CONTENT, encoding)[0], encoding, step=step) == CONTENT


@each_encoding
def test_a_source_may_give_less_than_it_was_asked_for(encoding: Encoding):
    stored = encode(SHORT, encoding)[0]
    source = Pieces(bytes([byte]) for byte in stored)
    with decoded(encoding.codec, "age" if encoding.encrypted else None, source, keys=KEYS) as part:  # type: ignore[arg-type]  # reads are all it does
        assert b"".join(iter(lambda: part.read(7), b"")) == SHORT
        assert part.read(7) == b""


@each_real_encoding
@pytest.mark.parametrize("content", [SHORT, b""], ids=["short", "empty"])
def test_a_part_that_is_cut_at_any_byte_is_refused(encoding: Encoding, content: bytes):
    stored = encode(content, encoding)[0]
    for length in range(len(stored)):
        with pytest.raises(ArchiveInvalid):
            decode(stored[:length], encoding)


@each_real_encoding
def test_a_part_of_several_chunks_that_is_cut_is_refused(encoding: Encoding):
    stored = encode(os.urandom(200_000), encoding)[0]
    for length in (*range(65_536, len(stored), 16_384), len(stored) - 16, len(stored) - 1):
        with pytest.raises(ArchiveInvalid):
            decode(stored[:length], encoding)


@pytest.mark.parametrize("encoding", [AGE, SCRYPT], ids=name_of)
def test_a_part_that_is_cut_between_two_chunks_of_age_is_refused(encoding: Encoding):
    whole, one_more = (encode(bytes(65536 * count), encoding)[0] for count in (1, 2))
    border = len(one_more) - 65536 - 16
    assert border == len(whole) or encoding is AGE  # a header may hold a stanza of any length that means nothing
    with pytest.raises(ArchiveInvalid):
        decode(one_more[:border], encoding)


@pytest.mark.parametrize("encoding", [GZIP, ZSTD], ids=name_of)
def test_a_cut_compressed_part_is_said_to_be_cut(encoding: Encoding):
    stored = encode(SHORT, encoding)[0]
    for length in range(len(stored)):
        with pytest.raises(ArchiveTruncated):
            decode(stored[:length], encoding)


@each_real_encoding
@pytest.mark.parametrize("garbage", [b"\0", b"x", b"x" * 16, bytes(512), b"x" * 70_000])
@pytest.mark.parametrize("size", [0, 1000, 65536])
def test_data_behind_the_end_is_refused(encoding: Encoding, garbage: bytes, size: int):
    stored = encode(bytes(size), encoding)[0]
    with pytest.raises(ArchiveInvalid):
        decode(stored + garbage, encoding)


@each_real_encoding
def test_two_parts_one_after_the_other_are_none(encoding: Encoding):
    with pytest.raises(ArchiveInvalid):
        decode(encode(SHORT, encoding)[0] + encode(SHORT, encoding)[0], encoding)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_data_behind_the_end_is_found_when_it_comes_alone(codec: str):
    source = Pieces([encode(SHORT, Encoding(codec=codec))[0], b"x"])
    with decoded(codec, None, source, keys=None) as part:  # type: ignore[arg-type]  # reads are all it does
        with pytest.raises(ArchiveInvalid, match="trailing data"):
            while part.read(MIB):
                pass


@each_encrypted
def test_a_flipped_bit_anywhere_in_an_encrypted_part_is_refused(encoding: Encoding):
    stored = encode(SHORT, encoding)[0]
    for place in range(len(stored)):
        flipped = bytearray(stored)
        flipped[place] ^= 1
        with pytest.raises((ArchiveInvalid, WrongKey)):
            decode(bytes(flipped), encoding)


@pytest.mark.parametrize("encoding", [GZIP, ZSTD], ids=name_of)
def test_a_flipped_bit_in_a_compressed_part_never_gives_other_bytes(encoding: Encoding):
    stored, refused = encode(SHORT, encoding)[0], 0
    for place in range(len(stored) * 8):
        flipped = bytearray(stored)
        flipped[place // 8] ^= 1 << place % 8
        try:
            assert decode(bytes(flipped), encoding) == SHORT  # headers hold bits that mean nothing
        except ArchiveInvalid:
            refused += 1
    assert refused > len(stored) * 4


@each_real_encoding
@pytest.mark.parametrize("junk", [b"", b"x", b"junk" * 5000, bytes(100_000)])
def test_what_was_never_encoded_is_refused(encoding: Encoding, junk: bytes):
    with pytest.raises(ArchiveInvalid):
        decode(junk, encoding)


@pytest.mark.parametrize(
    ("encoding", "keys", "error", "words"),
    [
        (AGE, None, KeyMissing, "send the secret key"),
        (AGE, Keys(), KeyMissing, "send the secret key"),
        (AGE, Keys(passphrase=PASSPHRASE), KeyMissing, "encrypted for public keys"),
        (AGE, Keys(identities=("# only a comment",)), KeyMissing, "encrypted for public keys"),
        (AGE, Keys(identities=(OTHER_IDENTITY,), passphrase=PASSPHRASE), WrongKey, "other keys than these"),
        (SCRYPT, None, KeyMissing, "with a passphrase"),
        (SCRYPT, Keys(identities=(IDENTITY,)), KeyMissing, "with a passphrase"),
        (SCRYPT, Keys(identities=(IDENTITY,), passphrase="another passphrase"), WrongKey, "another passphrase"),
        (AGE, Keys(identities=(IDENTITY[:-1],)), WrongKey, "Key 1 is no age secret key"),
        (AGE, Keys(identities=(IDENTITY, "-----BEGIN X")), WrongKey, "Key 2 is no age secret key"),
        (AGE, Keys(identities=("\ud800",)), WrongKey, "Key 1 is no age secret key"),
        (AGE, Keys(identities=("-----BEGIN \ud800",)), WrongKey, "Key 1 is no age secret key"),
    ],
)
def test_without_the_right_key_it_says_which_one_is_needed(
    encoding: Encoding, keys: Keys | None, error: type[MycoError], words: str
):
    with pytest.raises(error, match=words) as caught:
        decode(encode(CONTENT, encoding)[0], encoding, keys=keys)
    assert not isinstance(caught.value, ArchiveInvalid)


def test_a_key_may_be_the_text_of_an_identity_file_among_others():
    file = f"# created: 2026-02-12T03:20:00Z\n# public key: age1...\n{OTHER_IDENTITY}\n\n{IDENTITY}\n"
    assert decode(encode(CONTENT, AGE)[0], AGE, keys=Keys(identities=(file,))) == CONTENT


def test_it_opens_what_is_encrypted_for_a_key_of_ssh():
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(KeyEncoding.OpenSSH, PublicFormat.OpenSSH).decode()
    text = private.private_bytes(KeyEncoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    encoding = Encoding(recipients=(f"{public} somebody@somewhere",))
    assert decode(encode(CONTENT, encoding)[0], encoding, keys=Keys(identities=(text,))) == CONTENT


@pytest.mark.parametrize("encoding", [GZIP, ZSTD, BOTH], ids=name_of)
def test_a_part_that_decompresses_to_more_than_it_may_is_stopped_early(encoding: Encoding):
    with decoding_of(bytes(300 * MIB), encoding, limit_bytes=2 * MIB) as part:
        tracemalloc.start()
        try:
            with pytest.raises(ArchiveInvalid, match="more than the 2097152 bytes"):
                while part.read(MIB):
                    pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * MIB


def decoding_of(content: bytes, encoding: Encoding, *, limit_bytes: int | None = None):
    stored = encode(content, encoding, chunk_bytes=MIB)[0]
    assert len(stored) < len(content) / 100
    source, encryption = io.BytesIO(stored), "age" if encoding.encrypted else None
    return decoded(encoding.codec, encryption, source, keys=KEYS, limit_bytes=limit_bytes)


@each_encoding
def test_a_limit_that_is_just_kept_is_no_obstacle(encoding: Encoding):
    stored = encode(CONTENT, encoding)[0]
    assert decode(stored, encoding, limit_bytes=len(CONTENT)) == CONTENT
    with pytest.raises(ArchiveInvalid, match="more than"):
        decode(stored, encoding, limit_bytes=len(CONTENT) - 1)


@each_encoding
@pytest.mark.parametrize("error", [StorageError("The share is gone."), OSError(5, "Input/output error")])
@pytest.mark.parametrize("good_bytes", [0, 300, 30_000])
def test_an_error_of_the_source_is_raised_as_it_is(encoding: Encoding, error: Exception, good_bytes: int):
    stored = encode(os.urandom(100_000), encoding)[0]
    source = Pieces(filter(None, [stored[:good_bytes]]), failure=error)
    with pytest.raises(type(error)) as caught:
        with decoded(encoding.codec, "age" if encoding.encrypted else None, source, keys=KEYS) as part:  # type: ignore[arg-type]  # reads are all it does
            while part.read(MIB):
                pass
    assert caught.value is error


@each_real_encoding
def test_after_an_error_there_is_no_end_that_could_be_taken_for_a_good_one(encoding: Encoding):
    stored = encode(CONTENT, encoding)[0][:-1]
    with decoded(encoding.codec, "age" if encoding.encrypted else None, io.BytesIO(stored), keys=KEYS) as part:
        for _ in range(2):
            with pytest.raises(ArchiveInvalid):
                while part.read(MIB):
                    pass


@each_encoding
def test_who_stops_reading_in_the_middle_is_not_kept(encoding: Encoding):
    stored = encode(os.urandom(8 * MIB), encoding, chunk_bytes=MIB)[0]
    with decoded(encoding.codec, "age" if encoding.encrypted else None, io.BytesIO(stored), keys=KEYS) as part:
        assert part.read(10)


@pytest.mark.parametrize("keys", [KEYS, Keys(identities=(OTHER_IDENTITY, "x"), passphrase="hunter2-the-other")])
def test_a_key_stands_in_no_error_and_no_repr(keys: Keys):
    cut = encode(CONTENT, AGE)[0][:-1]
    with pytest.raises(MycoError) as caught:
        decode(cut, AGE, keys=keys)
    shown = "".join(traceback.format_exception(caught.value)) + repr(keys)
    for secret in (*keys.identities, keys.passphrase):
        assert secret is not None
        assert len(secret) == 1 or secret not in shown


def test_it_decodes_what_pyrage_encrypted_for_several():
    recipients = [pyrage.x25519.Recipient.from_str(text) for text in (*AGE.recipients, *BOTH.recipients)]
    assert decode(pyrage.encrypt(CONTENT, recipients), AGE) == CONTENT


# In a process of its own, whose peak nothing else has raised: what tracemalloc does not see is in it too.
_PEAK = """
import io, pathlib, re, sys
from tests.unit.archives.encoded import BOTH, KEYS
from containers_app.archives.codecs import decoded, encoding_writer

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])

def round_trip(mebibytes):
    stored = io.BytesIO()
    with encoding_writer(BOTH, stored.write) as sink:
        for _ in range(mebibytes):
            sink.write(bytes(1024 * 1024))
        sink.finish()
    stored.seek(0)
    done = 0
    with decoded("zstd", "age", stored, keys=KEYS) as part:
        while piece := part.read(1024 * 1024):
            done += len(piece)
    assert done == mebibytes * 1024 * 1024

round_trip(16)
before = peak()
round_trip(400)
print(peak() - before)
"""


def test_the_memory_of_the_process_does_not_grow_with_the_part():
    done = subprocess.run(
        [sys.executable, "-c", _PEAK], check=True, cwd=PROJECT, capture_output=True, text=True, timeout=100
    )
    assert int(done.stdout) < 32 * 1024
