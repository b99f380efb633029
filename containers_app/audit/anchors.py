"""The places that a checkpoint can be brought to: a folder, syslog, mail, a webhook, a witness."""

from __future__ import annotations

import json
import os
import smtplib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.core.mail import EmailMessage

from containers_app.audit.anchor_failure import AnchorFailed
from containers_app.audit.anchor_http import call_webhook, call_witness
from containers_app.audit.models import SignedCheckpoint
from containers_app.conf import Conf

__all__ = ["Anchor", "AnchorFailed", "anchors"]

_SECONDS: Final = 10.0
# Facility authpriv, severity informational (RFC 5424).
_PRIORITY: Final = 10 * 8 + 6


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One place. `target` names it without a secret and without a person's address.

    `bring` takes a checkpoint and the size of the last one that arrived there, returns what came back, and raises
    AnchorFailed.
    """

    kind: str
    target: str
    bring: Callable[[SignedCheckpoint, int], str]


def anchors(conf: Conf) -> tuple[Anchor, ...]:
    """The places that the settings name."""
    makers = (_folder, _syslog, _email, _webhook, _witness)
    return tuple(anchor for make in makers if (anchor := make(conf)) is not None)


def _folder(conf: Conf) -> Anchor | None:
    folder = Path(conf.anchor_directory)
    bring = lambda row, _size: write_once(folder, row)  # noqa: E731 - one line for one anchor
    return Anchor(kind="folder", target=str(folder)[:255], bring=bring) if conf.anchor_directory else None


def _syslog(conf: Conf) -> Anchor | None:
    address = conf.anchor_syslog
    bring = lambda row, _size: send_syslog(address, row)  # noqa: E731
    return Anchor(kind="syslog", target=address, bring=bring) if address else None


def _email(conf: Conf) -> Anchor | None:
    addresses = [word.strip() for word in conf.anchor_email.split(",") if word.strip()]
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    bring = lambda row, _size: send_mail(addresses, row)  # noqa: E731
    return Anchor(kind="email", target=", ".join(domains)[:255], bring=bring) if addresses else None


def _webhook(conf: Conf) -> Anchor | None:
    url, key = conf.anchor_webhook, conf.anchor_webhook_key
    bring = lambda row, _size: call_webhook(url, key, row)  # noqa: E731
    return Anchor(kind="webhook", target=_host_of(url), bring=bring) if url else None


def _witness(conf: Conf) -> Anchor | None:
    url, vkey = conf.anchor_witness, conf.anchor_witness_vkey
    bring = lambda row, size: call_witness(url, vkey, row, old_size=size)  # noqa: E731
    return Anchor(kind="witness", target=_host_of(url), bring=bring) if url else None


def write_once(folder: Path, row: SignedCheckpoint) -> str:
    """Write the note as a new file that nobody may change; a file that is there stays. Raises AnchorFailed."""
    name = f"{row.shard}-{row.size:012}-{row.signed_at:%Y%m%dT%H%M%SZ}.checkpoint"
    path = folder / name
    try:
        if path.exists() and path.read_text() == row.note:
            return name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "w") as file:
            file.write(row.note)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise AnchorFailed(f"the folder takes no file: {error.strerror}") from error
    return name


def send_syslog(address: str, row: SignedCheckpoint) -> str:
    """Send one line (RFC 5424) to `udp://host:port`, `tcp://host:port` or a local socket. Raises AnchorFailed."""
    told = json.dumps({"origin": row.origin, "size": row.size, "checkpoint": row.note})
    stamp = row.signed_at.isoformat().replace("+00:00", "Z")
    line = f"<{_PRIORITY}>1 {stamp} {socket.gethostname()} mycodocker - checkpoint - {told}".encode()
    try:
        with _syslog_socket(address) as connection:
            framed = connection.type == socket.SOCK_STREAM
            connection.sendall(b"%d %s" % (len(line), line) if framed else line)
    except (OSError, ValueError) as error:
        raise AnchorFailed(f"syslog does not take it: {error}") from error
    return ""


def send_mail(addresses: list[str], row: SignedCheckpoint) -> str:
    """Send the note as text. Raises AnchorFailed."""
    words = "Keep this message: it shows what the ledger was. See docs/reference/ledger-format.md."
    subject = f"Ledger checkpoint {row.origin}, {row.size} entries"
    message = EmailMessage(subject=subject, body=f"{words}\n\n{row.note}", to=addresses)
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise AnchorFailed(f"the mail server does not take it: {type(error).__name__}") from error
    return ""


def _syslog_socket(address: str) -> socket.socket:
    if address.startswith("/"):
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        local.settimeout(_SECONDS)
        try:
            local.connect(address)
        except OSError:
            local.close()
            raise
        return local
    parsed = urlsplit(address)
    place = (parsed.hostname or "", parsed.port or 514)
    if parsed.scheme == "tcp":
        return socket.create_connection(place, _SECONDS)
    family, kind, protocol, _name, target = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
    datagrams = socket.socket(family, kind, protocol)
    datagrams.connect(target)
    return datagrams


def _host_of(url: str) -> str:
    parsed = urlsplit(url)
    return f"{parsed.hostname or ''}:{parsed.port}"[:255] if parsed.port else (parsed.hostname or "")[:255]
