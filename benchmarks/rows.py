"""One measured ratio: what it is, what it should be, and the seconds that it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Self

from benchmarks import interleaved


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ratio of two speeds or times, with the medians behind it in photos a second or whatever `unit` says.

    `at_least` or `at_most` is its target, where it has one; notes are lines on what was found beside it.
    """

    name: str
    ratio: float
    medians: Mapping[str, float]
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        name: str,
        taken: Mapping[str, list[float]],
        first: str,
        second: str,
        *,
        photos: int,
        at_least: float | None = None,
        at_most: float | None = None,
        notes: Sequence[str] = (),
    ) -> Self:
        """How many times as long `first` took for the photos as `second`."""
        return cls(
            name=name,
            ratio=round(interleaved.ratio(taken, first, second), 3),
            medians={one: round(photos / median(taken[one]), 1) for one in (first, second)},
            unit="photos a second",
            at_least=at_least,
            at_most=at_most,
            notes=notes,
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `to_dict` made of it; raises TypeError for anything else."""
        return cls(**{name: value for name, value in found.items() if name != "met"})

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {**asdict(self), "met": self.met}

    def text(self) -> str:
        """For people: a line, the figures behind it, the notes."""
        target = f" (>= {self.at_least:g})" if self.at_least is not None else ""
        target = f" (<= {self.at_most:g})" if self.at_most is not None else target
        verdict = {None: "", True: ", met", False: ", missed"}[self.met]
        behind = ", ".join(f"{name} {value:g}" for name, value in self.medians.items())
        lines = [f"{self.name}: {self.ratio:g}{target}{verdict}", f"{behind} ({self.unit})", *self.notes]
        return "\n    ".join(lines)

    @property
    def is_ratio(self) -> bool:
        """Whether it says something on other machines of the kind; seconds do not."""
        return self.unit not in ("seconds", "milliseconds")

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.ratio <= self.at_most
