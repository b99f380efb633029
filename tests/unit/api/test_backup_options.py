"""The options of a backup as the endpoint takes them: each mistake is named by its field, and no value is repeated."""

from __future__ import annotations

from typing import Any

import pyrage
import pytest

from containers_app.errors import InvalidRequest
from containers_app.operations.backup_options import read_backup, read_stack_backup
from containers_app.operations.kinds import BACKUP
from containers_app.workflows.set_content import CONTENTS

SECRET = "hunter2-do-not-tell"
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


def test_without_options_it_is_the_published_backup() -> None:
    params = read_backup("web", {})
    assert params.contents == ("rootfs",)
    assert (params.consistency, params.with_values, params.pin, params.note) == ("live", True, False, "")
    assert not params.encoding.encrypted
    assert params.encoding.suffix == ""


def test_contents_come_in_one_order_each_once() -> None:
    params = read_backup("web", {"contents": ["volumes", "config", "volumes"]})
    assert params.contents == ("config", "volumes")
    assert read_backup("web", {"contents": list(CONTENTS)}).contents == CONTENTS


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"colour": "red"}, "options.colour"),
        ({"name": "../x"}, "options.name"),
        ({"path": "/etc"}, "options.path"),
        ({"contents": []}, "options.contents"),
        ({"contents": ["everything"]}, "options.contents"),
        ({"contents": "rootfs"}, "options.contents"),
        ({"contents": [1]}, "options.contents[0]"),
        ({"volumes": ["data"]}, "options.volumes"),
        ({"contents": ["volumes"], "volumes": "data"}, "options.volumes"),
        ({"exclude": ["cache"]}, "options.exclude"),
        ({"contents": ["volumes"], "exclude": ["/cache"]}, "options.exclude"),
        ({"contents": ["volumes"], "include": [""]}, "options.include"),
        ({"contents": ["volumes"], "include": ["a\0b"]}, "options.include"),
        ({"contents": ["volumes"], "include": ["\ud800"]}, "options.include"),
        ({"contents": ["volumes"], "exclude": ["x"] * 65}, "options.exclude"),
        ({"contents": ["volumes"], "exclude": ["x" * 257]}, "options.exclude[0]"),
        ({"secrets": False}, "options.secrets"),
        ({"contents": ["config"], "secrets": "no"}, "options.secrets"),
        ({"consistency": "freeze"}, "options.consistency"),
        ({"compression": "lzma"}, "options.compression"),
        ({"encryption": {"passphrase": "short"}}, "options.encryption"),
        ({"note": "two\nlines"}, "options.note"),
        ({"note": "x" * 501}, "options.note"),
        ({"pin": 1}, "options.pin"),
        ({"hooks": "all"}, "options.hooks"),
        ({"hooks": {"before": ""}}, "options.hooks.before"),
    ],
)
def test_a_mistake_is_named_by_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_backup("web", options)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "x.tar", "path": "nightly", "confirmProtected": True, "note": "n", "pin": True},
        {"compression": {"codec": "zstd", "level": 5, "threads": 2}, "encryption": {"passphrase": SECRET}},
        {"compression": {"codec": "gzip", "level": 1}, "encryption": {"recipients": [RECIPIENT]}},
        {"hooks": "auto"},
        {"hooks": {"before": SECRET, "after": ["/bin/true"], "timeoutSeconds": 5}},
        {"contents": ["binds"], "include": ["a/*"], "exclude": ["*.tmp", "cache/"]},
        {"contents": ["config", "volumes"], "volumes": ["data", "/srv"], "secrets": False, "consistency": "stop"},
    ],
)
def test_a_row_gives_the_same_params_again(options: dict[str, Any]) -> None:
    params = read_backup("web", options)
    assert BACKUP.restore(BACKUP.record(params), BACKUP.sealed(params)) == params


def test_a_command_and_a_passphrase_stand_sealed_and_nowhere_else() -> None:
    for options in ({"hooks": {"before": SECRET}}, {"encryption": {"passphrase": SECRET}}):
        params = read_backup("web", options)
        assert SECRET not in repr(params) + repr(BACKUP.record(params))
        assert SECRET in repr(BACKUP.sealed(params))


def test_a_stack_takes_no_command_of_one_s_own() -> None:
    assert read_stack_backup({"project": "shop", "hooks": "auto"}).hooks == "auto"
    with pytest.raises(InvalidRequest) as refused:
        read_stack_backup({"project": "shop", "hooks": {"before": SECRET}})
    assert refused.value.field == "hooks"
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "project"),
        ({"project": "Shop"}, "project"),
        ({"project": "shop", "contents": ["x"]}, "contents"),
        ({"project": "shop", "exclude": ["x"]}, "exclude"),
        ({"project": "shop", "secrets": False}, "secrets"),
        ({"project": "shop", "volumes": ["x"]}, "volumes"),
        ({"project": "shop", "path": "/etc"}, "options.path"),
        ({"project": "shop", "name": "x" * 101}, "name"),
    ],
)
def test_a_mistake_in_a_stack_s_wish_is_named_by_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_stack_backup(body)
    assert refused.value.field == field


def test_a_row_of_the_version_before_is_still_understood() -> None:
    recorded = {"container": "web", "name": None, "path": None, "confirm_protected": False}
    assert BACKUP.restore(recorded, {}) == read_backup("web", {})
