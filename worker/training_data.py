"""The photos of a train job, on files: chosen once, kept in a list, and written where training reads them."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from catalog import dataset_languages, training_files, training_photos, training_runs, withheld
from catalog.checkpoints import materialise
from catalog.errors import Conflict
from catalog.exports.training import DESCRIPTION, TrainingPhoto, write_training_folder
from catalog.jobs import counted
from catalog.schema import Checkpoint, Dataset, TrainingRun
from catalog.space import room_in
from catalog.training_jobs import require_enough, require_no_leaks
from catalog.training_photos import Unreviewed
from worker.captioned_renditions import caption_renditions
from worker.children import Children, renewing


@dataclass(frozen=True)
class _Choice:
    """What is learnt from, how many earlier photos were wanted, and how many new ones are prohibited."""

    photos: list[TrainingPhoto]
    wanted: int
    prohibited: int
    foreign: int  # captions in other languages than the one that is learnt


def prepare(children: Children) -> Path:
    """The folder that training reads. What was chosen before, here or on another host, is chosen again.

    Raises Conflict, with the reason, where there is not enough to learn from and where a run cannot go on
    with the photos that it began with, MissingBlob and DamagedManifest where what was frozen is gone, and
    what `children` raises.
    """
    chosen, data = children.folder / "photos.jsonl", children.folder / "data"
    with room_in(children.folder):
        if not chosen.exists():
            choice = _choose(children)
            _tell(children, choice)
            _keep(chosen, choice.photos)
        if not (data / DESCRIPTION).exists():
            staged = data.with_name("data.partial")
            _write(children, chosen, staged)
            _describe(children, staged / DESCRIPTION)
            staged.rename(data)
    return data


def base_folder(children: Children) -> Path | None:
    """The checkpoint that the job goes on from, as a folder of this machine."""
    runtime, held = children.runtime, children.held
    if held.base_id is None:
        return None
    with runtime.database.reading() as session:
        base = session.get_one(Checkpoint, held.base_id)
    with room_in(runtime.settings.cache):
        return children.meanwhile(partial(materialise, base, runtime.blobs, runtime.settings.cache))


def _keep(chosen: Path, photos: Sequence[TrainingPhoto]) -> None:
    staged = chosen.with_suffix(".partial")
    training_photos.write_list(staged, photos)
    os.replace(staged, chosen)


def _write(children: Children, chosen: Path, folder: Path) -> None:
    """Write the chosen photos, but for distilled ones that people have deleted since: no dataset holds those.

    Raises Conflict where something was learnt from them: a run ends on the very photos that it began with.
    """
    blobs, begun = children.runtime.blobs, (children.folder / training_files.STATE).exists()
    there: list[TrainingPhoto] = []
    gone: list[TrainingPhoto] = []

    def still_there() -> Iterator[TrainingPhoto]:
        for photo in renewing(children.look, training_photos.read_list(chosen)):
            if photo.source != "distilled" or blobs.exists(photo.rendition):
                there.append(photo)
                yield photo
            elif begun:
                raise _deleted(photo)
            else:
                gone.append(photo)

    write_training_folder(blobs, still_there(), folder)
    if gone:
        _tell_again(children, there)
        _keep(chosen, there)


def _deleted(photo: TrainingPhoto) -> Conflict:
    return Conflict(
        f"photo {photo.sha256[:12]}, which the base captioned for this training, was deleted while the job "
        "rested, and a training never goes on with other photos than it began with; start a new one of the "
        "same dataset"
    )


def _choose(children: Children) -> _Choice:
    """The dataset's photos and earlier ones; as many as are missing of these, the base captions of others."""
    runtime, held = children.runtime, children.held
    with runtime.database.reading() as session:
        dataset = session.get_one(Dataset, held.dataset_id)
        # The job may have waited while photos were held back.
        require_no_leaks(session, dataset)
        origins, share, seed = (held.options[name] for name in ("origins", "replay", "seed"))
        language = held.options["language"]
        frozen = training_photos.of_dataset(
            runtime.blobs, dataset, source="dataset", origins=origins, language=language
        )
        foreign = dataset_languages.left_out(dataset, language)
        left_out = withheld.prohibited(session, [photo.sha256 for photo in frozen])
        new = [photo for photo in frozen if photo.sha256 not in left_out]
        _require_enough(dataset, new)
        if held.base_id is None or share == 0.0:
            return _Choice(new, wanted=0, prohibited=len(left_out), foreign=foreign)
        earlier = training_photos.replayed(
            session,
            runtime.blobs,
            new,
            held.base_id,
            share=share,
            seed=seed,
            origins=origins,
            language=language,
        )
    wanted = training_photos.replay_count(new, "train", share)
    missing = wanted - sum(photo.split == "train" for photo in earlier)
    photos = [*new, *earlier]
    if missing:
        photos += _distil(children, dataset, photos, missing)
    return _Choice(photos, wanted=wanted, prohibited=len(left_out), foreign=foreign)


def _require_enough(dataset: Dataset, new: Sequence[TrainingPhoto]) -> None:
    counts = Counter(photo.split for photo in new)
    named = f"{dataset.name}@{dataset.version}"
    require_enough(named, counts["train"], counts["val"], training_photos.vocabulary(new))


def _distil(
    children: Children, dataset: Dataset, known: Sequence[TrainingPhoto], wanted: int
) -> list[TrainingPhoto]:
    """Photos of the collection with what the base says of them, so that it goes on saying such things.

    After Li and Hoiem, "Learning without Forgetting", 2016.
    """
    runtime, options = children.runtime, children.held.options
    with runtime.database.writing() as session:
        asked = training_photos.unreviewed(
            session, dataset, wanted=wanted, seed=options["seed"], without={photo.sha256 for photo in known}
        )
    if not asked:
        return []
    with runtime.database.writing() as session:
        text = f"the base captions {counted(len(asked), 'photo')}, for too few others are there to replay"
        training_runs.enter(session, children.held, "distilling", text)
    said = _captions(children, asked)
    return [
        TrainingPhoto(
            sha256=photo.sha256,
            rendition=photo.rendition,
            split="train",
            captions=(said[photo.sha256],),
            source="distilled",
        )
        for photo in asked
        if photo.sha256 in said
    ]


def _captions(children: Children, asked: Sequence[Unreviewed]) -> dict[str, str]:
    """What the base says of each photo that it can read, by the photo's hash."""
    said = caption_renditions(
        {photo.sha256: photo.rendition for photo in asked},
        children.folder / "asked",
        blobs=children.runtime.blobs,
        checkpoint=cast(Path, base_folder(children)),
        device=children.runtime.device,
        run=children.run,
        look=children.look,
    )
    return {sha256: text for sha256, text in said.items() if text}


def _tell(children: Children, choice: _Choice) -> None:
    """Say what is learnt from, in counts and in words."""
    counts = Counter((photo.split, photo.source) for photo in choice.photos)
    data = {
        "new": counts["train", "dataset"],
        "replay": counts["train", "replay"],
        "distilled": counts["train", "distilled"],
        "validation": sum(photo.split == "val" for photo in choice.photos),
        "wanted": choice.wanted,
        "prohibited": choice.prohibited,
        "other_languages": choice.foreign,
    }
    with children.runtime.database.writing() as session:
        training_runs.learns_from(session, children.held, data, _sentence(data))


def _tell_again(children: Children, photos: Sequence[TrainingPhoto]) -> None:
    """Say how many distilled photos are left."""
    distilled = sum(photo.source == "distilled" for photo in photos)
    with children.runtime.database.writing() as session:
        data = {**session.get_one(TrainingRun, children.held.job_id).data, "distilled": distilled}
        training_runs.learns_from(session, children.held, data, _sentence(data))


def _sentence(data: dict[str, int]) -> str:
    """What is learnt from, as the job's log says it, and what is missing."""
    parts = [f"learns from {counted(data['new'], 'photo')} of its dataset"]
    if data["replay"]:
        parts.append(f"{counted(data['replay'], 'photo')} of earlier datasets")
    if data["distilled"]:
        parts.append(f"{counted(data['distilled'], 'photo')} with what the base says of them")
    text = f"{' and '.join(parts)}; {counted(data['validation'], 'photo')} to validate on"
    if not data["wanted"]:
        text += "; earlier photos are not replayed"
    elif data["replay"] + data["distilled"] == 0:
        text += "; there are no other photos to replay or to distil, so what was learnt may be forgotten"
    elif data["replay"] + data["distilled"] < data["wanted"]:
        text += f"; {data['wanted']:,} earlier ones were wanted, and there are no more"
    if data["prohibited"]:
        text += f"; left out, for training on them is prohibited by now: {data['prohibited']:,}"
    if data["other_languages"]:
        text += f"; left out, for they are in other languages: {counted(data['other_languages'], 'caption')}"
    return text


def _describe(children: Children, path: Path) -> None:
    """Say in the data where they come from: the checkpoint that is made of them keeps it."""
    with children.runtime.database.reading() as session:
        dataset = session.get_one(Dataset, children.held.dataset_id)
        data = session.get_one(TrainingRun, children.held.job_id).data
    about: dict[str, Any] = {
        "dataset": f"{dataset.name}@{dataset.version}",
        "manifest_sha256": dataset.manifest_sha256,
        "photos": data,
    }
    for name in ("origins", "language"):
        if told := children.held.options[name]:
            about[name] = told
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "about": about}, ensure_ascii=False) + "\n", encoding="utf-8")
