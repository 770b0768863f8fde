"""The loop, closed: what people's corrections of photos that a captioner knows nothing of make of it.

    python -m benchmarks.closed_loop --data FLICKR8K --weights mobilenet_v2.safetensors --home FOLDER

Photos that speak of water are held back, and a base is trained without them. Then the captions of 100 and of
500 such photos are corrected, each to the reference nearest to what the base wrote, and the base is retrained
on what was corrected, through catalog, worker and train job as in an installation. A control retrains on 500
photos of everything else. Each of the seeds draws other photos. With the same --home, an interrupted run goes
on.
"""

import argparse
import json
import os
import platform
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file
from sqlalchemy import select

from benchmarks.closed_loop_photos import Captions, Parts, lay_out, nearest, parted, read_captions
from benchmarks.closed_loop_plot import plot
from benchmarks.installation import Installation
from catalog import captions as caption_service
from catalog import collections, datasets, manifests
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Evaluation,
    Item,
    Job,
    JobState,
    TrainingRun,
)
from catalog.word_edits import same_words, word_edits
from model.bootstrap import Difference, intervals, seed_differences
from model.metrics import Scorer, corpus_scores, named, tokenized
from model.tokenizer import ptb_words

SEEDS = (1, 2, 3, 4, 5)
CORRECTIONS = (100, 500)
RESULTS = Path(__file__).parent / "results"
DOMAIN, GENERAL = "Golden water", "Golden rest"
BASE_RECIPE = (
    "encoder.trained_blocks=0",
    "data.crop=1.0",
    "training.epochs=10",
    "training.frozen_epochs=0",
    "training.batch_size=32",
    "training.learning_rate=8e-4",
    "training.self_critical_epochs=0",
    "training.averaged_epochs=0",
)


@dataclass(frozen=True)
class Written:
    """What a checkpoint wrote under the photos of a golden set, and how it scores: statistics (B, 12)."""

    texts: list[str]
    references: list[tuple[str, ...]]
    statistics: np.ndarray

    @property
    def cider(self) -> float:
        return named(corpus_scores(self.statistics))["cider"]

    @property
    def edits(self) -> list[int]:
        """Word edits from each text to the nearest reference."""
        return [
            word_edits(text, nearest(text, group))
            for text, group in zip(self.texts, self.references, strict=True)
        ]


@dataclass(frozen=True)
class Retrained:
    """A checkpoint of one seed with what it wrote under both golden sets; `seconds` of its whole job."""

    seed: int
    checkpoint: str
    sha256: str
    vocabulary: frozenset[str]
    domain: Written
    general: Written
    seconds: float
    trained_on: dict[str, Any]


class LoopInstallation(Installation):
    """The installation in which the loop is closed."""

    def holds(self, collection: str) -> bool:
        with self.database.reading() as session:
            return any(
                row.collection.name == collection for row in collections.summaries(session, viewer=None).rows
            )

    def trained(self, dataset: str) -> tuple[Job, Checkpoint] | None:
        """The train job of a dataset that is done, and what came of it."""
        with self.database.reading() as session:
            query = (
                select(Job, Checkpoint)
                .join(TrainingRun, TrainingRun.job_id == Job.id)
                .join(Checkpoint, Checkpoint.id == TrainingRun.checkpoint_id)
                .where(
                    TrainingRun.dataset_id == datasets.by_name(session, dataset).id,
                    Job.state == JobState.DONE,
                )
            )
            found = session.execute(query).first()
            return (found[0], found[1]) if found else None

    def written(self, checkpoint: Checkpoint, golden: str) -> Written:
        """What the train job's own evaluation kept of a checkpoint on a golden set."""
        with self.database.reading() as session:
            dataset = datasets.by_name(session, golden)
            evaluation = session.scalars(
                select(Evaluation).where(
                    Evaluation.checkpoint_id == checkpoint.id, Evaluation.dataset_id == dataset.id
                )
            ).one()
            references = {
                item.sha256: tuple(caption.text for caption in item.captions)
                for item in manifests.read(self.blobs, dataset.manifest_sha256)[1]
            }
            lines = self.blobs.read(evaluation.predictions_sha256).decode("utf-8").rstrip("\n").split("\n")
        rows = sorted(map(json.loads, lines), key=lambda row: row["sha256"])
        groups = [references[row["sha256"]] for row in rows]
        texts = [row["caption"] for row in rows]
        scorer = Scorer(tokenized(groups))
        return Written(texts, groups, scorer.statistics([ptb_words(text) for text in texts]))

    def correct(self, collection: str, names: Sequence[str], references: Captions) -> None:
        """Accept the captions of these photos, edited where the nearest reference says something else."""
        for name in names:
            with self.database.writing() as session:
                holder = collections.by_name(session, collection)
                caption = session.scalars(
                    select(Caption)
                    .join(Item, Item.id == Caption.item_id)
                    .where(Item.collection_id == holder.id, Item.path == name)
                ).one()
                if caption.state is CaptionState.ACCEPTED:
                    continue
                right = nearest(caption.text, references[name])
                text = None if same_words(right, caption.text) else right
                caption_service.revise(
                    session,
                    caption,
                    version=caption.version,
                    user=None,
                    text=text,
                    state=CaptionState.ACCEPTED,
                )


@dataclass(frozen=True)
class Loop:
    """The whole experiment in one installation."""

    installation: LoopInstallation
    source: Path
    captions: Captions
    parts: Parts
    folder: Path

    def base(self) -> Checkpoint:
        """Freeze both golden sets, train the base on everything else, and make it the active one."""
        for golden, names in ((GENERAL, self.parts.golden_general), (DOMAIN, self.parts.golden_domain)):
            if self._imported(golden, names, with_captions=True):
                self.installation.run("golden", "freeze", golden, golden, "--from-imported")
        if self._imported("Everything else", self.parts.base, with_captions=True):
            self.installation.run("freeze", "Everything else", "base")
        if not self.installation.trained("base"):
            self.installation.run("job", "train", "base", "--recipe", "starter", "--wait", *BASE_RECIPE)
        base = self._checkpoint("base")
        if base.state is not CheckpointState.ACTIVE:
            self.installation.run("checkpoint", "promote", base.name, "--reason", "the base of the loop")
        return base

    def retrained(self, what: str, pool: Sequence[str], seed: int, counts: Sequence[int]) -> list[Retrained]:
        """Have the base caption photos of a pool, correct some, and retrain it on these: once a count."""
        collection = f"{what} {seed}"
        drawn = random.Random(seed).sample(list(pool), max(counts))
        if self._imported(collection, drawn, with_captions=False):
            self.installation.run("job", "caption", collection, "--wait")
        return [self._retrained_on(collection, drawn[:count], seed, count) for count in counts]

    def _retrained_on(self, collection: str, names: Sequence[str], seed: int, count: int) -> Retrained:
        dataset = f"{collection} {count}".lower().replace(" ", "-")
        base = self._checkpoint("base")
        with self.installation.database.reading() as session:
            frozen = any(
                row.name == dataset for row in datasets.newest(session, viewer=None, limit=1000).rows
            )
        if not frozen:
            self.installation.correct(collection, names, self.captions)
            self.installation.run("freeze", collection, dataset)
        if not self.installation.trained(dataset):
            arguments = ("--from", base.name, "--seed", str(seed), "--wait")
            self.installation.run("job", "train", dataset, *arguments)
        return self._described(dataset, seed)

    def _described(self, dataset: str, seed: int) -> Retrained:
        found = self.installation.trained(dataset)
        assert found, f"the train job of {dataset} is not done"
        job, checkpoint = found
        assert job.started_at
        assert job.finished_at
        with self.installation.database.reading() as session:
            trained_on = session.get_one(TrainingRun, job.id).data
        return Retrained(
            seed=seed,
            checkpoint=checkpoint.name,
            sha256=checkpoint.weights_sha256,
            vocabulary=frozenset(checkpoint.description["vocabulary"]),
            domain=self.installation.written(checkpoint, DOMAIN),
            general=self.installation.written(checkpoint, GENERAL),
            seconds=round((job.finished_at - job.started_at).total_seconds(), 1),
            trained_on=trained_on,
        )

    def described_base(self) -> Retrained:
        return self._described("base", 0)

    def _checkpoint(self, dataset: str) -> Checkpoint:
        found = self.installation.trained(dataset)
        assert found, f"the train job of {dataset} is not done"
        return found[1]

    def _imported(self, collection: str, names: Sequence[str], *, with_captions: bool) -> bool:
        """Import photos as a new collection; False where an earlier run has done so."""
        if self.installation.holds(collection):
            return False
        folder = lay_out(
            self.source, self.folder / collection, names, self.captions if with_captions else None
        )
        self.installation.run("import", collection, str(folder))
        return True


def point(count: int, base: Retrained, seeds: Sequence[Retrained]) -> dict[str, Any]:
    """One point of the curve: means over the seeds, and how sure they are to differ from the base."""
    return {
        "corrections": count,
        "domain_cider": _mean(one.domain.cider for one in seeds),
        "general_cider": _mean(one.general.cider for one in seeds),
        "p": _difference(base.domain, [one.domain for one in seeds]).p,
        "n": len(base.domain.texts),
        "checkpoint_sha256": seeds[0].sha256,
        "domain": _told(base.domain, [one.domain for one in seeds]),
        "general": _told(base.general, [one.general for one in seeds]),
        "word_edits": _mean(np.mean(one.domain.edits) for one in seeds),
        "accepted_unchanged": _mean(np.mean([edits == 0 for edits in one.domain.edits]) for one in seeds),
        "new_words_said": sorted(set().union(*(_new_words(base, one) for one in seeds))),
        "seeds": [
            {
                "seed": one.seed,
                "checkpoint": one.checkpoint,
                "checkpoint_sha256": one.sha256,
                "domain_cider": round(one.domain.cider, 4),
                "general_cider": round(one.general.cider, 4),
                "seconds": one.seconds,
                "trained_on": one.trained_on,
            }
            for one in seeds
        ],
    }


def _told(base: Written, seeds: Sequence[Written]) -> dict[str, Any]:
    """Difference to the base with its 95 % interval, over photos and seeds, and as a share of the base."""
    difference = _difference(base, seeds)
    low, high = intervals(base.statistics)["cider"]
    return {
        "n": len(base.texts),
        "base": round(base.cider, 4),
        "base_interval": [round(low, 4), round(high, 4)],
        "difference": {name: round(value, 4) for name, value in asdict(difference).items()},
        "relative": round(difference.value / base.cider, 4),
    }


def _difference(base: Written, seeds: Sequence[Written]) -> Difference:
    return seed_differences([base.statistics], [one.statistics for one in seeds])["cider"]


def _new_words(base: Retrained, one: Retrained) -> set[str]:
    """Words that the retrained one says under photos of the domain and that the base has no number for."""
    said = {word for text in one.domain.texts for word in caption_service.words(text)}
    return (said & one.vocabulary) - base.vocabulary


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 4)


def offer_weights(weights: Path, folder: Path) -> None:
    """Put ImageNet weights where torchvision looks before it downloads them."""
    address = torchvision.models.get_model_weights("mobilenet_v2").DEFAULT.url
    cached = folder / "hub" / "checkpoints" / address.rpartition("/")[2]
    cached.parent.mkdir(parents=True, exist_ok=True)
    torch.save(load_file(weights), cached)
    os.environ["TORCH_HOME"] = str(folder)


def machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "recaption")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="Flickr8k: Images/, captions.txt, train.txt, dev.txt"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="MobileNetV2's ImageNet weights (.safetensors), where none can be downloaded",
    )
    parser.add_argument("--home", type=Path, required=True, help="folder of the installation, kept")
    parser.add_argument("--output", type=Path, default=RESULTS / "closed_loop.json")
    asked = parser.parse_args()
    captions = read_captions(asked.data)
    parts = parted(asked.data, captions)
    asked.home.mkdir(parents=True, exist_ok=True)
    installation = LoopInstallation(asked.home.resolve())
    if asked.weights:
        offer_weights(asked.weights, asked.home.resolve() / "torch")
    loop = Loop(installation, asked.data, captions, parts, asked.home.resolve() / "photos")
    runs: dict[int, list[Retrained]] = {count: [] for count in CORRECTIONS}
    control: list[Retrained] = []
    with installation.worker():
        loop.base()
        base = loop.described_base()
        print(f"base: domain {base.domain.cider:.4f}, general {base.general.cider:.4f}", flush=True)
        for seed in SEEDS:
            for count, run in zip(
                CORRECTIONS, loop.retrained("Water", parts.domain, seed, CORRECTIONS), strict=True
            ):
                runs[count].append(run)
            control += loop.retrained("Others", parts.others, seed, [max(CORRECTIONS)])
            result: dict[str, Any] = {
                "machine": machine(),
                "photos": {name: len(names) for name, names in asdict(parts).items()},
                "curve": [
                    point(0, base, [base]),
                    *(point(count, base, runs[count]) for count in CORRECTIONS),
                ],
                "control": point(max(CORRECTIONS), base, control),
            }
            asked.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            asked.output.with_suffix(".svg").write_text(plot(result), encoding="utf-8")
            last = result["curve"][-1]
            print(f"{seed} seeds: {last['domain']} general {last['general']}", flush=True)


if __name__ == "__main__":
    main()
