"""What an auditor takes away from the ledger: its checkpoint, the proof of one entry, the proof that it only grew."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, get_args

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from containers_app.api.records import entry_of, shard_in
from containers_app.api.views import ConsoleView
from containers_app.api.wishes import reader_of
from containers_app.audit.published import (
    Anchored,
    OutsideState,
    checkpoint,
    entry_proof,
    growth_proof,
    last_outside_anchor,
    outside_state,
)
from containers_app.errors import InvalidRequest
from containers_app.operations.ledger_reads import CHECKPOINT, GROWTH, PROOF, record_look
from containers_app.operations.visibility import LEDGER_READERS
from containers_app.specs import fields

_SHARD = OpenApiParameter("shard", int)
_MOST_ENTRIES = 2**53
_ANCHOR: Any = inline_serializer(
    "LedgerAnchor",
    {
        "at": serializers.DateTimeField(),
        "kind": serializers.CharField(),
        "target": serializers.CharField(),
        "size": serializers.IntegerField(),
        "ageSeconds": serializers.IntegerField(),
    },
    allow_null=True,
)
_CHECKPOINT = inline_serializer(
    "LedgerCheckpoint",
    {
        "shard": serializers.IntegerField(),
        "origin": serializers.CharField(),
        "size": serializers.IntegerField(),
        "root": serializers.CharField(help_text="Hexadecimal."),
        "checkpoint": serializers.CharField(help_text="The signed note, with the signatures of witnesses."),
        "vkey": serializers.CharField(help_text="The key that signs now. Trust it only if it came another way too."),
        "signedAt": serializers.DateTimeField(),
        "lastOutsideAnchor": _ANCHOR,
        "outsideAnchorState": serializers.ChoiceField(choices=get_args(OutsideState)),
    },
)
_CONSISTENCY = inline_serializer(
    "LedgerConsistency",
    {
        "shard": serializers.IntegerField(),
        "from": serializers.IntegerField(),
        "to": serializers.IntegerField(),
        "fromRoot": serializers.CharField(help_text="Base64, as in a checkpoint."),
        "toRoot": serializers.CharField(help_text="Base64, as in a checkpoint."),
        "proof": serializers.ListField(child=serializers.CharField(), help_text="Base64, RFC 6962, section 2.1.2."),
    },
)


class CheckpointView(ConsoleView):
    """The last checkpoint."""

    access = {"GET": (*LEDGER_READERS, "ledger")}
    filters = frozenset({"shard"})

    @extend_schema(operation_id="ledger_checkpoint", responses=_CHECKPOINT, parameters=[_SHARD])
    def get(self, request: Request) -> Response:
        """Of the shard that is written to, unless `shard` names another."""
        found = checkpoint(shard_in(self.query(request)))
        shown = {"shard": found.shard, "origin": found.origin, "size": found.size, "root": found.root}
        more = {"checkpoint": found.note, "vkey": found.vkey, "signedAt": found.signed_at}
        last = last_outside_anchor()
        record_look(reader_of(request), CHECKPOINT, of=f"{found.shard}/{found.size}")
        outside = {"lastOutsideAnchor": _anchor(last), "outsideAnchorState": outside_state(last)}
        return Response({**shown, **more, **outside})


class EntryProofView(ConsoleView):
    """The proof of one entry."""

    access = {"GET": (*LEDGER_READERS, "ledger")}
    filters = frozenset({"shard"})

    @extend_schema(operation_id="ledger_proof", responses={(200, "text/plain"): OpenApiTypes.STR}, parameters=[_SHARD])
    def get(self, request: Request, index: int) -> HttpResponse:
        """A file for c2sp.org/tlog-proof: it shows that the last checkpoint covers the entry."""
        entry = entry_of(request, index, shard_in(self.query(request)))
        proof = entry_proof(entry)
        record_look(reader_of(request), PROOF, of=entry.place)
        answer = HttpResponse(proof, content_type="text/plain; charset=utf-8")
        name = f"entry-{entry.shard}-{entry.leaf_index}.tlog-proof"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


class ConsistencyView(ConsoleView):
    """The proof that the ledger only grew."""

    access = {"GET": (*LEDGER_READERS, "ledger")}
    filters = frozenset({"from", "to", "shard"})

    @extend_schema(
        operation_id="ledger_consistency",
        responses=_CONSISTENCY,
        parameters=[OpenApiParameter(name, int, required=True) for name in ("from", "to")] + [_SHARD],
    )
    def get(self, request: Request) -> Response:
        """From the first `from` entries to the first `to` ones."""
        query = self.query(request)
        for name in ("from", "to"):
            if name not in query:
                raise InvalidRequest(f"'{name}' must be a number of entries", field=name)
        first, second = (fields.number(query, name, default=1, highest=_MOST_ENTRIES) for name in ("from", "to"))
        found = growth_proof(first, second, shard=shard_in(query))
        record_look(reader_of(request), GROWTH, of=f"{found.shard}/{first}-{second}")
        roots = {"fromRoot": _base64(found.first_root), "toRoot": _base64(found.second_root)}
        proof = [_base64(one) for one in found.hashes]
        return Response({"shard": found.shard, "from": first, "to": second, **roots, "proof": proof})


def _anchor(anchored: Anchored | None) -> dict[str, Any] | None:
    if anchored is None:
        return None
    shown = {"at": anchored.at, "kind": anchored.kind, "target": anchored.target, "size": anchored.size}
    return {**shown, "ageSeconds": int(anchored.age_seconds)}


def _base64(value: bytes) -> str:
    return b64encode(value).decode()
