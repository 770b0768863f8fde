"""Verdicts of the gate: one answer out of what each set says, in sentences for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from catalog.schema import Comparison

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


class Answer(StrEnum):
    BETTER = "better"
    NOT_BETTER = "not better"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Finding:
    """What one set says; `answer` is None where it is no reason against the candidate.

    `needs` is how many photos more would tell, None where more would not help.
    """

    sentence: str
    answer: Answer | None = None
    needs: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a candidate, in sentences of which the first begins with the answer.

    `dataset` names the primary set, `n` counts its photos and `looks` the looks at it, for which `p` is
    corrected; they are None where the two were not compared there. `needs` is how many photos more that set
    should have, None where more would not help. `comparisons` are the ids of what was judged by.
    """

    answer: Answer
    sentences: tuple[str, ...]
    candidate_id: int
    against_id: int
    needs: int | None = None
    dataset: str | None = None
    n: int | None = None
    looks: int | None = None
    p: float | None = None
    comparisons: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """All of it, for a log or a message."""
        return "; ".join(self.sentences)

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be kept with a promotion."""
        return {**asdict(self), "sentences": list(self.sentences), "comparisons": list(self.comparisons)}


def answer_of(findings: Sequence[Finding]) -> Answer:
    """What is lost counts more than what is not known, and both more than what is gained."""
    answers = {finding.answer for finding in findings}
    against = (one for one in (Answer.NOT_BETTER, Answer.CANNOT_TELL) if one in answers)
    return next(against, Answer.BETTER)


def needed(findings: Sequence[Finding]) -> int | None:
    """How many photos more would tell; None where they would not, or where all is told."""
    if answer_of(findings) is not Answer.CANNOT_TELL:
        return None
    return next((one.needs for one in findings if one.needs), None)


def sentences(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The finding that decides, behind the answer, then the others."""
    answer = answer_of(findings)
    deciding = None if answer is Answer.BETTER else answer
    first = next(finding for finding in findings if finding.answer is deciding)
    opening = f"{answer}, needs {first.needs:,} more" if first.needs else str(answer)
    others = (finding.sentence for finding in findings if finding is not first)
    return (f"{opening}: {first.sentence}", *others)


def change(comparison: Comparison, dataset: str) -> str:
    """What the CIDEr of both is on a set: "CIDEr 0.412 to 0.468 on 424 photos of Golden@1"."""
    before, after = (comparison.result[side]["cider"] for side in ("against", "candidate"))
    return f"CIDEr {before:.3f} to {after:.3f} on {comparison.result['n']:,} photos of {dataset}"


def chance(p: float, corrected: float, look: int) -> str:
    """How likely chance does as much: "p 0.004, third look: 0.012"."""
    if look == 1:
        return f"p {small(p)}, first look"
    return f"p {small(p)}, {ordinal(look)} look: {small(corrected)}"


def small(p: float) -> str:
    """A chance in as many digits as tell it apart from none."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.4f}"


def ordinal(number: int) -> str:
    """A number as the place that it counts: third, 22nd."""
    if number <= len(ORDINALS):
        return ORDINALS[number - 1]
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
