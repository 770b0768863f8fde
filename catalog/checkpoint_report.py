"""What is known of checkpoints, as the command line tells it: a line each, or all about one of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from catalog import evaluations, gate, impacts, lineage
from catalog.blobs import BlobStore
from catalog.datasets import address
from catalog.schema import Checkpoint

SCORES = ("bleu4", "cider")  # of those in a line


def described(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as scripts read it; `scores` are those of its own validation split."""
    measured = checkpoint.description.get("scores") or {}
    return {
        "id": checkpoint.id,
        "name": checkpoint.name,
        "state": checkpoint.state,
        "created_at": checkpoint.created_at.isoformat(),
        "weights_sha256": checkpoint.weights_sha256,
        "words": len(checkpoint.description.get("vocabulary") or ()),
        "scores": measured.get("scores", measured),
    }


def in_a_line(told: Mapping[str, Any]) -> str:
    """A described checkpoint in a list."""
    scores = [
        f"{name} {told['scores'][name]:.3f}"
        for name in SCORES
        if isinstance(told["scores"].get(name), int | float)
    ]
    return f"{told['id']:>6}  {told['state']:<10} {', '.join([told['name'], *scores])}"


def report(session: Session, blobs: BlobStore, checkpoint: Checkpoint, active: Checkpoint) -> dict[str, Any]:
    """All about one checkpoint, as scripts read it, with what the gate says of it."""
    came = lineage.of_checkpoint(session, blobs, checkpoint, viewer=None)
    measured = evaluations.of_checkpoint(session, checkpoint, viewer=None)
    seen = impacts.of_pair(session, checkpoint, active, viewer=None)
    return {
        **described(checkpoint),
        "verdict": gate.verdict(session, checkpoint, active).to_json()
        if checkpoint.id != active.id
        else None,
        "measured": [
            {
                "dataset": address(one.dataset),
                "split": one.evaluation.split,
                "n": one.evaluation.result.get("n"),
                "scores": one.evaluation.result.get("scores", {}),
                "origins": one.evaluation.result.get("origins", {}),
            }
            for one in measured
        ],
        "impact": [{"collection": one.collection.name, **one.result} for one in seen],
        "lineage": {
            "parents": [one.name for one in came.parents],
            "job": came.run.job_id if came.run else None,
            "dataset": address(came.dataset) if came.dataset else None,
            "origins": came.origins,
            "captions": came.captions,
            "children": [one.name for one in came.children],
        },
    }


def in_full(told: Mapping[str, Any]) -> str:
    """A report for people to read."""
    return "\n".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"{told['name']} is {told['state']}; it knows {told['words']:,} words"
    came = told["lineage"]
    if came["parents"]:
        yield f"trained from {', from '.join(came['parents'])}"
    if came["dataset"]:
        yield f"trained on {came['dataset']} by job {came['job']}: {_counts(came['origins'])}"
    yield f"wrote {came['captions']:,} captions"
    if came["children"]:
        yield f"taught {', '.join(came['children'])}"
    for one in told["measured"]:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in one["scores"].items())
        yield f"{one['dataset']} {one['split']}, {one['n']} photos, {_counts(one['origins'])}: {scores}"
    for one in told["impact"]:
        yield (
            f"would change {one['estimate']:,} of {one['items']:,} unreviewed captions of "
            f"{one['collection']} ({one['low']:.0%} to {one['high']:.0%})"
        )
    if told["verdict"]:
        yield from told["verdict"]["sentences"]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing"
