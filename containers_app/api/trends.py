"""Sizes, rates and changes of one container's backups as REST clients read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.containers import container_of
from containers_app.api.views import ConsoleView
from containers_app.operations.trends import read_last, trend_of
from containers_app.specs.trend import Spread, TrendPoint, spread

_POINT = inline_serializer(
    "TrendPoint",
    {
        "backup": serializers.CharField(),
        "createdAt": serializers.DateTimeField(),
        "state": serializers.CharField(),
        "usable": serializers.BooleanField(),
        "storedBytes": serializers.IntegerField(help_text="What its files take."),
        "contentBytes": serializers.IntegerField(help_text="What was read of the container, uncompressed."),
        "durationSeconds": serializers.FloatField(),
        "bytesPerSecond": serializers.FloatField(allow_null=True, help_text="contentBytes by durationSeconds."),
        "changeBytes": serializers.IntegerField(allow_null=True, help_text="Of storedBytes, to the set before."),
        "changeShare": serializers.FloatField(allow_null=True, help_text="The same as a share of the set before."),
    },
    many=True,
)


def _spread_field(name: str) -> serializers.Serializer[Any]:
    figures: dict[str, Any] = {word: serializers.FloatField() for word in ("first", "last", "lowest", "highest")}
    return inline_serializer(name, figures, allow_null=True)


TREND_RESPONSE = inline_serializer(
    "Trend",
    {
        "container": serializers.CharField(),
        "host": serializers.CharField(),
        "storedBytes": _spread_field("TrendStored"),
        "bytesPerSecond": _spread_field("TrendRate"),
        "changeBytes": _spread_field("TrendChange"),
        "results": _POINT,
    },
)


class ContainerTrendsView(ConsoleView):
    """How the backups of one container develop."""

    access = {"GET": ("read",)}
    filters = frozenset({"last"})

    @extend_schema(
        operation_id="containers_trends", parameters=[OpenApiParameter("last", int)], responses=TREND_RESPONSE
    )
    def get(self, request: Request, reference: str) -> Response:
        """The last backups of it, the oldest first, deleted and damaged ones too."""
        last = read_last(self.query(request))
        container = container_of(request, reference)
        points = trend_of(asker_of(request), container, last=last)
        return Response(
            {
                "container": container.engine_id,
                "host": container.host.name,
                "storedBytes": _spread([point.sizes.stored_bytes for point in points]),
                "bytesPerSecond": _spread([point.sizes.bytes_per_second for point in points]),
                "changeBytes": _spread([point.change_bytes for point in points]),
                "results": [_shown(point) for point in points],
            }
        )


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    found: Spread | None = spread(values)
    if found is None:
        return None
    return {name: getattr(found, name) for name in ("first", "last", "lowest", "highest")}


def _shown(point: TrendPoint) -> dict[str, Any]:
    sizes = point.sizes
    return {
        "backup": sizes.backup,
        "createdAt": serializers.DateTimeField().to_representation(sizes.created_at),
        "state": sizes.state,
        "usable": sizes.usable,
        "storedBytes": sizes.stored_bytes,
        "contentBytes": sizes.content_bytes,
        "durationSeconds": sizes.duration_seconds,
        "bytesPerSecond": sizes.bytes_per_second,
        "changeBytes": point.change_bytes,
        "changeShare": point.change_share,
    }
