from __future__ import annotations

import json

import pytest

from containers_app.archives.codecs import Keys


@pytest.mark.parametrize(
    "keys",
    [
        Keys(),
        Keys(passphrase="correct horse"),
        Keys(identities=("AGE-SECRET-KEY-1", "-----BEGIN")),
        Keys(identities=("AGE-SECRET-KEY-1",), passphrase="correct horse"),
    ],
    ids=["none", "passphrase", "identities", "both"],
)
def test_keys_come_back_out_of_what_was_sealed_of_them(keys: Keys):
    assert Keys.reopened(json.loads(json.dumps(keys.sealed))) == keys


def test_there_is_nothing_to_seal_of_no_keys_and_nothing_to_see_of_any():
    assert Keys().sealed == {}
    assert "horse" not in repr(Keys(passphrase="correct horse"))
