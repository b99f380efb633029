"""Copies of a ledger's database that nobody uses at that moment, as a backup tool makes and restores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Makes a copy, and returns what restores it.
Copy = Callable[[], Callable[[], None]]


def copies_of_file(file: Path) -> Copy:
    """Of an SQLite database."""
    beside = [file.with_name(file.name + end) for end in ("-wal", "-shm")]

    def copy() -> Callable[[], None]:
        kept = file.read_bytes()
        assert not beside[0].exists()

        def restore() -> None:
            # What a killed process left belongs to the database that goes.
            for left in beside:
                left.unlink(missing_ok=True)
            file.write_bytes(kept)

        return restore

    return copy


@contextmanager
def copies_of_database(server: Any, url: str) -> Iterator[Copy]:
    """Of a database of this PostgreSQL server; all copies are dropped at the end."""
    name = urlsplit(url).path.strip("/")
    copies: list[str] = []

    def copy() -> Callable[[], None]:
        kept = f"{name}_copy{len(copies)}"
        server.execute(f"CREATE DATABASE {kept} TEMPLATE {name}")
        copies.append(kept)

        def restore() -> None:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            server.execute(f"CREATE DATABASE {name} TEMPLATE {kept}")

        return restore

    yield copy
    for kept in copies:
        server.execute(f"DROP DATABASE {kept} WITH (FORCE)")
