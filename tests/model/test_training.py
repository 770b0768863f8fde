"""The loss, the trainer, and whole runs on drawn photos."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model.captioner import build_captioner
from model.checkpoint import load_checkpoint
from model.config import Recipe, override
from model.description import Description, read_description
from model.errors import DataError, TrainingError
from model.evaluation import caption_features
from model.predictor import Predictor
from model.trainer import Trainer, TrainingSet, caption_loss, pad_captions
from model.training import extend_rows, train
from model.vocabulary import SPECIALS, Vocabulary

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


def _trainer(recipe: Recipe, vocabulary: Vocabulary, training_set: TrainingSet) -> Trainer:
    torch.manual_seed(recipe.training.seed)
    captioner = build_captioner(recipe, vocabulary)
    return Trainer(captioner=captioner, vocabulary=vocabulary, recipe=recipe, training_set=training_set)


def test_padding_does_not_change_loss(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    part = build_captioner(recipe, vocabulary).trained_part(0).eval()
    maps = torch.from_numpy(training_set.variants[0]).float().permute(0, 3, 1, 2)
    tokens = pad_captions(training_set.tokens)
    padded = torch.nn.functional.pad(tokens, (0, 3, 0, 2))
    losses = [
        caption_loss(part(maps, t[:, :, :-1]), t[:, :, 1:], label_smoothing=0.1) for t in (tokens, padded)
    ]
    assert padded.shape == (8, 3, tokens.shape[2] + 3)
    torch.testing.assert_close(*losses)


def test_the_loss_of_even_odds_is_the_log_of_their_number() -> None:
    loss = caption_loss(torch.zeros(1, 2, 3, 10), torch.tensor([[[4, 5, 0], [6, 0, 0]]]))
    assert loss.item() == pytest.approx(np.log(10))


def test_overfits_eight_images(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    trainer = _trainer(override(recipe, ["training.epochs=60"]), vocabulary, training_set)
    losses = [trainer.train_epoch() for _ in range(60)]
    assert losses[-1] < 0.05 < losses[0]
    for beam_size in (1, 3):
        captions = caption_features(
            trainer.part.eval(),
            training_set.variants[0],
            vocabulary=vocabulary,
            text=dataclasses.replace(recipe.text, capital=False, final_stop=False),
            device=torch.device("cpu"),
            beam_size=beam_size,
            max_length=8,
            length_penalty=0.7,
        )
        assert captions == list(CAPTIONS)


def test_each_epoch_sees_every_photo_once_in_its_own_order() -> None:
    numbers = np.arange(10, dtype=np.float16).reshape(10, 1, 1, 1)
    training_set = TrainingSet(variants=[numbers, -numbers], tokens=[[[1, 4, 2]]] * 10)
    epochs = [
        torch.cat([grid.flatten() for grid, _ in training_set.batches(batch_size=4, seed=seed)])
        for seed in (1, 1, 2)
    ]
    assert sorted(epochs[0].abs().tolist()) == list(range(10))
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])
    assert (epochs[0] < 0).any(), "mirrored photos must take turns with plain ones"
    assert (epochs[0] > 0).any()


def test_a_resumed_run_equals_one_that_was_never_stopped(
    eight: tuple[Recipe, Vocabulary, TrainingSet], tmp_path: Path
) -> None:
    recipe, vocabulary, training_set = eight
    recipe = override(recipe, ["training.epochs=4", "decoder.dropout=0.3"])
    whole = _trainer(recipe, vocabulary, training_set)
    for epoch in range(4):
        whole.train_epoch()
        if epoch == 1:
            whole.save(tmp_path / "state.safetensors")
    resumed = _trainer(override(recipe, []), vocabulary, training_set)
    resumed.load(tmp_path / "state.safetensors")
    assert resumed.epoch == 2
    for _ in range(2):
        resumed.train_epoch()
    for part in ("part", "average"):
        expected = getattr(whole, part).state_dict()
        for name, value in getattr(resumed, part).state_dict().items():
            assert torch.equal(value, expected[name]), f"{part}.{name}"


def test_the_state_of_another_recipe_is_refused(
    eight: tuple[Recipe, Vocabulary, TrainingSet], tmp_path: Path
) -> None:
    recipe, vocabulary, training_set = eight
    trainer = _trainer(recipe, vocabulary, training_set)
    with pytest.raises(TrainingError, match="no training state"):
        trainer.load(tmp_path / "state.safetensors")
    trainer.save(tmp_path / "state.safetensors")
    other = _trainer(override(recipe, ["training.seed=9"]), vocabulary, training_set)
    with pytest.raises(TrainingError, match="another recipe"):
        other.load(tmp_path / "state.safetensors")


def test_a_loss_that_is_no_number_stops_training(eight: tuple[Recipe, Vocabulary, TrainingSet]) -> None:
    recipe, vocabulary, training_set = eight
    broken = training_set.variants[0].copy()
    broken[3] = np.nan
    trainer = _trainer(recipe, vocabulary, dataclasses.replace(training_set, variants=[broken]))
    with pytest.raises(TrainingError, match="loss became nan in epoch 1, batch"):
        trainer.train_epoch()


def test_new_words_get_new_rows_and_old_rows_keep_their_values(small_recipe: Recipe) -> None:
    old_words = Vocabulary((*SPECIALS, "a", "dog"))
    new_words = Vocabulary((*old_words.words, "zebra"))
    old = build_captioner(small_recipe, old_words).state_dict()
    new = build_captioner(small_recipe, new_words).state_dict()
    merged = extend_rows(new, old)
    assert torch.equal(merged["decoder.embedding.weight"][:6], old["decoder.embedding.weight"])
    assert torch.equal(merged["decoder.embedding.weight"][6], new["decoder.embedding.weight"][6])
    assert torch.equal(merged["decoder.cell.weight_ih"], old["decoder.cell.weight_ih"])


Run = Callable[..., Description]


@pytest.fixture
def run(caption_data: Path, small_recipe: Recipe, tmp_path: Path) -> Run:
    def train_on_drawn_photos(*overrides: str, output: str = "out", **options: object) -> Description:
        return train(
            override(small_recipe, ["training.epochs=2", *overrides]),
            source=caption_data,
            output=tmp_path / output,
            name=output,
            cache=tmp_path / "cache",
            device="cpu",
            report=lambda line: None,
            **options,  # type: ignore[arg-type]
        )

    return train_on_drawn_photos


def test_a_run_leaves_a_checkpoint_that_captions(
    run: Run, tmp_path: Path, drawn: Callable[..., np.ndarray]
) -> None:
    description = run()
    assert read_description(tmp_path / "out") == description
    assert description.lineage["training_photos"] == 8
    assert len(description.lineage["training_data_sha256"]) == 64
    assert description.lineage["best_epoch"] in (1, 2)
    assert (description.scores["split"], description.scores["n"]) == ("dev", 4)
    assert Predictor.load(tmp_path / "out", device="cpu").predict([drawn(1)])[0].text.endswith(".")


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


def test_what_is_trained_ends_up_in_the_checkpoint(run: Run, tmp_path: Path, tiny_checkpoint: Path) -> None:
    run("encoder.trained_blocks=2", "training.frozen_epochs=0", "training.epochs=1", base=tiny_checkpoint)
    before, after = (load_checkpoint(folder)[0].encoder for folder in (tiny_checkpoint, tmp_path / "out"))
    for block, (old, new) in enumerate(zip(before.network, after.network, strict=True)):
        same = all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())
        assert same == (block < 17), f"block {block}"


def test_a_run_goes_on_after_its_last_epoch(run: Run, tmp_path: Path) -> None:
    run("training.epochs=3", output="whole")
    lines: list[str] = []
    run("training.epochs=3", output="whole", resume=True)
    assert not lines
    with pytest.raises(TrainingError, match="another recipe"):
        run("training.epochs=4", output="whole", resume=True)


def test_features_are_computed_once_for_the_same_photos(run: Run, tmp_path: Path) -> None:
    run(output="first")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    run(output="second")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    assert len(before) == 3, "training photos, the same mirrored, validation photos"


def test_a_run_from_a_checkpoint_keeps_its_encoder_and_extends_its_words(
    run: Run, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    described = run("data.licence=Ask me.", base=tiny_checkpoint)
    old, old_description = load_checkpoint(tiny_checkpoint)
    new, _ = load_checkpoint(tmp_path / "out")
    known = old_description.vocabulary.words
    assert described.vocabulary.words[: len(known)] == known
    assert "thing" in described.vocabulary
    assert described.licence == "For tests. Ask me."
    assert described.lineage["parent_weights_sha256"] == old_description.weights_sha256
    for name, value in old.encoder.state_dict().items():
        assert torch.equal(new.encoder.state_dict()[name], value), name


def test_another_network_than_that_of_the_base_is_refused(run: Run, tiny_checkpoint: Path) -> None:
    with pytest.raises(TrainingError, match="another network"):
        run("decoder.hidden_size=32", base=tiny_checkpoint)


def test_a_recipe_in_a_checkpoint_names_no_folder_of_this_machine(run: Run, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from model.encoder import build_encoder

    state = {
        f"features.{name}": value
        for name, value in build_encoder("mobilenet_v2").network.state_dict().items()
    }
    save_file(state, tmp_path / "base.safetensors")
    run(f"encoder.weights={tmp_path / 'base.safetensors'}", "training.epochs=1")
    assert str(tmp_path) not in (tmp_path / "out" / "checkpoint.json").read_text()


def test_an_unreadable_training_photo_is_named(
    small_recipe: Recipe, caption_data: Path, tmp_path: Path
) -> None:
    import shutil

    broken = Path(shutil.copytree(caption_data, tmp_path / "broken"))
    (broken / "Images" / "3.png").write_text("no photo at all, only words")
    with pytest.raises(DataError, match=r"cannot be read: .*3\.png"):
        train(small_recipe, source=broken, output=tmp_path / "out", name="out", device="cpu")
