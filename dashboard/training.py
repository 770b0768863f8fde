"""How a train job is shown: its stage in words, its curves, and what it learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from catalog import training_runs
from catalog.schema import Checkpoint, Dataset, Job, TrainingRun
from catalog.training_runs import Standing
from dashboard.curves import Plot, Point, plot

LOSS = "{:.2f}".format


@dataclass(frozen=True)
class Training:
    """A train job with what it is about; `base` is None from scratch, `made` until there is a checkpoint.

    A job that only measures a checkpoint has no dataset, and `made` is what it measures.
    """

    job: Job
    run: TrainingRun
    standing: Standing
    dataset: Dataset | None
    base: Checkpoint | None
    made: Checkpoint | None

    @property
    def title(self) -> str:
        if self.dataset is None:
            return f"Measuring {self.made.name if self.made else 'a checkpoint'}"
        return f"Training on {self.dataset.name}@{self.dataset.version}"

    @property
    def plots(self) -> list[Plot]:
        return plots(self.run.losses, self.run.epochs)


def training_of(session: Session, job: Job) -> Training:
    run = training_runs.run_of(session, job)
    return Training(
        job=job,
        run=run,
        standing=training_runs.standing(session, job),
        dataset=session.get(Dataset, run.dataset_id) if run.dataset_id else None,
        base=session.get(Checkpoint, job.checkpoint_id) if job.checkpoint_id else None,
        made=session.get(Checkpoint, run.checkpoint_id) if run.checkpoint_id else None,
    )


def plots(losses: Sequence[Sequence[float]], epochs: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """The loss of each update, the loss and the validation CIDEr of each epoch; those that have begun."""
    of_epochs = [Point(row["epoch"], row["loss"]) for row in epochs]
    scores = [Point(row["epoch"], row["scores"]["cider"]) for row in epochs]
    drawn = [
        plot("loss-updates", "Loss", [Point(*pair) for pair in losses], x_name="update", y_format=LOSS),
        plot("loss-epochs", "Loss of each epoch", of_epochs, x_name="epoch", y_format=LOSS),
        plot("cider-epochs", "CIDEr on the validation photos", scores, x_name="epoch"),
    ]
    return [one for one in drawn if one]
