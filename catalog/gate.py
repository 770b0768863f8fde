"""The gate: whether a checkpoint is better than the active one, told by golden sets alone.

Both are compared on photos whose references were written without seeing model text, in the language that the
candidate writes: of another one they say nothing. Every look at a set is a chance to be lucky there, so p is
multiplied by the number of looks (Bonferroni).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from catalog import checkpoint_languages, dataset_languages, evaluations, lineage
from catalog.datasets import HIDDEN, address, in_log, visible
from catalog.schema import Checkpoint, CheckpointState, Comparison, Dataset, DatasetImage, Job, Split, User
from catalog.verdicts import Answer, Finding, Verdict, answer_of, chance, change, needed, sentences

FEWEST = 200  # photos of a set that decides anything
LEVEL = 0.05  # of p, after the correction
POWER = 0.8  # the chance that a difference as large as this one is found
LOSS = 0.02  # of the CIDEr on a general set, relative


@dataclass(frozen=True)
class _Case:
    """All that a verdict is made of.

    By dataset: `compared` are the comparisons of the two, `leaks` the number of photos that the candidate was
    trained on, `names` what the viewer reads of it. `other` names what it was compared with instead.
    `unknown` are those of which nobody knows the training photos: the candidate, or what it comes from.
    `languages` are those that the candidate and the other one write, `foreign` the sets of other languages.
    """

    candidate: Checkpoint
    against: Checkpoint
    primary: Dataset | None
    general: Sequence[Dataset]
    foreign: Sequence[Dataset]
    languages: tuple[str | None, str | None]
    compared: Mapping[int, Comparison]
    leaks: Mapping[int, int]
    names: Mapping[int, str]
    unknown: Sequence[str]
    other: str | None

    @property
    def language(self) -> str | None:
        """The language that is judged in."""
        return self.languages[0] or self.languages[1]


def verdict(
    session: Session,
    candidate: Checkpoint,
    against: Checkpoint,
    *,
    viewer: User | None = None,
    log_of: Job | None = None,
) -> Verdict:
    """Whether `candidate` may take the place of `against`, the active checkpoint.

    The primary set is the newest golden set of the collection that the candidate was trained on; of one that
    was trained elsewhere, the newest of all. No other golden set may lose more than 2 %. Sets whose
    references are in another language than the candidate writes are left out. Sets of collections that the
    viewer may not see count as well, without their names; for the log of a job, those are all but its own.
    """
    if why := _incomparable(session, candidate, against):
        found = [Finding(why, Answer.CANNOT_TELL)]
        return Verdict(answer_of(found), sentences(found), candidate.id, against.id)
    case = _case(session, candidate, against, viewer, log_of)
    findings = list(_findings(case))
    compared = case.compared.get(case.primary.id) if case.primary else None
    return Verdict(
        answer=answer_of(findings),
        sentences=sentences(findings),
        candidate_id=candidate.id,
        against_id=against.id,
        needs=None if case.unknown else needed(findings),
        dataset=case.names[case.primary.id] if case.primary else None,
        n=compared.result["n"] if compared else None,
        looks=compared.look if compared else None,
        p=corrected(compared) if compared else None,
        comparisons=tuple(sorted(one.id for one in case.compared.values())),
    )


def corrected(comparison: Comparison) -> float:
    """p of the difference in CIDEr, corrected for the looks at the set."""
    return min(1.0, float(comparison.result["difference"]["cider"]["p"]) * comparison.look)


def photos_needed(comparison: Comparison) -> int:
    """How many photos show a difference as large as this one with a power of 80 % at the next look.

    From the standard deviation of the differences between photos, as for a paired test of means: Cohen,
    "Statistical Power Analysis for the Behavioral Sciences", 1988.
    """
    level = NormalDist().inv_cdf(1 - LEVEL / (2 * (comparison.look + 1)))
    spread = float(comparison.result["sd"]) / float(comparison.result["difference"]["cider"]["value"])
    return ceil(((level + NormalDist().inv_cdf(POWER)) * spread) ** 2)


def _incomparable(session: Session, candidate: Checkpoint, against: Checkpoint) -> str | None:
    if candidate.id == against.id:
        return f"{candidate.name} would take its own place"
    if against.state is not CheckpointState.ACTIVE:
        active = session.scalar(select(Checkpoint.name).where(Checkpoint.state == CheckpointState.ACTIVE))
        return f"compared with {against.name}, and {active or 'none'} is active now; measure again"
    return None


def _case(
    session: Session,
    candidate: Checkpoint,
    against: Checkpoint,
    viewer: User | None,
    log_of: Job | None,
) -> _Case:
    every = evaluations.golden_datasets(session)
    language = checkpoint_languages.judged_in(session, candidate, against)
    golden = [one for one in every if dataset_languages.are_all(one, language)]
    learned = lineage.dataset_of(session, candidate)
    primary = next((one for one in golden if learned is None or _shows_the_same(one, learned)), None)
    pairs = select(Comparison).where(
        Comparison.candidate_id == candidate.id,
        Comparison.against_id == against.id,
        Comparison.split == Split.GOLDEN,
        Comparison.dataset_id.in_([one.id for one in golden]),
    )
    return _Case(
        candidate=candidate,
        against=against,
        primary=primary,
        general=[one for one in golden if one is not primary],
        foreign=[one for one in every if one not in golden],
        languages=(
            checkpoint_languages.written(session, candidate),
            checkpoint_languages.written(session, against),
        ),
        compared={one.dataset_id: one for one in session.scalars(pairs)},
        leaks=_leaks(session, candidate, golden),
        names={one.id: in_log(one, log_of) for one in every} if log_of else _names(session, every, viewer),
        unknown=lineage.from_elsewhere(session, candidate),
        other=_compared_with_another(session, candidate, against),
    )


def _shows_the_same(golden: Dataset, learned: Dataset) -> bool:
    """Whether both are of one collection that is still there: of deleted ones nothing tells."""
    return learned.collection_id is not None and golden.collection_id == learned.collection_id


def _findings(case: _Case) -> Iterator[Finding]:
    """What speaks for and against the candidate, the primary set first, unless no set can tell."""
    if case.unknown:
        yield Finding(_may_have_leaked(case), Answer.CANNOT_TELL)
    if case.primary is None:
        yield Finding(_missing(case), Answer.CANNOT_TELL, FEWEST)
    else:
        yield _leaked(case, case.primary) or _primary(case, case.primary)
    for dataset in case.general:
        yield _leaked(case, dataset) or _general(case, dataset)
    if case.primary and not case.general:
        yield Finding("no other golden set tells whether anything was forgotten")
    yield from _of_languages(case)


def _missing(case: _Case) -> str:
    """What there has to be before anything can be told."""
    if not case.foreign:
        return (
            "no golden set of the photos that it learned from is frozen; draw one, caption it and freeze it"
        )
    return (
        f"no golden set of the photos that it learned from has references in {case.language}; draw one in "
        "that language, caption it and freeze it"
    )


def _of_languages(case: _Case) -> Iterator[Finding]:
    """What the languages of the two say, and the sets that are not asked for theirs."""
    candidate, against = case.languages
    if candidate and against and candidate != against:
        why = (
            f"{case.candidate.name} writes {candidate} and {case.against.name} {against}, and no golden set "
            "tells which of them is wanted"
        )
        yield Finding(why, Answer.CANNOT_TELL)
    if case.foreign:
        writes = f"{case.candidate.name} writes {candidate}"
        if candidate is None:
            writes = (
                f"{case.against.name} writes {against}, and what {case.candidate.name} writes is not known"
            )
        told = ", ".join(dict.fromkeys(_with_languages(case, one) for one in case.foreign))
        yield Finding(f"left out, for {writes}: {told}")


def _with_languages(case: _Case, dataset: Dataset) -> str:
    return f"{case.names[dataset.id]} in {' and '.join(sorted(dataset_languages.counts(dataset.card)))}"


def _may_have_leaked(case: _Case) -> str:
    """That the candidate may know the golden photos by heart."""
    name = case.candidate.name
    if name in case.unknown:
        return f"nobody here knows which photos {name} was trained on; golden ones may be among them"
    return (
        f"{name} comes from {' and '.join(case.unknown)}, of which nobody here knows the training photos; "
        "golden ones may be among them"
    )


def _leaked(case: _Case, dataset: Dataset) -> Finding | None:
    if not (count := case.leaks.get(dataset.id)):
        return None
    photos = "1 photo" if count == 1 else f"{count:,} photos"
    why = f"{case.candidate.name} was trained on {photos} of {case.names[dataset.id]}"
    return Finding(f"{why}; freeze a set of other photos", Answer.CANNOT_TELL)


def _primary(case: _Case, dataset: Dataset) -> Finding:
    found = case.compared.get(dataset.id)
    if found is None:
        return _unmeasured(case, dataset)
    difference = found.result["difference"]["cider"]
    told = (
        f"{change(found, case.names[dataset.id])} ({chance(difference['p'], corrected(found), found.look)})"
    )
    few = FEWEST - found.result["n"]
    if difference["value"] <= 0:
        return Finding(told, Answer.CANNOT_TELL, few) if few > 0 else Finding(told, Answer.NOT_BETTER)
    if few <= 0 and corrected(found) < LEVEL:
        return Finding(told)
    return Finding(told, Answer.CANNOT_TELL, max(photos_needed(found) - found.result["n"], few, 1))


def _general(case: _Case, dataset: Dataset) -> Finding:
    found = case.compared.get(dataset.id)
    if found is None:
        return _unmeasured(case, dataset)
    difference, before = found.result["difference"]["cider"], found.result["against"]["cider"]
    shares = [difference[bound] / before if before else 0.0 for bound in ("value", "low", "high")]
    told = f"{change(found, case.names[dataset.id])}, {shares[0]:+.1%} ({shares[1]:+.1%} to {shares[2]:+.1%})"
    few = FEWEST - found.result["n"]
    if shares[0] < -LOSS and few > 0:
        return Finding(f"{told}, which so few photos do not tell", Answer.CANNOT_TELL, few)
    if shares[0] < -LOSS:
        return Finding(f"{told}, where no more than {LOSS:.0%} may be lost", Answer.NOT_BETTER)
    return Finding(told)


def _unmeasured(case: _Case, dataset: Dataset) -> Finding:
    if case.other:
        why = f"compared with {case.other}, and {case.against.name} is active now; measure again"
    else:
        why = f"not compared with {case.against.name} on {case.names[dataset.id]}; measure it there"
    return Finding(why, Answer.CANNOT_TELL)


def _leaks(session: Session, candidate: Checkpoint, golden: Sequence[Dataset]) -> dict[int, int]:
    """How many photos of each golden dataset the candidate, or what it comes from, was trained on."""
    learned, held = aliased(DatasetImage), aliased(DatasetImage)
    rows = session.execute(
        select(held.dataset_id, func.count(held.image_id.distinct()))
        .join(learned, learned.image_id == held.image_id)
        .where(
            held.dataset_id.in_([one.id for one in golden]),
            learned.dataset_id.in_(lineage.datasets_behind(session, candidate)),
            learned.split.in_((Split.TRAIN, Split.VALIDATION)),
        )
        .group_by(held.dataset_id)
    )
    return dict(rows.all())


def _names(session: Session, golden: Sequence[Dataset], viewer: User | None) -> dict[int, str]:
    """What the viewer may read of each golden dataset."""
    ids = [one.id for one in golden]
    seen = set(session.scalars(select(Dataset.id).where(Dataset.id.in_(ids), visible(viewer))))
    return {one.id: address(one) if one.id in seen else HIDDEN for one in golden}


def _compared_with_another(session: Session, candidate: Checkpoint, against: Checkpoint) -> str | None:
    """What the candidate was last compared with, where that is not `against`; None where it never was."""
    latest = (
        select(Checkpoint.name)
        .join(Comparison, Comparison.against_id == Checkpoint.id)
        .where(Comparison.candidate_id == candidate.id, Comparison.split == Split.GOLDEN)
        .order_by(Comparison.id.desc())
        .limit(1)
    )
    name = session.scalar(latest)
    return name if name != against.name else None
