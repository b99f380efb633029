"""Reads from a program's file which loader and libraries it needs, without running it: `ldd` would run it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Where the loaders of Debian, Fedora and Alpine look without a configuration; Debian adds a folder per architecture.
_FOLDERS = ("/lib/*-linux-*", "/usr/lib/*-linux-*", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _RUNPATHS = 1, 5, (15, 29)


@dataclass(frozen=True, kw_only=True)
class Binary:
    """What an ELF file says of itself; `kind` tells word size, byte order and machine, which libraries must share."""

    kind: tuple[int, int, int]
    interpreter: str | None
    needed: tuple[str, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size_bytes: int


def read_binary(path: Path) -> Binary | None:
    """The facts of an ELF file, or None for what is none."""
    content = path.read_bytes()
    if content[:4] != b"\x7fELF":
        return None
    wide, order = content[4] == 2, "<" if content[5] == 1 else ">"
    segments = tuple(_segments(content, wide, order))
    interpreter = next((_bytes(content, found) for found in segments if found.kind == _INTERPRETER), None)
    entries = [entry for found in segments if found.kind == _DYNAMIC for entry in _dynamic(content, found, wide, order)]
    strings = _offset(segments, next((value for tag, value in entries if tag == _STRINGS), 0))
    runpath = ":".join(_text(content, strings + value) for tag, value in entries if tag in _RUNPATHS)
    return Binary(
        kind=(content[4], content[5], int(struct.unpack_from(order + "H", content, 18)[0])),
        interpreter=interpreter.rstrip(b"\0").decode() if interpreter else None,
        needed=tuple(_text(content, strings + value) for tag, value in entries if tag == _NEEDED),
        folders=tuple(part.replace("$ORIGIN", str(path.parent)) for part in runpath.split(":") if part),
    )


def closure(programs: tuple[Path, ...]) -> set[Path]:
    """The programs and everything that the loader would map for them, as the paths that it would look at.

    Raises FileNotFoundError with the name of a library that is nowhere.
    """
    found: set[Path] = set()
    waiting = list(programs)
    while waiting:
        path = waiting.pop()
        binary = None if path in found else read_binary(path)
        found.add(path)
        if binary is not None:
            waiting += [Path(binary.interpreter)] if binary.interpreter else []
            waiting += [_library(name, binary) for name in binary.needed]
    return found


def _library(name: str, wanted: Binary) -> Path:
    folders = [Path(folder) for folder in wanted.folders]
    for pattern in _FOLDERS:
        folders += sorted(Path("/").glob(pattern.lstrip("/")))
    for folder in folders:
        path = folder / name
        if path.is_file() and (binary := read_binary(path)) is not None and binary.kind == wanted.kind:
            return path
    raise FileNotFoundError(name)


def _segments(content: bytes, wide: bool, order: str) -> Iterator[_Segment]:
    start = struct.unpack_from(order + ("Q" if wide else "I"), content, 32 if wide else 28)[0]
    step, count = struct.unpack_from(order + "HH", content, 54 if wide else 42)
    for at in range(start, start + step * count, step):
        if wide:
            kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", content, at)
        else:
            kind, offset, address, _, size = struct.unpack_from(order + "IIIII", content, at)
        yield _Segment(kind=kind, offset=offset, address=address, size_bytes=size)


def _dynamic(content: bytes, segment: _Segment, wide: bool, order: str) -> Iterator[tuple[int, int]]:
    yield from struct.iter_unpack(order + ("qQ" if wide else "iI"), _bytes(content, segment))


def _bytes(content: bytes, segment: _Segment) -> bytes:
    return content[segment.offset : segment.offset + segment.size_bytes]


def _offset(segments: tuple[_Segment, ...], address: int) -> int:
    """Where in the file an address of the loaded program is."""
    for found in segments:
        if found.kind == _LOAD and found.address <= address < found.address + found.size_bytes:
            return address - found.address + found.offset
    return address


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode()
