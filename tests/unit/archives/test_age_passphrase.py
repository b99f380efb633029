from __future__ import annotations

import os
import time

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from containers_app.archives.codecs import age_passphrase as module
from containers_app.archives.codecs import age_stream
from containers_app.archives.codecs.pipes import ChunkReader
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, WrongKey

PASSPHRASE = "correct horse battery"


def encrypted(content: bytes, passphrase: str = PASSPHRASE) -> bytes:
    written: list[bytes] = []
    module.encrypt(passphrase, ChunkReader(iter(filter(None, [content]))), written.append)
    return b"".join(written)


def decrypted(content: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return b"".join(module.decrypt(passphrase, ChunkReader(iter(filter(None, [content])))))


def test_a_guess_costs_what_it_costs_with_age_itself_and_pyrage_reads_it():
    begun = time.process_time()
    stored = encrypted(b"content")
    assert b" 18\n" in stored[:60]
    assert time.process_time() - begun > 0.05
    assert pyrage.passphrase.decrypt(stored, PASSPHRASE) == b"content"


def test_it_reads_what_pyrage_wrote():
    assert decrypted(pyrage.passphrase.encrypt(b"content", PASSPHRASE)) == b"content"


@pytest.mark.usefixtures("cheap_passphrases")
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131071, 131072, 131073])
def test_pyrage_reads_every_size_around_the_chunks(size: int):
    content = os.urandom(size)
    stored = encrypted(content)
    assert pyrage.passphrase.decrypt(stored, PASSPHRASE) == content
    assert decrypted(stored) == content


@pytest.mark.usefixtures("cheap_passphrases")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_passphrase_opens_its_own_part_and_no_other(passphrase: str):
    stored = encrypted(b"content", passphrase)
    assert pyrage.passphrase.decrypt(stored, passphrase) == decrypted(stored, passphrase) == b"content"
    with pytest.raises(WrongKey):
        decrypted(stored, passphrase + "x")


@pytest.mark.usefixtures("cheap_passphrases")
def test_no_two_parts_share_a_key():
    first, second = encrypted(b"content"), encrypted(b"content")
    assert first[: len(module.MARK)] == second[: len(module.MARK)]
    assert first[len(module.MARK) : len(module.MARK) + 22] != second[len(module.MARK) : len(module.MARK) + 22]
    assert first[-40:] != second[-40:]


@pytest.mark.usefixtures("cheap_passphrases")
@pytest.mark.parametrize("work_factor", [21, 30, 99])
def test_a_part_that_asks_for_too_much_memory_is_refused_before_it_gets_any(work_factor: int):
    stored = encrypted(b"content").replace(b" 4\n", b" %d\n" % work_factor, 1)
    with pytest.raises(ArchiveInvalid, match=f"work factor of {work_factor}"):
        decrypted(stored)


@pytest.mark.usefixtures("cheap_passphrases")
@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.replace(b"\n--- ", b"\n-> X25519 AAAA\nAAAA\n--- ", 1),
        lambda stored: stored.replace(b" 4\n", b" 04\n", 1),
        lambda stored: stored.replace(b" 4\n", b" 4 \n", 1),
        lambda stored: stored.replace(b" 4\n", b" +4\n", 1),
        lambda stored: stored.replace(b"\n", b"\r\n"),
        lambda stored: stored.replace(b"v1", b"v2", 1),
        lambda stored: stored[: len(module.MARK)] + b"*" + stored[len(module.MARK) + 1 :] + bytes(100),
    ],
)
def test_a_header_that_is_written_otherwise_is_refused(change):
    with pytest.raises(ArchiveInvalid) as caught:
        decrypted(change(encrypted(b"content" * 50)))
    assert not isinstance(caught.value, ArchiveTruncated)


@pytest.mark.usefixtures("cheap_passphrases")
def test_chunks_in_another_order_are_refused():
    stored = encrypted(os.urandom(3 * 65536))
    start, size = len(stored) - 3 * 65552, 65552
    first, second = stored[start : start + size], stored[start + size : start + 2 * size]
    with pytest.raises(ArchiveInvalid, match="cannot be decrypted"):
        decrypted(stored[:start] + second + first + stored[start + 2 * size :])


@pytest.mark.usefixtures("cheap_passphrases")
def test_an_empty_last_chunk_is_refused_as_age_refuses_it(monkeypatch: pytest.MonkeyPatch):
    def with_an_empty_end(source: ChunkReader, size_bytes: int):
        yield bytes(12), source.read_fully(size_bytes)
        yield (1).to_bytes(11, "big") + b"\1", b""

    with monkeypatch.context() as patched:
        patched.setattr(age_stream, "_chunks", with_an_empty_end)
        stored = encrypted(bytes(65536))
    with pytest.raises(ArchiveInvalid, match="empty chunk"):
        decrypted(stored)
    with pytest.raises(Exception, match="last chunk|decrypt|empty"):
        pyrage.passphrase.decrypt(stored, PASSPHRASE)
