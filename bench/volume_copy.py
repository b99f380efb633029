"""How long the copy of a volume takes, beside `cp -a` in a container of the same image between the same volumes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.product import IMAGE, Product
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.helper_image import ensure_helper_image
from containers_app.engine.trees import VolumeTree, copy_volume, tree_proof
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt

ROUNDS = 3
_RECEIPT = Receipt(operation_id="bench", shard=0, leaf_index=0, leaf_hash="0" * 64)
_FILLS = {
    "1 GiB in 8 files": "for i in $(seq 8); do dd if=/dev/urandom of=/fill/$i bs=1M count=128 2>/dev/null; done",
    "20,000 files of 2 kB": (
        "text=$(head -c 1000 /dev/urandom | hexdump -v -e '/1 \"%02x\"');"
        "for d in $(seq 100); do mkdir /fill/$d; for i in $(seq 200); do echo $text >/fill/$d/$i; done; done"
    ),
}


@dataclass(frozen=True, kw_only=True)
class VolumeCopies:
    """Seconds of each copy by the product's helper, of each `cp -a`, and of one proof, for a volume of one shape."""

    shape: str
    ours: tuple[float, ...]
    reference: tuple[float, ...]
    proof: float


def measure(product: Product) -> tuple[VolumeCopies, ...]:
    """Three interleaved rounds for each shape, after one of each that is not counted."""
    with open_gateway(Endpoint.parse(product.engine_url), EngineLimits(), _RECEIPT) as gateway:
        return tuple(_shape(product, gateway, shape) for shape in _FILLS)


def _shape(product: Product, gateway: EngineGateway, shape: str) -> VolumeCopies:
    gateway.create_volume("bench-source")
    product.docker("run", "--rm", "-v", "bench-source:/fill", IMAGE, "sh", "-c", _FILLS[shape])
    image = ensure_helper_image(gateway)
    reference = ("run", "--rm", "-v", "bench-source:/source:ro", "-v", "bench-target:/target", "--entrypoint", "cp")
    ways: tuple[Callable[[], object], ...] = (
        lambda: copy_volume(gateway, source="bench-source", target="bench-target"),
        lambda: product.docker(*reference, image, "-a", "/source/.", "/target"),
    )
    rounds = [[_seconds(gateway, way) for way in ways] for _ in range(ROUNDS + 1)][1:]
    begun = time.perf_counter()
    tree_proof(gateway, VolumeTree(name="bench-source"))
    proof = time.perf_counter() - begun
    gateway.remove_volume("bench-source")
    ours, theirs = (tuple(column) for column in zip(*rounds, strict=True))
    return VolumeCopies(shape=shape, ours=ours, reference=theirs, proof=proof)


def _seconds(gateway: EngineGateway, copy: Callable[[], object]) -> float:
    """One copy into a new volume, on a disk that has nothing else to write."""
    gateway.create_volume("bench-target")
    os.sync()
    begun = time.perf_counter()
    copy()
    seconds = time.perf_counter() - begun
    gateway.remove_volume("bench-target")
    return seconds
