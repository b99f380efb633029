from __future__ import annotations

import pytest

from containers_app.errors import AmbiguousReference, ContainerNotFound, InvalidRequest
from containers_app.specs.engine import ContainerSummary
from containers_app.specs.reference import check_clone_name, check_engine_name, check_reference, choose, is_full_id

ONE = "6ecea0bc898a" + "0" * 52
TWO = "6ecea0bc898a" + "1" * 52
OTHER = "f" * 64


def container(identifier: str, name: str) -> ContainerSummary:
    return ContainerSummary(
        id=identifier,
        name=name,
        image="image:1",
        image_id="sha256:" + "0" * 64,
        state="running",
        status="Up",
        created_epoch_seconds=0,
        labels={"secret": "hunter2"},
    )


@pytest.mark.parametrize("value", ["ab", "web-1", "a" * 128, "A.b_c-d", "0" * 12, ONE, "mycosoft-mas-n8n-1"])
def test_ids_and_names_are_taken_as_they_are(value: str) -> None:
    assert check_reference(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a",
        "a" * 129,
        " web",
        "web ",
        "web\n",
        "we\nb",
        "web\x00",
        "web\r\nX-Y: z",
        "../volumes/victim",
        "x/../../images/y",
        "../../v1.41/info",
        ".",
        "..",
        "-rf",
        "*",
        "a*",
        "\u0440lain",
        "\uff50lain",
        "\u202eplain",
        "pla\u200din",
        "a%2fb",
        "web?x",
        "web#x",
    ],
)
def test_everything_else_is_refused_without_trimming(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_reference(value)
    assert caught.value.field == "containerId"


@pytest.mark.parametrize("value", ["a", "a" * 64, "", "-a", "a b", "a/b", "a\n", "ü1"])
def test_a_clone_name_outside_the_grammar_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_clone_name(value)
    assert caught.value.field == "options.name"


@pytest.mark.parametrize("value", ["ab", "a" * 63, "my-container-clone-1770866431710"])
def test_a_clone_name_inside_the_grammar_is_taken(value: str) -> None:
    assert check_clone_name(value) == value


@pytest.mark.parametrize("value", ["a", "a" * 256, "", "-a", "a b", "a/b", "a\n"])
def test_a_name_that_an_engine_could_not_use_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest):
        check_engine_name(value)


def test_a_name_made_from_a_long_one_is_taken() -> None:
    assert check_engine_name("a" * 255) == "a" * 255


@pytest.mark.parametrize(("value", "full"), [(ONE, True), (ONE[:12], False), (ONE.upper(), False), (ONE + "\n", False)])
def test_only_64_lower_case_hex_digits_are_a_full_id(value: str, full: bool) -> None:
    assert is_full_id(value) is full


@pytest.mark.parametrize("reference", [ONE, ONE[:13], "web", "web.1"])
def test_an_id_a_unique_prefix_or_a_name_finds_its_container(reference: str) -> None:
    every = (container(ONE, reference if reference.startswith("web") else "web"), container(OTHER, "db"))
    assert choose(reference, every).id == ONE


def test_a_short_name_prefix_finds_nothing() -> None:
    with pytest.raises(ContainerNotFound, match="check the spelling"):
        choose("we", (container(ONE, "web"),))


def test_an_eleven_digit_prefix_finds_nothing() -> None:
    with pytest.raises(ContainerNotFound):
        choose(ONE[:11], (container(ONE, "web"),))


def test_a_prefix_of_two_containers_is_ambiguous() -> None:
    with pytest.raises(AmbiguousReference, match="2 containers"):
        choose(ONE[:12], (container(ONE, "web"), container(TWO, "db")))


def test_a_name_that_is_a_prefix_of_another_container_is_never_guessed() -> None:
    with pytest.raises(AmbiguousReference) as caught:
        choose(ONE[:12], (container(ONE, "web"), container(OTHER, ONE[:12])))
    assert caught.value.field == "containerId"


def test_a_name_that_is_a_prefix_of_its_own_id_is_clear() -> None:
    assert choose(ONE[:12], (container(ONE, ONE[:12]),)).id == ONE


def test_a_full_id_wins_over_a_container_that_is_named_by_it() -> None:
    assert choose(ONE, (container(OTHER, ONE), container(ONE, "web"))).id == ONE


def test_names_are_compared_with_their_case() -> None:
    with pytest.raises(ContainerNotFound):
        choose("Web", (container(ONE, "web"),))


def test_labels_do_not_stand_in_the_representation() -> None:
    assert "hunter2" not in repr(container(ONE, "web"))
