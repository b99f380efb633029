"""An address is what the server saw; what the client claims counts only as far as proxies are trusted."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from containers_app.audit.origin import client_address, source_of
from containers_app.audit.record import Source

CHAIN = "6.6.6.6, 203.0.113.5, 198.51.100.2"


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, CHAIN, "192.0.2.7"),
        (1, CHAIN, "198.51.100.2"),
        (2, CHAIN, "203.0.113.5"),
        (4, CHAIN, "192.0.2.7"),
        (1, "", "192.0.2.7"),
        (1, " , ", "192.0.2.7"),
    ],
)
def test_the_address_is_taken_from_as_many_proxies_as_are_trusted(
    settings: Settings, proxies: int, header: str, address: str
) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "trusted_proxies": proxies}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR=header)) == address


def test_a_source_has_the_id_that_the_logs_have() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="curl/8")
    request.META["myco.request_id"] = "req-1"
    assert source_of(request, channel="api") == Source(
        channel="api", ip="192.0.2.7", user_agent="curl/8", request_id="req-1"
    )


def test_a_bare_request_has_a_source_too() -> None:
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]
    assert source_of(request, channel="ui") == Source(channel="ui")
