"""How the parts of a backup are stored: compression and encryption, as requests ask for them and rows record them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyrage

from containers_app.errors import InvalidRequest

CODECS = ("none", "gzip", "zstd")
# The lowest and the highest level of each, and the one of who names none.
LEVELS: Mapping[str, tuple[int, int]] = MappingProxyType({"gzip": (0, 3), "zstd": (1, 19)})
DEFAULT_LEVELS: Mapping[str, int] = MappingProxyType({"gzip": 2, "zstd": 3})
MOST_THREADS = 8
MOST_RECIPIENTS = 20
PASSPHRASE_CHARACTERS = (8, 1024)

_COMPRESSION, _ENCRYPTION = "options.compression", "options.encryption"
_SUFFIXES = MappingProxyType({"none": "", "gzip": ".gz", "zstd": ".zst"})
_LONGEST_RECIPIENT = 2048


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How one part is stored; the default stores it as it is.

    `codec` is one of CODECS, and `level` within its LEVELS (None: its DEFAULT_LEVELS). `threads` compress, zstd only.
    Encrypted either for `recipients` (age X25519 or SSH public keys) or with a `passphrase`, by the age format.
    """

    codec: str = "none"
    level: int | None = None
    threads: int = 1
    recipients: tuple[str, ...] = ()
    passphrase: str | None = field(default=None, repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether a key is needed to read the part."""
        return bool(self.recipients) or self.passphrase is not None

    @property
    def plain(self) -> bool:
        """Whether the stored bytes are the plain ones."""
        return self.codec == "none" and not self.encrypted

    @property
    def suffix(self) -> str:
        """What follows a part's file name: nothing, `.gz` or `.zst`, then `.age` when it is encrypted."""
        return _SUFFIXES[self.codec] + (".age" if self.encrypted else "")

    @property
    def shown(self) -> dict[str, Any]:
        """The recorded form: how it is stored and for whom, but no passphrase. All values are JSON."""
        key = "passphrase" if self.passphrase is not None else "recipients"
        return {
            "codec": self.codec,
            "level": DEFAULT_LEVELS.get(self.codec) if self.level is None else self.level,
            "threads": self.threads,
            "encryption": "age" if self.encrypted else None,
            "keys": key if self.encrypted else None,
            "recipients": list(self.recipients),
        }


def read_encoding(compression: object, encryption: object) -> Encoding:
    """The encoding that a request's JSON asks for; None of either means without it.

    `compression` is one of CODECS, or an object of `codec`, `level` and `threads`. `encryption` is an object with
    either `recipients`, a list of public keys, or a `passphrase`. Raises InvalidRequest for `options.compression` or
    `options.encryption`, with words that repeat neither a key nor a passphrase.
    """
    codec, level, threads = _compression(compression)
    recipients, passphrase = _encryption(encryption)
    return Encoding(codec=codec, level=level, threads=threads, recipients=recipients, passphrase=passphrase)


def _compression(value: object) -> tuple[str, int | None, int]:
    wanted = {"codec": "none" if value is None else value} if not isinstance(value, dict) else value
    codec = wanted.get("codec")
    if not isinstance(codec, str) or codec not in CODECS:
        raise _refused(_COMPRESSION, f"must be one of {', '.join(CODECS)}, or an object whose 'codec' is one of them")
    if wanted.keys() - {"codec", "level", "threads"}:
        raise _refused(_COMPRESSION, "has an unknown key: it takes 'codec', 'level' and 'threads'")
    if codec == "none" and len(wanted) > 1:
        raise _refused(_COMPRESSION, "has nothing to set for 'none': leave out 'level' and 'threads'")
    level = _whole(wanted, "level", *LEVELS.get(codec, (0, 0)))
    threads = _whole(wanted, "threads", 1, MOST_THREADS if codec == "zstd" else 1)
    return codec, level, 1 if threads is None else threads


def _whole(wanted: Mapping[str, object], name: str, lowest: int, highest: int) -> int | None:
    value = wanted.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        limits = str(lowest) if lowest == highest else f"a whole number, {lowest} to {highest}"
        raise _refused(_COMPRESSION, f"needs as '{name}' of {wanted['codec']} {limits}")
    return value


def _encryption(value: object) -> tuple[tuple[str, ...], str | None]:
    if value is None:
        return (), None
    if not isinstance(value, dict) or value.keys() not in ({"recipients"}, {"passphrase"}):
        raise _refused(_ENCRYPTION, "must be null, or an object with either 'recipients' or 'passphrase'")
    if "passphrase" in value:
        return (), _passphrase(value["passphrase"])
    return _recipients(value["recipients"]), None


def _passphrase(value: object) -> str:
    shortest, longest = PASSPHRASE_CHARACTERS
    # What holds a control character cannot be typed where `age` asks for it.
    if not isinstance(value, str) or not shortest <= len(value) <= longest or not value.isprintable():
        raise _refused(_ENCRYPTION, f"needs a passphrase of {shortest} to {longest} printable characters")
    return value


def _recipients(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_RECIPIENTS:
        raise _refused(_ENCRYPTION, f"needs a list of 1 to {MOST_RECIPIENTS} recipients")
    return tuple(_recipient(text, place) for place, text in enumerate(value, start=1))


def _recipient(text: object, place: int) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST_RECIPIENT or not text.isprintable():
        raise _refused(_ENCRYPTION, f"has as recipient {place} no line of text")
    if text.upper().startswith("AGE-SECRET-KEY-"):
        raise _refused(_ENCRYPTION, f"has a secret key as recipient {place}: send the public one, and replace this one")
    try:
        parse_recipient(text)
    except pyrage.RecipientError:
        words = "is no public key: send one that begins with age1, ssh-ed25519 or ssh-rsa"
        raise InvalidRequest(f"recipient {place} of '{_ENCRYPTION}' {words}", field=_ENCRYPTION) from None
    return text


def parse_recipient(text: str) -> Any:
    """The recipient as pyrage wants it. Raises pyrage.RecipientError for what is no age X25519 or SSH public key."""
    kind = pyrage.x25519.Recipient if text.startswith("age1") else pyrage.ssh.Recipient
    return kind.from_str(text)


def _refused(field_name: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"'{field_name}' {words}", field=field_name)
