"""Decides from the words alone where a requested backup may stand, before any file system is touched."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from containers_app.errors import InvalidRequest

PATH_FIELD = "options.path"
NAME_FIELD = "options.name"
MAXIMUM_FOLDERS = 8
MAXIMUM_PATH_BYTES = 255
MANIFEST_SUFFIX = ".manifest.json"
PARTIAL_SUFFIX = ".partial"

_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_OPERATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OUR_PARTIAL = re.compile(r"\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.manifest)?\.partial")


@dataclass(frozen=True, kw_only=True)
class Location:
    """One file's place: a configured root, the folders below it, and the file's name."""

    root: str
    folders: tuple[str, ...]
    name: str

    @property
    def manifest(self) -> Location:
        """The place of the manifest that stands beside an archive of this name."""
        return self.beside(self.name + MANIFEST_SUFFIX)

    def beside(self, name: str) -> Location:
        """Another file in the same folder."""
        return replace(self, name=name)

    def partial_name(self, operation_id: str) -> str:
        """What the file is called while this operation writes it; a manifest's differs from any archive's.

        Raises ValueError for what is no operation id.
        """
        if not _OPERATION_ID.fullmatch(operation_id):
            raise ValueError("an operation id has 1 to 64 letters, digits, '_' and '-'")
        kind = ".manifest" if self.name.endswith(MANIFEST_SUFFIX) else ""
        return f".{operation_id}{kind}{PARTIAL_SUFFIX}"


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A temporary that some operation made: where it stands, and the operation's id."""

    location: Location
    operation_id: str


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name may be a manifest of ours."""
    return name.endswith(MANIFEST_SUFFIX) and _NAME.fullmatch(name.removesuffix(MANIFEST_SUFFIX)) is not None


def operation_of_partial(name: str) -> str | None:
    """The operation id (a UUID) in one of the two temporary names, or None: then the file may be somebody else's."""
    match = _OUR_PARTIAL.fullmatch(name)
    return match[1] if match else None


def is_folder_name(name: str) -> bool:
    """Whether a folder of this name can hold backups of ours."""
    return _FOLDER.fullmatch(name) is not None


def checked_roots(roots: Iterable[str]) -> tuple[str, ...]:
    """The roots without a trailing slash. Raises ValueError unless each is an absolute folder written plainly."""
    plain = tuple(root.rstrip("/") for root in roots)
    for root in plain:
        if not root.startswith("/") or not all(map(_is_plain, root[1:].split("/"))):
            raise ValueError("a backup root must be an absolute folder, without '.', '..' or doubled slashes")
    if not plain:
        raise ValueError("at least one backup root is needed")
    return plain


def locate(roots: tuple[str, ...], path: str | None, name: str) -> Location:
    """The location that a request names; no `path` is the first root, a relative one is below it.

    Raises InvalidRequest with field `options.path` or `options.name`.
    """
    root, folders = (roots[0], ()) if path is None else _place(roots, path)
    if len(folders) > MAXIMUM_FOLDERS or len("/".join(folders)) > MAXIMUM_PATH_BYTES:
        raise _bad_path(roots, f"has more than {MAXIMUM_FOLDERS} folders or {MAXIMUM_PATH_BYTES} bytes")
    if not all(map(is_folder_name, folders)):
        raise _bad_path(
            roots,
            "has a folder that is not made of 1 to 100 letters, digits, '.', '_' and '-', "
            "beginning with a letter, a digit or '_'",
        )
    return Location(root=root, folders=folders, name=_checked_name(name))


def _place(roots: tuple[str, ...], path: str) -> tuple[str, tuple[str, ...]]:
    parts = path.removesuffix("/").removeprefix("/").split("/")
    if not all(map(_is_plain, parts)):
        raise _bad_path(roots, "is empty, or has an empty folder, '.', '..', a backslash or a control character")
    if not path.startswith("/"):
        return roots[0], tuple(parts)
    for root in sorted(roots, key=len, reverse=True):
        above = root[1:].split("/")
        if parts[: len(above)] == above:
            return root, tuple(parts[len(above) :])
    raise _bad_path(roots, "is outside the backup folders")


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and not any(
        character == "\\" or unicodedata.category(character).startswith("C") for character in part
    )


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "options.name must have 1 to 200 letters, digits, '.', '_' and '-', "
            "beginning with a letter, a digit or '_': choose another name.",
            field=NAME_FIELD,
        )
    if name.lower().endswith((MANIFEST_SUFFIX, PARTIAL_SUFFIX)):
        raise InvalidRequest(
            f"options.name must not end in {MANIFEST_SUFFIX} or {PARTIAL_SUFFIX}: choose another name.",
            field=NAME_FIELD,
        )
    return name


def _bad_path(roots: tuple[str, ...], words: str) -> InvalidRequest:
    return InvalidRequest(
        f"options.path {words}: name a folder relative to {roots[0]}, or an absolute one at or below one of: "
        f"{', '.join(roots)}.",
        field=PATH_FIELD,
    )
