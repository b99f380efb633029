"""What is not protected, as REST clients read it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from containers_app.api.auth import asker_of
from containers_app.api.views import ConsoleView
from containers_app.conf import load
from containers_app.operations.coverage import Covered, Totals, coverage_of, page_of
from containers_app.specs import fields
from containers_app.specs.coverage import STATES

LARGEST_PAGE = 200
_LARGEST_NUMBER = 10**18
_moment = serializers.DateTimeField().to_representation


def _count(name: str) -> serializers.Serializer[Any]:
    share = serializers.FloatField(allow_null=True, help_text="Of those that are counted.")
    return inline_serializer(name, {"containers": serializers.IntegerField(), "share": share})


_PLACE = inline_serializer(
    "UncoveredPlace",
    {
        "kind": serializers.ChoiceField(["volume", "bind"]),
        "name": serializers.CharField(),
        "target": serializers.CharField(),
        "counts": serializers.BooleanField(help_text="Without it the container is only partly protected."),
    },
    many=True,
)
_ROW = inline_serializer(
    "CoveredContainer",
    {
        "container": inline_serializer("CoveredName", {"id": serializers.CharField(), "name": serializers.CharField()}),
        "host": serializers.CharField(),
        "stack": serializers.CharField(allow_null=True),
        "state": serializers.CharField(help_text=f"One of: {', '.join(STATES)}."),
        "backup": serializers.CharField(allow_null=True, help_text="The newest usable one."),
        "lastBackupAt": serializers.DateTimeField(allow_null=True),
        "verifiedAt": serializers.DateTimeField(allow_null=True),
        "provenAt": serializers.DateTimeField(allow_null=True),
        "encrypted": serializers.BooleanField(allow_null=True),
        "chosen": serializers.BooleanField(allow_null=True, help_text="Patterns left files out; null: not known."),
        "missing": _PLACE,
        "lacks": serializers.ListField(child=serializers.CharField(), help_text="Some of rootfs, config, secrets."),
        "damaged": serializers.IntegerField(help_text="Backups of it that are missing or corrupt."),
    },
    many=True,
)
COVERAGE_RESPONSE = inline_serializer(
    "Coverage",
    {
        "staleAfterDays": serializers.FloatField(),
        "totals": inline_serializer(
            "CoverageTotals",
            {
                "containers": serializers.IntegerField(),
                "counted": serializers.IntegerField(help_text="Without the excluded ones."),
                "states": serializers.DictField(child=_count("CoverageOfState")),
                **{name: _count(f"Coverage{name.capitalize()}") for name in ("verified", "proven", "encrypted")},
            },
        ),
        "next": serializers.CharField(allow_null=True),
        "results": _ROW,
    },
)


class CoverageView(ConsoleView):
    """How far containers are protected."""

    access = {"GET": ("read",)}
    filters = frozenset({"host", "stack", "state", "after"})

    @extend_schema(
        operation_id="coverage_list",
        parameters=[OpenApiParameter(name, str) for name in ("host", "stack", "state", "after", "limit")],
        responses=COVERAGE_RESPONSE,
    )
    def get(self, request: Request) -> Response:
        """By host, stack and name; the totals are of all containers of the host and the stack."""
        query = self.query(request)
        limit = fields.number(query, "limit", default=LARGEST_PAGE, highest=LARGEST_PAGE)
        after = fields.number(query, "after", default=0, highest=_LARGEST_NUMBER) or None
        coverage = coverage_of(asker_of(request), host=query.get("host"), stack=query.get("stack"))
        page = page_of(coverage, state=query.get("state"), after=after, limit=limit)
        address = "?" + urlencode({**query, "after": page.more_after or 0})
        return Response(
            {
                "staleAfterDays": load().stale_days,
                "totals": _totals(page.totals),
                "next": request.build_absolute_uri(address) if page.more_after else None,
                "results": [_shown(row) for row in page.rows],
            }
        )


def _totals(totals: Totals) -> dict[str, Any]:
    def counted(number: int) -> dict[str, Any]:
        return {"containers": number, "share": totals.share(number)}

    return {
        "containers": totals.containers,
        "counted": totals.counted,
        "states": {state: counted(number) for state, number in totals.states.items()},
        "verified": counted(totals.verified),
        "proven": counted(totals.proven),
        "encrypted": counted(totals.encrypted),
    }


def _shown(row: Covered) -> dict[str, Any]:
    container, newest = row.container, row.newest
    return {
        "container": {"id": container.engine_id, "name": container.name},
        "host": container.host.name,
        "stack": container.stack or None,
        "state": row.judgement.state,
        "backup": newest and newest.backup,
        "lastBackupAt": _moment(newest.created_at) if newest else None,
        "verifiedAt": _moment(newest.verified_at) if newest and newest.verified_at else None,
        "provenAt": _moment(newest.proven_at) if newest and newest.proven_at else None,
        "encrypted": newest and newest.encrypted,
        "chosen": newest and newest.chosen,
        "missing": [
            {"kind": place.kind, "name": place.name, "target": place.target, "counts": place.counts}
            for place in row.judgement.missing
        ],
        "lacks": list(row.judgement.lacks),
        "damaged": row.damaged,
    }
