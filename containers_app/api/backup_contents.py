"""What is in backups: folders, downloads, links to them, and what changed between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.content_serializers import ComparisonSerializer, FolderSerializer, LinkSerializer, LinkWish
from containers_app.api.permissions import Anybody
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import reader_of
from containers_app.audit.origin import source_of
from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.operations import links
from containers_app.operations.backup_contents import Wish, compare, download, list_folder
from containers_app.operations.download_answers import answer, resumes
from containers_app.specs import fields
from containers_app.specs.raw_path import raw, shown

_LARGEST_PAGE = 200
FILE_RESPONSES = {
    (200, "application/octet-stream"): OpenApiTypes.BINARY,
    (206, "application/octet-stream"): OpenApiTypes.BINARY,
}


class ContentsView(ConsoleView):
    """What the views of a backup's contents share."""

    long_filters = frozenset({"path", "after"})


class FilesView(ContentsView):
    """The files of one part."""

    access = {"GET": ("read",)}
    filters = frozenset({"part", "path", "after"})

    @extend_schema(
        operation_id="backups_files",
        parameters=[OpenApiParameter(name, str) for name in ("part", "path", "after", "limit")],
        responses=FolderSerializer,
    )
    def get(self, request: ApiRequest, backup_id: UUID) -> Response:
        """One folder, by name in byte order."""
        query = self.query(request)
        after, limit = _path(query, "after"), _limit(query)
        found = list_folder(reader_of(request), _wish(backup_id, query), after=after, limit=limit)
        address = None if found.next_after is None else _next(request, query, found.next_after)
        body = {
            "part": found.part.file_name,
            "path": query.get("path", ""),
            "next": address,
            "results": found.entries,
        }
        return Response(FolderSerializer(body).data)


class ContentView(ContentsView):
    """A download."""

    access = {"GET": ("download",)}
    filters = frozenset({"part", "path"})

    @extend_schema(
        operation_id="backups_content",
        parameters=[OpenApiParameter("part", str), OpenApiParameter("path", str)],
        responses=FILE_RESPONSES,
    )
    def get(self, request: ApiRequest, backup_id: UUID) -> HttpResponseBase:
        """The part as it is stored, also in ranges; with `path`, a file of it, or a folder as a tar."""
        query = self.query(request)
        asked = request.headers.get("Range", "")
        found = download(reader_of(request), _wish(backup_id, query), asked_range=asked)
        return answer(request._request, found)


class LinksView(ContentsView):
    """Links to downloads."""

    access = {"POST": ("download",)}
    verbs = {"POST": ("backup.link",)}

    @extend_schema(operation_id="backups_links", request=LinkWish, responses={201: LinkSerializer})
    def post(self, request: ApiRequest, backup_id: UUID) -> Response:
        """An address that needs no key, for one download."""
        self.query(request)
        body = read_object(request._request)
        fields.only(body, frozenset({"part", "path", "expiresInSeconds"}))
        wish = _wish(backup_id, {name: _text(body, name) for name in ("part", "path") if body.get(name) is not None})
        made = links.make_link(reader_of(request), wish, expires_in_seconds=_lifetime(body))
        url = f"{load().public_url}/download/{made.token}"
        return Response(LinkSerializer({"row": made.row, "url": url}).data, status=201)


class CompareView(ContentsView):
    """Two backups side by side."""

    access = {"GET": ("read",)}
    filters = frozenset({"with", "part", "after"})

    @extend_schema(
        operation_id="backups_compare",
        parameters=[OpenApiParameter(name, str) for name in ("with", "part", "after", "limit")],
        responses=ComparisonSerializer,
    )
    def get(self, request: ApiRequest, backup_id: UUID) -> Response:
        """What is new, changed and deleted in this backup since the earlier one of `with`."""
        query = self.query(request)
        earlier, after = _identifier(query), _path(query, "after")
        wish = _wish(backup_id, {name: value for name, value in query.items() if name == "part"})
        found = compare(reader_of(request), wish, earlier, after=after, limit=_limit(query))
        address = None if found.page.next_after is None else _next(request, query, found.page.next_after)
        body = {
            "part": found.later.file_name,
            "with": found.earlier.file_name,
            "next": address,
            "results": found.page.differences,
        }
        return Response(ComparisonSerializer(body).data)


class DownloadView(ConsoleView):
    """What a link opens."""

    permission_classes = (Anybody,)
    authentication_classes = ()

    @extend_schema(operation_id="download", auth=[], responses=FILE_RESPONSES)
    def get(self, request: ApiRequest, token: str) -> HttpResponseBase:
        """Once; a part that broke off may be resumed for a while from the same address."""
        self.query(request)
        return answer(request._request, links.use_link(_use(request, token)))

    @extend_schema(exclude=True)
    def head(self, request: ApiRequest, token: str) -> HttpResponseBase:
        """Whether it would; the link stays unused."""
        self.query(request)
        links.check_link(_use(request, token))
        return HttpResponse(content_type="application/octet-stream")


def _use(request: ApiRequest, token: str) -> links.Use:
    django_request = request._request
    return links.Use(
        token=token,
        source=source_of(django_request, channel="link"),
        asked_range=request.headers.get("Range", ""),
        resumes=resumes(django_request),
    )


def _wish(backup_id: UUID, given: Mapping[str, str]) -> Wish:
    return Wish(backup_id=backup_id, part=given.get("part"), path=_path(given, "path"))


def _path(given: Mapping[str, str], name: str) -> bytes | None:
    return raw(given[name], field=name) if name in given else None


def _text(body: Mapping[str, Any], name: str) -> str:
    if not isinstance(body[name], str):
        raise InvalidRequest(f"'{name}' must be a text", field=name)
    return str(body[name])


def _lifetime(body: Mapping[str, Any]) -> int:
    value = body.get("expiresInSeconds", links.DEFAULT_SECONDS)
    shortest, longest = links.SHORTEST_SECONDS, links.LONGEST_SECONDS
    if not isinstance(value, int) or isinstance(value, bool) or not shortest <= value <= longest:
        words = f"'expiresInSeconds' must be a whole number, {shortest} to {longest}"
        raise InvalidRequest(words, field="expiresInSeconds")
    return value


def _limit(query: Mapping[str, str]) -> int:
    return fields.number(query, "limit", default=_LARGEST_PAGE, highest=_LARGEST_PAGE)


def _identifier(query: Mapping[str, str]) -> UUID:
    try:
        return UUID(query["with"])
    except (KeyError, ValueError) as error:
        raise InvalidRequest("'with' must be the id of an earlier backup", field="with") from error


def _next(request: ApiRequest, query: Mapping[str, str], after: bytes) -> str:
    return request.build_absolute_uri("?" + urlencode({**query, "after": shown(after)}))
