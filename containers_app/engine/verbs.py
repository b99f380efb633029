"""What the gateway's groups of verbs build on: the connection, and the receipt whose operation marks what is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from containers_app.engine.transport import EngineConnection
from containers_app.errors import EngineError, ImageNotFound
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.receipt import Receipt


class Verbs:
    """The base of VolumeVerbs, NetworkVerbs, ImageVerbs, HelperVerbs and ExecVerbs; EngineGateway is all of them."""

    _connection: EngineConnection
    receipt: Receipt

    def _labelled(self, labels: Mapping[str, str]) -> dict[str, str]:
        """`labels`, and the operation's own, by which an undo finds what was made."""
        return {**labels, OPERATION_LABEL: self.receipt.operation_id}

    def _remove(self, path: str, *, subject: str) -> None:
        """Delete a thing; one that is gone already is fine."""
        try:
            self._connection.json("DELETE", path, subject=subject)
        except ImageNotFound:
            return
        except EngineError as error:
            if not error.message.startswith("The Engine refused (404)"):
                raise


def label_filter(operation_id: str) -> dict[str, str]:
    """The query that lists what an operation made."""
    return {"filters": json.dumps({"label": [f"{OPERATION_LABEL}={operation_id}"]})}


def names_in(answer: object, key: str) -> tuple[str, ...]:
    """One text of each object in a list. Raises EngineError for anything else."""
    if not isinstance(answer, list) or not all(isinstance(found, dict) for found in answer):
        raise EngineError("The Engine's answer has an unexpected shape.")
    return tuple(str(found.get(key, "")) for found in answer)


def text_of(answer: Any, key: str) -> str:
    """One text of an object that must have it. Raises EngineError."""
    text = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(text, str) or not text:
        raise EngineError(f"The Engine's answer names no {key}.")
    return text
