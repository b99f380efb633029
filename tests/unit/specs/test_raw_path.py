from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs.raw_path import LONGEST_CHARACTERS, raw, shown


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"", ""),
        (b"etc/hosts", "etc/hosts"),
        ("b\u00e4r/\u20ac".encode(), "b\u00e4r/\u20ac"),
        (b"not-utf8-\xff\xfe", "not-utf8-%FF%FE"),
        (b"half-\xe2\x82", "half-%E2%82"),
        (b"100%", "100%25"),
        (b"new\nline\x7f", "new%0Aline%7F"),
        (b"\xc2\x85", "%C2%85"),
        (b"a+b c", "a+b c"),
    ],
)
def test_a_path_is_written_as_text_and_read_back(path: bytes, text: str):
    assert shown(path) == text
    assert raw(text, field="path") == path


@given(st.binary(max_size=200).filter(lambda path: b"\0" not in path))
def test_every_path_comes_back_as_it_was(path: bytes):
    text = shown(path)
    assert raw(text, field="path") == path
    text.encode()


@pytest.mark.parametrize("text", ["100%", "%", "%zz", "%2", "a%00b", "\ud800", "a" * (LONGEST_CHARACTERS + 1)])
def test_what_no_answer_wrote_is_refused_with_the_name_of_the_field(text: str):
    with pytest.raises(InvalidRequest) as caught:
        raw(text, field="after")
    assert caught.value.field == "after"


def test_lower_case_digits_are_understood_too():
    assert raw("%ff", field="path") == b"\xff"
