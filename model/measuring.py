"""What a checkpoint is worth: scored and calibrated on the validation split when its training ends."""

import dataclasses
from pathlib import Path

from model import calibration
from model.checkpoint import load_checkpoint, save_checkpoint
from model.description import Description
from model.evaluation import Captions, Evaluator
from model.validation import Validation


def measure(folder: Path, validation: Validation) -> Description:
    """Score and calibrate the checkpoint as it was stored, with its own beam size; write that into it.

    Raises CheckpointError, and ModelError where its captions lead to no usable calibration.
    """
    captioner, description = load_checkpoint(folder)
    beam_size = description.recipe.search.beam_size
    part = captioner.to(validation.device).trained_part(description.recipe).eval()
    captions = validation.captions(part, beam_size=beam_size, expected_words=captioner.expected_words)
    evaluator = Evaluator(validation.split, validation.examples)
    texts = Captions(texts=validation.texts(captions))
    statistics = evaluator.statistics(texts)
    fitted = calibration.fit([one.score for one in captions], statistics)
    given = dataclasses.replace(texts, confidences=[fitted.confidence(one.score) for one in captions])
    scores = evaluator.evaluation(
        given, statistics, beam_size=beam_size, framing=description.preprocessing.framing
    )
    described = dataclasses.replace(
        description,
        scores=dataclasses.asdict(scores),
        calibration=fitted,
        word_calibration=calibration.fit_words(validation.chosen(captions)),
    )
    return save_checkpoint(folder, captioner.state_dict(), described)
