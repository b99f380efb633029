"""What of a container's configuration is its image's, so that another image may bring its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from containers_app.specs.settings import ContainerSettings, Healthcheck

_PLAIN = ("working_directory", "user", "stop_signal", "shell", "on_build", "arguments_escaped")


def without_image_defaults(settings: ContainerSettings, image_config: Mapping[str, Any]) -> ContainerSettings:
    """The settings without what equals the image's own: None lets the next image decide.

    The entrypoint decides over the command: an image's command counts only together with its entrypoint, so that a
    command which is empty although the image has one tells that the entrypoint was given (moby, daemon/commit.go,
    merge).
    """
    default = ContainerSettings.read(image_config, "Config")
    emptied = bool(default.command) and not settings.command
    same_entrypoint = not emptied and (settings.entrypoint or None) == (default.entrypoint or None)
    same_command = same_entrypoint and (settings.command or None) == (default.command or None)
    plain = {name: None for name in _PLAIN if getattr(settings, name) == getattr(default, name)}
    return replace(
        settings,
        entrypoint=None if same_entrypoint else settings.entrypoint or ("",),
        command=None if same_command else settings.command,
        environment=tuple(entry for entry in settings.environment or () if entry not in (default.environment or ())),
        labels=_without(settings.labels, default.labels),
        volumes=_without(settings.volumes, default.volumes),
        exposed_ports=_without(settings.exposed_ports, default.exposed_ports),
        healthcheck=_health(settings.healthcheck, default.healthcheck),
        **plain,
    )


def _health(own: Healthcheck | None, default: Healthcheck | None) -> Healthcheck | None:
    """An Engine fills in each part by itself: whoever changed the interval alone keeps the next image's test."""
    if own is None or default is None:
        return own
    same = {part.name: None for part in fields(own) if (getattr(own, part.name) or None) == getattr(default, part.name)}
    rest: Healthcheck = replace(own, **same)
    return None if rest == Healthcheck() else rest


def _without(own: Mapping[str, Any] | None, default: Mapping[str, Any] | None) -> dict[str, Any]:
    taken = default or {}
    return {key: value for key, value in (own or {}).items() if key not in taken or taken[key] != value}
