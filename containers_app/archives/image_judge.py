"""The rules for a stranger's image: one image, the expected one, and no name that it would take from another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from containers_app.archives.judge import Judge, Judged
from containers_app.archives.limits import Limits
from containers_app.archives.tar_member import TarMember, clean_path
from containers_app.errors import ArchiveInvalid

DOCUMENT_LIMIT_BYTES = 4 * 1024 * 1024
# What leads from one document of an image to the next: an index, a manifest.
LEAD_LIMIT_BYTES, MOST_LEADS = 64 * 1024, 100
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MANIFEST, _REPOSITORIES, _INDEX = b"manifest.json", b"repositories", b"index.json"
_BLOBS, _REFERRED = b"blobs/sha256/", re.compile(rb"sha256:([0-9a-f]{64})")
_NAMING = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class ImageJudge(Judge):
    """Walks what `docker save` wrote, as `Judge` does, and reads what says there which images and names it has.

    An Engine gives an image that it loads all names that come with it, and takes them from whatever had them. Backups
    save an image by its id, so that an honest one comes without any.
    """

    def __init__(self, image_id: str, *, plain_bytes: int) -> None:
        """`image_id`: `sha256:` and 64 hex digits, the one that the backup's configuration says."""
        super().__init__(Limits(), plain_bytes=plain_bytes)
        self._hex = image_id.removeprefix("sha256:")
        self._own = {f"{self._hex}.json".encode(), f"blobs/sha256/{self._hex}".encode()}
        self._documents: dict[bytes, bytearray] = {}
        self._reading: bytearray | None = None
        self._hashed = hashlib.sha256()
        self._is_own = False
        self._leads: dict[str, set[str]] = {}
        self._blob: tuple[str, bytearray] | None = None

    def member(self, member: TarMember, /) -> None:
        """The walker's word that a member starts."""
        super().member(member)
        path = clean_path(member.path)
        self._end_blob()
        if path.startswith(_BLOBS) and member.size_bytes <= LEAD_LIMIT_BYTES and len(self._leads) < MOST_LEADS:
            self._blob = path.removeprefix(_BLOBS).decode("ascii", "replace"), bytearray()
        self._reading, self._is_own = None, path in self._own
        if path not in (_MANIFEST, _REPOSITORIES, _INDEX):
            return
        if member.kind != "file" or member.size_bytes > DOCUMENT_LIMIT_BYTES:
            raise _refused(f"its {path.decode()} is no file, or too large")
        self._reading = self._documents[path] = bytearray()

    def content(self, piece: memoryview, /) -> None:
        """The walker's next bytes of that member."""
        super().content(piece)
        if self._reading is not None:
            self._reading += piece
        if self._blob is not None:
            self._blob[1].extend(piece)
        if self._is_own:
            self._hashed.update(piece)

    def _end_blob(self) -> None:
        """Remember what a small document refers to, if it is the one that its name says."""
        if self._blob is None:
            return
        (name, content), self._blob = self._blob, None
        referred = {found.decode() for found in _REFERRED.findall(content)}
        if referred and hashlib.sha256(content).hexdigest() == name:
            self._leads[name] = referred

    def _leads_to(self, start: str, end: str) -> bool:
        """Whether one is the other, or has it in its manifest, or in that of an index."""
        near = self._leads.get(start, set())
        return start == end or end in near or any(end in self._leads.get(found, ()) for found in near)

    def finish(self) -> Judged:
        """As `Judge` does. Raises ArchiveInvalid for another image, several ones, and names too."""
        judged = super().finish()
        self._end_blob()
        images = self._listed(_MANIFEST, self._document(_MANIFEST, []))
        described = self._listed(_INDEX, dict(_object(self._document(_INDEX, {}))).get("manifests", []))
        if self._document(_REPOSITORIES, {}) or any(image.get("RepoTags") for image in images):
            raise _refused("it brings names")
        if any(set(_NAMING) & set(_object(image.get("annotations") or {})) for image in described):
            raise _refused("it brings names")
        if len(images) > 1 or len(described) > 1:
            raise _refused("it holds more than one image")
        # Some Engines load what the one list names, and some what the other one does: both must be this image.
        named = [self._leads_to(self._hex, _digest(image.get("Config"))) for image in images]
        named += [self._leads_to(_digest(image.get("digest")), self._hex) for image in described]
        if not named or not all(named):
            raise _refused("it is another image than the backup's configuration names")
        if self._hashed.hexdigest() != self._hex:
            raise _refused("what it is made of has another digest than its id")
        return judged

    def _document(self, path: bytes, otherwise: Any) -> Any:
        if path not in self._documents:
            return otherwise
        try:
            return json.loads(self._documents[path])
        except (ValueError, RecursionError) as error:
            raise _refused(f"its {path.decode()} is not JSON") from error

    @staticmethod
    def _listed(path: bytes, found: Any) -> Sequence[Mapping[str, Any]]:
        if not isinstance(found, list):
            raise _refused(f"its {path.decode()} has no list of images")
        return [_object(entry) for entry in found]


def _digest(word: Any) -> str:
    """The one that is in it."""
    found = _HEX.search(str(word))
    return found[0] if found else ""


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refused("one of its lists has something else than objects")
    return value


def _refused(words: str) -> ArchiveInvalid:
    return ArchiveInvalid(f"The image is refused: {words}.")
