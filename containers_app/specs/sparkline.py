"""The geometry of a small line chart: from figures to the points and paths of an SVG, with no word about its look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

WIDTH, HEIGHT = 200.0, 46.0
_MARGIN_Y = 5.0
_CROSS = 3.0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One figure of a row of them; None: there is none. `bad`: what it was measured of cannot be used any more."""

    value: float | None
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Sparkline:
    """What to draw. `lines` and `areas` are lists of points, a line breaks where a figure is missing.

    `dots` are paths of the figures that stand alone, `crosses` of the bad ones; `zero` is the height of nothing.
    """

    lines: tuple[str, ...]
    areas: tuple[str, ...]
    dots: tuple[str, ...]
    crosses: tuple[str, ...]
    zero: str


def sparkline(readings: Sequence[Reading]) -> Sparkline:
    """The chart of these figures, the first one at the left. Zero is always in it, so that heights can be compared."""
    values = [reading.value for reading in readings if reading.value is not None]
    lowest, highest = min((0.0, *values)), max((0.0, *values))
    points = list(_points(readings, lowest, highest))
    zero = _number(_height(0.0, lowest, highest))
    runs = [[point for _, point in run] for there, run in groupby(points, key=_is_there) if there]
    pairs = [" ".join(f"{x},{y}" for x, y in run) for run in runs]
    ends = [(run[0][0], run[-1][0]) for run in runs]
    long = [number for number, run in enumerate(runs) if len(run) > 1]
    return Sparkline(
        lines=tuple(pairs[number] for number in long),
        areas=tuple(f"{ends[number][0]},{zero} {pairs[number]} {ends[number][1]},{zero}" for number in long),
        dots=tuple(f"M{run[0][0]} {run[0][1]}h0.01" for run in runs if len(run) == 1),
        crosses=tuple(_cross(x, y) for reading, (x, y) in points if reading.bad),
        zero=zero,
    )


def _points(readings: Sequence[Reading], lowest: float, highest: float) -> Iterator[tuple[Reading, tuple[str, str]]]:
    """Each figure with its place; a missing one stands on the line of zero."""
    step = WIDTH / (len(readings) - 1) if len(readings) > 1 else 0.0
    for number, reading in enumerate(readings):
        x = number * step if len(readings) > 1 else WIDTH / 2
        yield reading, (_number(x), _number(_height(reading.value or 0.0, lowest, highest)))


def _is_there(point: tuple[Reading, tuple[str, str]]) -> bool:
    return point[0].value is not None


def _height(value: float, lowest: float, highest: float) -> float:
    """Downwards, as SVG counts. Where all is zero, zero is at the bottom."""
    share = (value - lowest) / (highest - lowest) if highest > lowest else 0.0
    return HEIGHT - _MARGIN_Y - share * (HEIGHT - 2 * _MARGIN_Y)


def _cross(x: str, y: str) -> str:
    left = min(max(float(x), _CROSS), WIDTH - _CROSS) - _CROSS
    top, size = float(y) - _CROSS, _number(2 * _CROSS)
    return f"M{_number(left)} {_number(top)}l{size} {size}m0 -{size}l-{size} {size}"


def _number(value: float) -> str:
    return f"{value:.1f}"
