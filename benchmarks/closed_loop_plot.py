"""The curve of the closed loop as an SVG: scores, word edits and unchanged captions, by corrections."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH, HEIGHT = 240, 180  # of the area of one panel
LEFT, TOP, APART = 60, 70, 320
INK, PALE, DOMAIN, GENERAL = "#333333", "#dddddd", "#0b62a4", "#a35200"


@dataclass(frozen=True)
class Panel:
    """One pair of axes: `right` corrections at its right end, the value `top` at its upper end."""

    number: int
    title: str
    right: float
    top: float

    def x(self, corrections: float) -> float:
        return round(LEFT + self.number * APART + WIDTH * corrections / self.right, 1)

    def y(self, value: float) -> float:
        return round(TOP + HEIGHT * (1 - value / self.top), 1)

    def axes(self) -> list[str]:
        left, right, bottom = self.x(0), self.x(self.right), self.y(0)
        marks = [f'<text x="{left}" y="{TOP - 14}" font-weight="bold">{escape(self.title)}</text>']
        for part in range(5):
            value = self.top * part / 4
            height = self.y(value)
            marks.append(f'<path d="M{left} {height}H{right}" stroke="{PALE}"/>')
            marks.append(f'<text x="{left - 6}" y="{height + 4}" text-anchor="end">{value:.2g}</text>')
        marks.append(f'<path d="M{left} {TOP}V{bottom}H{right}" fill="none" stroke="{INK}"/>')
        return marks

    def ticks(self, numbers: Sequence[int]) -> list[str]:
        return [
            f'<text x="{self.x(number)}" y="{self.y(0) + 18}" text-anchor="middle">{number}</text>'
            for number in numbers
        ]

    def line(self, points: Sequence[tuple[int, float]], colour: str) -> list[str]:
        path = " ".join(f"{self.x(corrections)},{self.y(value)}" for corrections, value in points)
        dots = [
            f'<circle cx="{self.x(corrections)}" cy="{self.y(value)}" r="4" fill="{colour}"/>'
            for corrections, value in points
        ]
        return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]

    def interval(self, corrections: int, low: float, high: float, colour: str) -> list[str]:
        place = self.x(corrections)
        return [f'<path d="M{place} {self.y(low)}V{self.y(high)}" stroke="{colour}" stroke-width="2"/>']

    def control(self, corrections: int, value: float, colour: str) -> list[str]:
        place, height = self.x(corrections) + 10, self.y(value)
        return [f'<circle cx="{place}" cy="{height}" r="5" fill="white" stroke="{colour}" stroke-width="2"/>']


def plot(result: dict[str, Any]) -> str:
    """Draw a result of `benchmarks.closed_loop`; bars are 95 % intervals of the difference to the base."""
    curve = [*result["curve"]]
    numbers = [row["corrections"] for row in curve]
    shapes = [*_scores(curve, result["control"], numbers)]
    for place, (name, title) in enumerate(
        (("word_edits", "word edits a caption"), ("accepted_unchanged", "share accepted unchanged")), start=1
    ):
        points = [(row["corrections"], row[name]) for row in curve]
        panel = Panel(
            place, title, max(numbers), 1.25 * max([result["control"][name], *(y for _, y in points)]) or 1
        )
        shapes += [*panel.axes(), *panel.ticks(numbers), *panel.line(points, DOMAIN)]
        shapes += panel.control(max(numbers), result["control"][name], DOMAIN)
    return _framed(shapes)


def _scores(curve: Sequence[dict[str, Any]], control: dict[str, Any], numbers: Sequence[int]) -> list[str]:
    highest = max(row[f"{name}_cider"] for row in (*curve, control) for name in ("domain", "general"))
    panel = Panel(0, "CIDEr-D of held-out photos", max(numbers), 1.25 * highest)
    shapes = [*panel.axes(), *panel.ticks(numbers)]
    for name, colour in (("domain", DOMAIN), ("general", GENERAL)):
        shapes += panel.line([(row["corrections"], row[f"{name}_cider"]) for row in curve], colour)
        for row in curve[1:]:
            told = row[name]
            low, high = (told["base"] + told["difference"][bound] for bound in ("low", "high"))
            shapes += panel.interval(row["corrections"], low, high, colour)
        shapes += panel.control(control["corrections"], control[f"{name}_cider"], colour)
    return shapes


def _framed(shapes: Sequence[str]) -> str:
    width, height = LEFT + 3 * APART - 20, TOP + HEIGHT + 60
    legend = [
        f'<text x="{LEFT}" y="24" fill="{DOMAIN}">photos that speak of water</text>',
        f'<text x="{LEFT + 200}" y="24" fill="{GENERAL}">everything else</text>',
        f'<text x="{LEFT + 330}" y="24">hollow: retrained on photos of everything else instead</text>',
        f'<text x="{LEFT}" y="{height - 14}">corrected captions</text>',
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="12" fill="{INK}" role="img">',
            "<title>What corrections make of a captioner</title>",
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *legend,
            *shapes,
            "</svg>",
            "",
        ]
    )
