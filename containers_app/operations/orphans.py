"""Sets in the storage that no record knows: listed by their manifests, which only the strict reader reads."""

from __future__ import annotations

from dataclasses import dataclass

from containers_app.archives.manifest import Manifest
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.models import DockerHost
from containers_app.operations.hosts import local_host, store_of
from containers_app.workflows.adopt import look
from containers_app.workflows.set_record import recorded_paths, unfinished

MOST = 200


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A manifest without a record; where it cannot be read, `problem` says why and there is no `manifest`."""

    path: str
    manifest: Manifest | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The orphans by their paths, MOST at most; `more`: there are others."""

    orphans: tuple[Orphan, ...]
    more: bool


def orphans() -> Found:
    """What stands below the backup roots, as far as a sweep looks. Raises StorageError."""
    store, known = store_of(load()), recorded_paths()
    making = {str(pk) for pk in unfinished().values_list("pk", flat=True)}
    paths = sorted({store.path_of(location) for location in store.manifests()} - known)
    looked_at = [_look(path) for path in paths[:MOST]]
    found = [one for one in looked_at if one.manifest is None or one.manifest.operation_id not in making]
    return Found(orphans=tuple(found), more=len(paths) > MOST)


def host_of_orphan(path: str) -> DockerHost:
    """The registered host that the set says it is of, else the local one. Raises as `look`."""
    _, manifest = look(store_of(load()), path)
    return DockerHost.objects.filter(name=manifest.host).first() or local_host()


def _look(path: str) -> Orphan:
    try:
        return Orphan(path=path, manifest=look(store_of(load()), path)[1])
    except MycoError as error:
        return Orphan(path=path, problem=error.message)
