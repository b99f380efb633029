"""How long a compressed or encrypted stream takes, beside the same pipe of public programs behind `docker export`."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyrage

from bench.product import IMAGE, Product
from containers_app.archives.stores.local import LocalStore
from containers_app.archives.writer import receive
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.encoding import MOST_THREADS, Encoding
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt

ROUNDS = 3
SIZES_MEBIBYTES = (256, 3072)
# `gzip` alone would take minutes for more.
GZIP_LIMIT_MEBIBYTES = 1024

_RECEIPT = Receipt(operation_id="bench", shard=0, leaf_index=0, leaf_hash="0" * 64)
_RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
# Half of it noise, half of it lines of numbers.
_FILL = (
    "mkdir /fill; for i in $(seq {count}); do dd if=/dev/urandom of=/fill/$i.noise bs=1M count=8 2>/dev/null;"
    "seq $((i * 3000000)) $((i * 3000000 + 2000000)) | head -c 8388608 >/fill/$i.lines; done"
)


@dataclass(frozen=True, kw_only=True)
class EncodedBackups:
    """Seconds of each stream by the product and by `reference`, and the last sizes of the two files in bytes."""

    mebibytes: int
    reference: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    our_bytes: int
    their_bytes: int


def measure(product: Product, sizes_mebibytes: tuple[int, ...] = SIZES_MEBIBYTES) -> tuple[EncodedBackups, ...]:
    """Three interleaved rounds for each size and way, after one of each that is not counted."""
    with open_gateway(Endpoint.parse(product.engine_url), EngineLimits(), _RECEIPT) as gateway:
        return tuple(found for size in sizes_mebibytes for found in _size(product, gateway, size))


def _size(product: Product, gateway: EngineGateway, mebibytes: int) -> Iterator[EncodedBackups]:
    name = f"bench-encoded-{mebibytes}"
    product.docker("run", "--name", name, IMAGE, "sh", "-c", _FILL.format(count=mebibytes // 16))
    identifier = product.docker("inspect", "--format", "{{.Id}}", name)
    for encoding, programs in _ways():
        if encoding.codec != "gzip" or mebibytes <= GZIP_LIMIT_MEBIBYTES:
            yield _way(
                product,
                gateway,
                identifier=identifier,
                encoding=encoding,
                programs=programs,
                mebibytes=mebibytes,
            )
    product.docker("rm", name)


def _ways() -> tuple[tuple[Encoding, tuple[tuple[str, ...], ...]], ...]:
    threads = min(os.cpu_count() or 1, MOST_THREADS)
    compress, encrypt = ("zstd", "-q", "-c", "-T0"), ("age", "-r", _RECIPIENT)
    return (
        (Encoding(codec="zstd", threads=threads), (compress,)),
        (Encoding(codec="zstd", threads=threads, recipients=(_RECIPIENT,)), (compress, encrypt)),
        (Encoding(codec="gzip"), (("gzip", "-c"),)),
    )


def _way(
    product: Product,
    gateway: EngineGateway,
    *,
    identifier: str,
    encoding: Encoding,
    programs: tuple[tuple[str, ...], ...],
    mebibytes: int,
) -> EncodedBackups:
    export = ("docker", "-H", product.engine_url, "export", identifier)
    rounds = [
        (_ours(product, gateway, identifier, encoding), _theirs(product.directory / "piped", (export, *programs)))
        for _ in range(ROUNDS + 1)
    ]
    return EncodedBackups(
        mebibytes=mebibytes,
        reference=" | ".join(["docker export NAME", *(program[0] for program in programs)]),
        ours=tuple(ours[0] for ours, _ in rounds[1:]),
        theirs=tuple(theirs[0] for _, theirs in rounds[1:]),
        our_bytes=rounds[-1][0][1],
        their_bytes=rounds[-1][1][1],
    )


def _ours(product: Product, gateway: EngineGateway, identifier: str, encoding: Encoding) -> tuple[float, int]:
    """Seconds until the last byte was written, and how many there are; nothing is published."""
    store = LocalStore((str(product.directory / "encoded"),), reserve_bytes=0)
    with store.open_for_write(store.locate(None, "bench.tar"), "0192f0c1-7a3b-7cde-8f01-23456789abcd") as writer:
        begun = time.perf_counter()
        with gateway.export(identifier) as stream:
            received = receive(stream, writer, on_progress=lambda _: None, checkpoint=lambda: None, encoding=encoding)
        return time.perf_counter() - begun, received.stored_bytes


def _theirs(target: Path, commands: tuple[tuple[str, ...], ...]) -> tuple[float, int]:
    begun = time.perf_counter()
    with target.open("wb") as file, _started(commands[:-1]) as last:
        subprocess.run(commands[-1], check=True, stdin=last.stdout, stdout=file)
    seconds, size_bytes = time.perf_counter() - begun, target.stat().st_size
    target.unlink()
    return seconds, size_bytes


@contextmanager
def _started(commands: tuple[tuple[str, ...], ...]) -> Iterator[subprocess.Popen[bytes]]:
    """The last of these programs, each of which reads from the one before."""
    processes: list[subprocess.Popen[bytes]] = []
    for command in commands:
        source = processes[-1].stdout if processes else subprocess.DEVNULL
        processes.append(subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE))
    yield processes[-1]
    for process in processes:
        assert process.stdout
        process.stdout.close()
        assert process.wait() == 0
