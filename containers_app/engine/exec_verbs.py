"""Commands in a running container, by the Engine's exec: bounded in time and output, and ended where they hang."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from containers_app.engine.errors import printable
from containers_app.engine.patience import patiently
from containers_app.engine.streams import ByteStream, FrameStream, wait_forever
from containers_app.engine.transport import container_id, name_segment
from containers_app.engine.verbs import Verbs, text_of
from containers_app.errors import EngineError, MycoError

OUTPUT_LIMIT_CHARACTERS = 4096
# What a command's process, and all that it starts, has in its environment: by this they are found again.
MARK = "MYCODOCKER_OPERATION"
# A program that cannot be started: the Engine says 126 or 127, depending on its version.
NOT_STARTED_CODES = (126, 127)
_POLL_SECONDS = 0.05
_ENDING_SECONDS = 10.0
_NOTICED_SECONDS = 3.0
# The Engine's interface cannot end a command, and knows its process by the host's number only. From inside, its
# processes are found by the mark. A command leads a group of its own, which also has those that changed their user and
# hide their environment by that; the groups go first, because a shell whose child ends would go on, or end.
# Three rounds, for what is started meanwhile. Shells leave the NULs between the variables out.
_END_MARKED = """
for round in 1 2 3; do
  found=
  for process in /proc/[0-9]*; do
    number=${process#/proc/}
    [ "$number" != 1 ] || continue
    case $(cat "$process/environ" 2>/dev/null) in *"$1"*) found="$found $number" ;; esac
  done
  [ "$found" ] || exit 0
  for number in $found; do kill -KILL "-$number"; done 2>/dev/null
  for number in $found; do kill -KILL "$number"; done 2>/dev/null
done
exit 1
"""


@dataclass(frozen=True, kw_only=True)
class ExecEnd:
    """How a command ended. `exit_code` is None where its time limit passed; `left_running` says that it goes on then.

    `output` is the end of what it printed, on both channels, control characters escaped. It may hold secrets.
    """

    exit_code: int | None
    left_running: bool = False
    output: str = field(default="", repr=False)


class ExecVerbs(Verbs):
    """Run a command in a container that runs."""

    def run_exec(
        self, container: str, command: Sequence[str], *, timeout_seconds: float, tick: Callable[[], None]
    ) -> ExecEnd:
        """Run a command with the container's own user, environment and folder, without a terminal or input.

        `tick` is called all the while. What it raises abandons the command, which goes on until `end_execs`. At the
        time limit the command is killed as `end_execs` does; without `/bin/sh` and `cat` in the container it goes on.
        Raises ContainerNotFound; EngineError for a container that does not run; StreamBroken, EngineUnavailable,
        TimedOut. A program that cannot be started is an end with one of NOT_STARTED_CODES.
        """
        mark = (f"{MARK}={self.receipt.operation_id}",)
        identifier = self._create_exec(container, command, environment=mark)
        end = self._followed(identifier, command, until=time.monotonic() + timeout_seconds, tick=tick)
        if end.exit_code is not None:
            return end
        self.end_execs(container)
        return ExecEnd(exit_code=None, left_running=not self._ends_by(identifier, time.monotonic() + _NOTICED_SECONDS))

    def end_execs(self, container: str) -> None:
        """Kill what still runs of this operation's commands, as far as the container has the means; best effort."""
        command = ["/bin/sh", "-c", _END_MARKED, "sh", f"{MARK}={self.receipt.operation_id}"]
        with suppress(MycoError):
            identifier = self._create_exec(container, command, environment=())
            self._followed(identifier, command, until=time.monotonic() + _ENDING_SECONDS, tick=lambda: None)

    def _create_exec(self, container: str, command: Sequence[str], *, environment: Sequence[str]) -> str:
        body = {
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
            "Privileged": False,
            "Cmd": list(command),
            "Env": list(environment),
        }
        path = f"/containers/{container_id(container)}/exec"
        answer = self._connection.json("POST", path, subject="container", body=body, secrets=tuple(command))
        return text_of(answer, "Id")

    def _followed(self, identifier: str, command: Sequence[str], *, until: float, tick: Callable[[], None]) -> ExecEnd:
        """Start it, read what it prints, and wait for its end; an `exit_code` of None where the moment passed."""

        def watch() -> None:
            tick()
            if time.monotonic() > until:
                raise TimeoutError

        try:
            output = self._output(identifier, command, tick=watch)
            while (code := self._exit_code(identifier)) is None:
                # It may have closed its output and go on.
                watch()
                time.sleep(_POLL_SECONDS)
        except TimeoutError:
            return ExecEnd(exit_code=None)
        return ExecEnd(exit_code=code, output=output)

    def _output(self, identifier: str, command: Sequence[str], *, tick: Callable[[], None]) -> str:
        with self._started(identifier, command) as stream:
            try:
                return patiently(lambda: _tail(stream), tick=tick)
            finally:
                # The thread that reads must not outlast this.
                stream.abort()

    @contextmanager
    def _started(self, identifier: str, command: Sequence[str]) -> Iterator[FrameStream]:
        """The command, started; a silent one is waited for, so the socket has no limit of its own."""
        limits = self._connection.limits
        response = self._connection.stream(
            f"/exec/{name_segment(identifier)}/start",
            method="POST",
            subject="container",
            read_seconds=limits.call_seconds,
            body={"Detach": False, "Tty": False},
            secrets=tuple(command),
        )
        with response:
            wait_forever(response)
            yield FrameStream(ByteStream(response, self._connection.endpoint, limits))

    def _ends_by(self, identifier: str, moment: float) -> bool:
        """Whether it has ended; an Engine takes a little while to notice."""
        while self._exit_code(identifier) is None:
            if time.monotonic() > moment:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _exit_code(self, identifier: str) -> int | None:
        """None while it runs."""
        answer: Any = self._connection.json("GET", f"/exec/{name_segment(identifier)}/json", subject="container")
        if not isinstance(answer, dict):
            raise EngineError("The Engine's answer has an unexpected shape.")
        code = answer.get("ExitCode")
        ended = isinstance(code, int) and not isinstance(code, bool) and not answer.get("Running")
        return code if ended else None


def _tail(stream: FrameStream) -> str:
    """The end of what is printed, in constant memory."""
    kept = b""
    for _, content in stream:
        kept = (kept + content)[-OUTPUT_LIMIT_CHARACTERS:]
    return printable(kept.decode("utf-8", "replace").strip())[-OUTPUT_LIMIT_CHARACTERS:]
