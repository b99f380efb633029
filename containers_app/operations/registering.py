"""Add, change and remove Docker hosts: judged first, then in the ledger with what was and will be, then done."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import ProtectedError, Q, QuerySet

from containers_app.audit import ledger
from containers_app.audit.ledger import Source, Subject
from containers_app.engine.addresses import allowed_addresses
from containers_app.errors import Busy, EngineUnavailable, InvalidRequest, MycoError, NameTaken, PermissionDenied
from containers_app.models import Backup, Container, DockerHost, Operation
from containers_app.models.operations import ACTIVE_STATES
from containers_app.operations.authority import Asker
from containers_app.operations.hosts import registered_endpoint, values_of
from containers_app.operations.notes import check_notes
from containers_app.specs.host import HostValues, check_name, check_queue

ADD, CHANGE, SCOPE = "containers_app.add_dockerhost", "containers_app.change_dockerhost", "hosts"
_FIXED_OF_LOCAL = ("url", "tls_directory", "allow_plain")
_OF_THE_ENGINE = ("url", "tls_directory")
_MOVED = "the host was changed by somebody else meanwhile: look at it again"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who changes a host or what keeps a backup, from where and why."""

    asker: Asker
    source: Source
    reason: str = ""
    ticket: str = ""

    def told(self) -> dict[str, Any]:
        """As the ledger takes it."""
        return {"actor": self.asker.as_actor(), "source": self.source, "reason": self.reason, "ticket": self.ticket}


def add(values: HostValues, by: Author) -> DockerHost:
    """Register a host. Raises PermissionDenied, InvalidRequest, NameTaken or AuditUnavailable; then there is none."""
    _permit(by, ADD, "config.host_added")
    check_name(values.name)
    if values.name == DockerHost.LOCAL:
        raise NameTaken("'local' is the host that the environment names: choose another name", field="name")
    _check(values)
    if DockerHost.objects.filter(name=values.name).exists():
        raise _name_taken()
    with _recorded("config.host_added", values.name, by, {"after": _chosen(values)}):
        try:
            with transaction.atomic():
                return DockerHost.objects.create(**asdict(values))
        except IntegrityError as error:
            raise _name_taken() from error


def change(host: DockerHost, changes: Mapping[str, Any], by: Author) -> DockerHost:
    """Change what was chosen for a host, never its name.

    Raises PermissionDenied, InvalidRequest, Busy or AuditUnavailable; then it is as it was.
    """
    _permit(by, CHANGE, "config.host_changed")
    before = values_of(host)
    after = replace(before, **changes)
    if after == before:
        return host
    _check_change(host, before, after)
    details = {"before": _chosen(before), "after": _chosen(after)}
    with _recorded("config.host_changed", host.name, by, details):
        _update(host, before, after)
    host.refresh_from_db()
    return host


def remove(host: DockerHost, by: Author) -> bool:
    """Remove a host that nothing refers to; disable any other. True when its row is gone.

    Raises PermissionDenied, InvalidRequest for `local`, Busy or AuditUnavailable.
    """
    _permit(by, CHANGE, "config.host_removed")
    if host.is_local:
        raise InvalidRequest("'local' is the host that the environment names: disable it instead", field="name")
    if is_referenced(host):
        change(host, {"enabled": False}, by)
        return False
    with _recorded("config.host_removed", host.name, by, {"before": _chosen(values_of(host))}):
        try:
            host.delete()
        except (ProtectedError, IntegrityError) as error:
            raise Busy("something refers to the host since a moment ago: try again, to disable it") from error
    return True


def is_referenced(host: DockerHost) -> bool:
    """Whether a container, an operation or a backup is of this host, so that its row has to stay."""
    rows = any(model.objects.filter(host=host).exists() for model in (Container, Operation, Backup))
    return rows or _unfinished(host).exists()


def _permit(by: Author, permission: str, verb: str) -> None:
    if not by.asker.may(permission, SCOPE):
        raise PermissionDenied(f"you may not do this: it needs the permission '{permission}' (key scope '{SCOPE}')")
    check_notes(verb, reason=by.reason, ticket=by.ticket)


def _check(values: HostValues) -> None:
    """Every rule, and where a name leads now; a name that is not known here may be known to the worker."""
    check_queue(values.queue)
    place = registered_endpoint(values).host_and_port
    if place is None:
        return
    try:
        allowed_addresses(*place)
    except EngineUnavailable as error:
        raise InvalidRequest(error.message, field="url") from error
    except socket.gaierror:
        return


def _check_change(host: DockerHost, before: HostValues, after: HostValues) -> None:
    changed = {name for name, value in asdict(before).items() if getattr(after, name) != value}
    if host.is_local and changed.intersection(_FIXED_OF_LOCAL):
        raise InvalidRequest("the address of 'local' comes from the environment: set DOCKER_API_URL", field="url")
    if host.is_local or (changed == {"enabled"} and not after.enabled):
        check_queue(after.queue)
    else:
        _check(after)
    if changed.intersection(_OF_THE_ENGINE) and _unfinished(host).exists():
        raise Busy("operations of this host are not over, or not taken back yet: change its address afterwards")


def _unfinished(host: DockerHost) -> QuerySet[Operation]:
    """What runs on the host, or from another one to it, and what is still to be taken back there."""
    on_it = Q(host=host) | Q(params__host=host.name)
    return Operation.objects.filter(on_it, Q(state__in=ACTIVE_STATES) | ~Q(undo=[]))


def _update(host: DockerHost, before: HostValues, after: HostValues) -> None:
    if not DockerHost.objects.filter(pk=host.pk, **asdict(before)).update(**asdict(after)):
        raise Busy(_MOVED)


@contextmanager
def _recorded(action: str, name: str, by: Author, details: Mapping[str, Any]) -> Iterator[None]:
    """The entry comes first, so without a ledger nothing changes; a failure of the change gets an entry of its own."""
    _tell(action, name, by, details=details)
    try:
        yield
    except (MycoError, DatabaseError) as error:
        code = error.code if isinstance(error, MycoError) else "DATABASE_UNAVAILABLE"
        _tell(action, name, by, outcome="failure", error_code=code)
        raise


def _tell(action: str, name: str, by: Author, **more: Any) -> None:
    ledger.event(
        action=action,
        subject=Subject(type="host", name=name, host=name),
        **by.told(),
        **more,
    )


def _chosen(values: HostValues) -> dict[str, Any]:
    """An address has no place for a password, and certificates are named by their folder: nothing here is secret."""
    return {name: value for name, value in asdict(values).items() if name != "name"}


def _name_taken() -> NameTaken:
    return NameTaken("a host of this name is registered already: choose another name", field="name")
