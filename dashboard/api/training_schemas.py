"""What the API takes and gives of retraining."""

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Enum, Float, Integer, List, Nested, Raw, String
from apiflask.validators import Length, Range

from catalog.languages import LONGEST_TAG
from catalog.schema import Origin
from catalog.training_jobs import MOST_REPLAY, REPLAY
from dashboard.api.job_schemas import JobOut


class TrainingJobIn(Schema):
    dataset_id = Integer(required=True)
    checkpoint = String(
        load_default=None,
        allow_none=True,
        validate=Length(1, 255),
        metadata={"description": "The name of the one to go on from; the active one by default."},
    )
    recipe = String(
        load_default=None,
        allow_none=True,
        validate=Length(1, 255),
        metadata={"description": "Begin from scratch by this recipe instead."},
    )
    replay = Float(
        load_default=REPLAY,
        validate=Range(0, MOST_REPLAY),
        metadata={"description": "The share of earlier photos among those that it learns from."},
    )
    origins = List(
        Enum(Origin, by_value=True),
        load_default=None,
        allow_none=True,
        validate=Length(1),
        metadata={"description": "Of the captions to learn from; all by default."},
    )
    language = String(
        load_default=None,
        allow_none=True,
        validate=Length(max=LONGEST_TAG),
        metadata={"description": "Of the captions to learn from, such as en; the commonest by default."},
    )
    seed = Integer(load_default=1, validate=Range(0, 2**31 - 1))
    promote = Boolean(
        load_default=False, metadata={"description": "Promote it if it is measurably better. For admins."}
    )


class StandingOut(Schema):
    stage = String()
    epoch = Integer(allow_none=True)
    epochs = Integer(allow_none=True, metadata={"description": "At most; training stops early."})
    step = Integer(allow_none=True)
    steps = Integer(allow_none=True)
    loss = Float(allow_none=True)
    seconds_left = Float(allow_none=True)


class TrainingJobOut(Schema):
    job = Nested(JobOut)
    dataset_id = Integer(
        attribute="run.dataset_id",
        allow_none=True,
        metadata={"description": "Null where a checkpoint is only measured."},
    )
    checkpoint_id = Integer(
        attribute="run.checkpoint_id",
        allow_none=True,
        metadata={"description": "What came of it, or what is measured."},
    )
    standing = Nested(StandingOut)
    epochs = List(
        Dict(),
        attribute="run.epochs",
        metadata={"description": "A row an epoch, as in log.jsonl: `loss`, `scores.cider`, `seconds`."},
    )
    losses = List(
        List(Float()),
        attribute="run.losses",
        metadata={"description": "Pairs of update and loss; of long runs, not every one."},
    )
    data = Dict(
        keys=String(), values=Raw(), attribute="run.data", metadata={"description": "What it learns from."}
    )
