"""What `POST /containers/create` is sent, as typed records (Docker Engine API 1.51, definition ContainerConfig)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.specs.host_settings import HostSettings
from containers_app.specs.network import EndpointSpec
from containers_app.specs.record import BOOLEAN, INTEGER, KEY_SET, TEXT, TEXT_MAP, TEXTS, Record, engine_field, record
from containers_app.specs.secret_texts import secret_texts


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Record):
    """Durations are in nanoseconds."""

    test: tuple[str, ...] | None = engine_field("Test", TEXTS, secret=True)
    interval: int | None = engine_field("Interval", INTEGER)
    timeout: int | None = engine_field("Timeout", INTEGER)
    start_period: int | None = engine_field("StartPeriod", INTEGER)
    start_interval: int | None = engine_field("StartInterval", INTEGER)
    retries: int | None = engine_field("Retries", INTEGER)


@dataclass(frozen=True, kw_only=True)
class ContainerSettings(Record):
    """The `Config` of a container (Docker Engine API 1.51, definition ContainerConfig).

    What people keep secrets in (environment, command lines, labels) stays out of the repr.
    """

    hostname: str | None = engine_field("Hostname", TEXT)
    domain_name: str | None = engine_field("Domainname", TEXT)
    user: str | None = engine_field("User", TEXT)
    attach_input: bool | None = engine_field("AttachStdin", BOOLEAN)
    attach_output: bool | None = engine_field("AttachStdout", BOOLEAN)
    attach_errors: bool | None = engine_field("AttachStderr", BOOLEAN)
    exposed_ports: Mapping[str, None] | None = engine_field("ExposedPorts", KEY_SET)
    terminal: bool | None = engine_field("Tty", BOOLEAN)
    open_input: bool | None = engine_field("OpenStdin", BOOLEAN)
    input_once: bool | None = engine_field("StdinOnce", BOOLEAN)
    environment: tuple[str, ...] | None = engine_field("Env", TEXTS, secret=True)
    command: tuple[str, ...] | None = engine_field("Cmd", TEXTS, secret=True)
    healthcheck: Healthcheck | None = engine_field("Healthcheck", record(Healthcheck))
    arguments_escaped: bool | None = engine_field("ArgsEscaped", BOOLEAN)
    image: str | None = engine_field("Image", TEXT)
    volumes: Mapping[str, None] | None = engine_field("Volumes", KEY_SET)
    working_directory: str | None = engine_field("WorkingDir", TEXT)
    entrypoint: tuple[str, ...] | None = engine_field("Entrypoint", TEXTS, secret=True)
    network_disabled: bool | None = engine_field("NetworkDisabled", BOOLEAN)
    mac_address: str | None = engine_field("MacAddress", TEXT)
    on_build: tuple[str, ...] | None = engine_field("OnBuild", TEXTS, secret=True)
    labels: Mapping[str, str] | None = engine_field("Labels", TEXT_MAP, secret=True)
    stop_signal: str | None = engine_field("StopSignal", TEXT)
    stop_timeout_seconds: int | None = engine_field("StopTimeout", INTEGER)
    shell: tuple[str, ...] | None = engine_field("Shell", TEXTS)


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """Everything `POST /containers/create` is sent, but the name. `platform` is `os/architecture[/variant]` or None."""

    settings: ContainerSettings
    host: HostSettings
    endpoints: Mapping[str, EndpointSpec]
    platform: str | None = None

    def body(self) -> dict[str, Any]:
        """The request's JSON; it holds environment values."""
        endpoints = {key: endpoint.body() for key, endpoint in self.endpoints.items()}
        networking = {"NetworkingConfig": {"EndpointsConfig": endpoints}} if endpoints else {}
        return {**self.settings.body(), "HostConfig": self.host.body(), **networking}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be repeated in an error, `KEY=VALUE` pairs among them."""
        return secret_texts(self.body())
