"""From a row to an address: `local` is the environment's, the others keep every rule at each connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from containers_app.errors import EngineUnavailable, InvalidRequest
from containers_app.models import DockerHost
from containers_app.operations.hosts import endpoint_of, host_of_reference, registered_endpoint
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.host import HostValues
from tests import recipes

WEB, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def configured(settings: Settings) -> Callable[..., None]:
    def change(**values: Any) -> None:
        settings.MYCODOCKER = {**settings.MYCODOCKER, **values}

    return change


def registered(**fields: Any) -> DockerHost:
    return DockerHost(**{"name": "site-b", "url": "unix:///run/site-b.sock", **fields})


def test_the_local_host_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_API_URL", "http://169.254.1.2:2375")
    local = DockerHost(name="local", url="unix:///never/used.sock")
    assert endpoint_of(local) == Endpoint("http", "169.254.1.2:2375")


def test_another_host_is_where_its_row_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_API_URL", "unix:///run/local.sock")
    assert endpoint_of(registered()) == Endpoint("unix", "/run/site-b.sock", guarded=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "tcp://10.0.0.1:2375"},
        {"url": "tcp://169.254.169.254:80", "allow_plain": True},
        {"url": "ssh://host"},
        {"url": ""},
        {"url": "https://engine:2376", "tls_directory": "../../etc"},
    ],
)
def test_a_row_that_breaks_a_rule_is_never_connected_to(fields: dict[str, Any]) -> None:
    with pytest.raises(EngineUnavailable, match="settings of the host 'site-b' are refused"):
        endpoint_of(registered(**fields))


def test_certificates_are_below_their_root_by_where_links_lead(tmp_path: Path, configured: Callable[..., None]) -> None:
    root, elsewhere = tmp_path / "tls", tmp_path / "elsewhere"
    for folder in (root / "site-b", elsewhere):
        folder.mkdir(parents=True)
    (root / "site-c").symlink_to(elsewhere)
    (root / "site-d").symlink_to(root / "site-b")
    configured(tls_root=str(root))
    site = HostValues(name="site-b", url="tcp://engine:2376")
    for folder_name in ("site-b", "site-d", "not-there-yet"):
        endpoint = registered_endpoint(replace(site, tls_directory=folder_name))
        assert endpoint.tls_directory == f"{root}/{folder_name}"
    with pytest.raises(InvalidRequest, match="leads out of") as caught:
        registered_endpoint(replace(site, tls_directory="site-c"))
    assert caught.value.field == "tlsDirectory"


def test_our_own_broker_and_databases_are_no_engines(tmp_path: Path, configured: Callable[..., None]) -> None:
    broker = tmp_path / "broker.sock"
    (tmp_path / "harmless.sock").symlink_to(broker)
    configured(own_sockets=frozenset({str(broker)}), own_ports=frozenset({15432}))
    for url in (f"unix://{broker}", f"unix://{tmp_path}/harmless.sock", "tcp://db.example.org:15432"):
        with pytest.raises(InvalidRequest) as caught:
            registered_endpoint(HostValues(name="site-b", url=url, allow_plain=True))
        assert caught.value.field == "url"


def test_the_settings_name_our_own_ports_and_sockets() -> None:
    from mycodocker import settings

    databases: dict[str, dict[str, Any]] = {
        "default": {"HOST": "db", "PORT": 15432},
        "audit": {"HOST": "/run/postgresql", "PORT": ""},
    }
    broker = "redis+socket:///run/myco/broker.sock"
    assert settings.own_ports(databases, "redis://broker:16379/0") == {15432, 16379}
    assert settings.own_ports({"default": {"NAME": "db.sqlite3"}}, broker) == frozenset()
    assert settings.own_sockets(databases, broker) == {"/run/myco/broker.sock", "/run/postgresql/.s.PGSQL.5432"}


@pytest.mark.django_db
def test_a_full_id_means_the_host_that_alone_has_it() -> None:
    there = recipes.host("site-b")
    recipes.container(host=there, engine_id=WEB)
    recipes.container(host=recipes.host(), engine_id=OTHER)
    assert host_of_reference(WEB) == there
    assert host_of_reference(OTHER).is_local


@pytest.mark.django_db
@pytest.mark.parametrize("reference", ["web", WEB[:12], "c" * 64])
def test_a_name_a_prefix_and_an_unknown_id_mean_the_local_host(reference: str) -> None:
    recipes.container(host=recipes.host("site-b"), engine_id=WEB, name="web")
    assert host_of_reference(reference).is_local


@pytest.mark.django_db
def test_an_id_on_two_hosts_a_removed_one_or_a_disabled_host_s_means_the_local_host() -> None:
    for name in ("site-b", "site-c"):
        recipes.container(host=recipes.host(name), engine_id=WEB)
    assert host_of_reference(WEB).is_local
    DockerHost.objects.filter(name="site-c").update(enabled=False)
    assert host_of_reference(WEB).name == "site-b"
    recipes.host("site-b").containers.update(removed_at=timezone.now())
    assert host_of_reference(WEB).is_local
