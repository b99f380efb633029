"""Stacks: the compose projects of the inventory, each with its containers. A project is one on its host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.base import refused, state_badge
from containers_app.models import Container, DockerHost, with_last_backup
from containers_app.templatetags.console import visible

_VIEW = "containers_app.view_container"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One project on one host. `address` is empty for a label that can be no part of an address."""

    project: str
    host: DockerHost
    members: Sequence[Any]
    address: str

    @property
    def states(self) -> list[tuple[str, int]]:
        """How many containers are in each state."""
        return sorted(Counter(row.state for row in self.members).items())

    @property
    def last_backup_at(self) -> datetime | None:
        """The newest backup of any member."""
        return max((row.last_backup_at for row in self.members if row.last_backup_at), default=None)

    @property
    def unprotected(self) -> int:
        """How many members have no complete backup."""
        return sum(1 for row in self.members if not row.protected)


def stack_address(host: str, project: str) -> str:
    """The page of a stack; empty where the label cannot be a part of an address."""
    fits = project.isprintable() and "/" not in project and project.strip(".")
    return reverse("admin:stack", args=[host, project]) if fits else ""


def stacks(rows: Iterable[Any]) -> Iterator[Stack]:
    """The stacks of these containers, by name and host."""
    ordered = sorted(rows, key=lambda row: (row.stack, row.host.name, row.service, row.name))
    for (project, _), members in groupby(ordered, key=lambda row: (row.stack, row.host_id)):
        found = list(members)
        host = found[0].host
        yield Stack(project=project, host=host, members=found, address=stack_address(host.name, project))


def members_of(host: str, project: str) -> Any:
    """The containers of a project that its Engine still has."""
    rows = Container.objects.present().filter(host__name=host, stack=project).exclude(stack="")
    return with_last_backup(rows.select_related("host")).order_by("service", "name")


def stack_of(host: str, project: str) -> Stack | None:
    """One stack; None when the Engine has no container of it."""
    return next(stacks(members_of(host, project)), None)


class StackListView(View):
    """All stacks."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list."""
        check_may_see(request)
        rows = with_last_backup(Container.objects.present().exclude(stack="").select_related("host"))
        context = {"title": "Stacks", "stacks": list(stacks(rows))}
        return TemplateResponse(request, "myco/stacks.html", {**admin.site.each_context(request), **context})


class StackView(View):
    """One stack."""

    def get(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """Its members. What has none is no stack."""
        check_may_see(request)
        stack = stack_of(host, project)
        if stack is None:
            raise Http404
        members = [(row, state_badge(row)) for row in stack.members]
        clone_address = reverse("admin:stack_clone", args=[host, project])
        context = {"title": visible(project), "stack": stack, "members": members, "clone_address": clone_address}
        return TemplateResponse(request, "myco/stack.html", {**admin.site.each_context(request), **context})


def check_may_see(request: HttpRequest) -> None:
    """Refuse who may not see containers."""
    if not request.user.has_perm(_VIEW):
        raise refused(request, "you may not see containers")
