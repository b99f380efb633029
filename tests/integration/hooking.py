"""An operation's context around a real Engine, for hooks: it keeps its undo where the test, or a file, can see it.

As a program, it runs hooks whose first one hangs, so that a test can kill it in the middle:
`python -m tests.integration.hooking ENGINE CONTAINER FILE`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import django

django.setup()

from containers_app.engine.connection import EngineLimits, open_gateway  # noqa: E402 - Django comes first
from containers_app.engine.gateway import EngineGateway  # noqa: E402
from containers_app.specs.endpoint import Endpoint  # noqa: E402
from containers_app.specs.hooks import Hooks, hooks_of  # noqa: E402
from containers_app.workflows.hooks import hooked  # noqa: E402
from containers_app.workflows.undo import replay  # noqa: E402
from tests.integration.laboratory import RECEIPT  # noqa: E402

LOG = "/tmp/log"
HANGING = {"before": f"echo before >>{LOG}; (sleep 300 &); sleep 300; true", "after": f"echo after >>{LOG}"}


class Recorded:
    """What an operation's row would have."""

    def __init__(self, keep: Path | None = None, on_stage: Callable[[str], None] = lambda name: None) -> None:
        self.undo: list[Any] = []
        self.warnings: list[str] = []
        self.checkpoint: Callable[[], None] = lambda: None
        self._keep = keep
        self._on_stage = on_stage

    def stage(self, name: str, *, undo: Any = None) -> None:
        self.undo += [] if undo is None else [undo]
        if self._keep:
            self._keep.write_text(json.dumps(self.undo))
        self._on_stage(name)

    def forget_undo(self, step: Any) -> None:
        self.undo.remove(step)

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(code)


def taken_back(undo: list[Any], gateway: EngineGateway) -> list[Any]:
    """What is left of these steps."""

    def open_own(host: str) -> AbstractContextManager[EngineGateway]:
        return nullcontext(gateway)

    store: Any = None
    return replay(undo, open_gateway=open_own, store=store)


def run(url: str, container: str, hooks: Hooks, keep: Path) -> None:
    with open_gateway(Endpoint.parse(url), EngineLimits(), RECEIPT) as gateway:
        context: Any = Recorded(keep)
        with hooked(context, gateway, gateway.inspect(container), hooks):
            raise AssertionError("the hook before does not end")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], hooks_of(HANGING, inside=""), Path(sys.argv[3]))
