"""How entries of an archive, differences and links look to REST clients."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from containers_app.archives.index import Difference
from containers_app.archives.index_schema import Entry
from containers_app.specs.raw_path import shown

Text = serializers.CharField
Whole = serializers.IntegerField
Computed = serializers.SerializerMethodField


class FileSerializer(serializers.Serializer[Entry]):
    """One entry of a folder. What no member describes is null."""

    name = Computed()
    path = Computed()
    kind = Text()
    sizeBytes = Whole(source="size_bytes")
    mode = Computed()
    uid = Whole(allow_null=True)
    gid = Whole(allow_null=True)
    modifiedAt = Computed(method_name="get_modified_at")
    target = Computed()
    sha256 = Computed()

    def get_name(self, row: Entry) -> str:
        """The last component."""
        return shown(row.name)

    def get_path(self, row: Entry) -> str:
        """As `path` of a request takes it."""
        return shown(row.path)

    def get_mode(self, row: Entry) -> str | None:
        """Four octal digits."""
        return None if row.mode is None else f"{stat.S_IMODE(row.mode):04o}"

    def get_modified_at(self, row: Entry) -> str | None:
        """UTC with microseconds; null also where the calendar ends."""
        return modified_at(row)

    def get_target(self, row: Entry) -> str | None:
        """Where a link leads, or null."""
        return shown(row.target) if row.kind in ("symlink", "hardlink") else None

    def get_sha256(self, row: Entry) -> str | None:
        """Of the content, where it is known; of a sparse file that is no digest of what is downloaded."""
        return row.sha256.hex() if row.sha256 and not row.sparse else None


class FolderSerializer(serializers.Serializer[Any]):
    """Some entries of a folder."""

    part = Text()
    path = Text(allow_blank=True)
    next = Text(allow_null=True)
    results = FileSerializer(many=True)


class DifferenceSerializer(serializers.Serializer[Difference]):
    """One path that is not the same."""

    path = Computed()
    change = serializers.ChoiceField(("new", "changed", "deleted"))
    what = serializers.ListField(child=Text())

    def get_path(self, row: Difference) -> str:
        """As `path` of a request takes it."""
        return shown(row.path)


class ComparisonSerializer(serializers.Serializer[Any]):
    """Some differences between two parts."""

    part = Text()
    next = Text(allow_null=True)
    results = DifferenceSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """With the other part, whose name is a word of Python."""
        return {"part": Text(), "with": Text(), **super().get_fields()}


class LinkWish(serializers.Serializer[Any]):
    """What a link is to open."""

    part = Text(required=False, help_text="The file name of the part; the first one by default.")
    path = Text(required=False, help_text="A file or folder in it; all of it by default.")
    expiresInSeconds = Whole(required=False, help_text="60 to 604800; 3600 by default.")


class LinkSerializer(serializers.Serializer[Any]):
    """A link. `url` is shown once."""

    id = Text(source="row.pk")
    url = Text()
    part = Text(source="row.part.file_name")
    path = Text(source="row.path", allow_null=True)
    expiresAt = serializers.DateTimeField(source="row.expires_at")


def modified_at(row: Entry) -> str | None:
    """RFC 3339; None for what has no time, or one that no calendar has."""
    if row.mtime_seconds is None or row.mtime_nanoseconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(row.mtime_seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(microsecond=row.mtime_nanoseconds // 1000).isoformat(timespec="microseconds")[:-6] + "Z"
