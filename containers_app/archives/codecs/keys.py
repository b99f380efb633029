"""The secrets that open what is encrypted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pyrage

from containers_app.errors import WrongKey


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a person holds: the texts of identity files (age secret keys or SSH private keys), a passphrase, or both.

    SSH keys with a passphrase of their own cannot be used.
    """

    identities: tuple[str, ...] = field(default=(), repr=False)
    passphrase: str | None = field(default=None, repr=False)

    @property
    def sealed(self) -> dict[str, Any]:
        """What there is of them, in JSON, to be kept encrypted and nowhere else."""
        values = {"passphrase": self.passphrase, "identities": list(self.identities)}
        return {name: value for name, value in values.items() if value}

    @classmethod
    def reopened(cls, sealed: Mapping[str, Any]) -> Self:
        """Of what `sealed` gave, among other values."""
        return cls(identities=tuple(sealed.get("identities") or ()), passphrase=sealed.get("passphrase"))


def parse_identities(keys: Keys) -> list[Any]:
    """The identities as pyrage wants them. Raises WrongKey for what is none, without its text."""
    return [
        identity for place, text in enumerate(keys.identities, start=1) for identity in _identities(text.strip(), place)
    ]


def _identities(text: str, place: int) -> list[Any]:
    try:
        if text.startswith("-----BEGIN "):
            return [pyrage.ssh.Identity.from_buffer(f"{text}\n".encode())]
        lines = [line.strip() for line in text.splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeEncodeError):
        # Without its cause, which may hold a piece of the key.
        raise WrongKey(
            f"Key {place} is no age secret key and no SSH private key: send the whole text of one."
        ) from None
