from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from containers_app.errors import Collides, ImageNotFound, MycoError, NameTaken, PermissionDenied, PlanChanged
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.collisions import Blocks, Collision
from containers_app.workflows.admission import check_admission, check_room, may_look
from tests.unit.workflows.stack_engine import Context

POWERS = ("web: It is privileged.", "db: It binds the Engine's socket /run/docker.sock.")


def collision(kind: str, blocks: Blocks | None = "create", message: str = "") -> Collision:
    return Collision(kind=kind, subject="x", message=message or f"{kind} is in the way", blocks=blocks)


def admitted(*collisions: Collision, may: bool = True, **changes: Any) -> list[tuple[str, str]]:
    """The warnings of an admission."""
    context: Any = Context(None, may=may)
    plain: Any = {"plan_hash": "a", "bound_to": None, "powers": (), "confirmed": False, "warnings": (), "start": False}
    check_admission(context, collisions=collisions, **{**plain, **changes})
    return list(context.warnings)


def refused(*collisions: Collision, **changes: Any) -> MycoError:
    with pytest.raises(MycoError) as caught:
        admitted(*collisions, **changes)
    return caught.value


def test_a_plan_without_anything_to_say_is_let_through() -> None:
    assert admitted() == admitted(bound_to="a") == []


def test_another_plan_than_the_one_it_is_bound_to_is_refused_first() -> None:
    error = refused(collision("name"), bound_to="b", powers=POWERS, may=False)
    assert isinstance(error, PlanChanged)


@pytest.mark.parametrize(
    ("may", "confirmed", "words"), [(False, True, "administrator"), (True, False, "confirmPrivileged")]
)
def test_power_needs_a_permission_and_a_word_and_every_reason_is_told(may: bool, confirmed: bool, words: str) -> None:
    error = refused(powers=POWERS, may=may, confirmed=confirmed)
    assert isinstance(error, PermissionDenied)
    assert words in error.message
    assert all(power in error.message for power in POWERS)


def test_power_that_was_confirmed_is_warned_of() -> None:
    ((code, message),) = admitted(powers=POWERS, confirmed=True)
    assert code == "HOST_POWER"
    assert all(power in message for power in POWERS)


def test_nobody_needs_a_permission_where_there_is_no_power() -> None:
    assert admitted(may=False, confirmed=False) == []


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["name"], NameTaken),
        (["name", "name"], NameTaken),
        (["image"], ImageNotFound),
        (["name", "image"], Collides),
        (["network"], Collides),
        (["reference", "volume"], Collides),
    ],
)
def test_everything_in_the_way_is_told_at_once(kinds: list[str], expected: type[MycoError]) -> None:
    error = refused(*(collision(kind, message=f"{number} {kind}") for number, kind in enumerate(kinds)))
    assert type(error) is expected
    assert error.message == "; ".join(f"{number} {kind}" for number, kind in enumerate(kinds))


def test_one_reason_is_told_once() -> None:
    assert refused(collision("volume"), collision("volume")).message == "volume is in the way"


@pytest.mark.parametrize("name_field", ["options.name", "newProject"])
def test_a_name_that_is_taken_names_the_field_where_it_was_chosen(name_field: str) -> None:
    assert refused(collision("name"), name_field=name_field).field == name_field


def test_what_blocks_a_start_blocks_only_that() -> None:
    assert isinstance(refused(collision("port", "start"), start=True), Collides)
    assert admitted(collision("port", "start")) == [("PORT_HELD", "port is in the way")]


@pytest.mark.parametrize("blocks", [None, "confirm"])
def test_advice_and_what_was_confirmed_block_nothing(blocks: Blocks | None) -> None:
    assert admitted(collision("volume", blocks), start=True) == []


def test_warnings_of_the_plan_are_passed_on_only_if_it_is_let_through() -> None:
    warning = PlanWarning(code="HOOK_LABELS", message="web has labels")
    assert admitted(warnings=(warning,)) == [("HOOK_LABELS", "web has labels")]
    context: Any = Context(None)
    with pytest.raises(Collides):
        check_admission(
            context,
            plan_hash="a",
            bound_to=None,
            powers=(),
            confirmed=False,
            collisions=(collision("volume"),),
            warnings=(warning,),
            start=False,
        )
    assert context.warnings == []


@pytest.mark.parametrize(
    ("powers", "may", "blocks", "looks"),
    [
        ((), False, None, True),
        ((), True, "start", True),
        ((), True, "create", False),
        (POWERS, True, "confirm", True),
        (POWERS, False, "confirm", False),
    ],
)
def test_content_is_measured_only_for_who_might_clone_it(
    powers: tuple[str, ...], may: bool, blocks: Blocks | None, looks: bool
) -> None:
    context: Any = Context(None, may=may)
    found = Collision(kind="privilege", subject="it", message="in the way", blocks=blocks)
    assert may_look(context, powers=powers, collisions=(found,)) is looks


def test_a_lack_of_room_stops_only_where_it_is_certain() -> None:
    lack = Collision(kind="space", subject="data", message="3 GB, and 2 GB are free", blocks="create")
    with pytest.raises(Collides, match="3 GB"):
        check_room((lack,))
    check_room((replace(lack, blocks=None),))
    check_room(())
