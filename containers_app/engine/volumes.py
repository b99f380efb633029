"""What the gateway may do with volumes."""

from __future__ import annotations

from collections.abc import Mapping

from containers_app.engine.transport import name_segment
from containers_app.engine.verbs import Verbs, label_filter, names_in, text_of
from containers_app.errors import NameTaken
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.secret_texts import secret_texts


class VolumeVerbs(Verbs):
    """Volumes: create, remove, find what an operation made."""

    def create_volume(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Create a volume with the operation's label; returns its name, which the Engine makes up for an empty one.

        An Engine gives back a volume that exists as if it had made it: one without our label raises NameTaken, before
        anything is written into it.
        Driver options may hold passwords and are kept out of errors.
        """
        options = options or {}
        body = {"Name": name, "Driver": driver, "DriverOpts": dict(options), "Labels": self._labelled(labels or {})}
        answer = self._connection.json(
            "POST", "/volumes/create", subject="volume", body=body, secrets=secret_texts(body)
        )
        if (answer.get("Labels") or {}).get(OPERATION_LABEL) != self.receipt.operation_id:
            raise NameTaken(f"A volume named {name} is there already: choose another name.", field="options.name")
        return text_of(answer, "Name")

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is gone is fine. Raises EngineError while a container uses it."""
        self._remove(f"/volumes/{name_segment(name)}", subject="volume")

    def labelled_volumes(self, operation_id: str) -> tuple[str, ...]:
        """The names of the volumes that an operation made."""
        answer = self._connection.json("GET", "/volumes", subject="volume", parameters=label_filter(operation_id))
        return names_in((answer or {}).get("Volumes") or [], "Name")
