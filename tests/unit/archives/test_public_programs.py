"""Who has a part and its key needs no MycoDocker: `age -d part | zstd -d | tar x`. And the other way round."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from containers_app.specs.encoding import Encoding
from tests.machine import find_program
from tests.unit.archives.encoded import (
    AGE,
    CONTENT,
    GZIP,
    IDENTITY,
    OTHER_RECIPIENT,
    PASSPHRASE,
    RECIPIENT,
    SCRYPT,
    ZSTD,
    decode,
    encode,
)
from tests.unit.archives.samples import Member, tar_of

pytestmark = pytest.mark.archivers
SECONDS = 60.0
TAR = tar_of([Member("etc/motd", b"hello"), Member("data", CONTENT)])


def run(*command: str, content: bytes = b"") -> bytes:
    return subprocess.run(command, input=content, check=True, capture_output=True, timeout=SECONDS).stdout


def at_a_terminal(*command: str, answer: str) -> bytes:
    """What a program wrote that asks for a passphrase at its terminal, as often as it asks."""
    terminal, inner = pty.openpty()
    # It opens /dev/tty, so this terminal must be that of its session.
    process = subprocess.Popen(["setsid", "--ctty", "--wait", *command], stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    said, deadline = b"", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the program is gone
            break
        if not piece:
            break
        said += piece
        if said.rstrip().endswith(b":"):
            os.write(terminal, answer.encode() + b"\n")
            said += b"[answered]"
    os.close(terminal)
    assert process.wait(SECONDS) == 0, said
    return said


@pytest.fixture
def identity_file(tmp_path: Path) -> str:
    path = tmp_path / "key.txt"
    path.write_text(f"# a comment\n{IDENTITY}\n")
    return str(path)


@pytest.mark.parametrize("level", [0, 1, 2, 3, None])
def test_gzip_reads_a_gzip_part(level: int | None):
    assert run("gzip", "-dc", content=encode(CONTENT, Encoding(codec="gzip", level=level))[0]) == CONTENT


@pytest.mark.parametrize("level", [1, 10, 19, None])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_zstd_reads_a_zstd_part_and_finds_its_checksum(level: int | None, threads: int):
    stored = encode(CONTENT, Encoding(codec="zstd", level=level, threads=threads))[0]
    assert run("zstd", "-dc", content=stored) == CONTENT


def test_zstd_finds_that_a_part_is_damaged(tmp_path: Path):
    stored = encode(CONTENT, ZSTD)[0]
    (tmp_path / "part.zst").write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    done = subprocess.run(["zstd", "-t", str(tmp_path / "part.zst")], check=False, capture_output=True, timeout=SECONDS)
    assert done.returncode != 0
    assert b"checksum" in done.stderr


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_a_whole_backup_is_read_with_a_pipe_of_public_programs(tmp_path: Path, identity_file: str, codec: str):
    encoding = Encoding(codec=codec, recipients=(OTHER_RECIPIENT, RECIPIENT))
    part = tmp_path / f"web.tar{encoding.suffix}"
    part.write_bytes(encode(TAR, encoding)[0])
    decompress = {"none": "cat", "gzip": "gzip -dc", "zstd": "zstd -dc"}[codec]
    pipe = f"age -d -i {identity_file} {part} | {decompress} | tar t"
    assert run("bash", "-o", "pipefail", "-c", pipe) == b"etc/motd\ndata\n"


def test_age_reads_a_part_with_a_passphrase(tmp_path: Path):
    part, plain = tmp_path / "part.age", tmp_path / "plain"
    part.write_bytes(encode(CONTENT, SCRYPT)[0])
    at_a_terminal("age", "-d", "-o", str(plain), str(part), answer=PASSPHRASE)
    assert plain.read_bytes() == CONTENT


def test_age_reads_a_part_for_a_key_of_ssh(tmp_path: Path):
    if find_program("ssh-keygen") is None:
        pytest.skip("not installed: ssh-keygen")
    key = tmp_path / "id_ed25519"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    encoding = Encoding(recipients=(key.with_suffix(".pub").read_text().strip(),))
    assert run("age", "-d", "-i", str(key), content=encode(CONTENT, encoding)[0]) == CONTENT


@pytest.mark.parametrize("arguments", [[], ["-1"], ["-9"]])
def test_what_gzip_wrote_is_decoded(arguments: list[str]):
    assert decode(run("gzip", "-c", *arguments, content=CONTENT), GZIP) == CONTENT


@pytest.mark.parametrize("arguments", [[], ["-1"], ["-19"], ["-T0"], ["--long=27"], ["--no-check"], ["--ultra", "-22"]])
def test_what_zstd_wrote_is_decoded(arguments: list[str]):
    assert decode(run("zstd", "-c", *arguments, content=CONTENT), ZSTD) == CONTENT


def test_what_age_wrote_is_decoded():
    assert decode(run("age", "-r", OTHER_RECIPIENT, "-r", RECIPIENT, content=CONTENT), AGE) == CONTENT


def test_what_age_wrote_with_a_passphrase_is_decoded(tmp_path: Path):
    plain, part = tmp_path / "plain", tmp_path / "part.age"
    plain.write_bytes(CONTENT)
    at_a_terminal("age", "-p", "-o", str(part), str(plain), answer=PASSPHRASE)
    assert decode(part.read_bytes(), SCRYPT) == CONTENT


def test_a_key_that_age_made_is_a_key(tmp_path: Path):
    from containers_app.archives.codecs import Keys

    file = run("age-keygen").decode()
    recipient = file.partition("# public key: ")[2].split()[0]
    stored = encode(CONTENT, Encoding(recipients=(recipient,)))[0]
    assert decode(stored, AGE, keys=Keys(identities=(file,))) == CONTENT
