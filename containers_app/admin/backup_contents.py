"""What is in backups: folders to walk through, downloads, links to them, and two backups side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.generic import View

from containers_app.admin.acts import tell
from containers_app.admin.base import asker_of, reader_of, refused
from containers_app.archives.index_schema import Entry
from containers_app.conf import load
from containers_app.errors import InvalidRequest, MycoError, NotFound, PermissionDenied
from containers_app.models import Backup, BackupPart
from containers_app.models.backups import USABLE_STATES
from containers_app.operations.backup_contents import Wish, compare, download, list_folder
from containers_app.operations.download_answers import answer
from containers_app.operations.links import make_link
from containers_app.operations.stored_parts import mounted_at
from containers_app.operations.visibility import find, visible_to
from containers_app.specs.raw_path import raw, shown
from containers_app.templatetags.console import visible

DOWNLOAD = "containers_app.download_backup"
_VIEW = "containers_app.view_backup"
_RESTORE = "containers_app.restore_backup"
_PAGE_ROWS = 100
_OTHERS = 50


@dataclass(frozen=True, kw_only=True)
class ShownPart:
    """A part on its backup's page. Addresses are empty for what cannot be had."""

    row: BackupPart
    files: str = ""
    compare: str = ""
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class ShownEntry:
    """An entry of a folder: its name and target as text, where it leads, and where the container had it."""

    entry: Entry
    name: str
    target: str
    path: str
    in_container: str
    files: str = ""
    content: str = ""


def contents_urls() -> list[URLPattern]:
    """The pages, below those of backups."""
    pages: dict[str, type[View]] = {
        "files": FilesPage,
        "compare": ComparePage,
        "content": ContentPage,
        "link": LinkPage,
    }
    guard = admin.site.admin_view
    return [
        path(f"<uuid:backup_id>/{name}/", guard(page.as_view()), name=f"containers_app_backup_{name}")
        for name, page in pages.items()
    ]


def shown_parts(backup: Backup, *, may_download: bool) -> Iterator[ShownPart]:
    """The parts of a backup with what can be done with each, while it is whole."""
    rows = list(backup.parts.all()) if backup.state in USABLE_STATES else []
    indexed = {row.name for row in rows if row.kind == "index"}
    for row in backup.parts.all():
        has_index = row.file_name in indexed
        yield ShownPart(
            row=row,
            files=address(backup, "files", part=row.file_name) if has_index else "",
            compare=address(backup, "compare", part=row.file_name) if has_index else "",
            content=address(backup, "content", part=row.file_name) if rows and may_download else "",
        )


def address(backup: Backup, page: str, **query: str) -> str:
    """A page of a backup's contents."""
    return reverse(f"admin:containers_app_backup_{page}", args=[backup.pk]) + "?" + urlencode(query)


class ContentsPage(View):
    """What the pages share: who may see backups, and what becomes of an error."""

    def dispatch(self, request: HttpRequest, *args: Any, **values: Any) -> HttpResponseBase:
        """The page; a refusal, a 404, or the backup's own page with the reason."""
        if not request.user.has_perm(_VIEW):
            raise refused(request, "you may not see backups")
        try:
            return super().dispatch(request, *args, **values)
        except PermissionDenied as error:
            raise refused(request, error.message) from error
        except NotFound as error:
            raise Http404 from error
        except MycoError as error:
            tell(request, error, about="The backup")
            page = reverse("admin:containers_app_backup_change", args=[values["backup_id"]])
            return HttpResponseRedirect(page)

    def shown(self, request: HttpRequest, template: str, backup: Backup, **context: Any) -> TemplateResponse:
        """The page."""
        may_download = request.user.has_perm(DOWNLOAD)
        common = {"title": visible(backup.file_name), "backup": backup, "may_download": may_download}
        return TemplateResponse(request, template, {**admin.site.each_context(request), **common, **context})


class FilesPage(ContentsPage):
    """One folder."""

    def get(self, request: HttpRequest, backup_id: UUID) -> HttpResponseBase:
        """By name, a page at a time."""
        wish = _wish(backup_id, request.GET)
        found = list_folder(reader_of(request), wish, after=_path(request.GET, "after"), limit=_PAGE_ROWS)
        part, folder = found.part.file_name, wish.path or b""
        query = {"part": part, "path": shown(folder)}
        more = (
            "" if found.next_after is None else address(found.backup, "files", **query, after=shown(found.next_after))
        )
        place = mounted_at(found.part) if request.user.has_perm(_RESTORE) else None
        entries = [_entry(found.backup, part, entry, place) for entry in found.entries]
        return self.shown(
            request,
            "myco/backup_files.html",
            found.backup,
            part=found.part,
            entries=entries,
            more=more,
            above=list(_above(found.backup, part, folder)),
            path=shown(folder),
            content=address(found.backup, "content", **query),
            may_restore=place is not None,
        )


class ContentPage(ContentsPage):
    """A download."""

    def get(self, request: HttpRequest, backup_id: UUID) -> HttpResponseBase:
        """A part, a file or a folder."""
        asked = request.headers.get("Range", "")
        found = download(reader_of(request), _wish(backup_id, request.GET), asked_range=asked)
        return answer(request, found)


class LinkPage(ContentsPage):
    """A download link."""

    verbs = ("backup.link",)

    def post(self, request: HttpRequest, backup_id: UUID) -> HttpResponseBase:
        """Make one, and show it once."""
        made = make_link(reader_of(request), _wish(backup_id, request.POST))
        url = f"{load().public_url}/download/{made.token}"
        return self.shown(request, "myco/backup_link.html", made.row.part.backup, link=made.row, url=url)


class ComparePage(ContentsPage):
    """Two backups of one container."""

    def get(self, request: HttpRequest, backup_id: UUID) -> HttpResponseBase:
        """What is different; without another backup, those to choose from."""
        if "with" not in request.GET:
            return self._choice(request, find(asker_of(request), "backup", pk=backup_id))
        wish, earlier = _wish(backup_id, request.GET), _identifier(request.GET["with"])
        after = _path(request.GET, "after")
        found = compare(reader_of(request), wish, earlier, after=after, limit=_PAGE_ROWS)
        query = {"part": found.later.file_name, "with": str(earlier)}
        behind = found.page.next_after
        more = "" if behind is None else address(found.later.backup, "compare", **query, after=shown(behind))
        differences = [(shown(row.path) or "/", row) for row in found.page.differences]
        return self.shown(
            request,
            "myco/backup_compare.html",
            found.later.backup,
            part=found.later,
            earlier=found.earlier.backup,
            differences=differences,
            more=more,
        )

    def _choice(self, request: HttpRequest, backup: Backup) -> HttpResponseBase:
        rows = visible_to(asker_of(request), "backup").filter(
            host_id=backup.host_id,
            container_name=backup.container_name,
            state__in=USABLE_STATES,
            created_at__lt=backup.created_at,
        )
        part = request.GET.get("part", backup.file_name)
        others = [
            (row, address(backup, "compare", part=part, **{"with": str(row.pk)}))
            for row in rows.order_by("-created_at")[:_OTHERS]
        ]
        return self.shown(request, "myco/backup_compare.html", backup, others=others)


def _entry(backup: Backup, part: str, entry: Entry, place: str | None) -> ShownEntry:
    query = {"part": part, "path": shown(entry.path)}
    is_folder, has_content = entry.kind == "folder", entry.data_offset is not None
    return ShownEntry(
        entry=entry,
        name=shown(entry.name),
        target=shown(entry.target),
        path=query["path"],
        in_container="" if place is None else _typed(f"{place}/{query['path']}"),
        files=address(backup, "files", **query) if is_folder else "",
        content=address(backup, "content", **query) if is_folder or has_content else "",
    )


def _typed(path: str) -> str:
    """A path that a form's field holds: what a page must not show stands there as `raw` reads it."""
    return "".join(character if character.isprintable() else quote(character) for character in path)


def _above(backup: Backup, part: str, folder: bytes) -> Iterator[tuple[str, str]]:
    """The names of the folders from the root to this one, each with its page."""
    yield part, address(backup, "files", part=part)
    components = folder.split(b"/") if folder else []
    for number, name in enumerate(components, start=1):
        yield shown(name), address(backup, "files", part=part, path=shown(b"/".join(components[:number])))


def _wish(backup_id: UUID, given: Any) -> Wish:
    return Wish(backup_id=backup_id, part=given.get("part"), path=_path(given, "path"))


def _path(given: Any, name: str) -> bytes | None:
    return raw(given[name], field=name).strip(b"/") if name in given else None


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest("'with' must be the id of a backup", field="with") from error
