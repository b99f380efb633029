"""What the signer knows by itself: keys, what it signed last, what a person accepted, what reached each anchor.

It is in a folder that no backup of the database holds, and that nobody who can only write rows can write.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

from containers_app.audit.notes import (
    Checkpoint,
    NoteRefused,
    SigningKey,
    parse_checkpoint,
    read_signing_key,
    split_note,
)
from containers_app.errors import MycoError

_STATE: Final = "state.json"
_ACCEPTED: Final = "accepted.json"
_ANCHORED: Final = "anchored.json"
_OTHERS: Final = 0o077
# A shard, how many entries of it were signed, and their root in hex.
Lost: TypeAlias = tuple[int, int, str]
Parsed = TypeVar("Parsed")


class SignerUnfit(MycoError):
    """The signer's folder cannot be used; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The last checkpoint of a shard as it was signed; `is_given_up`: its entries are lost, and that was accepted."""

    note: str
    signed_at: float
    is_given_up: bool = False

    @property
    def moment(self) -> datetime:
        """When it was signed."""
        return datetime.fromtimestamp(self.signed_at, UTC)

    @property
    def checkpoint(self) -> Checkpoint:
        """What it says."""
        return parse_checkpoint(split_note(self.note)[0])


@dataclass(frozen=True, kw_only=True)
class Anchored:
    """The last checkpoint of a shard that reached an anchor: how many entries, when it was signed, and when it arrived.

    A folder of an older version does not know when it arrived (0).
    """

    size: int
    signed_at: float
    at: float = 0.0


class SignerBusy(SignerUnfit):
    """Another process is the signer."""


class SignerFolder:
    """The folder, with one key a shard and three files. Only the one signer writes `state.json` and `anchored.json`.

    Commands that a person runs as the same account write `accepted.json` and proposed keys.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder, for its owner only.

        Raises SignerUnfit when others can read it, when it is another account's, or when it cannot be used.
        """
        self._path = path
        self._signed: dict[int, Signed] = {}
        self._anchored: dict[str, dict[int, Anchored]] = {}
        with _using():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(path)
            self._recall()

    @classmethod
    def existing(cls, path: Path) -> Self:
        """The folder that a signer has made. Raises SignerUnfit when there is none."""
        if not path.is_dir():
            raise SignerUnfit(f"There is no signer's folder {path}: see MYCO_SIGNER_DIR.")
        return cls(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one signer, and know what the one before did last. Raises SignerBusy when there is another."""
        with _using():
            descriptor = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SignerBusy("A signer runs already with this folder.") from error
            with _using():
                self._recall()
            yield
        finally:
            os.close(descriptor)

    @property
    def signed(self) -> dict[int, Signed]:
        """The last checkpoint of each shard."""
        return dict(self._signed)

    def remember(self, shard: int, signed: Signed) -> None:
        """Store what was signed, durably; nothing is published before."""
        known = {**self._signed, shard: signed}
        _store(self._path / _STATE, {str(number): asdict(one) for number, one in known.items()})
        self._signed = known

    @property
    def accepted(self) -> frozenset[Lost]:
        """The losses that a person accepted here. Raises SignerUnfit."""
        with _using():
            return _read(self._path / _ACCEPTED, _accepted_in)

    def accept(self, lost: Iterable[Lost]) -> None:
        """Store, durably, that a person accepted these; it counts when a later shard says so too."""
        accepted = sorted(self.accepted | set(lost))
        with _using():
            _store(self._path / _ACCEPTED, accepted)

    def anchored(self, anchor: str, shard: int) -> Anchored | None:
        """What reached the anchor of that name last, of a shard."""
        return self._anchored.get(anchor, {}).get(shard)

    def remember_anchored(self, anchor: str, shard: int, anchored: Anchored) -> None:
        """Store what reached an anchor."""
        known = {**self._anchored, anchor: {**self._anchored.get(anchor, {}), shard: anchored}}
        content = {name: {str(one): asdict(last) for one, last in shards.items()} for name, shards in known.items()}
        _store(self._path / _ANCHORED, content)
        self._anchored = known

    def key(self, shard: int) -> SigningKey | None:
        """The key of a shard; None without one. Raises SignerUnfit when it is no key, or others can read it."""
        return self._key_of(f"{shard}.key")

    def add_key(self, shard: int, key: SigningKey) -> None:
        """Store the key of a new shard."""
        _write(self._path / f"{shard}.key", key.secret_text() + "\n")

    def next_key(self, shard: int) -> SigningKey | None:
        """The key that was proposed to follow; None without one."""
        return self._key_of(f"{shard}.next")

    def propose(self, shard: int, key: SigningKey) -> None:
        """Store the key that shall follow; it counts when the ledger says so."""
        _write(self._path / f"{shard}.next", key.secret_text() + "\n")

    def change_key(self, shard: int) -> None:
        """The proposed key takes the place of the old one, which is gone then."""
        (self._path / f"{shard}.next").replace(self._path / f"{shard}.key")
        _flush_folder(self._path)

    def _recall(self) -> None:
        self._signed = _read(self._path / _STATE, _signed_in)
        self._anchored = _read(self._path / _ANCHORED, _anchored_in)

    def _key_of(self, name: str) -> SigningKey | None:
        path = self._path / name
        if not path.exists():
            return None
        _check_private(path)
        try:
            return read_signing_key(path.read_text())
        except (OSError, ValueError) as error:
            raise SignerUnfit(f"{name} in the signer's folder is no key: bring back the one that was there.") from error


@contextmanager
def _using() -> Iterator[None]:
    """Say of the folder what the system said."""
    try:
        yield
    except OSError as error:
        raise SignerUnfit(f"The signer's folder cannot be used ({error.strerror}): see MYCO_SIGNER_DIR.") from error


def _check_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise SignerUnfit(f"{path} belongs to another account: run this as the account that the signer runs as.")
    if found.st_mode & _OTHERS:
        raise SignerUnfit(f"{path} can be used by others: take their rights away (chmod go= {path.name}).")


def _read(path: Path, parse: Callable[[Any], Parsed]) -> Parsed:
    """What `parse` makes of the content of a file, and of nothing where there is no file."""
    if not path.exists():
        return parse(())
    _check_private(path)
    try:
        return parse(json.loads(path.read_text())["content"])
    except (ValueError, KeyError, TypeError, AttributeError, NoteRefused) as error:
        damaged = f"{path.name} in the signer's folder is damaged: bring back the one that was there."
        raise SignerUnfit(damaged) from error


def _signed_in(content: Any) -> dict[int, Signed]:
    found = {int(shard): Signed(**members) for shard, members in dict(content).items()}
    for signed in found.values():
        _ = signed.checkpoint
    return found


def _accepted_in(content: Any) -> frozenset[Lost]:
    return frozenset((int(shard), int(size), str(root)) for shard, size, root in content)


def _anchored_in(content: Any) -> dict[str, dict[int, Anchored]]:
    return {
        name: {int(shard): Anchored(**members) for shard, members in shards.items()}
        for name, shards in dict(content).items()
    }


def _store(path: Path, content: object) -> None:
    _write(path, json.dumps({"version": 1, "content": content}, indent=1))


def _write(path: Path, text: str) -> None:
    """Replace a file at once and durably, for its owner only."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
