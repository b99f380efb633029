"""How records look to REST clients: camelCase, bytes, UTC, ids as text, absent values as null. They render only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from containers_app.audit.ledger import disclosed_all
from containers_app.models import Backup, BackupPart, Container, DockerHost, Operation
from containers_app.operations.answers import published_error, published_result
from containers_app.operations.hosts import values_of
from containers_app.specs.host import PLAIN_WARNING, is_plain

Text = serializers.CharField
Moment = serializers.DateTimeField
Whole = serializers.IntegerField


class NullText(serializers.CharField):
    """An empty text is an absent value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def get_attribute(self, instance: Any) -> Any:
        """The text, or None, which renders as null."""
        return super().get_attribute(instance) or None


class PortSerializer(serializers.Serializer[Any]):
    """One published port."""

    container = Whole()
    protocol = Text()
    host = Text(allow_null=True)
    hostIp = Text(allow_null=True)


class MountSerializer(serializers.Serializer[Any]):
    """One mount."""

    type = Text()
    name = Text(allow_null=True)
    source = Text(allow_null=True)  # type: ignore[assignment] # the Engine's word for it
    target = Text()
    readOnly = serializers.BooleanField()


class ContainerSerializer(serializers.ModelSerializer[Container]):
    """One container of the inventory; environment as names only."""

    id = Text(source="engine_id")
    host = Text(source="host.name")
    imageId = NullText(source="image_id")
    exitCode = Whole(source="exit_code", allow_null=True)
    health = NullText()
    stack = NullText()
    service = NullText()
    ports = PortSerializer(many=True)
    networks = serializers.ListField(child=Text())
    mounts = MountSerializer(many=True)
    labels = serializers.DictField(child=Text())
    environment = serializers.ListField(child=Text(), source="environment_names")
    createdAt = Moment(source="engine_created_at", allow_null=True)
    lastSeenAt = Moment(source="last_seen_at")
    removedAt = Moment(source="removed_at", allow_null=True)
    lastBackupAt = Moment(source="last_backup_at", allow_null=True)
    unprotected = serializers.SerializerMethodField()

    class Meta:
        model = Container
        fields = (
            "id",
            "name",
            "host",
            "image",
            "imageId",
            "state",
            "exitCode",
            "health",
            "stack",
            "service",
            "ports",
            "networks",
            "mounts",
            "labels",
            "environment",
            "createdAt",
            "lastSeenAt",
            "removedAt",
            "lastBackupAt",
            "unprotected",
        )

    def get_unprotected(self, row: Container) -> bool:
        """Whether no complete backup exists."""
        return not getattr(row, "protected", False)


class StageSerializer(serializers.Serializer[Any]):
    """One stage of an operation."""

    name = Text()
    state = Text()
    startedAt = Text(allow_null=True)
    finishedAt = Text(allow_null=True)


class WarningSerializer(serializers.Serializer[Any]):
    """One warning."""

    code = Text()
    message = Text()


class ErrorSerializer(serializers.Serializer[Any]):
    """The published error."""

    error = Text()
    code = Text()


class TargetSerializer(serializers.Serializer[Any]):
    """What an operation is about."""

    host = Text()
    id = Text(allow_null=True)
    name = Text(allow_null=True)


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """One operation: where it is, and how it ended."""

    id = Text()
    state = Text(source="visible_state")
    stage = NullText()
    stages = StageSerializer(many=True)
    bytesDone = Whole(source="bytes_done")
    bytesTotal = Whole(source="bytes_total", allow_null=True)
    createdAt = Moment(source="created_at")
    startedAt = Moment(source="started_at", allow_null=True)
    finishedAt = Moment(source="finished_at", allow_null=True)
    target = serializers.SerializerMethodField()
    parent = Text(source="parent_id", allow_null=True)  # type: ignore[assignment] # the published name
    children = serializers.SerializerMethodField()
    warnings = WarningSerializer(many=True)
    result = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    plan = serializers.DictField(allow_null=True)
    proof = serializers.DictField(allow_null=True)

    class Meta:
        model = Operation
        fields = (
            "id",
            "kind",
            "state",
            "stage",
            "stages",
            "bytesDone",
            "bytesTotal",
            "createdAt",
            "startedAt",
            "finishedAt",
            "actor",
            "channel",
            "target",
            "parent",
            "children",
            "warnings",
            "result",
            "error",
            "plan",
            "proof",
        )

    def get_target(self, row: Operation) -> dict[str, str | None]:
        """Host, container id and name."""
        return {"host": row.host.name, "id": row.target_id or None, "name": row.target_name or None}

    def get_children(self, row: Operation) -> list[str]:
        """The operations that this one is made of, in their order."""
        return sorted(str(child.pk) for child in row.children.all())

    def get_result(self, row: Operation) -> dict[str, Any] | None:
        """The published body, in the published order."""
        return published_result(row)

    def get_error(self, row: Operation) -> dict[str, str] | None:
        """`{"error", "code"}`, once the ledger has the outcome."""
        return published_error(row) if row.is_finished else None


class PartSerializer(serializers.ModelSerializer[BackupPart]):
    """One file of a backup. `path` is its name in the backup's folder."""

    path = Text(source="file_name")
    encryption = NullText()
    sizeBytes = Whole(source="size_bytes")
    storedBytes = Whole(source="stored_bytes")
    storedSha256 = Text(source="stored_sha256")
    members = Whole(allow_null=True)

    class Meta:
        model = BackupPart
        fields = (
            "kind",
            "name",
            "path",
            "codec",
            "encryption",
            "sizeBytes",
            "storedBytes",
            "sha256",
            "storedSha256",
            "members",
        )


class HoldSerializer(serializers.Serializer[Any]):
    """A legal hold."""

    reason = Text(source="hold_reason")
    owner = Text(source="hold_owner")
    until = Moment(source="hold_until", allow_null=True)
    expired = serializers.BooleanField(source="hold_expired", help_text="It is over, and holds nothing any more.")


class BackupSerializer(serializers.ModelSerializer[Backup]):
    """One backup, and its parts."""

    id = Text()
    operation = Text(source="operation_id")
    host = Text(source="host.name")
    container = serializers.SerializerMethodField()
    createdAt = Moment(source="created_at")
    sizeBytes = Whole(source="size_bytes")
    durationSeconds = serializers.FloatField(source="duration_seconds")
    consistencyGrade = Text(source="consistency_grade")
    stack = NullText()
    storedBytes = Whole(source="stored_bytes")
    quietSeconds = serializers.FloatField(source="quiet_seconds")
    note = NullText()
    hold = serializers.SerializerMethodField()
    verifiedAt = Moment(source="verified_at", allow_null=True)
    provenAt = Moment(source="proven_at", allow_null=True)
    actor = Text(source="operation.actor")
    channel = Text(source="operation.channel")
    parts = PartSerializer(many=True)

    class Meta:
        model = Backup
        fields = (
            "id",
            "operation",
            "host",
            "container",
            "stack",
            "state",
            "path",
            "createdAt",
            "sizeBytes",
            "storedBytes",
            "durationSeconds",
            "quietSeconds",
            "sha256",
            "consistencyGrade",
            "note",
            "pinned",
            "hold",
            "verifiedAt",
            "provenAt",
            "actor",
            "channel",
            "parts",
        )

    def get_container(self, row: Backup) -> dict[str, str]:
        """The container, as it was called then."""
        return {"id": row.container_engine_id, "name": row.container_name}

    @extend_schema_field(HoldSerializer(allow_null=True))
    def get_hold(self, row: Backup) -> dict[str, Any] | None:
        """Why it must not be deleted, who says so, and until when; null without a hold."""
        return dict(HoldSerializer(row).data) if row.hold_reason else None


class HostSerializer(serializers.ModelSerializer[DockerHost]):
    """One Docker host, and what its Engine last said."""

    id = Text()
    url = NullText()
    tlsDirectory = NullText(source="tls_directory")
    allowPlain = serializers.BooleanField(source="allow_plain")
    reachable = serializers.BooleanField(allow_null=True)
    lastError = NullText(source="last_error")
    engineVersion = NullText(source="engine_version")
    apiVersion = NullText(source="api_version")
    platform = NullText()
    lastSeenAt = Moment(source="last_seen_at", allow_null=True)
    checkedAt = Moment(source="checked_at", allow_null=True)
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = DockerHost
        fields = (
            "id",
            "name",
            "url",
            "tlsDirectory",
            "queue",
            "enabled",
            "allowPlain",
            "reachable",
            "lastError",
            "engineVersion",
            "apiVersion",
            "platform",
            "lastSeenAt",
            "checkedAt",
            "warnings",
        )

    @extend_schema_field(WarningSerializer(many=True))
    def get_warnings(self, row: DockerHost) -> list[dict[str, str]]:
        """That the connection has no TLS."""
        return [{"code": "PLAIN_CONNECTION", "message": PLAIN_WARNING}] if is_plain(values_of(row)) else []


class HostNameSerializer(HostSerializer):
    """The same fields, of which all but id and name are null."""

    def to_representation(self, instance: DockerHost) -> dict[str, Any]:
        """Id and name."""
        return {**dict.fromkeys(self.fields), "id": str(instance.pk), "name": instance.name}


class EntryListSerializer(serializers.ListSerializer[Any]):
    """Many entries: their side values in one query."""

    def to_representation(self, data: Any) -> list[Any]:
        """Each entry with its disclosed values."""
        rows = list(data)
        for row, values in zip(rows, disclosed_all(rows), strict=True):
            row.disclosed_values = values
        return super().to_representation(rows)


class EntrySerializer(serializers.Serializer[Any]):
    """One ledger entry: the stored text with its leaf hash, and the committed values that are still disclosed."""

    shard = Whole()
    index = Whole(source="leaf_index")
    payload = Text()
    leafHash = Text(source="leaf_hash")
    disclosed = serializers.DictField(source="disclosed_values")

    class Meta:
        list_serializer_class = EntryListSerializer
