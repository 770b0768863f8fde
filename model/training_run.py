"""A training run: epochs, validation, and what is kept of them on disk."""

import copy
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from model.best_epochs import BestEpochs
from model.captioner import Captioner
from model.checkpoint import load_checkpoint, save_checkpoint
from model.description import Description
from model.measuring import measure
from model.trainer import Trainer
from model.training_log import TrainingLog
from model.training_progress import Pace, Watched
from model.validation import Validation

STATE_FILE = "state.safetensors"


@dataclass(kw_only=True)
class TrainingRun:
    """Trains until the recipe says stop; the checkpoint in `output` is that of the best epoch so far.

    Of several processes, the first validates, writes and reports.
    """

    trainer: Trainer
    captioner: Captioner
    description: Description
    validation: Validation
    output: Path
    watched: Watched
    bar: bool
    report: Callable[[str], None]
    _saved: float = field(default_factory=time.monotonic)
    _pace: Pace = field(default_factory=Pace)
    _since: float = 0.0

    @property
    def folder(self) -> Path:
        """Where the state, the log and the weights of the best epochs lie."""
        return self.output / "training"

    def resume(self) -> None:
        """Go on from the state on disk; raises TrainingError."""
        self.trainer.load(self.folder / STATE_FILE)
        progress = self.trainer.progress
        if not self.trainer.finished:
            self.report(f"going on in epoch {progress.epoch + 1} after {progress.step} batches")

    def go(self) -> None:
        """All epochs that are left, then the checkpoint's scores; raises TrainingError, CheckpointError."""
        if not self.trainer.ranks.first:
            while not self.trainer.finished:
                self._epoch(None)
            return
        progress = self.trainer.progress
        with TrainingLog(
            self.folder,
            tensorboard=self.description.recipe.training.tensorboard,
            after_epoch=progress.epoch,
            after_step=self.trainer.progress.updates,
        ) as log:
            while not self.trainer.finished:
                self._epoch(log)
        self.watched.say("measuring", **self._numbers())
        self._average_best_epochs()
        self._learn_expected_words()
        measure(self.output, self.validation)

    def _epoch(self, log: TrainingLog | None) -> None:
        trainer, started, critical = self.trainer, time.monotonic(), self.trainer.critical
        self._since = started
        loss = trainer.train_epoch(bar=self.bar, after_update=lambda loss: self._after_update(loss, log))
        score = trainer.ranks.told_by_first(self.validation.cider(trainer.averaged()) if log else 0.0)
        better = trainer.judge(score)
        if log is None:
            return
        seconds, epoch = time.monotonic() - started, trainer.progress.epoch
        stage = "self-critical" if critical else "teacher forcing"
        self.report(f"epoch {epoch}, {stage}: loss {loss:.4f}, validation CIDEr {score:.4f}, {seconds:.0f} s")
        log.epoch(
            {
                "epoch": epoch,
                "stage": stage,
                "loss": loss,
                "learning_rate": trainer.learning_rates(),
                "scores": {"cider": score},
                "seconds": round(seconds, 1),
            }
        )
        log.samples(trainer.progress.updates, self.validation.samples(trainer.averaged()))
        self._keep(score, better)
        self._pace.in_epochs += time.monotonic() - started
        self._pace.epochs += 1
        self.watched.say("training", **self._numbers(loss))

    def _after_update(self, loss: float, log: TrainingLog | None) -> None:
        if log is None:
            self.watched.stop_if_told()
            return
        trainer, now = self.trainer, time.monotonic()
        self._pace.updates += 1
        self._pace.in_updates += now - self._since
        self._since = now
        log.step(trainer.progress.updates, loss, trainer.learning_rates()["decoder"])
        self.watched.say("training", **self._numbers(loss))
        stopping = self.watched.stopping()
        if stopping or time.monotonic() - self._saved >= 60 * trainer.config.save_minutes:
            self._save()
        if stopping:
            self.watched.stop_if_told()

    def _numbers(self, loss: float | None = None) -> dict[str, float | None]:
        """Where the run is: epochs and steps count from 1, and all epochs are those there are at most."""
        trainer, progress = self.trainer, self.trainer.progress
        epochs = progress.critical_from + trainer.config.self_critical_epochs
        left = 0 if trainer.finished else max(0, epochs - progress.epoch)
        return {
            "epoch": min(progress.epoch + 1, epochs),
            "epochs": epochs,
            "step": progress.step,
            "steps": trainer.steps,
            "updates": progress.updates,
            "loss": loss,
            "seconds_left": self._pace.seconds_left(
                updates=max(0, left * trainer.steps - progress.step), epochs=left
            ),
        }

    def _keep(self, score: float, better: bool) -> None:
        progress, weights = self.trainer.progress, self.trainer.averaged().state_dict()
        if better:
            self._write_checkpoint(weights, best_epoch=progress.epoch)
        if self.trainer.config.averaged_epochs > 1:
            progress.kept = self._best_epochs().offer(progress.kept, score, progress.epoch, weights)
        self._save()
        self._best_epochs().remove_all_but(progress.kept)
        if self.trainer.finished and progress.epoch > progress.best_epoch:
            self.report(f"epoch {progress.best_epoch} was the best, with CIDEr {progress.best:.4f}")

    def _save(self) -> None:
        self.trainer.save(self.folder / STATE_FILE)
        self._saved = time.monotonic()

    def _best_epochs(self) -> BestEpochs:
        return BestEpochs(self.folder, count=self.trainer.config.averaged_epochs)

    def _average_best_epochs(self) -> None:
        progress = self.trainer.progress
        if len(progress.kept) < 2:
            return
        part, weights = copy.deepcopy(self.trainer.averaged()), self._best_epochs().average(progress.kept)
        part.load_state_dict(weights)
        score, epochs = self.validation.cider(part), sorted(epoch for _, epoch in progress.kept)
        better = score > progress.best
        self.report(
            f"the mean of epochs {', '.join(map(str, epochs))} validates with CIDEr {score:.4f}, "
            f"{'better' if better else 'not better'} than the best of them"
        )
        if better:
            self._write_checkpoint(weights, averaged_epochs=epochs)

    def _learn_expected_words(self) -> None:
        """From what the checkpoint, as it is stored, sees of the photos that it was trained on."""
        captioner, description = load_checkpoint(self.output)
        words, before = captioner.expected_words, self.captioner.expected_words
        if words is None or before is None:
            return
        # A run that is resumed when it was finished begins anew here.
        words.load_state_dict(before.state_dict())
        captioner.to(self.trainer.device)
        self.trainer.teach_words(words, captioner.trained_part(description.recipe).eval())
        save_checkpoint(self.output, captioner.state_dict(), description)

    def _write_checkpoint(self, weights: dict[str, Tensor], **lineage: object) -> None:
        """Put trained weights into a whole captioner and write it; what came of it is said by `measure`."""
        whole = copy.deepcopy(self.captioner)
        whole.trained_part(self.description.recipe).load_state_dict(weights)
        described = dataclasses.replace(self.description, lineage={**self.description.lineage, **lineage})
        save_checkpoint(self.output, whole.state_dict(), described)
