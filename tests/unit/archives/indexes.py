"""Indexes of archives that stand in a test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from containers_app.archives.index import Index
from containers_app.archives.index_builder import IndexBuilder


def index_bytes(content: bytes, *, chunk_bytes: int = 10_000, hashed: bool = True) -> bytes:
    """The file of the archive's index."""
    with IndexBuilder(hashed=hashed) as builder:
        for start in range(0, len(content), chunk_bytes):
            builder.feed(content[start : start + chunk_bytes])
        builder.finish()
        return builder.file.read()


@contextmanager
def opened_index(content: bytes, *, chunk_bytes: int = 10_000, hashed: bool = True) -> Iterator[Index]:
    """The archive's index, open."""
    with tempfile.TemporaryDirectory(prefix="myco-index-") as folder:
        path = Path(folder, "index.sqlite")
        path.write_bytes(index_bytes(content, chunk_bytes=chunk_bytes, hashed=hashed))
        with Index.open(path) as index:
            yield index
