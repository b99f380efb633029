"""The options of a clone, of a container or of a stack, read into typed params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.errors import InvalidRequest
from containers_app.specs import fields
from containers_app.specs.clone_volumes import DATA_CHOICES, TREATMENTS
from containers_app.specs.overrides import read_overrides
from containers_app.specs.reference import check_clone_name
from containers_app.specs.stack import check_project
from containers_app.workflows.clone import CloneParams
from containers_app.workflows.quiesce import CONSISTENCIES
from containers_app.workflows.stack_clone import StackCloneParams

_KNOWN = frozenset(
    {"name", "confirmPrivileged", "confirmProtected", "dryRun", "planHash", "host", "data", "volumes"}
    | {"consistency", "start", "waitHealthySeconds", "overrides"}
)
_STACK_KNOWN = frozenset(
    {"project", "newProject", "sourceHost", "host", "data", "consistency", "start", "waitHealthySeconds"}
    | {"keepOnFailure", "confirmPrivileged", "confirmProtected", "dryRun", "planHash", "reason", "ticket"}
)
LONGEST_WAIT_SECONDS = 3600
_WITHIN = "options."
_HASH_CHARACTERS = 64


def read_clone(container: str, options: Mapping[str, Any]) -> CloneParams:
    """Check the options. Raises InvalidRequest that names the field."""
    fields.only(options, _KNOWN, inside=_WITHIN)
    name = fields.text(options, "name", inside=_WITHIN)
    return CloneParams(
        container=container,
        name=None if name is None else check_clone_name(name),
        confirm_privileged=fields.flag(options, "confirmPrivileged", inside=_WITHIN),
        confirm_protected=fields.flag(options, "confirmProtected", inside=_WITHIN),
        dry_run=fields.flag(options, "dryRun", inside=_WITHIN),
        plan_hash=plan_hash(options, inside=_WITHIN),
        host=fields.text(options, "host", inside=_WITHIN, longest=63),
        data=fields.choice(options, "data", DATA_CHOICES, inside=_WITHIN, default="none"),
        volumes=_volumes(options),
        consistency=fields.choice(options, "consistency", CONSISTENCIES, inside=_WITHIN, default="live"),
        start=fields.flag(options, "start", inside=_WITHIN),
        wait_healthy_seconds=wait_seconds(options, inside=_WITHIN),
        overrides=read_overrides(fields.mapping(options, "overrides", inside=_WITHIN)),
    )


def wait_seconds(options: Mapping[str, Any], *, inside: str) -> int:
    """How long to wait for health; goes with a start only. Raises InvalidRequest."""
    seconds = fields.whole(options, "waitHealthySeconds", inside=inside, highest=LONGEST_WAIT_SECONDS) or 0
    if seconds and options.get("start") is not True:
        field = f"{inside}waitHealthySeconds"
        raise InvalidRequest(f"'{field}' goes with 'start': true", field=field)
    return seconds


def plan_hash(options: Mapping[str, Any], *, inside: str) -> str | None:
    """The hash of a plan that the request is bound to. Raises InvalidRequest."""
    value = fields.text(options, "planHash", inside=inside)
    if value is not None and (len(value) != _HASH_CHARACTERS or set(value) - set("0123456789abcdef")):
        field = f"{inside}planHash"
        raise InvalidRequest(f"'{field}' must be the hash of a plan: 64 hex digits", field=field)
    return value


def _volumes(options: Mapping[str, Any]) -> dict[str, str]:
    treatments = fields.text_map(options, "volumes", inside=_WITHIN)
    for name, treatment in treatments.items():
        if treatment not in TREATMENTS:
            field = f"options.volumes.{fields.printable(name)}"
            raise InvalidRequest(f"'{field}' must be one of: {', '.join(TREATMENTS)}", field=field)
    return treatments


def read_stack_clone(body: Mapping[str, Any]) -> StackCloneParams:
    """Check the body. Raises InvalidRequest that names the field."""
    fields.only(body, _STACK_KNOWN)
    return StackCloneParams(
        project=check_project(fields.required_text(body, "project"), field_name="project"),
        new_project=check_project(fields.required_text(body, "newProject"), field_name="newProject"),
        host=fields.text(body, "host", longest=63),
        data=fields.choice(body, "data", DATA_CHOICES, default="none"),
        consistency=fields.choice(body, "consistency", CONSISTENCIES, default="live"),
        start=fields.flag(body, "start"),
        wait_healthy_seconds=wait_seconds(body, inside=""),
        keep_on_failure=fields.flag(body, "keepOnFailure"),
        confirm_privileged=fields.flag(body, "confirmPrivileged"),
        confirm_protected=fields.flag(body, "confirmProtected"),
        dry_run=fields.flag(body, "dryRun"),
        plan_hash=plan_hash(body, inside=""),
    )
