"""What the signer knows by itself, keys and what it signed last: in a folder that no backup of the database holds."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

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
_OTHERS: Final = 0o077


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


class SignerBusy(SignerUnfit):
    """Another process is the signer."""


class SignerFolder:
    """The folder, with one key a shard, and `state.json`. Only the one signer writes the state."""

    def __init__(self, path: Path) -> None:
        """Make the folder, for its owner only. Raises SignerUnfit when others can read it, or it cannot be used."""
        self._path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(path)
            self._signed = _read_state(path / _STATE)
        except OSError as error:
            raise SignerUnfit(f"The signer's folder cannot be used ({error.strerror}): see MYCO_SIGNER_DIR.") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one signer. Raises SignerBusy when there is another."""
        descriptor = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SignerBusy("A signer runs already with this folder.") from error
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
        shards = {str(number): asdict(one) for number, one in known.items()}
        _write(self._path / _STATE, json.dumps({"version": 1, "shards": shards}, indent=1))
        self._signed = known

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

    def _key_of(self, name: str) -> SigningKey | None:
        path = self._path / name
        if not path.exists():
            return None
        _check_private(path)
        try:
            return read_signing_key(path.read_text())
        except (OSError, ValueError) as error:
            raise SignerUnfit(f"{name} in the signer's folder is no key: bring back the one that was there.") from error


def _check_private(path: Path) -> None:
    if path.stat().st_mode & _OTHERS:
        raise SignerUnfit(f"{path} can be used by others: take their rights away (chmod go= {path.name}).")


def _read_state(path: Path) -> dict[int, Signed]:
    if not path.exists():
        return {}
    try:
        shards = json.loads(path.read_text())["shards"]
        found = {int(shard): Signed(**members) for shard, members in shards.items()}
        for signed in found.values():
            _ = signed.checkpoint
    except (ValueError, KeyError, TypeError, AttributeError, NoteRefused) as error:
        raise SignerUnfit("state.json in the signer's folder is damaged: bring back the one that was there.") from error
    return found


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
