"""Train jobs as people start them: what they ask for, and why some are refused."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from catalog import dataset_languages, job_events, recipes, withheld
from catalog.errors import Conflict, InvalidInput, NotAllowed
from catalog.jobs import PROTOCOL, counted
from catalog.schema import (
    Checkpoint,
    Chunk,
    Dataset,
    DatasetImage,
    DatasetKind,
    Image,
    Item,
    Job,
    JobKind,
    Origin,
    Role,
    Split,
    TrainingRun,
    User,
)
from catalog.splits import HELD_BACK, LEARNED_FROM

MINIMUM_PHOTOS = 50  # of its own that a dataset must have to train on
MINIMUM_WORDS = 20  # different ones in its captions: fewer are a template, and nothing is learnt from it
REPLAY = 0.75  # share of earlier photos: 3 for each new one, so that what was learnt is not forgotten
MOST_REPLAY = 0.95


def create(
    session: Session,
    dataset: Dataset,
    *,
    base: Checkpoint | None,
    recipe: str | None,
    user: User | None,
    replay: float = REPLAY,
    origins: Sequence[Origin] | None = None,
    language: str | None = None,
    seed: int = 1,
    promote: bool = False,
    overrides: Sequence[str] = (),
    priority: int = 0,
) -> Job:
    """Write a train job; publish a wake-up for the train queue once it is committed.

    It goes on from `base`, or begins from scratch with the `recipe`; `replay` is the share of photos of
    earlier datasets among those that it learns from, `origins` those of the captions, all by default, and
    `language` theirs, the commonest by default: captions of others are left out. With
    `promote` its checkpoint takes over where it is measurably better. A job waits while another one of the
    same dataset name is at work. Raises Conflict for data that cannot be learnt from, InvalidInput for
    settings out of bounds, and NotAllowed where somebody who is no admin asks to promote.
    """
    _require_settings(base, recipe, replay, seed, overrides)
    if promote and user and user.role is not Role.ADMIN:
        raise NotAllowed("only admins promote checkpoints; train without promoting, and ask one of them")
    chosen = sorted({Origin(origin).value for origin in origins}) if origins else None
    require_data(session, dataset)
    options: dict[str, Any] = {
        "recipe": recipe,
        "replay": replay if base else 0.0,
        "origins": chosen,
        "language": dataset_languages.chosen(dataset, language),
        "seed": seed,
        "promote": promote,
        "overrides": list(overrides),
    }
    named = f"{dataset.name}@{dataset.version}"
    text = f"created to train on {named} from {base.name if base else f'scratch by the recipe {recipe}'}"
    run = TrainingRun(dataset_id=dataset.id, line=dataset.name)
    return _written(session, run, text, dataset.collection_id, base, user, options, priority)


def create_measuring(session: Session, checkpoint: Checkpoint, *, user: User | None) -> Job:
    """Write a job that only measures a checkpoint, on the collection that it was trained on, if any."""
    trained_on = (
        select(Dataset.collection_id)
        .join(TrainingRun, TrainingRun.dataset_id == Dataset.id)
        .where(TrainingRun.checkpoint_id == checkpoint.id)
    )
    run = TrainingRun(checkpoint_id=checkpoint.id, line=f"checkpoint {checkpoint.name}"[:255])
    text = f"created to measure {checkpoint.name}"
    return _written(session, run, text, session.scalar(trained_on.limit(1)), None, user, {}, 0)


def require_data(session: Session, dataset: Dataset) -> None:
    """Raises Conflict, with the reason, for a dataset that nothing can be learnt from, or not honestly."""
    named = f"{dataset.name}@{dataset.version}"
    if dataset.kind is not DatasetKind.CURATED:
        raise Conflict(f"{named} is a golden set, which measures captioners and never trains one")
    counts = dict(session.execute(_photos_by_split(dataset)).all())
    words = dataset.card.get("vocabulary", MINIMUM_WORDS)
    require_enough(named, counts.get(Split.TRAIN, 0), counts.get(Split.VALIDATION, 0), words)
    require_no_leaks(session, dataset)


def require_no_leaks(session: Session, dataset: Dataset) -> None:
    """Raises Conflict where photos to learn from are measured on by now, or look like photos that are.

    Freezing leaves both out by the same rules, so what was frozen before the others came can be mended.
    """
    named = f"{dataset.name}@{dataset.version} that would be learnt from"
    same = session.scalars(_held_back_since(dataset)).all()
    hashes = dict(session.execute(_learnt_from(dataset, Image.sha256, Image.dhash)).all())
    like = sorted(withheld.near(session, hashes, HELD_BACK).difference(same))
    found = []
    if same:
        photos = counted(len(same), "photo")
        found.append(f"{photos} of {named} became test or golden photos since, such as {same[0][:12]}")
    if like:
        photos, look = counted(len(like), "photo"), "looks" if len(like) == 1 else "look"
        found.append(f"{photos} of {named} {look} like test or golden photos, such as {like[0][:12]}")
    if found:
        raise Conflict(f"{' and '.join(found)}; freeze the dataset again, which leaves them out")


def require_enough(named: str, training: int, validation: int, words: int = MINIMUM_WORDS) -> None:
    """Raises Conflict for too few photos to learn from or to choose an epoch by, and for too few words."""
    if training < MINIMUM_PHOTOS:
        raise Conflict(
            f"{named} has {counted(training, 'photo')} to train on, and {MINIMUM_PHOTOS} are needed; "
            "accept more captions and freeze it again"
        )
    if validation == 0:
        raise Conflict(
            f"{named} has no photo to validate on, by which training knows when to stop; "
            "accept more captions and freeze it again: one photo in ten is for that"
        )
    if words < MINIMUM_WORDS:
        raise Conflict(
            f"the captions of {named} have {counted(words, 'different word')}, and {MINIMUM_WORDS} are "
            "needed to learn from; correct more of them and freeze it again"
        )


def _require_settings(
    base: Checkpoint | None, recipe: str | None, replay: float, seed: int, overrides: Sequence[str]
) -> None:
    if base is None and recipe is None:
        raise InvalidInput("say what to train from: a checkpoint to go on from, or a recipe from scratch")
    if recipe is not None:
        recipes.require(recipe)
    recipes.require_overrides(overrides)
    if not 0.0 <= replay <= MOST_REPLAY:
        raise InvalidInput(f"the replay share is {replay}; give one between 0 and {MOST_REPLAY}")
    if not 0 <= seed < 2**31:
        raise InvalidInput(f"the seed is {seed}; give a whole number from 0 to {2**31 - 1}")


def _written(
    session: Session,
    run: TrainingRun,
    text: str,
    collection_id: int | None,
    base: Checkpoint | None,
    user: User | None,
    options: dict[str, Any],
    priority: int,
) -> Job:
    job = Job(
        kind=JobKind.TRAIN,
        collection_id=collection_id,
        checkpoint_id=base.id if base else None,
        user_id=user.id if user else None,
        options=options,
        priority=priority,
        protocol=PROTOCOL,
    )
    session.add(job)
    session.flush()
    run.job_id = job.id
    session.add_all([Chunk(job_id=job.id, number=0), run])
    job_events.append(session, job.id, "created", text, user=user)
    session.flush()
    return job


def _photos_by_split(dataset: Dataset) -> Select[Split, int]:
    """How many photos of each split may be learnt from by now."""
    prohibited = exists().where(Item.image_id == DatasetImage.image_id, Item.training_prohibited)
    count = select(DatasetImage.split, func.count()).where(DatasetImage.dataset_id == dataset.id, ~prohibited)
    return count.group_by(DatasetImage.split)


def _learnt_from(dataset: Dataset, *columns: Any) -> Select[*tuple[Any, ...]]:
    """Columns of the images that training would see."""
    of_dataset = (DatasetImage.dataset_id == dataset.id, DatasetImage.split.in_(LEARNED_FROM))
    return select(*columns).join(DatasetImage, DatasetImage.image_id == Image.id).where(*of_dataset)


def _held_back_since(dataset: Dataset) -> Select[str]:
    """The photos that training would see, and that are held back for measuring somewhere by now."""
    elsewhere = aliased(DatasetImage)
    held_back = exists().where(elsewhere.image_id == Image.id, elsewhere.split.in_(HELD_BACK))
    held_back_now = or_(Image.split.in_(HELD_BACK), held_back)
    return _learnt_from(dataset, Image.sha256).where(held_back_now).order_by(Image.sha256)
