"""A commitment binds an entry to a value without holding it."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.commitments import ALTERED, ERASED, commit, digest_of, opened


@given(some.text(some.characters(exclude_categories=["Cs"])))
def test_the_disclosure_opens_the_commitment(value: str) -> None:
    commitment = commit("reason", value)
    assert opened(commitment.digest, commitment.text) == value


def test_the_digest_has_the_form_of_sd_jwt() -> None:
    # Computed with: printf '["salt","name","value"]' | openssl sha256 -binary | basenc --base64url
    assert digest_of('["salt","name","value"]') == "01t4rTiUYlrziuY8zURo2iHrbfZzltgNSAZzKQpvUVw"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", commit("a", "b").digest)


def test_the_disclosure_is_salt_name_and_value() -> None:
    salt, name, value = json.loads(commit("actor_label", "alice").text)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", salt)
    assert (name, value) == ("actor_label", "alice")


def test_two_commitments_to_one_value_differ() -> None:
    assert commit("actor_label", "alice").digest != commit("actor_label", "alice").digest


def test_a_deleted_disclosure_reads_erased() -> None:
    assert opened(commit("actor_label", "alice").digest, None) == ERASED


def test_a_changed_disclosure_reads_altered() -> None:
    commitment = commit("actor_label", "alice")
    assert opened(commitment.digest, commitment.text.replace("alice", "bobby")) == ALTERED


def test_the_value_is_not_in_the_repr() -> None:
    assert "alice" not in repr(commit("actor_label", "alice"))
