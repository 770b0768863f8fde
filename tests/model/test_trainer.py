"""The trainer: what an update does, and that a run can be stopped after any of them."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from model.batches import TrainingSet, pad_captions, to_maps
from model.captioner import build_captioner, preprocessing_of
from model.config import Recipe, override
from model.data import Example
from model.description import Description
from model.errors import TrainingError
from model.losses import token_loss
from model.trainer import Trainer
from model.validation import Validation
from model.vocabulary import Vocabulary

CAPTIONS = (
    "a black dog runs in the snow",
    "two men in a red boat",
    "a child jumps",
    "a woman reads on a green bench",
    "birds over the water",
    "a man climbs a steep rock",
    "three girls dance",
    "a white horse stands behind a fence",
)
FAST = (
    "training.learning_rate=0.01",
    "training.label_smoothing=0",
    "decoder.dropout=0",
    "training.ema_decay=0.5",
)


@pytest.fixture
def eight(small_recipe: Recipe) -> tuple[Recipe, Vocabulary, TrainingSet]:
    """Eight images of random features with a caption each."""
    words = [caption.split() for caption in CAPTIONS]
    vocabulary = Vocabulary.build(words, min_count=1)
    features = np.random.default_rng(5).normal(size=(8, 2, 2, 1280)).astype(np.float16)
    tokens = [[vocabulary.encode(caption, max_length=8)] for caption in words]
    recipe = override(small_recipe, FAST)
    return recipe, vocabulary, TrainingSet(variants=[features], tokens=tokens)


def _trainer(recipe: Recipe, vocabulary: Vocabulary, training_set: TrainingSet, **lineage: str) -> Trainer:
    torch.manual_seed(recipe.training.seed)
    description = Description(
        name="test",
        recipe=recipe,
        vocabulary=vocabulary,
        preprocessing=preprocessing_of(recipe),
        lineage=lineage,
    )
    captioner = build_captioner(recipe, vocabulary)
    return Trainer(captioner=captioner, description=description, training_set=training_set)


def equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    expected = first.state_dict()
    return all(torch.equal(value, expected[name]) for name, value in second.state_dict().items())


def test_padding_does_not_change_loss(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    part = build_captioner(recipe, vocabulary).trained_part(recipe).eval()
    maps, tokens = to_maps(training_set.variants[0][:]), pad_captions(training_set.tokens)
    padded = torch.nn.functional.pad(tokens, (0, 3, 0, 2))
    losses = [token_loss(*part.teach(maps, t), label_smoothing=0.1) for t in (tokens, padded)]
    assert padded.shape == (8, 3, tokens.shape[2] + 3)
    torch.testing.assert_close(*losses)


def test_overfits_eight_images(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    trainer = _trainer(override(recipe, ["training.epochs=60"]), vocabulary, training_set)
    losses = [trainer.train_epoch() for _ in range(60)]
    assert losses[-1] < 0.05 < losses[0]
    validation = Validation(
        split="train",
        examples=[Example(Path("none"), (caption,)) for caption in CAPTIONS],
        features=training_set.variants[0],
        recipe=override(recipe, ["text.capital=false", "text.final_stop=false"]),
        vocabulary=vocabulary,
        preprocessing=preprocessing_of(recipe),
        device=torch.device("cpu"),
    )
    for beam_size in (1, 3):
        found = validation.captions(trainer.part.eval(), beam_size=beam_size)
        assert validation.texts(found) == list(CAPTIONS)
    assert validation.cider(trainer.part) > 9


@pytest.mark.parametrize("stage", ["teacher forcing", "self-critical", "packed, last token"])
def test_a_run_killed_after_any_update_ends_with_the_same_weights(
    stage: str, eight: tuple[Recipe, Vocabulary, TrainingSet], tmp_path: Path
) -> None:
    recipe, vocabulary, training_set = eight
    keys = {
        "teacher forcing": ["training.epochs=2"],
        "self-critical": ["training.epochs=1", "training.self_critical_epochs=1"],
        "packed, last token": [
            "training.epochs=2",
            "training.objective=last_token",
            "decoder.name=packed_lstm",
            "decoder.attention_size=256",
        ],
    }
    recipe = override(recipe, ["decoder.dropout=0.3", "training.batch_size=3", *keys[stage]])
    whole = _trainer(recipe, vocabulary, training_set)
    losses = [
        whole.train_epoch(
            after_update=lambda loss: whole.save(tmp_path / f"{whole.progress.updates}.safetensors")
        )
        for _ in range(2)
    ]
    assert whole.finished
    assert whole.progress.updates == 6
    for update in range(1, 6):
        resumed = _trainer(recipe, vocabulary, training_set)
        resumed.load(tmp_path / f"{update}.safetensors")
        assert resumed.progress.updates == update
        while not resumed.finished:
            loss = resumed.train_epoch()
        assert loss == losses[-1]
        assert equal(whole.part, resumed.part), f"killed after update {update}"
        assert equal(whole.average, resumed.average), f"killed after update {update}"


def test_a_batch_in_parts_teaches_what_the_whole_batch_teaches(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    # Captions of all lengths: parts with few words must not count for more than their words.
    trainers = [
        _trainer(override(recipe, [f"training.accumulation={parts}"]), vocabulary, training_set)
        for parts in (1, 3)
    ]
    losses = [trainer.train_epoch() for trainer in trainers]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in trainers[0].part.state_dict().items():
        torch.testing.assert_close(value, trainers[1].part.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_rate_rises_then_falls_or_stays(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    recipe = override(recipe, ["training.epochs=5", "training.batch_size=1", "training.warmup=0.25"])

    def rates(schedule: str) -> list[float]:
        trainer = _trainer(override(recipe, [f"training.schedule={schedule}"]), vocabulary, training_set)
        seen: list[float] = []
        while not trainer.finished:
            trainer.train_epoch(after_update=lambda loss: seen.append(trainer.learning_rates()["decoder"]))
        return seen

    cosine, constant = rates("cosine"), rates("constant")
    assert cosine[:10] == sorted(cosine[:10])
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert cosine[-1] < 0.0001 < cosine[0]
    assert constant[9:] == [0.01] * 31


def test_the_rates_fall_from_the_top_again_in_the_self_critical_stage(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    keys = ["epochs=1", "batch_size=2", "self_critical_epochs=2", "self_critical_learning_rate=1e-4"]
    keys = [*keys, "self_critical_encoder_learning_rate=1e-5"]
    recipe = override(recipe, [f"training.{key}" for key in keys])

    def rates(schedule: str) -> list[dict[str, float]]:
        trainer = _trainer(override(recipe, [f"training.schedule={schedule}"]), vocabulary, training_set)
        trainer.train_epoch()
        seen: list[dict[str, float]] = []
        while not trainer.finished:
            trainer.train_epoch(after_update=lambda loss: seen.append(trainer.learning_rates()))
        return seen

    share = [0.5 * (1 + math.cos(math.pi * update / 8)) for update in range(8)]
    assert [rate["decoder"] for rate in rates("cosine")] == pytest.approx([1e-4 * part for part in share])
    assert [rate["encoder"] for rate in rates("cosine")] == pytest.approx([1e-5 * part for part in share])
    assert rates("constant") == [{"decoder": 1e-4, "encoder": 1e-5}] * 8


def test_a_stage_without_progress_ends_after_its_patience(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    keys = ["training.patience=2", "training.epochs=9", "training.self_critical_epochs=9"]
    trainer = _trainer(override(recipe, keys), vocabulary, training_set)
    stages = []
    for score in [0.1, 0.3, 0.2, 0.3, 0.4, 0.1, 0.2, 0.9]:
        stages.append("self-critical" if trainer.critical else "teacher forcing")
        trainer.train_epoch()
        trainer.judge(score)
        if trainer.finished:
            break
    assert stages == ["teacher forcing"] * 4 + ["self-critical"] * 3
    assert (trainer.progress.best, trainer.progress.best_epoch) == (0.4, 5)


def test_the_state_of_another_run_is_refused(
    eight: tuple[Recipe, Vocabulary, TrainingSet], tmp_path: Path
) -> None:
    recipe, vocabulary, training_set = eight
    state = tmp_path / "state.safetensors"
    trainer = _trainer(recipe, vocabulary, training_set, training_data_sha256="1")
    with pytest.raises(TrainingError, match="no training state"):
        trainer.load(state)
    trainer.save(state)
    more_words = Vocabulary((*vocabulary.words, "zebra"))
    for other, what in [
        (_trainer(override(recipe, ["training.seed=9"]), vocabulary, training_set), "recipe"),
        (_trainer(recipe, more_words, training_set), "training data sha256"),
        (_trainer(recipe, more_words, training_set, training_data_sha256="1"), "vocabulary"),
    ]:
        with pytest.raises(TrainingError, match=f"belongs to another {what}"):
            other.load(state)


@pytest.mark.parametrize("stage", ["training.epochs=1", "training.self_critical_epochs=1"])
def test_a_loss_that_is_no_number_stops_training_before_it_does_harm(
    stage: str, eight: tuple[Recipe, Vocabulary, TrainingSet]
) -> None:
    recipe, vocabulary, training_set = eight
    broken = training_set.variants[0][:]
    broken[3] = np.nan
    recipe = override(recipe, ["training.epochs=0", "training.batch_size=8", stage])
    trainer = _trainer(recipe, vocabulary, dataclasses.replace(training_set, variants=[broken]))
    before = {name: value.clone() for name, value in trainer.part.state_dict().items()}
    with pytest.raises(TrainingError, match=r"loss became nan, .* in epoch 1, batch 1;"):
        trainer.train_epoch()
    after = trainer.part.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_gradients_are_cut_to_their_longest_norm_or_not_at_all(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight

    def norm(clip_norm: float) -> float:
        keys = [f"training.clip_norm={clip_norm}", "training.batch_size=8"]
        trainer = _trainer(override(recipe, keys), vocabulary, training_set)
        trainer.train_epoch()
        return float(
            torch.stack([w.grad.norm() for w in trainer.part.parameters() if w.grad is not None]).norm()
        )

    assert norm(0.01) == pytest.approx(0.01, rel=1e-3)
    assert norm(0) == norm(1e6) > 0.1


def test_the_self_critical_stage_sees_images_with_all_their_captions(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    keys = ["training.epochs=1", "training.self_critical_epochs=1", "training.batch_size=4"]
    twice = dataclasses.replace(
        training_set, tokens=[[*group, *group] for group in training_set.tokens], batch_of="captions"
    )
    trainer = _trainer(override(recipe, [*keys, "training.batch_of=captions"]), vocabulary, twice)
    trainer.train_epoch()
    assert trainer.progress.updates == 4
    assert 0 < trainer.learning_rates()["decoder"] < 0.01, "the rate of the epoch that is over"
    trainer.train_epoch()
    assert trainer.progress.updates == 4 + 2
    assert trainer.learning_rates() == pytest.approx({"decoder": 0.5e-4, "encoder": 0.0}), "at half time"


def test_of_cropped_photos_the_first_blocks_compute_and_the_last_ones_learn(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    recipe = override(recipe, ["data.crop=0.6", "encoder.trained_blocks=2", "training.frozen_epochs=0"])
    photos = np.random.default_rng(1).normal(size=(8, 32, 32, 3)).astype(np.float16)
    cropped = dataclasses.replace(training_set, variants=[photos], crop=0.6)
    trainer = _trainer(recipe, vocabulary, cropped)
    before = copy.deepcopy(trainer.part.head)
    trainer.train_epoch()
    changed = [
        not all(map(torch.equal, old.parameters(), new.parameters()))
        for old, new in zip(before, trainer.part.head, strict=True)
    ]
    assert changed == [False] * 17 + [True] * 2


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_the_encoder_learns_in_the_self_critical_stage_if_it_has_a_rate_there(
    rate: float, eight: tuple[Recipe, Vocabulary, TrainingSet]
) -> None:
    recipe, vocabulary, training_set = eight
    keys = ["trained_blocks=2", f"self_critical_encoder_learning_rate={rate}", "self_critical_epochs=1"]
    keys = [
        f"encoder.{keys[0]}",
        *(f"training.{key}" for key in (*keys[1:], "epochs=0", "schedule=constant")),
    ]
    maps = training_set.variants[0][..., :160]
    trainer = _trainer(override(recipe, keys), vocabulary, dataclasses.replace(training_set, variants=[maps]))
    before = copy.deepcopy(trainer.part)
    trainer.train_epoch()
    assert not equal(before.decoder, trainer.part.decoder)
    assert equal(before.head, trainer.part.head) == (rate == 0)
    assert trainer.learning_rates()["encoder"] == rate


def test_the_last_blocks_of_the_encoder_learn_once_the_decoder_has_begun(
    eight: tuple[Recipe, Vocabulary, TrainingSet],
) -> None:
    recipe, vocabulary, training_set = eight
    recipe = override(recipe, ["encoder.trained_blocks=2", "training.frozen_epochs=1", "training.epochs=3"])
    maps = training_set.variants[0][..., :160]
    trainer = _trainer(recipe, vocabulary, dataclasses.replace(training_set, variants=[maps]))

    def head() -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in trainer.part.head.named_parameters()}

    first = head()
    trainer.train_epoch()
    second = head()
    assert all(torch.equal(value, first[name]) for name, value in second.items())
    trainer.train_epoch()
    assert not any(torch.equal(value, second[name]) for name, value in head().items())
