"""What a lenient parser takes in silence is refused, in time that grows with the body and not with its square."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import example, given
from hypothesis import strategies as st

from containers_app.api.strict_json import LIMIT_BYTES, LIMIT_DEPTH, StrictJsonParser, parse_object, read_object
from containers_app.errors import InvalidRequest, MycoError, RequestTooLarge, UnsupportedMediaType

LARGEST = 2**53
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text
)


def values(depth: int) -> st.SearchStrategy[Any]:
    if depth == 0:
        return scalars
    inner = st.deferred(lambda: values(depth - 1))
    return scalars | st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3)


objects = st.dictionaries(plain_text, values(LIMIT_DEPTH - 1), max_size=5)


@given(objects, st.booleans())
@example({"": {"__proto__": []}}, True)
@example({"braces in a text": '[[[[[[[[[{{{{{{{{{"\\'}, True)
def test_an_object_within_the_limits_is_read_as_json_reads_it(value: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if len(body) <= LIMIT_BYTES:
        assert parse_object(body) == json.loads(body) == value


@given(
    st.binary(max_size=200)
    | st.text('{}[]":,\\u0d1e9+-. \n\ud800\x00', max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_an_object_or_a_refusal(body: bytes) -> None:
    value, refusal = None, ""
    try:
        value = parse_object(body)
    except MycoError as refused:
        refusal = refused.message
    assert refusal.isprintable()
    assert refusal or value == json.loads(body)


BROKEN = {
    "nothing": b"",
    "white space": b" \r\n\t",
    "sixty thousand brackets": b"[" * 60_000,
    "sixty thousand braces": b'{"a":' * 12_000,
    "objects 5,000 deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "nine levels": b'{"a":' * 9 + b"1" + b"}" * 9,
    "nine levels after closed ones": b'{"b":[[[]]],"a":' + b"[" * 8 + b"]" * 8 + b"}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus infinity": b'{"a": -Infinity}',
    "1e999": b'{"a": 1e999}',
    "-1e999": b'{"a": -1e999}',
    "an integer of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "2^53 + 1": b'{"a": %d}' % (LARGEST + 1),
    "-(2^53 + 1)": b'{"a": %d}' % -(LARGEST + 1),
    "a key twice": b'{"action": "clone", "action": "backup"}',
    "a key twice, once escaped": b'{"action": "clone", "\\u0061ction": "backup"}',
    "an inner key twice": b'{"options": {"name": "a", "name": "b"}}',
    "NUL in a key": b'{"a\\u0000": 1}',
    "NUL in a value": b'{"a": "x.tar\\u0000.png"}',
    "NUL in a list": b'{"a": ["b", ["\\u0000"]]}',
    "a raw NUL": b'{"a": "\x00"}',
    "half a surrogate pair in a key": b'{"\\ud800": 1}',
    "half a surrogate pair in a value": b'{"a": "\\udfff"}',
    "half a surrogate pair in an inner key": b'{"a": {"b": [{"\\udbff": null}]}}',
    "half a surrogate pair as bytes": b'{"a": "\xed\xa0\x80"}',
    "UTF-16 with a mark": '{"a": 1}'.encode("utf-16"),
    "UTF-16, little end first": '{"a": 1}'.encode("utf-16-le"),
    "UTF-16, big end first": '{"a": 1}'.encode("utf-16-be"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"a": "\xc0\xae\xc0\xae"}',
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "an array": b"[]",
    "an array of an object": b'[{"a": 1}]',
    "a text": b'"a"',
    "a number": b"5",
    "null": b"null",
    "two objects": b"{}{}",
    "a comment": b"{} // done",
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a form": b"action=clone&containerId=web",
    "an open text": b'{"a',
    "a newline in a text": b'{"a": "b\nc"}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_is_not_a_plain_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_object(body)


def test_a_refusal_names_the_key_that_is_there_twice() -> None:
    with pytest.raises(InvalidRequest, match="ticket") as refused:
        parse_object(b'{"ticket": 1, "reason": 2, "ticket": 3}')
    assert refused.value.field == "ticket"


def test_a_key_that_is_there_twice_is_shown_without_control_characters() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_object(b'{"\\r\\n\\u001b[2J": 1, "\\r\\n\\u001b[2J": 2}')
    assert refused.value.message.isprintable()


def test_the_limits_themselves_are_within_them() -> None:
    deep = b'{"a":' * LIMIT_DEPTH + b"1" + b"}" * LIMIT_DEPTH
    full = b'{"a":"' + b"x" * (LIMIT_BYTES - 8) + b'"}'
    assert parse_object(deep) == json.loads(deep)
    assert len(full) == LIMIT_BYTES
    assert parse_object(full) == json.loads(full)
    assert parse_object(b'{"a":[%d,%d]}' % (LARGEST, -LARGEST)) == {"a": [LARGEST, -LARGEST]}


@pytest.mark.parametrize(
    "body", [b'{"a":"' + b"x" * (LIMIT_BYTES - 7) + b'"}', b"[" * 100_000, b" " * (LIMIT_BYTES + 1)]
)
def test_one_byte_over_the_limit_is_too_large(body: bytes) -> None:
    with pytest.raises(RequestTooLarge):
        parse_object(body)


SLOW_ONCE = {
    "a text of escaped quotes that never ends": b'{"' + b'\\"' * 32_000,
    "quotes": b'{"a":' + b'"' * 65_000,
    "the last of many keys twice": b"{%s}" % b",".join([b'"%d":1' % n for n in range(6_500)] + [b'"6499":1']),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("body", SLOW_ONCE.values(), ids=SLOW_ONCE.keys())
def test_a_full_body_is_refused_without_work_that_grows_with_its_square(body: bytes) -> None:
    assert len(body) <= LIMIT_BYTES
    with pytest.raises(InvalidRequest):
        parse_object(body)


def request(body: bytes, content_type: str = "application/json", source: object = None, **environ: Any) -> HttpRequest:
    """A POST; `source` stands for the body that the server reads from the wire."""
    environ = {"CONTENT_TYPE": content_type, **environ}
    if source is not None:
        environ["wsgi.input"] = source
    return RequestFactory().generic("POST", "/api/docker/containers", data=body, **environ)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json ; charset=utf-8 ",
    ],
)
def test_plain_json_in_utf_8_is_taken(content_type: str) -> None:
    assert read_object(request(b'{"a": "\xc3\xa9"}', content_type)) == {"a": "é"}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.x+json",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=unknown",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json, text/plain",
        "application/json; charset=utf8",
    ],
)
def test_another_content_type_is_not_supported(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_object(request(b'{"a": 1}', content_type))


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', gzip.compress(b'{"a": 1}', mtime=0), gzip.compress(b" " * 10_000_000, mtime=0)]
)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity"])
def test_a_content_encoding_is_not_supported(body: bytes, encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read_object(request(body, HTTP_CONTENT_ENCODING=encoding))


class Endless(io.RawIOBase):
    """A body without an end, that counts what was taken from it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "somebody wants to read it to the end"
        self.taken += size
        return b" " * size


class Broken(io.RawIOBase):
    """A body whose sender went away."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError("the peer is gone")


def test_a_chunked_body_over_the_limit_is_read_no_further_than_the_limit() -> None:
    source = Endless()
    chunked = request(b"", HTTP_TRANSFER_ENCODING="chunked", source=source)
    with pytest.raises(RequestTooLarge):
        read_object(chunked)
    assert source.taken == LIMIT_BYTES + 1


@pytest.mark.parametrize("length", [str(LIMIT_BYTES + 1), "3000000", "5368709120", "9" * 5_000])
def test_a_body_that_says_it_is_over_the_limit_is_not_read_at_all(length: str) -> None:
    source = Endless()
    with pytest.raises(RequestTooLarge):
        read_object(request(b"", CONTENT_LENGTH=length, source=source))
    assert source.taken == 0


def test_a_chunked_body_is_read_without_a_length() -> None:
    chunked = request(b"", HTTP_TRANSFER_ENCODING="Chunked", source=io.BytesIO(b'{"a": 1}'))
    assert read_object(chunked) == {"a": 1}


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "²", "0x10", " "])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequest):
        read_object(request(b'{"a": 1}', CONTENT_LENGTH=length))


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": "8"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_that_breaks_off_is_a_bad_request(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="broke off"):
        read_object(request(b"", source=Broken(), **headers))


def test_a_body_shorter_than_it_says_is_a_bad_request() -> None:
    with pytest.raises(InvalidRequest):
        read_object(request(b"", CONTENT_LENGTH="8", source=io.BytesIO(b'{"a": 1')))


def test_the_frameworks_parser_has_the_same_limits() -> None:
    assert StrictJsonParser().parse(io.BytesIO(b'{"a": 1}')) == {"a": 1}
    with pytest.raises(RequestTooLarge):
        StrictJsonParser().parse(Endless())
