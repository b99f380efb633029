"""Stacks: the compose projects of the inventory, each with its containers. A project is one on its host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.generic import View

from containers_app.admin.base import asker_of, refused, state_badge
from containers_app.models import DockerHost
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import visible_to
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


def members(asker: Asker) -> QuerySet[Any]:
    """The containers of all projects that the asker may see and that the Engines still have."""
    return visible_to(asker, "container").filter(removed_at=None).exclude(stack="")


def stack_of(asker: Asker, host: str, project: str) -> Stack | None:
    """One stack; None when there is no container of it, or none that the asker may see."""
    return next(stacks(members(asker).filter(host__name=host, stack=project)), None)


def found_stack(request: HttpRequest, *, host: str, project: str) -> Stack:
    """The stack of an act. Raises Http404 for what has no members."""
    stack = stack_of(asker_of(request), host, project)
    if stack is None:
        raise Http404
    return stack


def stack_context(stack: Stack, act: str) -> dict[str, Any]:
    """What the pages of an act on a stack show of it."""
    members = [(row, state_badge(row)) for row in stack.members]
    return {"title": f"{act} the stack {visible(stack.project)}", "act": act, "stack": stack, "members": members}


class StackListView(View):
    """All stacks."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list."""
        check_may_see(request)
        context = {"title": "Stacks", "stacks": list(stacks(members(asker_of(request))))}
        return TemplateResponse(request, "myco/stacks.html", {**admin.site.each_context(request), **context})


class StackView(View):
    """One stack."""

    def get(self, request: HttpRequest, host: str, project: str) -> HttpResponse:
        """Its members. What has none is no stack."""
        check_may_see(request)
        stack = stack_of(asker_of(request), host, project)
        if stack is None:
            raise Http404
        badges = [(row, state_badge(row)) for row in stack.members]
        acts = {act: reverse(f"admin:stack_{act}", args=[host, project]) for act in ("clone", "back_up")}
        context = {"title": visible(project), "stack": stack, "members": badges, "acts": acts}
        return TemplateResponse(request, "myco/stack.html", {**admin.site.each_context(request), **context})


def check_may_see(request: HttpRequest) -> None:
    """Refuse who may not see containers."""
    if not request.user.has_perm(_VIEW):
        raise refused(request, "you may not see containers")
