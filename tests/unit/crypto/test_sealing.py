from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.crypto.sealing import derived_key, keyed_digest, seal, unseal
from containers_app.errors import SealBroken

KEY = derived_key("the installation's secret", "sealed values")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_is_sealed_comes_back_as_it_was(values: dict[str, object]) -> None:
    assert unseal(seal(values, KEY), KEY) == values


def test_nothing_of_a_value_can_be_read_in_the_sealed_text() -> None:
    sealed = seal({"env": {"TOKEN": "hunter2"}}, KEY)
    assert b"hunter2" not in base64.urlsafe_b64decode(sealed)
    assert b"TOKEN" not in base64.urlsafe_b64decode(sealed)


def test_one_value_is_sealed_into_another_text_each_time() -> None:
    assert seal({"a": 1}, KEY) != seal({"a": 1}, KEY)


def test_another_key_opens_nothing_and_the_error_says_what_to_do() -> None:
    with pytest.raises(SealBroken, match="Ask again") as caught:
        unseal(seal({"TOKEN": "hunter2"}, KEY), derived_key("another secret", "sealed values"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "x", "gAAAA", "gAAAA\u00e9", "=" * 100])
def test_a_text_that_is_no_seal_is_refused_the_same_way(text: str) -> None:
    with pytest.raises(SealBroken):
        unseal(text, KEY)


@given(st.integers(0, 150), st.integers(1, 255))
def test_a_seal_of_which_one_byte_was_changed_is_refused(place: int, mask: int) -> None:
    sealed = bytearray(base64.urlsafe_b64decode(seal({"a": "b" * 100}, KEY)))
    sealed[place] ^= mask
    with pytest.raises(SealBroken):
        unseal(base64.urlsafe_b64encode(sealed).decode(), KEY)


def test_keys_differ_by_purpose_and_by_secret_and_are_the_same_again() -> None:
    keys = {derived_key(secret, purpose) for secret in ("one", "two") for purpose in ("plans", "requests")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert derived_key("one", "plans") in keys


def test_a_derived_key_is_that_of_the_standard() -> None:
    # RFC 5869 written out: extract with a salt of zeros, then one round of expansion.
    import hashlib
    import hmac

    extracted = hmac.new(b"\0" * 32, b"secret", hashlib.sha256).digest()
    assert derived_key("secret", "purpose") == hmac.new(extracted, b"purpose\x01", hashlib.sha256).digest()


def test_a_keyed_digest_needs_the_key() -> None:
    assert keyed_digest(b"value", KEY) == keyed_digest(b"value", KEY)
    assert len({keyed_digest(b"value", KEY), keyed_digest(b"value", b"other"), keyed_digest(b"valuf", KEY)}) == 3
