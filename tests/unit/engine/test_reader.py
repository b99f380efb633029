"""What a reader makes of an Engine's answers."""

from __future__ import annotations

import itertools
import json
import socket
from typing import Any

import pytest

from containers_app.engine.connection import EngineLimits, open_reader
from tests.unit.engine.scripted_engine import json_answer, scripted

IDENTIFIER = "a" * 64
PLACES = ("/c", "/a", "/b")


@pytest.mark.parametrize("reference", [IDENTIFIER, "web"])
def test_a_containers_mounts_come_in_one_order_though_an_engine_lists_them_in_any(reference: str) -> None:
    orders = itertools.permutations(PLACES)

    def script(connection: socket.socket, line: str) -> None:
        mounts = [{"Destination": place} for place in next(orders)]
        connection.sendall(json_answer(json.dumps({"Id": IDENTIFIER, "Name": "/web", "Mounts": mounts})))

    with scripted(script) as (_, endpoint), open_reader(endpoint, EngineLimits()) as reader:
        seen: list[Any] = [[mount["Destination"] for mount in reader.find(reference)["Mounts"]] for _ in range(6)]
    assert seen == [sorted(PLACES)] * 6
