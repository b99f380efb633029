"""The clone form: each field becomes the option that the API takes, each mistake is told at its field."""

from __future__ import annotations

import re
from typing import Any

import pytest

from containers_app.admin.clone_form import CloneForm
from containers_app.models import Container, DockerHost
from tests import recipes
from tests.unit.admin.cloning import source, wish

pytestmark = pytest.mark.django_db


def form_of(*rows: Container, **values: str) -> CloneForm:
    return CloneForm(wish(*rows, **values), rows=rows)


def volume_fields(form: CloneForm) -> dict[str, str]:
    """The names of the fields of volumes, by their labels."""
    return {str(field.label): name for name, field in form.fields.items() if name.startswith("volume_")}


def test_a_form_as_it_comes_asks_for_the_published_clone() -> None:
    row = source()
    form = form_of(row)
    assert form.is_valid(), form.errors
    assert form.params(row).is_plain
    assert form.params(row).container == row.engine_id


@pytest.mark.parametrize(
    ("field", "text", "option", "value"),
    [
        ("image", "web:2", "image", "web:2"),
        ("command", "nginx\n-g\ndaemon off;", "command", ("nginx", "-g", "daemon off;")),
        ("entrypoint", "/bin/sh", "entrypoint", ("/bin/sh",)),
        ("user", "1000:1000", "user", "1000:1000"),
        ("hostname", "web-2", "hostname", "web-2"),
        ("memory", "512m", "resources", {"memory_bytes": 512 << 20}),
        ("cpus", "0.5", "resources", {"nano_processors": 5 * 10**8}),
        ("restart_policy", "always", "restart_policy", ("always", 0)),
    ],
)
def test_each_field_becomes_its_override(field: str, text: str, option: str, value: Any) -> None:
    row = source()
    form = form_of(row, **{field: text})
    assert form.is_valid(), form.errors
    overrides = form.params(row).overrides
    assert getattr(overrides, option) == value
    assert len(overrides.raw) == 1


def test_environment_and_labels_are_set_and_dropped() -> None:
    row = source()
    lines = {"env_set": "A=1\r\nB=x=y", "env_drop": "C\nD", "labels_set": "team=web", "labels_drop": "old"}
    overrides = form_of(row, **lines)
    assert overrides.is_valid(), overrides.errors
    read = overrides.params(row).overrides
    assert (dict(read.environment.set), read.environment.drop) == ({"A": "1", "B": "x=y"}, ("C", "D"))
    assert (dict(read.labels.set), read.labels.drop) == ({"team": "web"}, ("old",))


@pytest.mark.parametrize(
    ("text", "hosts"), [("8080:80", None), ("9090:80", [9090]), ("auto:80\n81:81", [None, 81]), ("", [])]
)
def test_ports_are_overridden_only_when_they_were_changed(text: str, hosts: list[int | None] | None) -> None:
    row = source()
    form = form_of(row, ports=text)
    assert form.is_valid(), form.errors
    ports = form.params(row).overrides.ports
    assert (None if ports is None else [port.host for port in ports]) == hosts


def test_the_ports_of_the_source_stand_in_the_empty_form() -> None:
    assert CloneForm(rows=[source()])["ports"].value() == "8080:80"


def test_each_volume_has_its_own_choice_and_a_bind_has_none() -> None:
    row = source()
    fields = volume_fields(CloneForm(rows=[row]))
    assert list(fields) == ["Volume pages", f"Volume {'c' * 64}"]
    form = form_of(row, **{fields["Volume pages"]: "copy"})
    assert form.is_valid(), form.errors
    assert form.params(row).volumes == {"pages": "copy"}


def test_the_name_of_a_hostile_volume_is_no_part_of_the_form() -> None:
    mount = {"type": "volume", "name": recipes.HOSTILE, "source": None, "target": recipes.HOSTILE, "readOnly": False}
    row = source(mounts=[mount, mount])
    form = CloneForm(rows=[row])
    (name,) = volume_fields(form).values()
    assert re.fullmatch("volume_[0-9a-f]{16}", name)
    html = form.as_p()
    assert "<img" not in html
    assert "\u202e" not in html
    given = form_of(row, **{name: "empty"})
    assert given.is_valid()
    assert given.params(row).volumes == {recipes.HOSTILE: "empty"}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "-web"),
        ("content", "everything"),
        ("consistency", "maybe"),
        ("wait_healthy_seconds", "5"),
        ("wait_healthy_seconds", "3601"),
        ("image", "no image!"),
        ("env_set", "no pair"),
        ("env_drop", "A=1"),
        ("labels_set", "org.mycodocker.operation=x"),
        ("labels_drop", "org.mycodocker.operation"),
        ("ports", "80"),
        ("ports", "99999:80"),
        ("ports", "999.1.1.1:80:80"),
        ("ports", "80:80/icmp"),
        ("networks", "!"),
        ("networks", "front ip=x"),
        ("memory", "much"),
        ("cpus", "some"),
        ("restart_policy", "sometimes"),
        ("restart_retries", "3"),
        ("hostname", "-"),
        ("host", "elsewhere"),
    ],
)
def test_a_mistake_is_told_at_its_field(field: str, text: str) -> None:
    recipes.host("site-b")
    form = form_of(source(), **{field: text})
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_a_host_is_asked_for_only_where_there_is_a_choice() -> None:
    row = source()
    assert "host" not in CloneForm(rows=[row]).fields
    recipes.host("site-b")
    recipes.host("old")
    DockerHost.objects.filter(name="old").update(enabled=False)
    choices: Any = CloneForm(rows=[row]).fields["host"]
    assert [value for value, _ in choices.choices] == ["", "site-b"]
    form = form_of(row, host="site-b")
    assert form.is_valid()
    assert form.params(row).host == "site-b"


def test_the_sources_own_host_is_no_other_host() -> None:
    rows = [source(), source(engine_id="b" * 64, host=recipes.host("site-b"))]
    form = form_of(*rows, host="site-b")
    assert form.is_valid(), form.errors
    assert [form.params(row).host for row in rows] == ["site-b", None]


def test_several_containers_are_asked_only_what_makes_sense_for_all() -> None:
    rows = [source(), source(engine_id="b" * 64, name="web-b")]
    form = CloneForm(rows=rows)
    own = {"name", "ports", "networks", "image", "command", "entrypoint", "user", "hostname"}
    assert not own & set(form.fields)
    assert volume_fields(form) == {}
    shown = {field.name for group in form.groups() for field in group.fields}
    assert shown == set(form.fields)


def test_every_field_of_one_container_is_in_a_group_and_what_is_filled_in_is_open() -> None:
    row = source()
    assert {field.name for group in CloneForm(rows=[row]).groups() for field in group.fields} == set(
        CloneForm(rows=[row]).fields
    )
    assert not any(group.open for group in form_of(row).groups())
    assert any(group.open for group in form_of(row, memory="1g").groups())
    assert any(group.open for group in form_of(row, memory="much").groups())
