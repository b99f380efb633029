"""What the gateway may do with networks as such; joining and leaving are a container's verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.engine.transport import network_id
from containers_app.engine.verbs import Verbs, label_filter, names_in, text_of
from containers_app.specs.secret_texts import secret_texts


class NetworkVerbs(Verbs):
    """Networks: create, remove, find what an operation made."""

    def create_network(
        self,
        name: str,
        *,
        driver: str = "bridge",
        internal: bool = False,
        attachable: bool = False,
        enable_ipv4: bool = True,
        enable_ipv6: bool = False,
        addressing: Mapping[str, Any] | None = None,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Create a network with the operation's label; returns its 64-hex id. `addressing` is the Engine's `IPAM`.

        Raises EngineError where the name is taken.
        """
        body = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": driver,
            "Internal": internal,
            "Attachable": attachable,
            # Engines before 28 have no network without it.
            **({} if enable_ipv4 else {"EnableIPv4": False}),
            "EnableIPv6": enable_ipv6,
            "Options": dict(options or {}),
            "Labels": self._labelled(labels or {}),
            **({"IPAM": dict(addressing)} if addressing else {}),
        }
        answer = self._connection.json(
            "POST", "/networks/create", subject="network", body=body, secrets=secret_texts(body)
        )
        return network_id(text_of(answer, "Id"))

    def remove_network(self, identifier: str) -> None:
        """Remove a network by its full id; one that is gone is fine. Raises EngineError while containers are in it."""
        self._remove(f"/networks/{network_id(identifier)}", subject="network")

    def labelled_networks(self, operation_id: str) -> tuple[str, ...]:
        """The full ids of the networks that an operation made."""
        answer = self._connection.json("GET", "/networks", subject="network", parameters=label_filter(operation_id))
        return names_in(answer, "Id")
