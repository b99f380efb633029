"""Says where a request comes from, by what the server saw and not by what the client claims."""

from __future__ import annotations

from django.http import HttpRequest

from containers_app.audit.record import Channel, Source
from containers_app.conf import load


def source_of(request: HttpRequest, *, channel: Channel) -> Source:
    """Return the source of `request`: its address, its user agent, and the id it has in the logs."""
    return Source(
        channel=channel,
        ip=client_address(request),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=request.META.get("myco.request_id", ""),
    )


def client_address(request: HttpRequest) -> str:
    """Return the address of the peer, or with N trusted proxies the N-th from the end of X-Forwarded-For.

    Everything before that one in the header is the client's own word.
    """
    hops = load().trusted_proxies
    chain = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return chain[-hops] if hops and len(chain) >= hops else request.META.get("REMOTE_ADDR", "")
