"""Where a started console keeps its files: one folder of the owner's, so that removing it removes all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from containers_app.management.launch.failures import CannotStart
from containers_app.specs.endpoint import SOCKET_PATH_LIMIT_BYTES

PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Places:
    """The files and folders below the data folder `data`, an absolute path."""

    data: Path

    @property
    def run(self) -> Path:
        """What exists only while the console runs."""
        return self.data / "run"

    @property
    def log(self) -> Path:
        """The logs of the processes."""
        return self.data / "log"

    @property
    def broker_data(self) -> Path:
        """What the embedded broker keeps over a restart."""
        return self.data / "broker"

    @property
    def broker_socket(self) -> Path:
        """Where the embedded broker listens."""
        return self.run / "broker.sock"

    @property
    def supervisor_config(self) -> Path:
        """The process manager's configuration, written at each start."""
        return self.run / "supervisord.conf"

    @property
    def lock(self) -> Path:
        """Held while the console runs; the number of its process is in it."""
        return self.run / "launcher.lock"

    @property
    def worker_ready(self) -> Path:
        """Written by the worker when it takes work."""
        return self.run / "worker.ready"

    @property
    def demo_env(self) -> Path:
        """The demonstration's address and keys, for scripts; there only while the console is ready."""
        return self.data / "demo.env"

    @property
    def previous_demo_env(self) -> Path:
        """The keys of an earlier start, from the moment of a new start until it is ready."""
        return self.data / "secrets" / "demo.env.previous"

    @property
    def engine(self) -> Path:
        """The private Engine's folder, or a link to it."""
        return self.data / "engine"

    @property
    def backups(self) -> Path:
        """The demonstration's backup storage."""
        return self.data / "backups" / "containers"

    def prepare(self) -> None:
        """Make the folders, for their owner only. Raises CannotStart with the reason."""
        _check_spelling(self.data, remedy="set MYCO_DATA_DIR to another folder")
        _check_spelling(PROJECT, remedy="move the project to another folder")
        if len(bytes(self.broker_socket)) > SOCKET_PATH_LIMIT_BYTES:
            raise CannotStart(
                f"{self.broker_socket} is longer than {SOCKET_PATH_LIMIT_BYTES} bytes, too long for a socket: "
                "set MYCO_DATA_DIR to a shorter folder."
            )
        try:
            for folder in (self.data, self.run, self.log, self.broker_data, self.previous_demo_env.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise CannotStart(
                f"The folder {self.data} cannot be used ({error.strerror}): make it writable, or set MYCO_DATA_DIR."
            ) from error


def _check_spelling(folder: Path, *, remedy: str) -> None:
    """In the process manager's configuration a percent sign begins a substitution, in some settings twice over; a
    `;` after a space begins a comment, and a line is a setting."""
    text = str(folder)
    if not text.isprintable() or " ;" in text or "%" in text:
        raise CannotStart(f"The path {text!r} holds '%', ' ;' or a control character: {remedy}.")
