"""One start per data folder and per port; the second gets a sentence, and a killed first one is no obstacle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.once import check_port, only_start
from tests.throwaway import wait_until

HOLDER = """
import sys, signal
from pathlib import Path
from containers_app.management.launch.once import only_start
with only_start(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_start_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with only_start(tmp_path / "lock"):
        with pytest.raises(CannotStart, match=rf"running already, as process {os.getpid()}:"):
            with only_start(tmp_path / "lock"):
                raise AssertionError("the lock was given twice")


def test_after_the_end_the_next_start_may_begin(tmp_path: Path) -> None:
    for _ in range(2):
        with only_start(tmp_path / "lock"):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_killed_start_holds_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CannotStart), only_start(lock):
            pass
        holder.send_signal(signal.SIGKILL)
    with only_start(lock):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_a_port_in_use_is_a_sentence_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} of 127\.0\.0\.1 cannot be used.*MYCO_PORT="):
            check_port("127.0.0.1", port)


def test_a_port_of_a_moment_ago_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    wait_until(lambda: is_free(port), seconds=5, what="a free port")


def is_free(port: int) -> bool:
    try:
        check_port("127.0.0.1", port)
    except CannotStart:
        return False
    return True


def test_a_number_that_is_no_port_is_a_sentence() -> None:
    with pytest.raises(CannotStart, match="Port 70000"):
        check_port("127.0.0.1", 70000)
