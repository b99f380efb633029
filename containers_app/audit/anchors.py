"""The places that a checkpoint can be brought to: a folder, syslog, mail, a webhook, a witness, a locked bucket."""

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

from containers_app.audit.anchor_http import call_webhook, call_witness
from containers_app.audit.anchor_s3 import Bucket, lock_away
from containers_app.audit.anchored import AnchorFailed, Brought, within
from containers_app.conf import Conf

__all__ = ["Anchor", "AnchorFailed", "anchors"]

_SECONDS: Final = 10.0
# For what has no limit of its own, such as a name server, or has one only for each step.
_WHOLE_SECONDS: Final = 60.0
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
    bring: Callable[[Brought, int], str]

    @property
    def name(self) -> str:
        """What the signer's folder knows it by."""
        return f"{self.kind} {self.target}"


def anchors(conf: Conf) -> tuple[Anchor, ...]:
    """The places that the settings name."""
    makers = (_folder, _syslog, _email, _webhook, _witness, _s3)
    return tuple(anchor for make in makers if (anchor := make(conf)) is not None)


def _folder(conf: Conf) -> Anchor | None:
    folder = Path(conf.anchor_directory)
    bring = lambda brought, _size: within(_WHOLE_SECONDS, "folder", lambda: write_once(folder, brought))  # noqa: E731 - one line for one anchor
    return Anchor(kind="folder", target=str(folder)[:255], bring=bring) if conf.anchor_directory else None


def _syslog(conf: Conf) -> Anchor | None:
    address = conf.anchor_syslog
    bring = lambda brought, _size: within(_WHOLE_SECONDS, "syslog", lambda: send_syslog(address, brought))  # noqa: E731
    return Anchor(kind="syslog", target=address, bring=bring) if address else None


def _email(conf: Conf) -> Anchor | None:
    addresses = [word.strip() for word in conf.anchor_email.split(",") if word.strip()]
    domains = sorted({address.rpartition("@")[2] for address in addresses})
    bring = lambda brought, _size: within(_WHOLE_SECONDS, "email", lambda: send_mail(addresses, brought))  # noqa: E731
    return Anchor(kind="email", target=", ".join(domains)[:255], bring=bring) if addresses else None


def _webhook(conf: Conf) -> Anchor | None:
    url, key = conf.anchor_webhook, conf.anchor_webhook_key
    bring = lambda brought, _size: call_webhook(url, key, brought)  # noqa: E731
    return Anchor(kind="webhook", target=_host_of(url), bring=bring) if url else None


def _witness(conf: Conf) -> Anchor | None:
    url, vkey = conf.anchor_witness, conf.anchor_witness_vkey
    bring = lambda brought, size: call_witness(url, vkey, brought, old_size=size)  # noqa: E731
    return Anchor(kind="witness", target=_host_of(url), bring=bring) if url else None


def _s3(conf: Conf) -> Anchor | None:
    bucket = Bucket(
        endpoint=conf.anchor_s3_endpoint,
        region=conf.anchor_s3_region,
        name=conf.anchor_s3_bucket,
        prefix=conf.anchor_s3_prefix,
        access_key=conf.anchor_s3_access_key,
        secret_key=conf.anchor_s3_secret_key,
        days=conf.anchor_s3_days,
    )
    target = f"{bucket.name} at {_host_of(bucket.endpoint)}"[:255]
    bring = lambda brought, _size: lock_away(bucket, brought)  # noqa: E731
    return Anchor(kind="s3", target=target, bring=bring) if bucket.name else None


def write_once(folder: Path, brought: Brought) -> str:
    """Write the note as a new file that nobody may change; a file that is there stays. Raises AnchorFailed."""
    name = brought.file_name
    path = folder / name
    try:
        if path.exists() and path.read_text() == brought.note:
            return name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "w") as file:
            file.write(brought.note)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise AnchorFailed(f"the folder takes no file: {error.strerror}") from error
    return name


def send_syslog(address: str, brought: Brought) -> str:
    """Send one line (RFC 5424) to `udp://host:port`, `tcp://host:port` or a local socket. Raises AnchorFailed."""
    told = json.dumps({"origin": brought.origin, "size": brought.size, "checkpoint": brought.note})
    stamp = brought.signed_at.isoformat().replace("+00:00", "Z")
    line = f"<{_PRIORITY}>1 {stamp} {socket.gethostname()} mycodocker - checkpoint - {told}".encode()
    try:
        with _syslog_socket(address) as connection:
            framed = connection.type == socket.SOCK_STREAM
            connection.sendall(b"%d %s" % (len(line), line) if framed else line)
    except (OSError, ValueError) as error:
        raise AnchorFailed(f"syslog does not take it: {error}") from error
    return ""


def send_mail(addresses: list[str], brought: Brought) -> str:
    """Send the note as text. Raises AnchorFailed."""
    words = "Keep this message: it shows what the ledger was. See docs/reference/ledger-format.md."
    subject = f"Ledger checkpoint {brought.origin}, {brought.size} entries"
    message = EmailMessage(subject=subject, body=f"{words}\n\n{brought.note}", to=addresses)
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
