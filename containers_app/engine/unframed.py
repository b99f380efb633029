"""Answers as plain bytes until the connection closes (HTTP/1.0, RFC 1945), for what is large.

In HTTP/1.1 an Engine sends pieces of 32 KiB. To take each out of its frame costs as much as all the rest of an export.
"""

from __future__ import annotations

from typing import Any


def speak_unframed(adapter: Any) -> None:
    """Let this adapter of `requests` speak HTTP/1.0. Nothing tells a cut answer then: its format has to."""
    find = adapter.get_connection_with_tls_context

    def found(*arguments: Any, **options: Any) -> Any:
        pool = find(*arguments, **options)
        make = type(pool)._new_conn
        pool._new_conn = lambda: _unframed(make(pool))
        return pool

    adapter.get_connection_with_tls_context = found


def _unframed(connection: Any) -> Any:
    """As the standard library's own tests do it; it has no public way."""
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
    return connection
