"""Measuring: a checkpoint beside the active one on frozen sets, and what promoting it would change.

The captioner runs in child processes on files, as training does; what they say is kept in rows. Everything
may be done twice, so that a job goes on where it was killed.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import stdev
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import checkpoint_languages, checkpoints, evaluations, impacts, manifests, regressions
from catalog.database import lock_content
from catalog.dataset_languages import primary
from catalog.datasets import in_log
from catalog.evaluations import SetToMeasure
from catalog.exports.training import TrainingPhoto, write_training_folder
from catalog.impacts import Standing
from catalog.ingest import remove_blobs
from catalog.manifests import FrozenItem
from catalog.regressions import Predicted
from catalog.schema import Checkpoint, Comparison, Dataset, Evaluation, Job, Split
from catalog.space import room_in
from worker.captioned_renditions import caption_renditions
from worker.children import meanwhile, renewing
from worker.earlier_captions import write_earlier_captions
from worker.runtime import Runtime

Run = Callable[[Sequence[str]], str]
Say = Callable[[str], None]
Look = Callable[[], None]

# What their splits are called in the folders that are measured on.
SPLITS: dict[Split, Literal["test", "golden"]] = {Split.TEST: "test", Split.GOLDEN: "golden"}


@dataclass(frozen=True)
class _Bench:
    """What is measured, where, and by whom; the active checkpoint comes first among `checkpoints`."""

    runtime: Runtime
    job: Job
    checkpoints: tuple[tuple[Checkpoint, Path], ...]
    folder: Path
    run: Run
    say: Say
    look: Look
    language: str | None  # that the candidate writes; of other ones no reference counts

    @property
    def active(self) -> Checkpoint:
        return self.checkpoints[0][0]

    @property
    def candidate(self) -> Checkpoint:
        return self.checkpoints[-1][0]


def _nothing() -> None:
    pass


def measure(
    runtime: Runtime,
    *,
    job_id: int,
    candidate_id: int,
    dataset_id: int | None,
    folder: Path,
    run: Run,
    say: Say,
    look: Look = _nothing,
) -> None:
    """Score a candidate and the active checkpoint on the dataset's held-out split and on all golden sets.

    References in other languages than the candidate writes are left out, and with them whole golden sets.
    What the active one wrote on a set before stands; a photo that is gone or cannot be decoded has an empty
    caption. Then caption a sample of what nobody has reviewed, to tell what promoting the candidate would
    change.
    `run` runs a command of ours and returns what it prints, `say` tells people how far this is; files lie in
    `folder` meanwhile, and `look` is called every few seconds while they are fetched and written. The active
    checkpoint itself is only scored. Raises what `run` and `look` raise, MissingBlob and StorageFull.
    """
    with runtime.database.reading() as session:
        dataset = session.get_one(Dataset, dataset_id) if dataset_id else None
        fetched = _fetched(runtime, session, candidate_id, look)
        language = checkpoint_languages.judged_in(session, fetched[-1][0], fetched[0][0])
        sets = evaluations.sets_to_measure(session, dataset, language=language)
        job = session.get_one(Job, job_id)
        bench = _Bench(runtime, job, fetched, folder, run, say, look, language)
        affected = impacts.affected(session, dataset, bench.active)
    folder.mkdir(parents=True, exist_ok=True)
    for one in sets:
        if not _is_measured(bench, one):
            _measure_on(bench, one)
    if bench.candidate.id != bench.active.id:
        for collection_id in affected:
            _tell_impact(bench, collection_id)


def _fetched(
    runtime: Runtime, session: Session, candidate_id: int, look: Look
) -> tuple[tuple[Checkpoint, Path], ...]:
    """The active checkpoint and the candidate as folders; one of them where they are the same."""
    active, candidate = checkpoints.active(session), session.get_one(Checkpoint, candidate_id)
    both = [active] if active.id == candidate.id else [active, candidate]
    with room_in(runtime.settings.cache):
        cache = runtime.settings.cache
        fetch = partial(checkpoints.materialise, blobs=runtime.blobs, cache=cache)
        return tuple((one, meanwhile(look, partial(fetch, one))) for one in both)


def _is_measured(bench: _Bench, one: SetToMeasure) -> bool:
    """Whether this job did it before it was killed, beside what is active now."""
    here = (Evaluation.dataset_id == one.dataset.id, Evaluation.split == one.split)
    its_own = (Evaluation.job_id == bench.job.id, Evaluation.checkpoint_id == bench.candidate.id)
    scored = select(Evaluation.id).where(*here, *its_own)
    if bench.candidate.id != bench.active.id:
        scored = scored.where(
            select(Comparison.id)
            .where(
                Comparison.job_id == bench.job.id,
                Comparison.dataset_id == one.dataset.id,
                Comparison.split == one.split,
                Comparison.candidate_id == bench.candidate.id,
                Comparison.against_id == bench.active.id,
            )
            .exists()
        )
    with bench.runtime.database.reading() as session:
        return session.scalar(scored) is not None


def _measure_on(bench: _Bench, one: SetToMeasure) -> None:
    blobs = bench.runtime.blobs
    _, items = manifests.read(blobs, one.dataset.manifest_sha256)
    held = _in_language([item for item in items if item.split is one.split], bench.language)
    if not held:
        bench.say(
            f"{in_log(one.dataset, bench.job)} has no photo to measure on with references in {bench.language}"
        )
        return
    bench.say(f"measuring on {in_log(one.dataset, bench.job)}")
    data = bench.folder / f"set-{one.dataset.id}-{one.split}"
    photos, gone = _photos(held, one.split), list[TrainingPhoto]()
    write_training_folder(blobs, renewing(bench.look, photos), data, gone=gone.append)
    # What is gone counts against both: then both write anew.
    earlier = None if gone else _earlier(bench, one, photos)
    details = data.with_name(f"{data.name}.jsonl")
    told = json.loads(bench.run(_evaluate(bench, data, SPLITS[one.split], details, earlier)))
    _keep(bench, one, _results(told, _origins(held)), _predictions(details), active_too=earlier is None)


def _in_language(items: Sequence[FrozenItem], language: str | None) -> list[FrozenItem]:
    """The items with their captions in a language alone; those without any are left out."""
    if language is None:
        return list(items)
    found = [
        replace(item, captions=tuple(one for one in item.captions if primary(one.language) == language))
        for item in items
    ]
    return [item for item in found if item.captions]


def _photos(items: Sequence[FrozenItem], split: Split) -> list[TrainingPhoto]:
    """Each photo once, with the captions of all items that show it: twins would count twice."""
    captions: dict[str, dict[str, None]] = {}
    for item in items:
        captions.setdefault(item.sha256, {}).update((one.text, None) for one in item.captions)
    renditions = {item.sha256: item.rendition for item in items}
    return [
        TrainingPhoto(
            sha256=sha256,
            rendition=renditions[sha256],
            split=SPLITS[split],
            captions=tuple(texts),
            source="golden" if split is Split.GOLDEN else "dataset",
        )
        for sha256, texts in captions.items()
    ]


def _earlier(bench: _Bench, one: SetToMeasure, photos: Sequence[TrainingPhoto]) -> Path | None:
    """What the active checkpoint wrote for these photos before, so that the candidate alone has to write."""
    if bench.candidate.id == bench.active.id:
        return None
    file = bench.folder / f"active-{one.dataset.id}-{one.split}.jsonl"
    hashes = [photo.sha256 for photo in photos]
    return write_earlier_captions(bench.runtime, bench.active, one, hashes, file)


def _evaluate(bench: _Bench, data: Path, split: str, details: Path, earlier: Path | None) -> list[str]:
    """The command that scores the checkpoints; differences are those to the first, the active one."""
    (_, active), *others = bench.checkpoints
    first = ["--captions", str(earlier)] if earlier else ["--checkpoint", str(active)]
    against = [part for _, folder in others for part in ("--against", str(folder))]
    where = ["--data", str(data), "--split", split, "--details", str(details)]
    return ["evaluate", *where, *first, *against, "--device", bench.runtime.device, "--json"]


def _results(told: dict[str, Any], origins: dict[str, int]) -> list[dict[str, Any]]:
    """What each checkpoint scored, with the origins of the references beside it."""
    others = told.pop("against", [])
    told.pop("recipes", None)
    return [{**one, "origins": origins} for one in (told, *others)]


def _origins(items: Sequence[FrozenItem]) -> dict[str, int]:
    """The references by origin; those that were written without seeing model text are "blind"."""
    captions = (caption for item in items for caption in item.captions)
    return dict(Counter("blind" if one.blind else one.origin for one in captions).most_common())


def _predictions(details: Path) -> list[list[Predicted]]:
    """What each checkpoint wrote for each photo, in the order of the checkpoints."""
    lines = details.read_text(encoding="utf-8").rstrip("\n").split("\n")
    rows = [
        [
            Predicted(sha256=Path(photo["image"]).stem, caption=caption, cider=cider)
            for caption, cider in zip(photo["captions"].values(), photo["cider"].values(), strict=True)
        ]
        for photo in map(json.loads, lines)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _keep(
    bench: _Bench,
    one: SetToMeasure,
    results: Sequence[dict[str, Any]],
    predictions: Sequence[list[Predicted]],
    *,
    active_too: bool,
) -> None:
    """Keep scores, predictions and the comparison, all in one transaction.

    Of the active checkpoint what was kept before stays, unless `active_too`.
    """
    compared = _compared(results, predictions) if len(results) > 1 else None
    for result in results:
        result.pop("difference", None)
    written = list(zip(bench.checkpoints, results, predictions, strict=True))[0 if active_too else 1 :]
    lines = [regressions.to_lines(each) for _, _, each in written]
    keys = [bench.runtime.blobs.put(each) for each in lines]

    def write(session: Session) -> list[str | None]:
        # Somebody may have removed equal predictions that nothing needed until now.
        lock_content(session, *keys)
        for each in lines:
            bench.runtime.blobs.put(each)
        if compared:
            evaluations.record_comparison(
                session,
                candidate_id=bench.candidate.id,
                against_id=bench.active.id,
                measured_on=one,
                job_id=bench.job.id,
                result=compared,
            )
        return [
            evaluations.record(
                session,
                checkpoint_id=checkpoint.id,
                measured_on=one,
                job_id=bench.job.id,
                result=result,
                predictions_sha256=key,
            )
            for ((checkpoint, _), result, _), key in zip(written, keys, strict=True)
        ]

    replaced = bench.runtime.database.insist(write)
    remove_blobs(bench.runtime.database, bench.runtime.blobs, [key for key in replaced if key])


def _compared(results: Sequence[dict[str, Any]], predictions: Sequence[list[Predicted]]) -> dict[str, Any]:
    """The differences of the candidate to the active one; `sd` is of those in CIDEr-D between photos."""
    differences = [after.cider - before.cider for before, after in zip(*predictions, strict=True)]
    active, candidate = results
    return {
        "n": candidate["n"],
        "candidate": candidate["scores"],
        "against": active["scores"],
        "difference": candidate["difference"],
        "sd": stdev(differences) if len(differences) > 1 else 0.0,
    }


def _tell_impact(bench: _Bench, collection_id: int) -> None:
    with bench.runtime.database.reading() as session:
        total = impacts.unreviewed(session, collection_id)
        standing = impacts.sample(session, collection_id)
    if not standing:
        return
    bench.say("captioning a sample of what nobody has reviewed")
    after = _captioned(bench, standing, bench.folder / f"impact-{collection_id}")
    result = impacts.summary(standing, after, total=total)
    pair = {"candidate_id": bench.candidate.id, "against_id": bench.active.id}

    def write(session: Session) -> None:
        impacts.record(session, collection_id=collection_id, job_id=bench.job.id, result=result, **pair)

    bench.runtime.database.insist(write)


def _captioned(bench: _Bench, standing: Sequence[Standing], photos: Path) -> dict[int, str]:
    """The candidate's captions of the sampled items, by item; without those whose picture is gone."""
    said = caption_renditions(
        {str(one.item_id): one.rendition for one in standing},
        photos,
        blobs=bench.runtime.blobs,
        checkpoint=bench.checkpoints[-1][1],
        device=bench.runtime.device,
        run=bench.run,
        look=bench.look,
    )
    return {int(item_id): text for item_id, text in said.items()}
