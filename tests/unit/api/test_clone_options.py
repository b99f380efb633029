"""The options of a clone as the endpoint takes them: each mistake is named by its field, and no value is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.operations.clone_options import read_clone
from containers_app.operations.kinds import CLONE
from containers_app.specs.overrides import AS_THE_SOURCE

SECRET = "hunter2-do-not-tell"


def test_without_options_it_is_the_published_clone() -> None:
    params = read_clone("web", {})
    assert params.is_plain
    assert not params.moves_content
    assert (params.name, params.data, params.consistency, params.overrides) == (None, "none", "live", AS_THE_SOURCE)
    assert read_clone("web", {"name": "web-2", "confirmPrivileged": True}).is_plain


@pytest.mark.parametrize(
    ("options", "moves"),
    [
        ({"data": "all"}, True),
        ({"data": "volumes"}, True),
        ({"volumes": {"data": "copy"}}, True),
        ({"volumes": {"data": "empty"}}, False),
        ({"host": "site-b"}, True),
        ({"start": True}, False),
        ({"dryRun": True}, False),
        ({"planHash": "0" * 64}, False),
        ({"overrides": {"user": "1000"}}, False),
    ],
)
def test_every_other_option_is_more_than_that(options: dict[str, Any], moves: bool) -> None:
    params = read_clone("web", options)
    assert not params.is_plain
    assert params.moves_content is moves


def test_content_may_take_as_long_as_a_backup_and_waiting_comes_on_top() -> None:
    conf = load()
    plain, full = read_clone("web", {}), read_clone("web", {"data": "all", "start": True, "waitHealthySeconds": 7})
    assert CLONE.time_limit_seconds(conf, plain) == conf.clone_timeout_seconds
    assert CLONE.time_limit_seconds(conf, full) == conf.backup_timeout_seconds + 7


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"colour": "red"}, "options.colour"),
        ({"name": "-"}, "options.name"),
        ({"dryRun": "yes"}, "options.dryRun"),
        ({"planHash": "0" * 63}, "options.planHash"),
        ({"planHash": "Z" * 64}, "options.planHash"),
        ({"host": 1}, "options.host"),
        ({"data": "some"}, "options.data"),
        ({"volumes": {"data": "move"}}, "options.volumes.data"),
        ({"volumes": ["data"]}, "options.volumes"),
        ({"consistency": "freeze"}, "options.consistency"),
        ({"start": 1}, "options.start"),
        ({"waitHealthySeconds": 5}, "options.waitHealthySeconds"),
        ({"start": True, "waitHealthySeconds": 3601}, "options.waitHealthySeconds"),
        ({"overrides": {"colour": SECRET}}, "options.overrides.colour"),
        ({"overrides": {"env": {"set": {"A": [SECRET]}}}}, "options.overrides.env.set.A"),
        ({"overrides": {"command": SECRET}}, "options.overrides.command"),
        ({"overrides": {"labels": {"set": {"org.mycodocker.operation": SECRET}}}}, "options.overrides.labels"),
    ],
)
def test_a_mistake_is_named_by_its_field_and_repeats_no_value(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_clone("web", options)
    assert str(refused.value.field).startswith(field)
    assert SECRET not in str(refused.value)
