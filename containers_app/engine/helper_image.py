"""The image of helper containers, made of this machine's own programs: no registry is asked, no new code is trusted."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import platform
import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from containers_app.engine.elf import closure
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import EngineError, ImageNotFound
from containers_app.specs.engine import LABEL_PREFIX

HELPER_LABEL = LABEL_PREFIX + "helper"
SETTING = "MYCO_HELPER_IMAGE"
_REPOSITORY = "mycodocker/helper"
_SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
# A word that only the GNU program has: another one's options differ.
_PROGRAMS = {"tar": b"xattrs-include", "cp": b"reflink"}
_FOLDERS = ("dev", "proc", "source", "sys", "target", "tmp")
_LIBRARY = ("os.py", "encodings/__init__.py", "encodings/aliases.py", "encodings/utf_8.py")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class HelperImage:
    """An image as `docker load` takes it, and the name that tells its content."""

    reference: str
    content_hash: str
    environment: tuple[str, ...] = field(repr=False)
    archive: bytes = field(repr=False)


def ensure_helper_image(gateway: EngineGateway, reference: str | None = None) -> str:
    """The id of the helper's image on this Engine; the image is loaded where it is missing.

    `reference` (the setting MYCO_HELPER_IMAGE) names one that is there already, with python3, GNU tar and coreutils.
    Raises ImageNotFound when that is missing; EngineError when this machine cannot provide an image for this Engine.
    """
    if reference:
        try:
            return str(gateway.image(reference)["Id"])
        except ImageNotFound as error:
            raise ImageNotFound(f"{SETTING} names an image that is not on the Engine: load it there first.") from error
    _check_platform(gateway.version().platform)
    found = _found(gateway, _identity())
    if found is None:
        # Built anew: an update of this machine may have changed its programs since they were named.
        built = _built()
        gateway.load_image(_blocks(built.archive))
        found = _found(gateway, built)
    if found is None:
        raise EngineError(f"The Engine took the helper's image and does not show it; set {SETTING} to one that it has.")
    return found


def _found(gateway: EngineGateway, wanted: HelperImage) -> str | None:
    """Its id, if what has the name is the very content: anybody on the Engine can give an image a name and a label."""
    try:
        image = gateway.image(wanted.reference)
    except ImageNotFound:
        return None
    config: Mapping[str, Any] = image.get("Config") or {}
    layers = (image.get("RootFS") or {}).get("Layers") or []
    same = layers == [f"sha256:{wanted.content_hash}"] and tuple(config.get("Env") or []) == wanted.environment
    return str(image["Id"]) if same and not config.get("Volumes") else None


def _check_platform(engine: str) -> None:
    own = f"linux/{_architecture()}"
    if engine != own:
        raise EngineError(
            f"The Engine runs {engine} and this worker {own}, so the worker's programs cannot run there: load an image "
            f"with python3, GNU tar and coreutils there, and set {SETTING} to its name."
        )


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


@cache
def _identity() -> HelperImage:
    """What tells the image, without keeping the content."""
    return replace(_built(), archive=b"")


def _built() -> HelperImage:
    """The same programs always give the same bytes. Raises EngineError when this machine lacks one."""
    try:
        files = _files()
    except FileNotFoundError as error:
        raise EngineError(
            f"This worker has no {error.args[-1]} to make a helper's image of: install GNU tar and coreutils, or set "
            f"{SETTING} to an image that the Engine has."
        ) from error
    layer = _layer(files)
    content_hash = hashlib.sha256(layer).hexdigest()
    reference = f"{_REPOSITORY}:{content_hash[:12]}"
    return HelperImage(
        reference=reference,
        content_hash=content_hash,
        environment=_environment(files),
        archive=_archive(reference, content_hash, layer, files),
    )


def _files() -> dict[str, Path]:
    """Where each file of this machine stands in the image."""
    python = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    tools = {f"/usr/bin/{name}": _program(name) for name in _PROGRAMS}
    modules = [Path(sysconfig.get_path("stdlib")) / name for name in _LIBRARY]
    extension = importlib.util.find_spec("_hashlib")
    if extension is not None and extension.origin and extension.origin.startswith("/"):
        modules.append(Path(extension.origin))
    binaries = (python, *tools.values(), *modules[len(_LIBRARY) :])
    libraries = closure(binaries) - set(tools.values())
    return {**{str(path): path for path in (*libraries, *modules)}, **tools}


def _program(name: str) -> Path:
    found = shutil.which(name, path=_SEARCH_PATH)
    path = Path(found).resolve() if found else None
    if path is None or _PROGRAMS[name] not in path.read_bytes():
        raise FileNotFoundError(f"GNU {name}")
    return path


def _layer(files: Mapping[str, Path]) -> bytes:
    folders = {name.strip("/") for file in files for name in map(str, Path(file).parents) if name != "/"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in sorted({*folders, *_FOLDERS}):
            archive.addfile(_member(folder, tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755))
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            archive.addfile(_member(name.strip("/"), size=len(content)), io.BytesIO(content))
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        if python != "/usr/bin/python3":
            archive.addfile(_member("usr/bin/python3", tarfile.SYMTYPE, target=python))
    return buffer.getvalue()


def _member(
    name: str, kind: bytes = tarfile.REGTYPE, *, mode: int = 0o755, size: int = 0, target: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, size, target
    return member


def _archive(reference: str, content_hash: str, layer: bytes, files: Mapping[str, Path]) -> bytes:
    configuration = json.dumps(_configuration(content_hash, files), sort_keys=True).encode()
    name = hashlib.sha256(configuration).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in (("layer.tar", layer), (name, configuration), ("manifest.json", manifest)):
            archive.addfile(_member(member, size=len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _environment(files: Mapping[str, Path]) -> tuple[str, ...]:
    libraries = sorted({str(Path(name).parent) for name in files if ".so" in Path(name).name})
    return f"PATH={_SEARCH_PATH}", f"LD_LIBRARY_PATH={':'.join(libraries)}"


def _configuration(content_hash: str, files: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "architecture": _architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "Env": list(_environment(files)),
            "Labels": {HELPER_LABEL: content_hash},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{content_hash}"]},
        "history": [{"created": _EPOCH, "created_by": "mycodocker"}],
    }


def _blocks(archive: bytes) -> Iterator[bytes]:
    step = 1024 * 1024
    for at in range(0, len(archive), step):
        yield archive[at : at + step]
