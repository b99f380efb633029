from __future__ import annotations

import threading

import pytest

from containers_app.engine.patience import patiently
from containers_app.errors import Cancelled, PortTaken
from tests.throwaway import START_SECONDS


def test_a_call_gives_its_answer_and_time_to_look_around_meanwhile() -> None:
    looked = threading.Event()

    def call() -> int:
        assert looked.wait(START_SECONDS)
        return 7

    assert patiently(call, tick=looked.set) == 7


def test_what_the_call_raises_is_raised() -> None:
    def call() -> int:
        raise PortTaken("taken")

    with pytest.raises(PortTaken):
        patiently(call, tick=lambda: None)


def test_a_reason_to_stop_does_not_wait_for_the_call() -> None:
    answered = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> bool:
        threads.append(threading.current_thread())
        return answered.wait(START_SECONDS)

    def tick() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        patiently(call, tick=tick)
    assert threads[0].is_alive()
    answered.set()
    threads[0].join(START_SECONDS)
    assert not threads[0].is_alive()
