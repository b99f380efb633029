"""Writes the files of a backup set, one after the other; the manifest, which makes a set of them, comes last."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.archives.indexing import Indexing
from containers_app.archives.manifest import Manifest, Part
from containers_app.archives.stores import Location
from containers_app.archives.writer import ByteSource, ReceivedArchive, receive
from containers_app.specs.encoding import Encoding
from containers_app.workflows.context import Context
from containers_app.workflows.undo import remove_files

INDEX_SUFFIX = ".index"
_LABEL_CHARACTERS = 24
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_AS_IT_IS = Encoding()


class SetWriter:
    """The files of one set: `base` is the place that was asked for, and every file's name begins with its name."""

    def __init__(self, context: Context, base: Location, encoding: Encoding) -> None:
        self.base = base
        self.parts: list[Part] = []
        self._context = context
        self._encoding = encoding

    @property
    def stored_bytes(self) -> int:
        """What all files take."""
        return sum(part.stored_bytes for part in self.parts)

    def require_free(self) -> None:
        """Raise NameTaken, before anything is done, where a set of this name exists."""
        for ending in ("", INDEX_SUFFIX):
            self._context.store.require_free(self.base.beside(self._file_name(ending)))
        self._context.store.require_free(self.base.manifest)

    def add_tar(
        self, kind: str, name: str, source: ByteSource, *, label: str | None = None, hashed: bool = True
    ) -> Part:
        """A tar as it comes off its source, and its index after it; without a label it is the file that was asked for.

        `hashed`: the index gets a digest of each file. A tar that cannot be indexed comes with a warning. Raises what
        the source and the storage raise, and ArchiveInvalid or ArchiveTruncated for what is no whole tar.
        """
        ending = "" if label is None else f".{kind}-{self._distinct(kind, label)}.tar"
        with Indexing(within=self._context.scratch_folder, hashed=hashed) as indexing:
            part = self._add(kind, name, self._file_name(ending), source, indexing=indexing)
            if indexing.failure is None:
                self._add("index", part.path, self._file_name(ending + INDEX_SUFFIX), indexing.file)
            else:
                words = f"The files of the {kind} {name} cannot be listed, only downloaded and restored"
                self._context.warn("INDEX_LEFT_OUT", f"{words}: {indexing.failure}")
        return part

    def add_file(self, kind: str, name: str, source: ByteSource, *, ending: str) -> Part:
        """Bytes that are no tar. Raises what the storage raises."""
        return self._add(kind, name, self._file_name(ending), source)

    def shared_prefix(self, kind: str, name: str) -> str:
        """What names of files begin with that hold this, encoded alike: no passphrase is alike another's."""
        own = self._context.facts.operation_id if self._encoding.passphrase else ""
        alike = json.dumps([kind, name, self._encoding.shown, own], sort_keys=True).encode()
        return f"{kind}-{hashlib.sha256(alike).hexdigest()[:32]}-"

    def add_shared(self, kind: str, name: str, source: ByteSource) -> Part:
        """A tar that other sets may refer to, under a name that no other operation gives."""
        own = self._context.facts.operation_id.replace("-", "")[-12:]
        return self._add(
            kind, name, f"{self.shared_prefix(kind, name)}{own}.tar{self._encoding.suffix}", source, walk=True
        )

    def add_document(self, kind: str, name: str, document: Mapping[str, Any]) -> Part:
        """A JSON document."""
        content = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True).encode()
        return self.add_file(kind, name, io.BytesIO(content), ending=f".{kind}.json")

    def close(self, manifest: Manifest) -> None:
        """Write the manifest. From then on the set exists."""
        self._write(self.base.manifest, io.BytesIO(manifest.to_bytes()), encoding=_AS_IT_IS)

    def _add(
        self,
        kind: str,
        name: str,
        file_name: str,
        source: ByteSource,
        *,
        walk: bool = False,
        indexing: Indexing | None = None,
    ) -> Part:
        location = self.base.beside(file_name)
        received = self._write(location, source, walk=walk, indexing=indexing, encoding=self._encoding)
        part = Part(
            kind=kind,
            name=name,
            path=file_name,
            size_bytes=received.size_bytes,
            stored_bytes=received.stored_bytes,
            sha256=received.sha256,
            stored_sha256=received.stored_sha256,
            members=received.members,
            codec=self._encoding.codec,
            encryption="age" if self._encoding.encrypted else None,
        )
        self.parts.append(part)
        return part

    def _write(
        self,
        location: Location,
        source: ByteSource,
        *,
        encoding: Encoding,
        walk: bool = False,
        indexing: Indexing | None = None,
    ) -> ReceivedArchive:
        """One file under its final name; how to take it back is recorded before its first byte."""
        context, operation_id = self._context, self._context.facts.operation_id
        before = sum(part.size_bytes for part in self.parts)
        with context.store.open_for_write(location, operation_id) as writer:
            context.remember_undo(remove_files(location, operation_id=operation_id, inode=writer.inode))
            received = receive(
                source,
                writer,
                encoding=encoding,
                walk=walk,
                observe=indexing.observe if indexing else None,
                on_progress=lambda done: context.progress(before + done),
                checkpoint=context.checkpoint,
            )
            if indexing is not None:
                received = replace(received, members=indexing.finish().members)
            writer.seal(received.stored_sha256, received.stored_bytes, checkpoint=context.checkpoint)
            context.checkpoint()
            writer.publish()
        return received

    def _file_name(self, ending: str) -> str:
        return self.base.name + ending + self._encoding.suffix

    def _distinct(self, kind: str, label: str) -> str:
        """A number among the parts of this kind, and what of the label a file name can hold."""
        number = sum(part.kind == kind for part in self.parts) + 1
        return f"{number}-{_UNSAFE.sub('-', label)[:_LABEL_CHARACTERS]}"
