"""What the gateway may do with images, the content of one as a stream included."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from containers_app.engine.errors import clean
from containers_app.engine.streams import ByteStream
from containers_app.engine.transport import container_id
from containers_app.engine.verbs import Verbs, label_filter, names_in, text_of
from containers_app.errors import EngineError, InvalidRequest

_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LINE_LIMIT_BYTES = 1024 * 1024
_BLOCK_BYTES = 64 * 1024
_LONGEST_COMMIT_SECONDS = 3600.0


def image_id(value: str) -> str:
    """The only door for image ids into a URL of a change: `sha256:` and 64 hex digits. Raises InvalidRequest."""
    if _IMAGE_ID.fullmatch(value) is None:
        raise InvalidRequest("An image must be named to the Engine by its full id.", field="image")
    return value


class ImageVerbs(Verbs):
    """Images: save, load, import, pull, tag, commit, remove, find what an operation made."""

    @contextmanager
    def save_image(self, identifier: str) -> Iterator[ByteStream]:
        """The image as the Engine's tar stream, as `docker save` writes it."""
        limits = self._connection.limits
        response = self._connection.stream(
            f"/images/{quote(image_id(identifier), safe=':')}/get", subject="image", read_seconds=limits.stall_seconds
        )
        with response:
            yield ByteStream(response, self._connection.endpoint, limits)

    def load_image(self, blocks: Iterator[bytes]) -> None:
        """Give the Engine what `save_image` gave. Raises EngineError with its words, also when it says 200 first.

        That proves nothing about which image it was: ask for its id afterwards.
        """
        limits = self._connection.limits
        response = self._connection.stream(
            "/images/load",
            method="POST",
            subject="engine",
            read_seconds=limits.stall_seconds,
            parameters={"quiet": "0"},
            content=blocks,
        )
        with response:
            for line in _lines(ByteStream(response, self._connection.endpoint, limits)):
                _told(line)

    def import_image(self, blocks: Iterator[bytes], *, labels: Mapping[str, str]) -> str:
        """Make an image of a file system's tar, with the operation's label and without a name; returns its id.

        It has no configuration. Raises EngineError with the Engine's words, also when it says 200 first.
        """
        changes = [f"LABEL {name}={_quoted(value)}" for name, value in self._labelled(labels).items()]
        told = self._made(blocks, {"fromSrc": "-", "changes": changes})
        return image_id(next((text for text in reversed(told) if _IMAGE_ID.fullmatch(text)), ""))

    def pull_image(self, reference: str) -> None:
        """Fetch an image by `repository@sha256:…` from its registry: by digest alone, so that it is that very image.

        Raises InvalidRequest for another reference, EngineError with the Engine's words.
        """
        repository, at, digest = reference.partition("@")
        if not repository or not at or _IMAGE_ID.fullmatch(digest) is None:
            raise InvalidRequest("An image is pulled by its digest alone.", field="image")
        self._made(None, {"fromImage": repository, "tag": digest})

    def _made(self, blocks: Iterator[bytes] | None, parameters: Mapping[str, str | list[str]]) -> list[str]:
        """What the Engine says while it makes an image, step by step."""
        limits = self._connection.limits
        response = self._connection.stream(
            "/images/create",
            method="POST",
            subject="image",
            read_seconds=limits.stall_seconds,
            parameters=parameters,
            content=blocks,
        )
        with response:
            lines = _lines(ByteStream(response, self._connection.endpoint, limits))
            return [str(_told(line).get("status", "")) for line in lines]

    def tag_image(self, identifier: str, reference: str) -> None:
        """Give an image a name, which is taken from whatever had it before."""
        repository, _, tag = reference.rpartition(":")
        if not repository or "/" in tag:
            repository, tag = reference, "latest"
        path = f"/images/{quote(image_id(identifier), safe=':')}/tag"
        self._connection.json("POST", path, subject="image", parameters={"repo": repository, "tag": tag})

    def commit(self, container: str, *, pause: bool, labels: Mapping[str, str] | None = None) -> str:
        """Make an image of a container's files, with the operation's label and without a name; returns its id.

        That takes as long as its files do.
        """
        body = {"Labels": self._labelled(labels or {})}
        parameters = {"container": container_id(container), "pause": "1" if pause else "0"}
        answer = self._connection.json(
            "POST",
            "/commit",
            subject="container",
            parameters=parameters,
            body=body,
            patience_seconds=_LONGEST_COMMIT_SECONDS,
        )
        return image_id(text_of(answer, "Id"))

    def remove_image(self, identifier: str) -> None:
        """Remove an image by its full id; one that is gone is fine. Raises EngineError while a container uses it."""
        self._remove(f"/images/{quote(image_id(identifier), safe=':')}", subject="image")

    def remove_unused_image(self, identifier: str) -> bool:
        """Remove an image, by its full id, that one name at most and no container uses. False when it is kept."""
        try:
            self.remove_image(identifier)
        except EngineError as error:
            if not error.message.startswith("The Engine refused (409)"):
                raise
            return False
        return True

    def image_ids(self) -> tuple[str, ...]:
        """The ids of all images, without those that are only steps of others."""
        return names_in(self._connection.json("GET", "/images/json", subject="image"), "Id")

    def labelled_images(self, operation_id: str) -> tuple[str, ...]:
        """The ids of the images that an operation committed."""
        answer = self._connection.json("GET", "/images/json", subject="image", parameters=label_filter(operation_id))
        return names_in(answer, "Id")


def _quoted(value: str) -> str:
    """A value in a Dockerfile's instruction, in which nothing stands for something else."""
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


def _lines(stream: ByteStream) -> Iterator[bytes]:
    waiting = b""
    while block := stream.read_some(_BLOCK_BYTES):
        *lines, waiting = (waiting + block).split(b"\n")
        yield from lines
        if len(waiting) > _LINE_LIMIT_BYTES:
            raise EngineError("The Engine's answer to a load has a line without an end.")
    yield waiting


def _told(line: bytes) -> Mapping[str, Any]:
    """One step of the Engine's report. Raises EngineError for one that says what went wrong."""
    try:
        told = json.loads(line or b"{}")
    except ValueError as error:
        raise EngineError("The Engine's answer to a load is not JSON.") from error
    if not isinstance(told, dict):
        return {}
    if told.get("error"):
        raise EngineError(f"The Engine did not load the image: {clean(str(told['error']))}")
    return told
