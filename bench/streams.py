"""How long a file of a backup takes until it is durable, beside public programs that write one and `sync` it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyrage

from bench.product import IMAGE, Product
from bench.shapes import FIVE_MEBIBYTES, SMALL_FILES, Shape, mixed
from containers_app.archives.indexing import Indexing
from containers_app.archives.stores.local import LocalStore
from containers_app.archives.writer import ByteSource, receive
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import packed_tree
from containers_app.engine.trees import VolumeTree
from containers_app.specs.encoding import MOST_THREADS, Encoding
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt

ROUNDS = 3
CONTAINERS = (mixed(3072), mixed(1024), SMALL_FILES, FIVE_MEBIBYTES)
VOLUMES = (mixed(1024), SMALL_FILES, FIVE_MEBIBYTES)

_RECEIPT = Receipt(operation_id="bench", shard=0, leaf_index=0, leaf_hash="0" * 64)
_OPERATION = "0192f0c1-7a3b-7cde-8f01-23456789abcd"
_RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
_PLAIN = Encoding()
Source = Callable[[], AbstractContextManager[ByteSource]]


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Seconds of each round by the product and by the `reference`, and the last sizes of the two files in bytes."""

    what: str
    reference: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    our_bytes: int
    their_bytes: int

    def row(self) -> str:
        """Of the table."""
        ours, theirs, reference = median(self.ours), median(self.theirs), self.reference.replace("|", "\\|")
        return (
            f"| {self.what}, {self.our_bytes / 2**20:.0f} MiB, median of {len(self.ours)} | {ours:.2f} s "
            f"| `{reference}`, {self.their_bytes / 2**20:.0f} MiB: {theirs:.2f} s | {ours / theirs:.2f} |"
        )


@dataclass(frozen=True, kw_only=True)
class _Pipe:
    """Public programs, each of which reads from the one before; the last one's output is the file."""

    shown: str
    commands: tuple[tuple[str, ...], ...]


def measure_exports(product: Product, shapes: tuple[Shape, ...] = CONTAINERS) -> Iterator[Streams]:
    """Every way to store the file system of a container of each shape."""
    with _gateway(product) as gateway:
        for number, shape in enumerate(shapes):
            name = f"bench-streams-{number}"
            product.docker("run", "--name", name, IMAGE, "sh", "-c", shape.command("/fill"))
            container = product.docker("inspect", "--format", "{{.Id}}", name)
            export = _Pipe(
                shown="docker export NAME", commands=(("docker", "-H", product.engine_url, "export", container),)
            )
            for encoding, programs in _ways():
                if encoding.codec != "gzip" or not shape.large:
                    source = _export(gateway, container)
                    yield _rounds(product, f"Export of {shape.name}", source, _piped(export, programs), encoding)
            product.docker("rm", name)


def measure_volumes(product: Product, shapes: tuple[Shape, ...] = VOLUMES) -> Iterator[Streams]:
    """A plain file of a volume of each shape, beside a tar on the host and one that a container prints."""
    with _gateway(product) as gateway:
        for shape in shapes:
            gateway.create_volume("bench-streams")
            product.docker("run", "--rm", "-v", "bench-streams:/fill", IMAGE, "sh", "-c", shape.command("/fill"))
            folder = product.volume_folder("bench-streams")
            run = ("docker", "-H", product.engine_url, "run", "--rm", "-v", "bench-streams:/fill", IMAGE)
            for tar in (
                _Pipe(shown="tar -C FOLDER -c .", commands=(("tar", "-C", str(folder), "-c", "."),)),
                _Pipe(
                    shown="docker run --rm -v NAME:/fill IMAGE tar -c /fill", commands=((*run, "tar", "-c", "/fill"),)
                ),
            ):
                yield _rounds(product, f"Volume of {shape.name}", lambda: _packed(gateway), tar, hashed=True)
            gateway.remove_volume("bench-streams")


def _gateway(product: Product) -> AbstractContextManager[EngineGateway]:
    return open_gateway(Endpoint.parse(product.engine_url), EngineLimits(), _RECEIPT)


def _export(gateway: EngineGateway, container: str) -> Source:
    return lambda: gateway.export(container)


@contextmanager
def _packed(gateway: EngineGateway) -> Iterator[ByteSource]:
    with packed_tree(gateway, VolumeTree(name="bench-streams")) as packed:
        yield packed
        packed.finish()


def _ways() -> tuple[tuple[Encoding, tuple[tuple[str, ...], ...]], ...]:
    # One processor is the Engine's.
    threads = min(max((os.cpu_count() or 1) - 1, 1), MOST_THREADS)
    compress, encrypt = ("zstd", "-q", "-c", "-T0"), ("age", "-r", _RECIPIENT)
    return (
        (_PLAIN, ()),
        (Encoding(codec="zstd", threads=threads), (compress,)),
        (Encoding(codec="zstd", threads=threads, recipients=(_RECIPIENT,)), (compress, encrypt)),
        (Encoding(codec="gzip"), (("gzip", "-c"),)),
    )


def _piped(pipe: _Pipe, programs: tuple[tuple[str, ...], ...]) -> _Pipe:
    shown = " | ".join([pipe.shown, *(" ".join(program).replace(_RECIPIENT, "KEY") for program in programs)])
    return _Pipe(shown=shown, commands=(*pipe.commands, *programs))


def _rounds(
    product: Product, what: str, source: Source, pipe: _Pipe, encoding: Encoding = _PLAIN, *, hashed: bool = False
) -> Streams:
    """Interleaved, after one of each that is not counted. `hashed`: the index gets a digest of each file."""
    target = product.directory / "piped"
    rounds = [(_ours(product, source, encoding, hashed=hashed), _theirs(target, pipe)) for _ in range(ROUNDS + 1)]
    return Streams(
        what=what,
        reference=f"{pipe.shown} > FILE && sync FILE",
        ours=tuple(ours[0] for ours, _ in rounds[1:]),
        theirs=tuple(theirs[0] for _, theirs in rounds[1:]),
        our_bytes=rounds[-1][0][1],
        their_bytes=rounds[-1][1][1],
    )


def _ours(product: Product, source: Source, encoding: Encoding, *, hashed: bool) -> tuple[float, int]:
    """Seconds until the file is durable and read back, and its size; it gets no name."""
    store = LocalStore((str(product.directory / "streams"),), reserve_bytes=0)
    begun = time.perf_counter()
    with (
        store.open_for_write(store.locate(None, "bench.tar"), _OPERATION) as writer,
        Indexing(within=product.directory, hashed=hashed) as indexing,
        source() as stream,
    ):
        received = receive(
            stream,
            writer,
            on_progress=lambda _: None,
            checkpoint=lambda: None,
            encoding=encoding,
            walk=False,
            observe=indexing.observe,
        )
        indexing.finish()
        writer.seal(received.stored_sha256, received.stored_bytes)
        return time.perf_counter() - begun, received.stored_bytes


def _theirs(target: Path, pipe: _Pipe) -> tuple[float, int]:
    begun = time.perf_counter()
    with target.open("wb") as file, _started(pipe.commands[:-1]) as last:
        subprocess.run(pipe.commands[-1], check=True, stdin=last, stdout=file)
    subprocess.run(["sync", str(target)], check=True)
    seconds, size_bytes = time.perf_counter() - begun, target.stat().st_size
    target.unlink()
    return seconds, size_bytes


@contextmanager
def _started(commands: tuple[tuple[str, ...], ...]) -> Iterator[int]:
    """What the last of these programs writes to."""
    processes: list[subprocess.Popen[bytes]] = []
    output: int = subprocess.DEVNULL
    for command in commands:
        processes.append(subprocess.Popen(command, stdin=output, stdout=subprocess.PIPE))
        pipe = processes[-1].stdout
        assert pipe
        output = pipe.fileno()
    yield output
    for process in processes:
        assert process.stdout
        process.stdout.close()
        assert process.wait() == 0
