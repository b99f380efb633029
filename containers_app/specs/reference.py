"""Which container a request means: a strict grammar, and one rule that never picks the wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from containers_app.errors import AmbiguousReference, ContainerNotFound, InvalidRequest
from containers_app.specs.engine import ContainerSummary

_REFERENCE = re.compile(r"(?:[0-9a-f]{12,64}|[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127})", re.ASCII)
_CLONE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}", re.ASCII)
_ENGINE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ID_PREFIX = re.compile(r"[0-9a-f]{12,64}", re.ASCII)


def is_full_id(value: str) -> bool:
    """Whether the value is a full container or network id: 64 lower-case hex digits."""
    return _ID.fullmatch(value) is not None


def may_be_id(value: str) -> bool:
    """Whether the value could be a container's id or the beginning of one."""
    return _ID_PREFIX.fullmatch(value) is not None


def check_reference(value: str) -> str:
    """Return the container reference unchanged; it is not trimmed. Raises InvalidRequest (field `containerId`)."""
    if _REFERENCE.fullmatch(value) is None:
        raise InvalidRequest(
            "containerId must be a container's full id, an id prefix of 12 or more hex digits, or a name "
            "(2 to 128 letters, digits, _ . -, starting with a letter or digit).",
            field="containerId",
        )
    return value


def check_clone_name(value: str) -> str:
    """Return the name for a clone unchanged; it is not trimmed. Raises InvalidRequest (field `options.name`)."""
    if _CLONE_NAME.fullmatch(value) is None:
        raise InvalidRequest(
            "options.name must have 2 to 63 letters, digits, _ . - and start with a letter or digit.",
            field="options.name",
        )
    return value


def check_engine_name(value: str) -> str:
    """Return a name that Engines take, unchanged: a default name may be longer than one that is asked for."""
    if _ENGINE_NAME.fullmatch(value) is None:
        raise InvalidRequest("the new name is not one that an Engine takes: give a shorter one", field="options.name")
    return value


def choose(reference: str, summaries: Iterable[ContainerSummary]) -> ContainerSummary:
    """The one container that `reference` means: by exact id, else by exact name, else by a unique id prefix.

    A name that is also an id prefix of another container is refused, because an Engine would silently prefer one.
    Raises InvalidRequest, ContainerNotFound or AmbiguousReference.
    """
    check_reference(reference)
    every = tuple(summaries)
    exact = [summary for summary in every if summary.id == reference]
    if exact:
        return exact[0]
    fitting = {summary.id: summary for summary in every if _fits(reference, summary)}
    if not fitting:
        raise ContainerNotFound(
            f"No container on this Engine is named {reference} or has an id that starts with it: "
            "check the spelling, and that the container still exists.",
            field="containerId",
        )
    if len(fitting) > 1:
        raise AmbiguousReference(
            f"{reference} fits {len(fitting)} containers on this Engine: give the full id of 64 hex digits.",
            field="containerId",
        )
    return next(iter(fitting.values()))


def _fits(reference: str, summary: ContainerSummary) -> bool:
    prefix = _ID_PREFIX.fullmatch(reference) is not None and summary.id.startswith(reference)
    return prefix or summary.name == reference
