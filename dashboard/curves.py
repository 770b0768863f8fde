"""Curves that the server draws: where lines, dots, bounds and ticks lie in an SVG of a fixed size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 340, 190  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 26  # margins, of which ticks take the left one and that below
MOST_POINTS = 200  # of a line; more of them are drawn as means
DOTTED = 30  # points up to which each gets a dot
TICKS = 4  # as many as that, or one or two more

Format = Callable[[float], str]


@dataclass(frozen=True)
class Point:
    """A value over a place; `low` and `high` bound it where an interval is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Dot:
    """A point as it is drawn, with the ends of its interval."""

    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One line over its axes; `path` is of SVG, `last` is what the line ends with, in words."""

    key: str
    title: str
    x_name: str
    last: str
    path: str
    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Scale:
    """From values to places along an axis."""

    start: float
    end: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = (value - self.start) / (self.end - self.start)
        return round(self.first + share * (self.last - self.first), 1)


def plot(
    key: str,
    title: str,
    points: Sequence[Point],
    *,
    x_name: str,
    y_format: Format = "{:.3f}".format,
    x_format: Format = "{:,.0f}".format,
) -> Plot | None:
    """The points as a line, None where there are none. `key` tells the plots of a page apart."""
    known = [point for point in points if math.isfinite(point.y)]
    if not known:
        return None
    drawn = thinned(known)
    across = Scale(*_ends([point.x for point in drawn]), LEFT, WIDTH - RIGHT)
    up = Scale(*_ends([value for point in drawn for value in _values(point)]), HEIGHT - BOTTOM, TOP)
    dots = tuple(_dot(point, across, up) for point in drawn)
    return Plot(
        key=key,
        title=title,
        x_name=x_name,
        last=f"{y_format(known[-1].y)} at {x_name} {x_format(known[-1].x)}",
        path="M" + " L".join(f"{dot.x} {dot.y}" for dot in dots),
        dots=dots if len(dots) <= DOTTED else (),
        x_ticks=tuple(Tick(across(at), x_format(at)) for at in _whole(ticks(across.start, across.end))),
        y_ticks=tuple(Tick(up(at), y_format(at)) for at in ticks(up.start, up.end)),
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS points: where there are more, the means of runs of the same length."""
    if len(points) <= MOST_POINTS:
        return list(points)
    length = math.ceil(len(points) / MOST_POINTS)
    runs = [points[start : start + length] for start in range(0, len(points), length)]
    return [Point(run[-1].x, sum(point.y for point in run) / len(run)) for run in runs]


def ticks(start: float, end: float) -> list[float]:
    """Round values between two others: steps of 1, 2 or 5 times a power of ten."""
    rough = (end - start) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(start / step - 1e-9)
    last = math.floor(end / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _whole(places: Sequence[float]) -> list[float]:
    """Ticks of things that are counted."""
    return [place for place in places if abs(place - round(place)) < 1e-9]


def _values(point: Point) -> list[float]:
    return [value for value in (point.y, point.low, point.high) if value is not None]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest value; around one that is alone, some room."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) / 2 or 1.0
        return low - room, high + room
    return low, high


def _dot(point: Point, across: Scale, up: Scale) -> Dot:
    bounds = [None if value is None else up(value) for value in (point.low, point.high)]
    return Dot(across(point.x), up(point.y), *bounds)
