"""The inventory follows the Engine, outlives what it describes, and keeps no value of an environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from containers_app.errors import ContainerNotFound, EngineUnavailable
from containers_app.models import Container, DockerHost
from containers_app.specs.engine import ContainerSummary, EngineVersion
from containers_app.workflows import inventory
from tests import recipes

WEB, DATABASE = "a" * 64, "b" * 64
SECRET = "hunter2"


def inspected(identifier: str, name: str, **changes: Any) -> dict[str, Any]:
    """An inspect answer as an Engine gives it, shortened to what is read."""
    return {
        "Id": identifier,
        "Name": f"/{name}",
        "Created": "2026-02-12T03:20:00.123456789Z",
        "Image": "sha256:" + "c" * 64,
        "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
        "Config": {
            "Image": "nginx:1",
            "Env": ["PATH=/bin", f"PASSWORD={SECRET}", "EMPTY="],
            "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "front", "team": "a"},
        },
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}], "53/udp": [{"HostPort": "53"}]}},
        "NetworkSettings": {
            "Networks": {"shop_default": {}, "backend": {}},
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]},
        },
        "Mounts": [
            {"Type": "volume", "Name": "data", "Source": "/v/data", "Destination": "/data", "RW": True},
            {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": False},
        ],
        **changes,
    }


@dataclass
class Engine:
    """A reader of an Engine whose containers are these inspect answers; it counts what it is asked."""

    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def version(self) -> EngineVersion:
        return EngineVersion(engine="29.5.1", api="1.52", platform="linux/amd64")

    def containers(self) -> tuple[ContainerSummary, ...]:
        return tuple(
            ContainerSummary(
                id=raw["Id"],
                name=raw["Name"].removeprefix("/"),
                image=raw["Config"]["Image"],
                image_id=raw["Image"],
                state=raw["State"]["Status"],
                status="Up 2 hours",
                created_epoch_seconds=1770866400,
                labels=raw["Config"]["Labels"],
            )
            for raw in self.found.values()
        )

    def inspect(self, identifier: str) -> dict[str, Any]:
        self.asked.append(identifier)
        if identifier not in self.found:
            raise ContainerNotFound("no such container")
        return self.found[identifier]


def engine(*raws: dict[str, Any]) -> Any:
    return Engine({raw["Id"]: raw for raw in raws})


def test_an_inspect_answer_becomes_columns() -> None:
    row = inventory.describe(inspected(WEB, "web"))
    assert (row["name"], row["image"], row["state"], row["health"]) == ("web", "nginx:1", "running", "healthy")
    assert (row["stack"], row["service"], row["networks"]) == ("shop", "front", ["backend", "shop_default"])
    assert row["exit_code"] is None
    assert row["engine_created_at"] == datetime(2026, 2, 12, 3, 20, 0, 123456, tzinfo=UTC)
    assert row["ports"] == [
        {"container": 53, "protocol": "udp", "host": "53", "hostIp": None},
        {"container": 80, "protocol": "tcp", "host": "49153", "hostIp": "0.0.0.0"},
    ]
    assert row["mounts"] == [
        {"type": "volume", "name": "data", "source": "/v/data", "target": "/data", "readOnly": False},
        {"type": "bind", "name": None, "source": "/srv", "target": "/srv", "readOnly": True},
    ]


def test_of_the_environment_only_the_names_are_kept() -> None:
    row = inventory.describe(inspected(WEB, "web"))
    assert row["environment_names"] == ["EMPTY", "PASSWORD", "PATH"]
    assert SECRET not in repr(row)


def test_an_ended_container_keeps_its_exit_code_and_an_empty_answer_is_no_crash() -> None:
    ended = inspected(WEB, "web", State={"Status": "exited", "ExitCode": 137})
    assert inventory.describe(ended)["exit_code"] == 137
    bare = {"Config": None, "State": None, "HostConfig": None, "NetworkSettings": None, "Mounts": None}
    row = inventory.describe(inspected(WEB, "web", **bare))
    assert (row["ports"], row["mounts"], row["networks"], row["health"]) == ([], [], [], "")


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2026-02-12T03:20:00Z", datetime(2026, 2, 12, 3, 20, tzinfo=UTC)),
        ("2026-02-12T03:20:00.5Z", datetime(2026, 2, 12, 3, 20, 0, 500000, tzinfo=UTC)),
        ("", None),
        ("not a time", None),
    ],
)
def test_a_time_of_the_engine_is_read_or_left_out(created: str, expected: datetime | None) -> None:
    assert inventory.describe(inspected(WEB, "web", Created=created))["engine_created_at"] == expected


@pytest.mark.django_db
def test_rows_become_equal_to_the_engine_s_list() -> None:
    host = recipes.host()
    gone = recipes.container(host=host, engine_id=DATABASE, name="database")
    reader = engine(inspected(WEB, "web"))
    assert inventory.reconcile(host, reader) == 1
    gone.refresh_from_db()
    assert gone.removed_at is not None
    assert [row.name for row in Container.objects.present()] == ["web"]
    host.refresh_from_db()
    assert (host.reachable, host.engine_version, host.platform) == (True, "29.5.1", "linux/amd64")


@pytest.mark.django_db
def test_only_what_is_new_or_changed_is_inspected() -> None:
    host, reader = recipes.host(), engine(inspected(WEB, "web"), inspected(DATABASE, "database"))
    inventory.reconcile(host, reader)
    inventory.reconcile(host, reader)
    assert sorted(reader.asked) == [WEB, DATABASE]
    reader.found[WEB]["State"] = {"Status": "exited", "ExitCode": 1}
    inventory.reconcile(host, reader)
    assert reader.asked.count(WEB) == 2
    assert Container.objects.get(engine_id=WEB).exit_code == 1


@pytest.mark.django_db
def test_a_container_that_comes_back_is_no_longer_removed() -> None:
    host, reader = recipes.host(), engine(inspected(WEB, "web"))
    recipes.container(host=host, engine_id=WEB, removed_at=datetime(2026, 1, 1, tzinfo=UTC))
    inventory.reconcile(host, reader)
    assert Container.objects.get(engine_id=WEB).removed_at is None


@pytest.mark.django_db
def test_a_container_that_goes_between_list_and_look_is_marked_removed() -> None:
    host, reader = recipes.host(), engine()
    recipes.container(host=host, engine_id=WEB)
    assert inventory.refresh(host, reader, WEB) is None
    assert Container.objects.get(engine_id=WEB).removed_at is not None


@pytest.mark.django_db
def test_an_engine_that_does_not_answer_is_noted_and_its_containers_stay() -> None:
    host = recipes.host()
    recipes.container(host=host)
    inventory.note_unreachable(host, EngineUnavailable("the Engine does not answer: " + "x" * 600))
    stored = DockerHost.objects.get(pk=host.pk)
    assert stored.reachable is False
    assert len(stored.last_error) == 500
    assert Container.objects.present().count() == 1


@pytest.mark.django_db
def test_labels_and_names_that_no_column_takes_do_not_stop_the_inventory() -> None:
    host = recipes.host()
    labels = {"com.docker.compose.project": "p" * 4000, "com.docker.compose.service": "a\0b", "odd": "x\0\ud800y"}
    raw = inspected(WEB, "web", Config={"Image": "i" * 4000, "Env": ["A\0B=1"], "Labels": labels})
    inventory.reconcile(host, engine(raw, inspected(DATABASE, "database")))
    row = Container.objects.get(engine_id=WEB)
    assert (row.stack, len(row.image), row.service) == ("p" * 255, 512, "a\N{REPLACEMENT CHARACTER}b")
    assert row.labels["odd"] == "x\N{REPLACEMENT CHARACTER}?y"
    assert Container.objects.get(engine_id=DATABASE).name == "database"
