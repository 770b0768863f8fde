"""What the API takes and gives of checkpoints: scores, verdicts, promotions."""

from apiflask import Schema
from apiflask.fields import DateTime, Dict, Enum, File, Float, Integer, List, Nested, Raw, String
from apiflask.validators import Length

from catalog.promotions import REASON_LENGTH
from catalog.schema import CheckpointState, DatasetKind, Split


class CheckpointOut(Schema):
    id = Integer()
    name = String()
    state = Enum(CheckpointState, by_value=True)
    weights_sha256 = String()
    created_at = DateTime()


class ScoreOut(Schema):
    value = Float()
    low = Float(metadata={"description": "Of the 95 % interval."})
    high = Float()


class ListedCheckpointOut(Schema):
    checkpoint = Nested(CheckpointOut)
    origin = String(metadata={"description": "How it came to be, in words."})
    words = Integer(metadata={"description": "In its vocabulary."})
    golden = Nested(
        ScoreOut, allow_none=True, metadata={"description": "CIDEr on `golden_set`; null where not measured."}
    )
    golden_set = String(attribute="golden_name")
    scores = Dict(keys=String(), values=Float(), metadata={"description": "As its training recorded them."})


class NamedDatasetOut(Schema):
    id = Integer()
    name = String()
    version = Integer()
    kind = Enum(DatasetKind, by_value=True)


class LineageOut(Schema):
    parents = List(Nested(CheckpointOut), metadata={"description": "What it goes on from, nearest first."})
    children = List(Nested(CheckpointOut))
    dataset = Nested(NamedDatasetOut, allow_none=True)
    job_id = Integer(attribute="run.job_id", metadata={"description": "What trained it; absent elsewhere."})
    origins = Dict(
        keys=String(), values=Integer(), metadata={"description": "Captions that it learnt from, by origin."}
    )
    captions = Integer(metadata={"description": "That it has written."})


class ShownCheckpointOut(ListedCheckpointOut):
    lineage = Nested(LineageOut)
    description = Dict(
        keys=String(),
        values=Raw(),
        metadata={"description": "Its checkpoint.json, without the words of the vocabulary."},
    )


class AgainstQuery(Schema):
    against = String(
        validate=Length(1, 255),
        metadata={"description": "The name of another checkpoint; the active one by default."},
    )


class VerdictOut(Schema):
    answer = String(metadata={"description": "`better`, `not better` or `cannot tell`."})
    sentences = List(String())
    needs = Integer(allow_none=True, metadata={"description": "How many more photos would tell."})
    dataset = String(allow_none=True, metadata={"description": "The golden set that decides."})
    n = Integer(allow_none=True)
    looks = Integer(allow_none=True)
    p = Float(allow_none=True, metadata={"description": "Corrected for the looks."})


class ComparedOut(Schema):
    dataset = Nested(NamedDatasetOut)
    split = Enum(Split, by_value=True)
    n = Integer(attribute="evaluation.result.n")
    references = Raw(attribute="evaluation.result.references")
    origins = Dict(
        keys=String(), values=Integer(), metadata={"description": "Where the references come from."}
    )
    scores = Dict(attribute="evaluation.result.scores", keys=String(), values=Float())
    intervals = Dict(attribute="evaluation.result.intervals", keys=String(), values=List(Float()))
    other_scores = Dict(attribute="other.result.scores", keys=String(), values=Float())
    other_intervals = Dict(attribute="other.result.intervals", keys=String(), values=List(Float()))
    difference = Dict(
        attribute="comparison.result.difference",
        keys=String(),
        values=Dict(),
        metadata={"description": "By score: `value`, `low`, `high`, `p`; absent where not compared."},
    )
    look = Integer(attribute="comparison.look", metadata={"description": "Which look at this set it was."})


class RegressionOut(Schema):
    item_id = Integer()
    path = String()
    sha256 = String()
    before = String()
    after = String()
    references = List(String())
    drop = Float(metadata={"description": "Of CIDEr-D."})


class ImpactOut(Schema):
    collection_id = Integer(attribute="impact.collection_id")
    result = Dict(keys=String(), values=Raw())


class ComparisonOut(Schema):
    other = Nested(CheckpointOut)
    verdict = Nested(
        VerdictOut, allow_none=True, metadata={"description": "Given beside the active checkpoint alone."}
    )
    sets = List(Nested(ComparedOut), attribute="scored")
    worst = List(Nested(RegressionOut))
    impacts = List(
        Nested(ImpactOut),
        metadata={"description": "What promoting would change of captions that nobody has reviewed."},
    )


class PromotionIn(Schema):
    reason = String(
        load_default=None,
        allow_none=True,
        validate=Length(max=REASON_LENGTH),
        metadata={"description": "Needed where the gate does not call it better."},
    )


class PromotionOut(Schema):
    id = Integer()
    checkpoint_id = Integer()
    previous_id = Integer(allow_none=True)
    job_id = Integer(allow_none=True)
    verdict = Dict(keys=String(), values=Raw())
    reason = String(allow_none=True)
    rolls_back_id = Integer(allow_none=True)
    created_at = DateTime()


class CheckpointUploadIn(Schema):
    files = List(
        File(),
        required=True,
        validate=Length(1, 8),
        metadata={"description": "A zip of a checkpoint, or both files of its folder."},
    )
