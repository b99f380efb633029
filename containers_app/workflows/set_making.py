"""One container's backup set, from its first look to its manifest: what a backup of one and of a project share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from containers_app import VERSION
from containers_app.archives.manifest import ContainerIdentity, Manifest, ManifestWarning, Part, StackIdentity
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import Choice
from containers_app.errors import NameTaken, PermissionDenied
from containers_app.models import Backup, BackupPart, Container
from containers_app.models.backups import BackupState
from containers_app.specs.encoding import Encoding
from containers_app.specs.engine import EngineVersion
from containers_app.specs.hooks import (
    HookChoice,
    Hooks,
    needs_hook_permission,
    recorded_hooks,
    reopened_hooks,
    sealed_hooks,
)
from containers_app.specs.ready_hooks import hooks_for
from containers_app.specs.saved import SavedConfiguration
from containers_app.specs.stack import PROJECT_LABEL, labels_of
from containers_app.workflows.context import Context
from containers_app.workflows.quiesce import check_quiet, grade_of
from containers_app.workflows.set_content import (
    Chosen,
    check_contents,
    configuration_of,
    save_image,
    save_trees,
    trees_to_save,
    with_host_volumes_judged,
)
from containers_app.workflows.set_history import compared_with_last
from containers_app.workflows.set_record import timestamp
from containers_app.workflows.set_writer import SetWriter

PIN_PERMISSION = "containers_app.pin_backup"
HOOK_PERMISSION = "containers_app.run_hook"
_LONGEST_NAME = 160
_MEBIBYTE = 1024 * 1024
_QUIET_GRADES = {"pause": "paused", "stop": "stopped"}
_AS_IT_IS = Encoding()
# A digest of each file beside that of the archive is measurable, and who asks for no more than a tar need not pay it.
_DOCUMENTED_CONTENTS = ("rootfs",)


@dataclass(frozen=True, kw_only=True)
class SetWish:
    """What a set shall hold, and how it is stored.

    `name`: its file's name, `path`: its folder; None for the defaults. `contents`: some of CONTENTS. `volumes`: those
    to save, by name or mount point; None: all. `include`, `exclude`: patterns of paths in volumes and binds.
    `with_values`: whether the environment's values go with `config`. `consistency`: `live`, `pause` or `stop`.
    `hooks`: commands to run in the container before and after, or `auto` for those that it is known to need. `pin`:
    keep it until the pin is taken out.
    """

    name: str | None = None
    path: str | None = None
    confirm_protected: bool = False
    contents: tuple[str, ...] = ("rootfs",)
    volumes: tuple[str, ...] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    with_values: bool = True
    consistency: str = "live"
    encoding: Encoding = _AS_IT_IS
    hooks: HookChoice | None = field(default=None, repr=False)
    note: str = ""
    pin: bool = False


def recorded_wish(params: SetWish) -> dict[str, Any]:
    """The params as the row and the ledger keep them: without a passphrase, and without commands."""
    kept = {entry.name: getattr(params, entry.name) for entry in fields(params)}
    return {**kept, "encoding": params.encoding.shown, "hooks": recorded_hooks(params.hooks)}


def sealed_wish(params: SetWish) -> dict[str, Any]:
    """What of the params is write-only."""
    passphrase = {"passphrase": params.encoding.passphrase} if params.encoding.passphrase else {}
    return {**passphrase, **sealed_hooks(params.hooks)}


def reopened_wish(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a row, with what was sealed."""
    shown = _tuples(recorded.get("encoding") or {})
    stored = {name: shown[name] for name in ("codec", "level", "threads", "recipients") if name in shown}
    encoding = Encoding(**stored, passphrase=sealed.get("passphrase"))
    hooks = reopened_hooks(recorded.get("hooks"), sealed)
    return {**_tuples(recorded), "encoding": encoding, "hooks": hooks}


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row's lists as the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of the container before its first byte: it may be gone when the last one has come."""

    inspect: Mapping[str, Any] = field(repr=False)
    version: EngineVersion
    chosen: Chosen
    grade: str
    hooks: Hooks | None = field(default=None, repr=False)
    configuration: SavedConfiguration | None = None

    @property
    def id(self) -> str:
        """Its 64-hex id."""
        return str(self.inspect["Id"])

    @property
    def name(self) -> str:
        """Without a slash."""
        return str(self.inspect["Name"]).removeprefix("/")

    @property
    def is_still(self) -> bool:
        """Whether nothing in it writes while it is read."""
        return self.grade != "live"


def check_rights(context: Context, wish: SetWish) -> None:
    """Raise PermissionDenied for folders of the host, or commands of one's own, without the permission for them."""
    check_contents(context, wish.contents)
    if wish.pin and not context.facts.may(PIN_PERMISSION):
        raise PermissionDenied("you may not pin backups: leave 'pin' out")
    if needs_hook_permission(wish.hooks) and not context.facts.may(HOOK_PERMISSION):
        raise PermissionDenied("you may not run commands of your own in containers: use 'hooks': \"auto\", or none")


def looked_at(context: Context, gateway: EngineGateway, wish: SetWish, inspect: Mapping[str, Any]) -> Source:
    """The container with what of it is to be saved. Raises InvalidRequest where it cannot be had so."""
    check_quiet(inspect, wish.consistency)
    grade = grade_of(inspect)
    chosen, hooks = trees_to_save(context, inspect, wish.contents, wish.volumes), hooks_for(wish.hooks, inspect)
    if wish.hooks is not None and hooks is None:
        context.warn("NO_HOOKS_KNOWN", "No hook was run: neither a label nor the image says which it needs.")
    may_binds = "binds" in wish.contents
    chosen = with_host_volumes_judged(context, chosen, lambda name: _options(gateway, name), may_binds=may_binds)
    return Source(
        inspect=inspect,
        version=gateway.version(),
        chosen=replace(chosen, choice=Choice(include=wish.include, exclude=wish.exclude)),
        grade=_QUIET_GRADES.get(wish.consistency, grade) if grade == "live" else grade,
        hooks=hooks,
        configuration=configuration_of(gateway, inspect) if "config" in wish.contents else None,
    )


def _options(gateway: EngineGateway, volume: str) -> Mapping[str, str]:
    return gateway.volume(volume).get("Options") or {}


def begin_set(context: Context, wish: SetWish, container: str) -> SetWriter:
    """A set whose name is free. A default name that is taken waits for the next second: the name stays true."""
    while True:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
        default = f"{container[:_LONGEST_NAME]}-backup-{stamp}.tar"
        files = SetWriter(context, context.store.locate(wish.path, wish.name or default), wish.encoding)
        try:
            files.require_free()
        except NameTaken:
            if wish.name is not None:
                raise
        else:
            return files
        context.checkpoint()
        time.sleep(0.05)


def save_files(context: Context, gateway: EngineGateway, wish: SetWish, source: Source, files: SetWriter) -> bool:
    """Everything that the container could change: to be called while it is quiet. Whether it is complete."""
    if "rootfs" in wish.contents:
        context.stage("stream the file system")
        with gateway.export(source.id) as stream, context.interruptible(stream.abort):
            files.add_tar("rootfs", source.name, stream, hashed=wish.contents != _DOCUMENTED_CONTENTS)
    return save_trees(context, gateway, files, source.chosen, still=source.is_still)


def save_rest(
    context: Context,
    gateway: EngineGateway,
    wish: SetWish,
    source: Source,
    files: SetWriter,
    *,
    written: Iterable[Part] = (),
) -> bool:
    """Image and configuration. Whether nothing of the set is suspiciously small. `written`: as of `save_image`."""
    if "image" in wish.contents:
        save_image(context, gateway, files, str(source.inspect["Image"]), written=written)
    if source.configuration is not None:
        _save_configuration(context, wish, files, source.configuration)
    if wish.include or wish.exclude:
        context.warn("CONTENT_CHOSEN", "Patterns chose among the files of volumes and binds, so not all are in it.")
    return compared_with_last(context, source.name, files.parts)


def _save_configuration(context: Context, wish: SetWish, files: SetWriter, saved: SavedConfiguration) -> None:
    configuration, secrets = saved.documents()
    context.stage("save the configuration")
    files.add_document("config", "config", configuration)
    if not wish.with_values:
        context.warn(
            "SECRETS_LEFT_OUT", "The environment's values are not in this backup: a restore has to be given them."
        )
        return
    files.add_document("secrets", "secrets", secrets)
    if not wish.encoding.encrypted and secrets["values"]:
        words = "stand readable for whoever can read the backup storage: give 'options.encryption' to prevent that"
        context.warn("SECRETS_UNENCRYPTED", f"The environment's values {words}.")


def publish(context: Context, source: Source, files: SetWriter, *, stack: StackIdentity | None = None) -> datetime:
    """Write the manifest, which makes a backup of the files; returns the moment that it names."""
    moment, config = datetime.now(UTC), source.inspect.get("Config") or {}
    manifest = Manifest(
        product_version=VERSION,
        operation_id=context.facts.operation_id,
        created_at=timestamp(moment),
        container=ContainerIdentity(
            id=source.id,
            name=source.name,
            image=str(config.get("Image", "")),
            image_id=str(source.inspect.get("Image", "")),
            platform=source.version.platform,
        ),
        host=context.facts.host_name,
        engine_version=source.version.engine,
        api_version=source.version.api,
        consistency_grade=source.grade,
        warnings=tuple(ManifestWarning(code=entry["code"], message=entry["message"]) for entry in context.warnings),
        parts=tuple(files.parts),
        stack=stack,
    )
    files.close(manifest)
    return moment


@dataclass(frozen=True, kw_only=True)
class SetFigures:
    """What only its maker knows of a set: the operation that it is of, times in seconds, and whether it is whole."""

    operation_id: str
    created_at: datetime
    started_monotonic: float
    quiet_seconds: float
    whole: bool


def row_of(context: Context, wish: SetWish, source: Source, files: SetWriter, figures: SetFigures) -> Backup:
    """The row of a set that has its manifest; not saved."""
    known = Container.objects.filter(host_id=context.facts.host_id, engine_id=source.id).first()
    first = files.parts[0]
    return Backup(
        operation_id=figures.operation_id,
        host_id=context.facts.host_id,
        container=known,
        container_engine_id=source.id,
        container_name=source.name,
        stack=labels_of(source.inspect).get(PROJECT_LABEL, ""),
        state=BackupState.COMPLETE if figures.whole else BackupState.PARTIAL,
        file_name=first.path,
        path=context.store.path_of(files.base.beside(first.path)),
        manifest_name=files.base.manifest.name,
        size_bytes=first.stored_bytes,
        stored_bytes=files.stored_bytes,
        members=first.members,
        sha256=first.stored_sha256,
        consistency_grade=source.grade,
        duration_seconds=round(time.monotonic() - figures.started_monotonic, 3),
        quiet_seconds=figures.quiet_seconds,
        created_at=figures.created_at,
        note=wish.note,
        pinned=wish.pin,
    )


def record(row: Backup, files: SetWriter) -> None:
    """Save the row and those of its parts."""
    row.save(force_insert=True)
    BackupPart.objects.bulk_create(BackupPart.of(row, number, part) for number, part in enumerate(files.parts))


def backed_up(container: str, row: Backup) -> dict[str, Any]:
    """The published body of one backup, and our additions after it; `container` as it is to be named in it."""
    return {
        "success": True,
        "message": "Container backup created successfully",
        "action": "backup",
        "containerId": container,
        "backupFile": row.file_name,
        "backupPath": row.path,
        "sizeBytes": row.size_bytes,
        "sizeMB": size_in_mebibytes(row.size_bytes),
        "timestamp": timestamp(row.created_at),
        "backupId": str(row.id),
        "sha256": row.sha256,
        "consistencyGrade": row.consistency_grade,
        "warnings": [],
    }


def size_in_mebibytes(size_bytes: int) -> float | int:
    """MiB with two decimals; a whole number without a fraction, as the published endpoint writes it."""
    rounded = round(size_bytes / _MEBIBYTE, 2)
    return int(rounded) if rounded.is_integer() else rounded
