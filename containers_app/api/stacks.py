"""Compose projects: found by label in the inventory, cloned and backed up as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from containers_app.api.answers import idempotency_key, preference_of, run
from containers_app.api.auth import asker_of
from containers_app.api.backup_schemas import STACK_RESTORE_REQUEST, STACK_RESTORE_RESPONSES
from containers_app.api.schemas import (
    STACK_BACKUP_REQUEST,
    STACK_BACKUP_RESPONSES,
    STACK_CLONE_REQUEST,
    STACK_CLONE_RESPONSES,
    STACK_RESPONSE,
)
from containers_app.api.serializers import ContainerSerializer
from containers_app.api.strict_json import read_object
from containers_app.api.views import ConsoleView
from containers_app.audit.origin import source_of
from containers_app.errors import InvalidRequest
from containers_app.models import Container, DockerHost
from containers_app.operations.authority import Asker
from containers_app.operations.backup_options import read_stack_backup
from containers_app.operations.clone_options import read_stack_clone
from containers_app.operations.hosts import host_named, local_host, restore_host
from containers_app.operations.kinds import STACK_BACKUP, STACK_CLONE, STACK_RESTORE, Kind
from containers_app.operations.restore_options import read_stack_restore
from containers_app.operations.secrets import request_digest
from containers_app.operations.stack_backups import stack_backup
from containers_app.operations.submit import Request
from containers_app.operations.visibility import visible_to, why_not
from containers_app.specs import fields


def present(asker: Asker, host: str | None) -> QuerySet[Any]:
    """The containers that the asker may see and that are there now, of one host or of all."""
    rows = visible_to(asker, "container").filter(removed_at=None)
    return rows if host is None else rows.filter(host__name=host)


def stacks(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Each project on its host with what is known of its containers, by name."""
    found: dict[tuple[str, str], list[Container]] = {}
    for row in rows.exclude(stack="").order_by("stack", "host__name", "name"):
        found.setdefault((row.stack, row.host.name), []).append(row)
    return [_stack(project, host, members) for (project, host), members in found.items()]


def _stack(project: str, host: str, members: list[Container]) -> dict[str, Any]:
    return {
        "project": project,
        "host": host,
        "services": sorted({row.service for row in members if row.service}),
        "containers": len(members),
        "running": sum(row.state == "running" for row in members),
        "unprotected": sum(not getattr(row, "protected", False) for row in members),
    }


class StacksView(ConsoleView):
    """All compose projects."""

    access = {"GET": ("read",)}
    filters = frozenset({"host"})

    @extend_schema(operation_id="stacks_list", responses=STACK_RESPONSE)
    def get(self, request: ApiRequest) -> Response:
        """By name. There are few, so they come in one answer."""
        rows = present(asker_of(request), self.query(request).get("host"))
        return Response({"next": None, "previous": None, "results": stacks(rows)})


class StackView(ConsoleView):
    """One compose project."""

    access = {"GET": ("read",)}
    filters = frozenset({"host"})

    @extend_schema(operation_id="stacks_read", responses=STACK_RESPONSE)
    def get(self, request: ApiRequest, project: str) -> Response:
        """The project on each host that has it, with its containers."""
        asker = asker_of(request)
        rows = present(asker, self.query(request).get("host")).filter(stack=project)
        found = stacks(rows)
        if not found:
            raise why_not(asker, "container")
        members = ContainerSerializer(rows.order_by("host__name", "name"), many=True).data
        return Response({"stacks": found, "members": members})


class _StackActView(ConsoleView):
    """An act on a whole project; `read` makes params of its body."""

    published = True
    kind: Kind
    read: Callable[[Mapping[str, Any]], Any]

    def host(self, asker: Asker, body: Mapping[str, Any], params: Any) -> DockerHost:
        """The one whose workers do it."""
        return source_host(body, params.project)

    def act(self, request: ApiRequest) -> Response:
        """Do it, and wait for the end; with `Prefer: respond-async` do not wait."""
        body = read_object(request._request)
        params = type(self).read(body)
        asker, preference = asker_of(request), preference_of(request)
        wanted = Request(
            kind=self.kind,
            params=params,
            host=self.host(asker, body, params),
            asker=asker,
            source=source_of(request._request, channel="api"),
            limited=not preference.respond_async,
            idempotency_key=idempotency_key(request),
            request_digest=request_digest(json.dumps(body, sort_keys=True).encode()),
            reason=fields.line(body, "reason", longest=fields.LONGEST_REASON),
            ticket=fields.line(body, "ticket", longest=fields.LONGEST_TICKET),
        )
        return run(wanted, preference)


class StackCloneView(_StackActView):
    """Clone a whole project."""

    kind = STACK_CLONE
    read = staticmethod(read_stack_clone)
    # Declared, not left to the verb: who may not clone must not learn which hosts there are.
    access = {"POST": (STACK_CLONE.permission, STACK_CLONE.scope)}
    verbs = {"POST": (STACK_CLONE.action,)}

    @extend_schema(operation_id="stacks_clone", request=STACK_CLONE_REQUEST, responses=STACK_CLONE_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Clone it, and wait for the end; with `Prefer: respond-async` do not wait."""
        return self.act(request)


class StackBackupView(_StackActView):
    """Back up a whole project."""

    kind = STACK_BACKUP
    read = staticmethod(read_stack_backup)
    access = {"POST": (STACK_BACKUP.permission, STACK_BACKUP.scope)}
    verbs = {"POST": (STACK_BACKUP.action,)}

    @extend_schema(operation_id="stacks_backup", request=STACK_BACKUP_REQUEST, responses=STACK_BACKUP_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Back it up, and wait for the end; with `Prefer: respond-async` do not wait."""
        return self.act(request)


class StackRestoreView(_StackActView):
    """Restore a whole project out of its backup."""

    kind = STACK_RESTORE
    read = staticmethod(read_stack_restore)
    access = {"POST": (STACK_RESTORE.permission, STACK_RESTORE.scope)}
    verbs = {"POST": (STACK_RESTORE.action,)}

    @extend_schema(operation_id="stacks_restore", request=STACK_RESTORE_REQUEST, responses=STACK_RESTORE_RESPONSES)
    def post(self, request: ApiRequest) -> Response:
        """Restore it, and wait for the end; with `Prefer: respond-async` do not wait."""
        return self.act(request)

    def host(self, asker: Asker, body: Mapping[str, Any], params: Any) -> DockerHost:
        """As of the restore of one container. Raises as `stack_backup` does."""
        return restore_host(stack_backup(asker, params.backup), body)


def source_host(body: Mapping[str, Any], project: str) -> DockerHost:
    """The host that the body names, else the one that has the project, else the local one.

    Raises InvalidRequest where several have it: whose data is meant must not be guessed.
    """
    name = fields.text(body, "sourceHost", longest=63)
    if name is not None:
        return host_named(name, field_name="sourceHost")
    members = Container.objects.present().filter(stack=project)
    found = list(DockerHost.objects.filter(enabled=True, containers__in=members).order_by("name").distinct())
    if len(found) > 1:
        names = ", ".join(host.name for host in found)
        raise InvalidRequest(f"'sourceHost' is needed: {names} have a project {project}", field="sourceHost")
    return found[0] if found else local_host()
