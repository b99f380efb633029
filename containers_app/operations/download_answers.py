"""Downloads as HTTP: one range of a part, the front server's own sending, and headers that let nothing be rendered."""

from __future__ import annotations

from contextlib import ExitStack
from typing import BinaryIO
from urllib.parse import quote

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from containers_app.conf import load
from containers_app.operations.backup_contents import Extract, WholePart
from containers_app.specs.byte_range import ByteRange, Unsatisfiable, asked_range

_BYTES, _TAR = "application/octet-stream", "application/x-tar"
_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_NAME_CHARACTERS = 150
_HARMLESS = frozenset("._-+ %()")


def answer(request: HttpRequest, found: WholePart | Extract) -> HttpResponseBase:
    """The answer to a GET or HEAD. Raises BackupUnusable and StorageError for a part that went away meanwhile."""
    response = _part(request, found) if isinstance(found, WholePart) else _extract(found)
    response["Content-Disposition"] = content_disposition_header(True, safe_name(found.file_name)) or "attachment"
    response["Content-Security-Policy"] = _POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def resumes(request: HttpRequest) -> bool:
    """Whether the request asks for what comes after the first byte."""
    try:
        found = asked_range(request.headers.get("Range"), if_range=None, etag="", size_bytes=2**63)
    except Unsatisfiable:
        return False
    return found is not None and found.start > 0


def safe_name(name: str) -> str:
    """A file name that means the same to every system: letters, digits and a few signs, the end of a long one."""
    text = "".join(character if character.isalnum() or character in _HARMLESS else "_" for character in name)
    return text[-_NAME_CHARACTERS:].lstrip(". ") or "download"


def _extract(found: Extract) -> HttpResponseBase:
    response = StreamingHttpResponse(found.pieces, content_type=_TAR if found.size_bytes is None else _BYTES)
    response["Accept-Ranges"] = "none"
    if found.size_bytes is not None:
        response["Content-Length"] = str(found.size_bytes)
    return response


def _part(request: HttpRequest, found: WholePart) -> HttpResponseBase:
    sendfile = load().sendfile
    response = _handed_over(sendfile, found) if sendfile else _sent(request, found)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = _etag(found)
    return response


def _etag(found: WholePart) -> str:
    return f'"{found.sha256}"'


def _handed_over(sendfile: str, found: WholePart) -> HttpResponse:
    """The front server sends the file, and decides about ranges."""
    response = HttpResponse(content_type=_BYTES)
    kind, _, prefix = sendfile.partition(":")
    if kind == "nginx":
        response["X-Accel-Redirect"] = prefix + quote(found.path)
    else:
        response["X-Sendfile"] = found.path
    return response


def _sent(request: HttpRequest, found: WholePart) -> HttpResponseBase:
    try:
        part = _wanted(request, found)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{found.size_bytes}"})
    wanted = part or ByteRange(start=0, end=found.size_bytes)
    response = _PartResponse(_Piece(found, wanted), content_type=_BYTES, status=206 if part else 200)
    response["Content-Length"] = str(wanted.size_bytes)
    if part:
        response["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{found.size_bytes}"
    return response


def _wanted(request: HttpRequest, found: WholePart) -> ByteRange | None:
    """RFC 9110, section 14.2: ranges are defined for GET alone."""
    header = request.headers.get("Range") if request.method == "GET" else None
    return asked_range(header, if_range=request.headers.get("If-Range"), etag=_etag(found), size_bytes=found.size_bytes)


class _PartResponse(FileResponse):
    """Read in large blocks, where the server does not send the file by itself."""

    block_size = 256 * 1024


class _Piece:
    """A range of a part as a file: the server may send it by its descriptor, from where that stands."""

    def __init__(self, found: WholePart, wanted: ByteRange) -> None:
        self._stack = ExitStack()
        self._file: BinaryIO = self._stack.enter_context(found.opened())
        self._file.seek(wanted.start)
        self._left_bytes = wanted.size_bytes

    def read(self, size_bytes: int) -> bytes:
        """The next bytes of the range, none at its end."""
        block = self._file.read(min(size_bytes, self._left_bytes))
        self._left_bytes -= len(block)
        return block

    def fileno(self) -> int:
        """Of the whole file; whoever uses it sends as many bytes as the answer says."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()
