from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs import fields


def mistake(read: Callable[[], object]) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        read()
    return caught.value.field, caught.value.message


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (fields.text, {"a": 1}),
        (fields.text, {"a": "x" * 256}),
        (fields.required_text, {}),
        (fields.required_text, {"a": ""}),
        (fields.flag, {"a": 1}),
        (fields.flag, {"a": "true"}),
        (fields.whole, {"a": True}),
        (fields.whole, {"a": 1.0}),
        (fields.whole, {"a": -1}),
        (fields.whole, {"a": "1"}),
        (fields.mapping, {"a": []}),
        (fields.text_map, {"a": "x"}),
        (fields.texts, {"a": "x"}),
        (fields.objects, {"a": {}}),
    ],
)
def test_a_wrong_value_names_its_field_with_all_that_is_around_it(read: Callable[..., object], body: Any) -> None:
    field, message = mistake(lambda: read(body, "a", inside="options."))
    assert field == "options.a"
    assert "'options.a'" in message


def test_a_wrong_entry_of_a_list_or_object_is_named_by_its_place() -> None:
    assert mistake(lambda: fields.texts({"a": ["x", 1]}, "a", inside="o."))[0] == "o.a[1]"
    assert mistake(lambda: fields.objects({"a": [{}, "x"]}, "a", inside="o."))[0] == "o.a[1]"
    assert mistake(lambda: fields.text_map({"a": {"k": None}}, "a", inside="o."))[0] == "o.a.k"


@pytest.mark.parametrize(
    ("read", "absent"),
    [
        (fields.text, None),
        (fields.whole, None),
        (fields.texts, None),
        (fields.objects, None),
        (fields.mapping, {}),
        (fields.text_map, {}),
    ],
)
def test_null_is_as_absent(read: Callable[..., object], absent: object) -> None:
    assert read({}, "a") == read({"a": None}, "a") == absent


def test_a_choice_has_a_default_and_says_what_it_may_be() -> None:
    known = ("copy", "share")
    assert fields.choice({}, "a", known, default="copy") == fields.choice({"a": None}, "a", known, default="copy")
    assert fields.choice({"a": "share"}, "a", known, default="copy") == "share"
    assert "copy, share" in mistake(lambda: fields.choice({"a": ""}, "a", known, default="copy"))[1]


def test_the_limits_of_a_number_count_as_within() -> None:
    assert [fields.whole({"a": number}, "a", lowest=1, highest=3) for number in (1, 3)] == [1, 3]
    assert "1 to 3" in mistake(lambda: fields.whole({"a": 4}, "a", lowest=1, highest=3))[1]


def test_objects_come_with_the_prefix_of_their_own_fields() -> None:
    assert fields.objects({"a": [{"b": 1}]}, "a", inside="o.") == (("o.a[0].", {"b": 1}),)


def test_an_unknown_key_is_a_mistake_that_lists_the_known_ones() -> None:
    field, message = mistake(lambda: fields.only({"b": 1}, frozenset({"z", "a"}), inside="o."))
    assert (field, message) == ("o.b", "unknown field 'o.b': known are a, z")


@given(st.text())
def test_a_key_is_repeated_as_short_printable_text(name: str) -> None:
    shown = fields.printable(name)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 64 * 12 + 4


def test_a_value_that_was_mistaken_for_a_key_is_not_repeated() -> None:
    wrong = {"set": {"TOKEN=hunter2": None}, "TOKEN=hunter2": 1}
    errors = [
        mistake(lambda: fields.text_map(wrong, "set")),
        mistake(lambda: fields.only(wrong, frozenset({"set"}))),
    ]
    assert "hunter2" not in str(errors)
    assert "TOKEN=..." in errors[0][1]


def test_a_line_for_people_has_no_control_characters() -> None:
    assert fields.line({"reason": "wéll"}, "reason", longest=5) == "wéll"
    assert fields.line({}, "reason", longest=5) == ""
    assert mistake(lambda: fields.line({"reason": "a\nb"}, "reason", longest=5))[0] == "reason"


@pytest.mark.parametrize(
    ("query", "expected"), [({}, 50), ({"limit": "1"}, 1), ({"limit": "200"}, 200), ({"limit": "007"}, 7)]
)
def test_a_number_of_a_query_is_read_or_its_default(query: dict[str, str], expected: int) -> None:
    assert fields.number(query, "limit", default=50, highest=200) == expected


@pytest.mark.parametrize("text", ["", "0", "201", "-1", "+1", "1.0", "1e2", "x", "\u0661", "9" * 5000])
def test_what_is_no_number_of_a_query_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest, match="'limit' must be 1 to 200") as caught:
        fields.number({"limit": text}, "limit", default=50, highest=200)
    assert caught.value.field == "limit"
