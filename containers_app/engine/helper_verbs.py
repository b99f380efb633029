"""The calls that a helper container needs; `engine.helper` puts them in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from containers_app.engine.streams import ByteStream, FrameStream, InputStream
from containers_app.engine.transport import container_id
from containers_app.engine.verbs import Verbs, text_of
from containers_app.errors import EngineError


class HelperVerbs(Verbs):
    """Helper containers: create from our own body, attach, start, wait."""

    def create_helper(self, body: Mapping[str, Any]) -> str:
        """Create a container, not started, with the operation's label; returns its id."""
        labelled = {**body, "Labels": self._labelled(body.get("Labels", {}))}
        answer = self._connection.json("POST", "/containers/create", subject="create", body=labelled)
        return container_id(text_of(answer, "Id"))

    @contextmanager
    def helper_output(self, container: str) -> Iterator[FrameStream]:
        """What the container will print, from before its start to its end."""
        limits = self._connection.limits
        response = self._connection.stream(
            f"/containers/{container_id(container)}/attach",
            method="POST",
            subject="container",
            read_seconds=limits.stall_seconds,
            parameters={"stream": "1", "stdout": "1", "stderr": "1"},
        )
        with response:
            yield FrameStream(ByteStream(response, self._connection.endpoint, limits))

    @contextmanager
    def helper_input(self, container: str) -> Iterator[InputStream]:
        """The container's standard input; open it before the start."""
        limits = self._connection.limits
        response = self._connection.stream(
            f"/containers/{container_id(container)}/attach",
            method="POST",
            subject="container",
            read_seconds=limits.stall_seconds,
            parameters={"stream": "1", "stdin": "1"},
            upgrade=True,
        )
        with response:
            yield InputStream(response, self._connection.endpoint, limits)

    def start_helper(self, container: str) -> None:
        """Start a helper container."""
        self._connection.json("POST", f"/containers/{container_id(container)}/start", subject="container")

    def wait_helper(self, container: str) -> int:
        """The exit code of a helper container whose output has ended."""
        answer = self._connection.json("POST", f"/containers/{container_id(container)}/wait", subject="container")
        code = answer.get("StatusCode") if isinstance(answer, dict) else None
        if not isinstance(code, int):
            raise EngineError("The Engine does not say how the helper container ended.")
        return code
