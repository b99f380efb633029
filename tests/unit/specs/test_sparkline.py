"""The small charts: where each figure stands, and what is drawn where there is none."""

from __future__ import annotations

import pytest

from containers_app.specs.sparkline import HEIGHT, WIDTH, Reading, Sparkline, sparkline


def of(*values: float | None, bad: tuple[int, ...] = ()) -> Sparkline:
    return sparkline([Reading(value=value, bad=number in bad) for number, value in enumerate(values)])


def test_heights_are_in_proportion_to_zero() -> None:
    drawn = of(0, 50, 100)
    assert drawn.lines == ("0.0,41.0 100.0,23.0 200.0,5.0",)
    assert drawn.areas == ("0.0,41.0 0.0,41.0 100.0,23.0 200.0,5.0 200.0,41.0",)
    assert (drawn.zero, drawn.dots, drawn.crosses) == ("41.0", (), ())


def test_one_figure_is_a_dot_in_the_middle() -> None:
    drawn = of(7)
    assert drawn.dots == ("M100.0 5.0h0.01",)
    assert (drawn.lines, drawn.areas) == ((), ())


def test_equal_figures_are_a_level_line_and_zeros_lie_at_the_bottom() -> None:
    assert of(8, 8).lines == ("0.0,5.0 200.0,5.0",)
    assert of(0, 0).lines == ("0.0,41.0 200.0,41.0",)


def test_a_missing_figure_breaks_the_line_and_leaves_its_place() -> None:
    drawn = of(10, 10, None, 10, 10)
    assert drawn.lines == ("0.0,5.0 50.0,5.0", "150.0,5.0 200.0,5.0")
    assert of(10, None, 10).dots == ("M0.0 5.0h0.01", "M200.0 5.0h0.01")


def test_figures_below_zero_hang_below_its_line() -> None:
    drawn = of(-50, 50)
    assert drawn.zero == "23.0"
    assert drawn.lines == ("0.0,41.0 200.0,5.0",)


def test_a_bad_one_has_a_cross_that_is_inside_the_picture() -> None:
    drawn = of(10, 0, 10, bad=(0, 2))
    assert drawn.crosses == ("M0.0 2.0l6.0 6.0m0 -6.0l-6.0 6.0", "M194.0 2.0l6.0 6.0m0 -6.0l-6.0 6.0")
    assert of(None, 5, bad=(0,)).crosses == ("M0.0 38.0l6.0 6.0m0 -6.0l-6.0 6.0",)


@pytest.mark.parametrize("values", [(), (None,), (None, None)])
def test_nothing_to_draw_is_no_line(values: tuple[None, ...]) -> None:
    drawn = of(*values)
    assert (drawn.lines, drawn.areas, drawn.dots) == ((), (), ())


@pytest.mark.parametrize("values", [(1e18, 1, -1e18), (0.001, 5e-324), tuple(range(-100, 100))])
def test_every_point_is_inside_the_picture(values: tuple[float, ...]) -> None:
    for line in of(*values).lines:
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
